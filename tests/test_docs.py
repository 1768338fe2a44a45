"""The Python in the documentation runs."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from jobs.demo import make_recordings
from tests.test_model_commands import earmark

ROOT = Path(__file__).parents[1]
BLOCK = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)


@pytest.mark.slow
def test_the_examples_of_the_model_run_one_after_the_other(tmp_path):
    make_recordings(tmp_path / "demo" / "recordings")
    code, printed = earmark("init", "tiny", tmp_path / "demo" / "tiny")
    assert code == 0, printed
    blocks = BLOCK.findall((ROOT / "docs" / "model.md").read_text())
    assert len(blocks) >= 3
    program = [sys.executable, "-c", "\n".join(blocks)]
    done = subprocess.run(program, cwd=tmp_path, env={"PYTHONPATH": str(ROOT)}, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "S01 2010 and good day False\n" in done.stdout
