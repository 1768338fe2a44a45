"""A checkpoint is there whole or not at all, whatever fails, and whoever else writes."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from model.checkpoint import load, save
from model.initialise import fresh
from model.sizes import TINY
from schemas.errors import CheckpointError
from tests.checkpoints import SMALLEST, WHOLE, folder, model, same

ROOT = Path(__file__).parents[1]


def test_a_save_that_fails_leaves_nothing(model, tmp_path):
    def fail(folder: Path) -> None:
        assert (folder / WHOLE).is_file()
        raise RuntimeError("companion")

    with pytest.raises(RuntimeError, match="companion"):
        save(model, tmp_path / "c", config=SMALLEST, write_companions=fail)
    assert list(tmp_path.iterdir()) == []


def test_a_replacement_that_fails_leaves_what_was_there(model, folder):
    before = {path.name: path.read_bytes() for path in folder.iterdir()}

    def fail(unnamed: Path) -> None:
        raise OSError(28, "No space left on device")

    with pytest.raises(CheckpointError, match="No space left on device"):
        save(fresh(SMALLEST, seed=2), folder, config=SMALLEST, write_companions=fail, replace=True)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    assert [path.name for path in folder.parent.iterdir()] == [folder.name]


def test_companions_are_there_when_the_folder_is(model, tmp_path):
    def write(folder: Path) -> None:
        (folder / "tokenizer.json").write_text("{}")
        assert not (tmp_path / "c").exists()

    save(model, tmp_path / "c", config=SMALLEST, write_companions=write)
    assert sorted(path.name for path in (tmp_path / "c").iterdir()) == ["config.json", WHOLE, "tokenizer.json"]


def test_what_holds_something_is_replaced_only_when_told_and_only_if_it_is_a_checkpoint(model, folder, tmp_path):
    other = fresh(SMALLEST, seed=2)
    with pytest.raises(CheckpointError, match="already holds something"):
        save(other, folder, config=SMALLEST)
    assert same(load(folder), model)
    save(other, folder, config=SMALLEST, replace=True, shard_bytes=200_000)
    assert same(load(folder), other)
    assert not (folder / WHOLE).exists(), "nothing of the former checkpoint is left"
    assert [path.name for path in tmp_path.iterdir()] == [folder.name]
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "letter.txt").write_text("dear")
    with pytest.raises(CheckpointError, match=r"no config\.json, so it is not replaced"):
        save(other, tmp_path / "mine", config=SMALLEST, replace=True)
    assert (tmp_path / "mine" / "letter.txt").read_text() == "dear"
    (tmp_path / "empty").mkdir()
    save(other, tmp_path / "empty", config=SMALLEST)
    assert same(load(tmp_path / "empty"), other)


def test_a_folder_that_is_a_link_is_replaced_where_it_lies(model, folder, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "latest").symlink_to(folder)
    other = fresh(SMALLEST, seed=2)
    save(other, tmp_path / "elsewhere" / "latest", config=SMALLEST, replace=True)
    assert (tmp_path / "elsewhere" / "latest").is_symlink()
    assert same(load(folder), other)


def test_a_file_is_no_place_for_a_checkpoint(model, tmp_path):
    (tmp_path / "c").write_text("dear")
    with pytest.raises(CheckpointError, match="is a file; name a new folder"):
        save(model, tmp_path / "c", config=SMALLEST, replace=True)
    assert (tmp_path / "c").read_text() == "dear"


def test_what_was_there_comes_back_when_its_place_cannot_be_taken(model, folder, monkeypatch):
    before, rename = {path.name: path.read_bytes() for path in folder.iterdir()}, Path.rename

    def fail(path: Path, target: Path) -> Path:
        if target.name == folder.name and (path / "config.json").stat().st_size and fail.times == 0:
            fail.times += 1
            raise OSError(5, "Input/output error")
        return rename(path, target)

    fail.times = 0
    monkeypatch.setattr(Path, "rename", fail)
    with pytest.raises(CheckpointError, match="Input/output error"):
        save(fresh(SMALLEST, seed=2), folder, config=SMALLEST, replace=True)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    assert [path.name for path in folder.parent.iterdir()] == [folder.name]


def test_all_is_synced_before_it_has_its_name(model, tmp_path, monkeypatch):
    synced, fsync = [], os.fsync
    monkeypatch.setattr(
        os, "fsync", lambda handle: synced.append((os.fstat(handle).st_ino, (tmp_path / "c").exists())) or fsync(handle)
    )
    save(model, tmp_path / "c", config=SMALLEST, shard_bytes=200_000)
    before = {inode for inode, has_name in synced if not has_name}
    assert {path.stat().st_ino for path in [tmp_path / "c", *(tmp_path / "c").iterdir()]} <= before


def test_a_model_that_is_not_its_config_is_not_written(model, tmp_path):
    with pytest.raises(CheckpointError, match="not what its config describes"):
        save(model, tmp_path / "c", config=TINY)
    assert not (tmp_path / "c").exists()


def test_what_another_save_is_writing_is_left_alone(model, tmp_path):
    def save_beside(unnamed: Path) -> None:
        save(model, tmp_path / "c", config=SMALLEST)
        assert (unnamed / WHOLE).is_file()

    with pytest.raises(CheckpointError, match="already holds something"):
        save(fresh(SMALLEST, seed=2), tmp_path / "c", config=SMALLEST, write_companions=save_beside)
    assert same(load(tmp_path / "c"), model)
    assert [path.name for path in tmp_path.iterdir()] == ["c"]


KILLED = """
import os, sys
from pathlib import Path
from model.checkpoint import save
from model.config import ModelConfig, Scope
from model.initialise import fresh
from tests.checkpoints import SMALLEST
save(fresh(SMALLEST), Path(sys.argv[1]), config=SMALLEST, write_companions=lambda folder: os._exit(9))
"""


@pytest.mark.slow
def test_a_killed_save_has_no_name_and_the_next_one_clears_it_away(model, tmp_path):
    assert subprocess.run([sys.executable, "-c", KILLED, tmp_path / "c"], cwd=ROOT, check=False).returncode == 9
    (left,) = tmp_path.iterdir()
    assert left.name.startswith(".c-")
    save(model, tmp_path / "c", config=SMALLEST)
    assert [path.name for path in tmp_path.iterdir()] == ["c"]
