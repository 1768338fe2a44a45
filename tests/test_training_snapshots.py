"""A run that goes on from a snapshot is the run that was never interrupted, bit for bit."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.tensor import DTensor

from model import snapshots
from model.model import AudioLM
from model.optimiser import OptimiserConfig, ScheduleConfig, optimiser, update
from model.parallel import shard
from model.snapshots import Snapshots
from schemas.errors import CheckpointError, ConfigError
from tests.models import noise_mel, tiny, told

CONFIG = OptimiserConfig(lr=1e-2)
SCHEDULE = ScheduleConfig(kind="cosine", steps=10, warmup_steps=2)
STATE = {"tokens": 12_345, "loss": 0.1 + 0.2, "names": ["a", "ü"]}
LANES = {0: {"shard": "x-000001", "sample": 17}, 1: {"shard": "x-000002", "sample": 3}}
RANKS = 2


def step(model: AudioLM, moves: torch.optim.Optimizer, number: int, *, hears: bool = True) -> None:
    """One update on a batch that only `number` decides."""
    frames = [120 + number] if hears else []
    tokens = torch.tensor([told(frames, [20, 21, 22 + number])])
    mel = noise_mel(sum(frames), seed=number) if hears else None
    model(tokens, mel, frames).square().mean().backward()
    assert update(model, moves, SCHEDULE, CONFIG, number).is_finite


def whole(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor.detach().clone()


def state_of(model: AudioLM, moves: torch.optim.Optimizer) -> dict[str, torch.Tensor]:
    found = {name: whole(weight) for name, weight in model.state_dict().items()}
    for name, weight in model.named_parameters():
        for kind, value in moves.state.get(weight, {}).items():
            found[f"{kind} of {name}"] = whole(value)
    return found


def assert_same_bits(found: dict[str, torch.Tensor], expected: dict[str, torch.Tensor]) -> None:
    assert found.keys() == expected.keys()
    for name, tensor in expected.items():
        assert found[name].dtype == tensor.dtype, name
        assert torch.equal(found[name], tensor), name


def run(model: AudioLM, numbers: range, *, hears: bool = True) -> tuple[AudioLM, torch.optim.Optimizer]:
    moves = optimiser(model, CONFIG)
    for number in numbers:
        step(model, moves, number, hears=hears)
    return model, moves


def test_what_is_saved_is_loaded_and_goes_on_bit_for_bit(tmp_path):
    model, moves = run(tiny(), range(3))
    Snapshots(tmp_path).save(3, model, moves, STATE, LANES)
    at_3 = state_of(model, moves)
    step(model, moves, 3)

    other, other_moves = run(tiny(seed=1), range(1))  # what it held before does not matter
    restored = Snapshots(tmp_path).load(3, other, other_moves)
    assert (restored.step, restored.state, restored.lanes) == (3, STATE, LANES)
    assert_same_bits(state_of(other, other_moves), at_3)
    step(other, other_moves, 3)
    assert_same_bits(state_of(other, other_moves), state_of(model, moves))


def test_a_snapshot_before_the_first_update_has_no_moments(tmp_path):
    model, moves = run(tiny(), range(0))
    Snapshots(tmp_path).save(0, model, moves, {}, {})
    assert not moves.state
    other, other_moves = run(tiny(seed=1), range(1))
    Snapshots(tmp_path).load(0, other, other_moves)
    assert_same_bits(state_of(other, other_moves), state_of(model, moves))
    for moved in ((model, moves), (other, other_moves)):
        step(*moved, 0)
    assert_same_bits(state_of(other, other_moves), state_of(model, moves))


def test_weights_that_had_no_gradient_yet_are_none_the_worse(tmp_path):
    """Steps on text alone leave the encoder without moments."""
    model, moves = run(tiny(), range(1), hears=False)
    Snapshots(tmp_path).save(1, model, moves, {}, {})
    other, other_moves = run(tiny(seed=1), range(0))
    Snapshots(tmp_path).load(1, other, other_moves)
    for moved in ((model, moves), (other, other_moves)):
        step(*moved, 1)
    steps = {float(value["step"]) for value in other_moves.state.values()}
    assert steps == {1.0, 2.0}
    assert_same_bits(state_of(other, other_moves), state_of(model, moves))


def test_frozen_weights_and_other_precisions_are_kept(tmp_path):
    def mixed(seed: int) -> AudioLM:
        model = tiny(seed=seed)
        model.audio_encoder.requires_grad_(False).to(torch.bfloat16)
        return model

    model, moves = run(mixed(0), range(2), hears=False)
    Snapshots(tmp_path).save(2, model, moves, {}, {})
    other, other_moves = run(mixed(1), range(0))
    Snapshots(tmp_path).load(2, other, other_moves)
    assert other.audio_encoder.conv1.weight.dtype == torch.bfloat16
    assert_same_bits(state_of(other, other_moves), state_of(model, moves))


def test_weights_that_are_left_out_are_neither_written_nor_read(tmp_path):
    kept = Snapshots(tmp_path, includes=lambda name: not name.startswith("audio_encoder."))
    models = [tiny(), tiny(seed=1)]
    for model in models:
        model.audio_encoder.requires_grad_(False)
    (model, moves), (other, other_moves) = run(models[0], range(1)), run(models[1], range(0))
    before = other.audio_encoder.conv1.weight.clone()
    kept.save(1, model, moves, {}, {})
    kept.load(1, other, other_moves)
    assert torch.equal(other.audio_encoder.conv1.weight, before)
    assert torch.equal(other.lm_head.weight, model.lm_head.weight)
    with pytest.raises(CheckpointError, match=r"weight/audio_encoder\.conv1\.bias: None"):
        Snapshots(tmp_path).load(1, other, other_moves)


def test_large_models_go_into_several_files(tmp_path, monkeypatch):
    monkeypatch.setattr(snapshots, "FILE_BYTES", 200_000)
    model, moves = run(tiny(), range(1))
    Snapshots(tmp_path).save(1, model, moves, {}, {})
    files = list(tmp_path.glob("step-000000001/*.safetensors"))
    assert len(files) > 5
    assert max(file.stat().st_size for file in files) < 300_000
    other, other_moves = run(tiny(seed=1), range(0))
    Snapshots(tmp_path).load(1, other, other_moves)
    assert_same_bits(state_of(other, other_moves), state_of(model, moves))


def test_the_last_ones_are_kept_and_leftovers_swept(tmp_path):
    model, moves = run(tiny(), range(0))
    kept = Snapshots(tmp_path / "run", keep=2)
    assert kept.latest() is None
    for number in (2, 4, 10, 4):
        (tmp_path / "run" / ".step-000000077.part").mkdir(parents=True)
        kept.save(number, model, moves, {"at": number}, {})
        assert number == 4 or kept.latest() == number
    assert sorted(path.name for path in (tmp_path / "run").iterdir()) == ["step-000000004", "step-000000010"]
    (tmp_path / "run" / ".step-000000099.part").mkdir()
    (tmp_path / "run" / "notes.txt").touch()
    assert kept.latest() == 10
    with pytest.raises(ConfigError, match="keep is 0"):
        Snapshots(tmp_path, keep=0)


def cut(file: Path) -> None:
    with file.open("r+b") as opened:
        opened.truncate(file.stat().st_size // 2)


def damage_header(file: Path) -> None:
    with file.open("r+b") as opened:
        opened.seek(8)
        opened.write(b"\xff" * 64)


@pytest.mark.parametrize(
    ("name", "damage"),
    [
        ("shard-00001-model-00001-of-00001.safetensors", cut),
        ("shard-00001-model-00001-of-00001.safetensors", Path.unlink),
        ("shard-00001-model-00001-of-00001.safetensors", damage_header),
        ("state.json", cut),
        ("state.json", Path.unlink),
        ("state.json", lambda file: file.write_text("[]")),
        ("state.json", lambda file: file.write_text('{"version": 1, "step": 2, "state": {}, "lanes": []}')),
        ("state.json", lambda file: file.write_text(file.read_text().replace('"lanes": {"0"', '"lanes": {"first"'))),
    ],
    ids=[
        "weights cut",
        "weights gone",
        "header damaged",
        "state cut",
        "state gone",
        "a list",
        "lanes a list",
        "lanes without numbers",
    ],
)
def test_a_damaged_snapshot_is_named_and_the_one_before_is_read(tmp_path, name, damage):
    model, moves = run(tiny(), range(0))
    kept = Snapshots(tmp_path)
    for number in (1, 2):
        kept.save(number, model, moves, {"at": number}, {0: number})
    damage(tmp_path / "step-000000002" / name)
    before = state_of(*(other := run(tiny(seed=1), range(1))))
    with pytest.raises(CheckpointError) as told:
        kept.load(2, *other)
    assert "step-000000002" in str(told.value)
    assert "remove" in str(told.value)
    assert_same_bits(state_of(*other), before)
    assert kept.load(1, *other).state == {"at": 1}


def test_a_run_that_learns_something_else_is_refused(tmp_path):
    Snapshots(tmp_path).save(1, *run(tiny(), range(1)), {}, {})
    other = tiny()
    other.audio_encoder.requires_grad_(False)
    with pytest.raises(CheckpointError, match="of a run that learns"):
        Snapshots(tmp_path).load(1, *run(other, range(0)))


def test_a_place_that_cannot_be_written_is_told(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(CheckpointError, match="step-000000001 cannot be written"):
        Snapshots(tmp_path / "file").save(1, *run(tiny(), range(0)), {}, {})


def ranks_worker(rank: int, port: int, folder: Path) -> None:
    """Goes on from what one process wrote at step 2; writes at step 3 and goes on; goes back to 3 and on again."""
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"tcp://127.0.0.1:{port}", rank=rank, world_size=RANKS)
    mesh = init_device_mesh("cpu", (RANKS,))
    model = shard(tiny(seed=1), mesh, compute_dtype=torch.float32)
    moves = optimiser(model, CONFIG)
    kept = Snapshots(folder)
    snapshots.FILE_BYTES = 1_000_000
    restored = kept.load(2, model, moves)
    states = {"from one": state_of(model, moves)}
    assert (restored.state, restored.lanes) == (STATE, LANES)
    step(model, moves, 2)
    kept.save(3, model, moves, STATE, {rank: {"rank": rank}, rank + RANKS: None})
    states["at 3"] = state_of(model, moves)
    step(model, moves, 3)
    states["at 4"] = state_of(model, moves)
    again = shard(tiny(seed=2), mesh, compute_dtype=torch.float32)
    again_moves = optimiser(again, CONFIG)
    assert kept.load(3, again, again_moves).lanes == {0: {"rank": 0}, 1: {"rank": 1}, 2: None, 3: None}
    step(again, again_moves, 3)
    states["at 4 again"] = state_of(again, again_moves)
    dist.barrier()
    if rank == 0:
        cut(max(folder.glob("step-000000003/shard-00002-*")))
    dist.barrier()
    with pytest.raises(CheckpointError, match="shard-00002"):  # on both, not on the first alone
        kept.load(3, again, again_moves)
    torch.save(states, folder / f"{rank}.pt")
    dist.destroy_process_group()


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_snapshots_go_from_one_process_to_two_and_back(tmp_path):
    model, moves = run(tiny(), range(2))
    Snapshots(tmp_path).save(2, model, moves, STATE, LANES)
    Snapshots(tmp_path).save(1, model, moves, {}, {})
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    mp.spawn(ranks_worker, args=(port, tmp_path), nprocs=RANKS)
    for rank in range(RANKS):
        states = torch.load(tmp_path / f"{rank}.pt", weights_only=True)
        assert_same_bits(states["from one"], state_of(model, moves))
        assert_same_bits(states["at 4 again"], states["at 4"])
    num_files = [len(list(tmp_path.glob(f"step-000000003/shard-0000{rank + 1}-*"))) for rank in range(RANKS)]
    assert num_files[0] == num_files[1] > 1


def one_from_two_worker(rank: int, port: int, folder: Path) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"tcp://127.0.0.1:{port}", rank=rank, world_size=RANKS)
    model = shard(tiny(), init_device_mesh("cpu", (RANKS,)), compute_dtype=torch.float32)
    model, moves = run(model, range(2))
    Snapshots(folder).save(2, model, moves, STATE, {rank: rank})
    torch.save(state_of(model, moves), folder / f"{rank}.pt")
    dist.destroy_process_group()


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_one_process_reads_what_two_wrote(tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    mp.spawn(one_from_two_worker, args=(port, tmp_path), nprocs=RANKS)
    model, moves = run(tiny(seed=1), range(0))
    restored = Snapshots(tmp_path).load(2, model, moves)
    assert restored.lanes == {0: 0, 1: 1}
    assert_same_bits(state_of(model, moves), torch.load(tmp_path / "0.pt", weights_only=True))
    step(model, moves, 2)


SAVES_ON = """
import itertools, sys
from pathlib import Path
from model.snapshots import Snapshots
from tests.test_training_snapshots import run
from tests.models import tiny
model, moves = run(tiny(), range(1))
for number in itertools.count(1):
    Snapshots(Path(sys.argv[1])).save(number, model, moves, {"at": number}, {0: number})
"""


@pytest.mark.slow
@pytest.mark.parametrize("after_s", [0.0, 0.003, 0.01, 0.02])
def test_a_process_killed_while_it_writes_leaves_the_last_whole_one(tmp_path, after_s):
    process = subprocess.Popen([sys.executable, "-c", SAVES_ON, str(tmp_path)], cwd=Path(__file__).parents[1])
    try:
        kept = Snapshots(tmp_path)
        deadline = time.monotonic() + 120
        while (kept.latest() or 0) < 2 or not any(tmp_path.glob(".step-*.part")):
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.001)
        time.sleep(after_s)
    finally:
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    model, moves = run(tiny(seed=1), range(0))
    last = kept.latest()
    assert kept.load(last, model, moves).state == {"at": last}
    kept.save(last + 1, model, moves, {}, {})
    assert not list(tmp_path.glob(".step-*"))
    assert json.loads((tmp_path / f"step-{last + 1:09d}" / "state.json").read_text())["step"] == last + 1
