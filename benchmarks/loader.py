"""How fast samples reach a model, beside two libraries: python -m benchmarks.loader OUTPUT [--samples N] [--workers 0,1]

OUTPUT holds shards; where it holds none, `--make` segments of 5 to 25 s are put there. All read the same tars with the
same number of processes, and all make the same log-mel. What each does beyond that is told in the table.
"""

import argparse
import json
import os
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")  # one thread a process, in all of them
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np
import soundfile
from rich.console import Console
from rich.table import Table

from benchmarks.processes import SOURCES  # noqa: F401
