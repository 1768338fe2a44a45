# `make demo` and `make test` each set up what they need in .venv.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.PHONY: demo test test-core lint setup bench clean

demo: $(READY)
	rm -rf demo
	$(BIN)/earmark demo demo/recordings
	$(BIN)/earmark annotate demo/recordings demo/shards
	$(BIN)/earmark inspect demo/shards --key street

test: lint
	$(BIN)/pytest

test-core: $(READY)
	$(BIN)/pytest -m "not slow" -n auto --maxprocesses 8

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: $(READY)
	$(BIN)/uv pip install --quiet --python $(BIN)/python -c constraints.txt -e ".[dev,bench]"
	$(BIN)/python -m benchmarks.engine
	$(BIN)/python -m benchmarks.segmentation
	$(BIN)/python -m benchmarks.vad
	$(BIN)/python -m benchmarks.model --size small

docs/segmentation.png: $(READY)
	$(BIN)/uv pip install --quiet --python $(BIN)/python -c constraints.txt -e ".[dev,bench]"
	$(BIN)/python -m benchmarks.scenes demo/scenes --count 19
	$(BIN)/python -m benchmarks.picture demo/scenes/scene_18.flac $@

setup: $(READY)

$(READY): pyproject.toml constraints.txt
	$(PYTHON) -c "import sys; sys.version_info >= (3, 11) or sys.exit('Python 3.11 or newer is needed; found ' + sys.version.split()[0] + '. Try: make PYTHON=python3.11')"
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt uv
	$(BIN)/uv pip install --quiet --python $(BIN)/python -c constraints.txt -e ".[dev]"
	touch $(READY)

clean:
	rm -rf $(VENV) demo *.egg-info
