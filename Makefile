# For developers. Users call `aegle`; see README.md.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
OUT    ?= demo

.PHONY: demo test bench models docs lock clean

demo: $(VENV)/.installed
	$(BIN)/aegle demo --out $(OUT)

test: $(VENV)/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/pytest -n 2 --dist loadgroup

bench: $(VENV)/.installed-bench
	$(BIN)/python -m benchmarks

# Trains every recipe; stopped, it goes on where it was. About five hours on two cores.
models: $(VENV)/.installed
	$(BIN)/python tools/make_models.py

docs: $(VENV)/.installed-dev
	$(BIN)/mkdocs build --strict

# Each marker says that the environment holds what the lock file names.
$(VENV)/bin/python:
	$(PYTHON) -c 'import sys; sys.exit("Aegle needs Python 3.11 or newer; this is " + sys.version.split()[0] + ". Try: make PYTHON=python3.12") if sys.version_info < (3, 11) else None'
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: requirements.lock pyproject.toml | $(VENV)/bin/python
	$(BIN)/pip install --quiet --requirement requirements.lock
	$(BIN)/pip install --quiet --no-deps --no-build-isolation --editable .
	touch $@

$(VENV)/.installed-dev: requirements-dev.lock $(VENV)/.installed
	$(BIN)/pip install --quiet --requirement requirements-dev.lock
	touch $@

$(VENV)/.installed-bench: requirements-bench.lock $(VENV)/.installed-dev
	$(BIN)/pip install --quiet --requirement requirements-bench.lock
	touch $@

clean:
	rm -rf $(VENV) demo site dist
