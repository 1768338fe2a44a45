"""The Python in the documentation runs, and its tables are true."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from jobs.demo import make_recordings
from jobs.doctor import models_in, servers_in
from jobs.recipes import gpu, load
from pipeline.route import fingerprint
from schemas.asking.tasks import TASKS
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


@pytest.mark.slow
def test_the_commands_from_shards_to_an_answer_run_one_after_the_other(tmp_path):
    """With fewer steps and questions than the document has."""
    page = (ROOT / "docs" / "train_from_shards.md").read_text()
    (recipe,) = BLOCK.findall(page)
    (tmp_path / "recipes.py").write_text(recipe)
    commands = re.findall(r"^\$ earmark (.+)$", page, re.MULTILINE)
    assert {"demo", "annotate", "inspect", "model", "train", "evaluate", "ask"} == {
        line.split()[0] for line in commands
    }
    for line in commands:
        words = shlex.split(line.replace("--steps 20", "--steps 2").replace("--limit 2", "--limit 1"))
        program = [sys.executable, "-m", "jobs", *words]
        env = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
        done = subprocess.run(program, cwd=tmp_path, env=env, capture_output=True, text=True)
        assert done.returncode == 0, f"{line}\n{done.stdout}{done.stderr}"
    assert (tmp_path / "runs" / "sft" / "model" / "config.json").exists()


def test_the_example_of_the_evaluation_runs(capsys):
    (block,) = BLOCK.findall((ROOT / "docs" / "evaluation.md").read_text())
    exec(block, {})
    first, second = capsys.readouterr().out.splitlines()
    assert first.startswith("0.33")
    assert second == "37.5 1.0"


def test_every_task_is_in_the_table_of_the_evaluation():
    table = (ROOT / "docs" / "evaluation.md").read_text()
    assert all(f"`{task}`" in table for task in TASKS if not task.startswith("choice_"))


def test_the_recipes_of_the_documentation_are_recipes(tmp_path):
    (block,) = BLOCK.findall((ROOT / "docs" / "gpu.md").read_text())
    (tmp_path / "my_recipes.py").write_text(block)
    configs = [load(f"{tmp_path}/my_recipes.py:{name}")[0] for name in ("for_products", "our_own", "on_small_cards")]
    products, own, small = configs
    assert {weights.licence for weights in models_in(products)} <= {"MIT", "Apache-2.0", "BSD-3-Clause", "CC-BY-4.0"}
    assert {weights.name for weights in models_in(own)} >= {"./checkpoints/round-1", "/models/whisper-ct2"}
    assert ("http://captions:8000/v1", "moss-audio") in [(server.url, server.model) for server in servers_in(small)]
    assert sum(gear.gpus for gear in small.gear) == 2.0
    assert len({fingerprint(config) for config in (gpu(), *configs)}) == 4


def test_every_model_of_the_recipe_is_in_the_table_with_its_licence():
    table = (ROOT / "docs" / "gpu.md").read_text()
    for weights in models_in(gpu()):
        (row,) = [line for line in table.splitlines() if f"`{weights.name}`" in line]
        assert weights.licence in row
