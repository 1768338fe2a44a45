"""`python -m jobs`: the same as the command `earmark`."""

from jobs.cli import main

main()
