PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# A test is one thread's work, most of it waiting for libraries to load: two at a time on two cores.
PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

.PHONY: setup setup-dev demo test check slow hostile processors resolve figures clean

# What users need, and in the same environment what developers need besides.
setup: $(VENV)/.core
setup-dev: $(VENV)/.dev

$(VENV)/.core: pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "error: Python 3.11 or newer is needed; make PYTHON=/path/to/python3.11")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install -c constraints.txt -e .
	touch $@

$(VENV)/.dev: $(VENV)/.core
	$(BIN)/pip install -c constraints.txt -e '.[dev]'
	touch $@

demo: setup
	$(BIN)/python train.py

test: setup-dev
	$(PYTEST) -m "not slow"

slow: setup-dev
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m slow

# Over a thousand kinds of hostile file, each in a process that is watched, and a table of what became of them.
hostile: setup-dev
	$(BIN)/python -m tests.hostile

# Numbers as older processors and two threads compute them: half an hour on two cores.
processors: setup-dev
	$(BIN)/python -m tests.processors

check: setup-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright --pythonpath $(BIN)/python
	$(BIN)/lint-imports
	$(PYTEST) -m "not slow"

# Whether the pins resolve from the public index on every platform and Python that the README names; takes minutes.
resolve: setup-dev
	$(BIN)/python .ci/resolve.py

# The size of the house beside that of another revision: make figures SINCE=HEAD~50
figures:
	$(PYTHON) .ci/figures.py $(SINCE)

clean:
	rm -rf $(VENV) .pytest_cache .ruff_cache
