"""Imports point one way, and two files know Ray: one for annotation, one for training."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ARROWS = {
    "schemas": set(),
    "segmenters": {"schemas"},
    "annotators": {"schemas"},
    "model": {"schemas"},
    "pipeline": {"schemas", "segmenters", "annotators"},
    "jobs": {"schemas", "segmenters", "annotators", "pipeline", "model"},
}
KNOW_RAY = {Path("pipeline/ray_runner.py"), Path("model/ray_trainer.py")}


def imported(file: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.ImportFrom):
            names.add(node.module or "")
        elif isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
    return {name.split(".")[0] for name in names}


@pytest.mark.parametrize("package", ARROWS)
def test_imports_point_one_way(package):
    for file in (ROOT / package).rglob("*.py"):
        used = imported(file) & ARROWS.keys() - {package}
        assert used <= ARROWS[package], f"{file.relative_to(ROOT)} imports {used - ARROWS[package]}"


def test_one_file_each_knows_ray():
    files = {file.relative_to(ROOT) for package in ARROWS for file in (ROOT / package).rglob("*.py")}
    assert {file for file in files if "ray" in imported(ROOT / file)} == KNOW_RAY


@pytest.mark.parametrize(
    "package", ["schemas", "segmenters", "annotators", "pipeline", "model", "jobs", "tests", "benchmarks"]
)
def test_every_init_is_empty(package):
    assert (ROOT / package / "__init__.py").read_text() == ""
