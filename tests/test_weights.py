"""A model is found where it lies: a folder, a folder of models, the hub's cache; and where it is not, that is said."""

from pathlib import Path

import pytest

from schemas.errors import ConfigError
from schemas.weights import EDGE_BYTES, MODELS, Weights, content_hash, found, located, model_name

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture
def offline(tmp_path, monkeypatch):
    """No folder of models, and an empty cache; nothing asks the network."""
    import huggingface_hub.constants as constants

    monkeypatch.delenv(MODELS, raising=False)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    return tmp_path


def cached(folder: Path, name: str) -> Path:
    """What the hub's own client leaves behind: refs, blobs, and a snapshot of links."""
    repository = folder / "hub" / f"models--{name.replace('/', '--')}"
    snapshot = repository / "snapshots" / COMMIT
    snapshot.mkdir(parents=True)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text(COMMIT)
    (repository / "blobs").mkdir()
    (repository / "blobs" / "ab").write_text("{}")
    (snapshot / "config.json").symlink_to("../../blobs/ab")
    return snapshot


def folder_with(path: Path, text: str = "{}") -> Path:
    path.mkdir(parents=True, exist_ok=True)
    (path / "config.json").write_text(text)
    return path


def test_a_folder_is_itself_and_named_by_what_it_holds(offline):
    folder = folder_with(offline / "mine")
    weights = Weights(name=str(folder))
    assert located(weights) == folder
    assert model_name(weights, folder) == f"mine@{content_hash(folder)}"


def test_a_folder_of_models_comes_before_the_cache(offline, monkeypatch):
    weights = Weights(name="someone/ears")
    snapshot = cached(offline, "someone/ears")
    assert found(weights) == snapshot
    assert model_name(weights, snapshot) == f"someone/ears@{COMMIT[:12]}"
    mine = folder_with(offline / "models" / "someone" / "ears")
    monkeypatch.setenv(MODELS, str(offline / "models"))
    assert located(weights) == mine
    assert model_name(weights, mine) == f"someone/ears@{content_hash(mine)}"


def test_what_is_nowhere_is_refused_with_the_command_that_fetches_it(offline):
    weights = Weights(name="someone/ears", revision="v2", files=("*.json",), gate="accept its terms at the hub")
    assert found(weights) is None
    with pytest.raises(ConfigError) as refused:
        located(weights)
    said = str(refused.value)
    assert "hf download someone/ears --revision v2 --include '*.json' --local-dir models/someone/ears" in said
    assert "accept its terms" in said
    with pytest.raises(ConfigError, match="there is no folder"):
        located(Weights(name=str(offline / "nowhere")))


def test_the_hash_changes_with_a_name_a_length_and_a_byte_and_not_with_the_place(offline):
    one, same = folder_with(offline / "a", "{}"), folder_with(offline / "b", "{}")
    assert content_hash(one) == content_hash(same)
    others = [folder_with(offline / "c", "{ }"), folder_with(offline / "d", "[]")]
    renamed = offline / "e"
    renamed.mkdir()
    (renamed / "other.json").write_text("{}")
    assert len({content_hash(folder) for folder in (one, *others, renamed)}) == 4


def test_the_hash_reads_both_ends_of_a_large_file(offline):
    def folder(name: str, *changed: int) -> Path:
        (offline / name).mkdir()
        content = bytearray(3 * EDGE_BYTES)
        for at in changed:
            content[at] = 1
        (offline / name / "model.bin").write_bytes(content)
        return offline / name

    assert len({content_hash(folder(f"a{at}", at)) for at in (0, EDGE_BYTES - 1, -EDGE_BYTES, -1)}) == 4
