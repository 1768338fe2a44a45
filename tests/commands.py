"""The command line, in this process."""

from typer.testing import CliRunner

from jobs import cli


def run(*arguments: object) -> tuple[int, str]:
    """Exit code and everything printed, of the command `earmark`."""
    result = CliRunner().invoke(cli.cli, [str(a) for a in arguments], catch_exceptions=True)
    if isinstance(result.exception, cli.EarmarkError):
        return 1, f"error: {result.exception}"
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, result.output
