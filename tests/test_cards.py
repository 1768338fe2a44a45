"""What a worker may expect of its graphics card, told by stand-ins for the driver, which no machine of tests has."""

import sys
import threading
from importlib import metadata
from types import SimpleNamespace

import pytest

from annotators.recognition.cublas import NAMES, PACKAGE, open_cublas
from pipeline import cards
from pipeline.cards import CardWatch, check_usable
from pipeline.lot import Failure, attempted
from schemas.errors import ClusterError, ConfigError
from tests.make import source


class NVMLError(Exception):
    pass


def driver(num_cards: int | None) -> SimpleNamespace:
    """Of so many cards; None where there is no driver."""

    def init() -> None:
        if num_cards is None:
            raise NVMLError("driver not loaded")

    return SimpleNamespace(
        NVMLError=NVMLError,
        nvmlInit=init,
        nvmlDeviceGetCount=lambda: num_cards,
        nvmlSystemGetDriverVersion=lambda: "535.1",
    )


def torch_with(*, usable: bool) -> SimpleNamespace:
    cuda = SimpleNamespace(is_available=lambda: usable)
    return SimpleNamespace(cuda=cuda, version=SimpleNamespace(cuda="13.0"), __version__="2.11.0")


@pytest.mark.parametrize(("num_cards", "usable"), [(None, False), (0, False), (1, True)])
def test_a_step_is_built_where_its_card_works_or_there_is_none(monkeypatch, num_cards, usable):
    monkeypatch.setitem(sys.modules, "pynvml", driver(num_cards))
    monkeypatch.setitem(sys.modules, "torch", torch_with(usable=usable))
    check_usable()


def test_a_card_that_torch_cannot_use_is_an_error_and_no_slow_run(monkeypatch):
    monkeypatch.setitem(sys.modules, "pynvml", driver(2))
    monkeypatch.setitem(sys.modules, "torch", torch_with(usable=False))
    with pytest.raises(ClusterError, match=r"535\.1 tells of 2 GPUs .* too old for CUDA 13\.0"):
        check_usable()


def test_how_busy_a_card_is_is_the_mean_of_what_was_seen_in_bounded_memory(monkeypatch):
    seen, done = iter([100, 50, 0, 50]), threading.Event()

    def utilization(handle: object) -> SimpleNamespace:
        if (gpu := next(seen, None)) is None:
            done.set()
            raise NVMLError("no more")
        return SimpleNamespace(gpu=gpu)

    peaks = iter([5, 9, 7, 1])
    told = SimpleNamespace(
        NVMLError=NVMLError,
        nvmlDeviceGetUtilizationRates=utilization,
        nvmlDeviceGetMemoryInfo=lambda handle: SimpleNamespace(used=next(peaks)),
        nvmlDeviceGetName=lambda handle: "H100",
    )
    monkeypatch.setitem(sys.modules, "pynvml", told)
    monkeypatch.setattr(cards, "_cards", lambda: {"GPU-1": object()})
    monkeypatch.setattr(cards, "SAMPLE_S", 0.001)
    watch = CardWatch()
    assert watch.uses() == [] or watch.uses()[0].card == "GPU-1"
    assert done.wait(30)
    (use,) = watch.uses()
    assert (use.card, use.name, use.busy, use.peak_bytes) == ("GPU-1", "H100", 0.5, 9)
    assert not any(isinstance(value, list) for value in vars(watch).values())


def test_a_lost_card_is_no_failure_of_a_clip():
    blank = Failure(source=source(), start_ms=0, end_ms=1, step="sound")

    def loses(_: object) -> None:
        raise RuntimeError("CUDA error: an illegal memory access was encountered")

    def full(_: object) -> None:
        raise RuntimeError("CUDA error: out of memory")

    with pytest.raises(RuntimeError, match="illegal memory access"):
        attempted(loses, None, blank)
    _, failure = attempted(full, None, blank)
    assert failure is not None
    assert "out of memory" in failure.reason


@pytest.mark.skipif(sys.platform != "linux", reason="CUDA's libraries come in packages on Linux alone")
def test_the_library_that_ctranslate2_asks_for_by_name_is_open():
    import ctypes

    open_cublas()
    for name in NAMES:
        ctypes.CDLL(name)


@pytest.mark.skipif(sys.platform != "linux", reason="CUDA's libraries come in packages on Linux alone")
def test_what_ctranslate2_needs_does_not_stand_before_the_libraries_of_torch():
    # torch opens the first NVRTC it finds under nvidia/, and cuDNN and torchcodec ask for the one of torch's CUDA.
    assert not [d.name for d in metadata.distributions() if d.name == "nvidia-cuda-nvrtc-cu12"]


def test_a_library_that_is_nowhere_is_told_before_the_first_clip():
    with pytest.raises(ConfigError, match=rf"libnowhere\.so\.12, .* pip install '{PACKAGE}'"):
        open_cublas(("libnowhere.so.12",))
