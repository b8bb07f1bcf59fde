# make setup | quickstart | test | lint | data
PYTHON ?= python3
BIN = .venv/bin

.PHONY: setup quickstart test lint data

setup: .venv/installed

# Anew after a failure, and when what is to be installed has changed.
.venv/installed: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install -c constraints.txt -e '.[dev]'
	touch $@

# Train on packaged photographs, score on others, leave side-by-side pictures in logs/quickstart.
quickstart: setup
	$(BIN)/python src/train.py fit --config configs/quickstart.yaml

# Tests that start and kill programs come first, in processes of their own: after hundreds of other
# tests, with every native library loaded, a worker has crashed in them.
PROGRAMS = tests/test_faults.py tests/test_fuzz.py tests/cli/test_trainer.py tests/training/test_dashboards.py tests/training/test_logs.py tests/training/test_distributed.py tests/training/test_checkpoints.py tests/training/test_signals.py
PYTEST = OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto --dist loadfile

test: setup
	$(PYTEST) $(PROGRAMS)
	$(PYTEST) $(PROGRAMS:%=--ignore=%)

lint: setup
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

# The 291 training images and the benchmarks, 237 MB.
data: setup
	$(BIN)/python data_prep/fetch.py
