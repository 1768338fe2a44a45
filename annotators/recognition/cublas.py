"""cuBLAS as CTranslate2 asks for it: by the name of CUDA 12, while torch brings that of CUDA 13.

CTranslate2 opens the library by its bare name, and only with the first clip. What this process has opened already is
found under that name, so it is opened here by its place in the package that carries it.
"""

import ctypes
import importlib.util
from collections.abc import Iterator
from pathlib import Path

from schemas.errors import ConfigError

NAMES = ("libcublasLt.so.12", "libcublas.so.12")  # in the order they need each other
PACKAGE = "nvidia-cublas-cu12<12.9.2"  # later ones bring NVRTC 12, which torch would open in place of its own


def open_cublas(names: tuple[str, ...] = NAMES) -> None:
    """Raises ConfigError where neither the system nor the package has it: better now than clip by clip."""
    for name in names:
        if not any(_opens(place) for place in (name, *_in_package(name))):
            raise ConfigError(
                f"Whisper on a GPU needs {name}, which is not on this machine; mend with: pip install '{PACKAGE}'"
            )


def _opens(place: str) -> bool:
    try:
        ctypes.CDLL(place, mode=ctypes.RTLD_GLOBAL)
    except OSError:
        return False
    return True


def _in_package(name: str) -> Iterator[str]:
    spec = importlib.util.find_spec("nvidia")
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        if (place := Path(folder) / "cublas" / "lib" / name).is_file():
            yield str(place)
