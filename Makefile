# A fresh machine with Python 3.11 is enough: every target makes its own environment first.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: demo test lint types unit coverage bench fuzz clean

$(VENV)/.user: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[server,cli,sql]'
	touch $@

$(VENV)/.dev: pyproject.toml $(VENV)/.user
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[dev]'
	touch $@

demo: $(VENV)/.user
	$(BIN)/ocpi-emsp demo $(ARGS)

test: lint types unit

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.dev
	$(BIN)/mypy
	$(BIN)/basedpyright --pythonpath $(BIN)/python

WORKERS ?= 2
unit: $(VENV)/.dev
	$(BIN)/python -m pytest -n $(WORKERS) --dist worksteal $(ARGS)

# Of its own: tracing every line takes time that each run of the tests should not.
coverage: $(VENV)/.dev
	$(BIN)/coverage erase
	$(BIN)/coverage run -m pytest -n $(WORKERS) --dist worksteal $(ARGS)
	$(BIN)/coverage combine -q
	$(BIN)/coverage report

bench: $(VENV)/.dev
	$(BIN)/python bench/run.py

SECONDS ?= 60
fuzz: $(VENV)/.dev
	$(BIN)/python fuzz/run.py --seconds $(SECONDS) $(ARGS)

clean:
	rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache .hypothesis .coverage .coverage.*
