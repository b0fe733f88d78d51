# A fresh machine with Python 3.11 is enough: every target makes its own environment first.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# The versions that were tested, for what is installed and (second line: new pip has an option of its own) for what
# builds it. `make lock` renews them.
LOCKED := .ci/constraints.txt
$(VENV)/.user $(VENV)/.dev: export PIP_CONSTRAINT := $(LOCKED)
$(VENV)/.user $(VENV)/.dev: export PIP_BUILD_CONSTRAINT := $(LOCKED)

.PHONY: demo test test-foreign test-newest test-lowest lock lint types unit coverage bench fuzz laws clean

$(VENV)/.user: pyproject.toml $(LOCKED)
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[server,cli,sql]'
	touch $@

$(VENV)/.dev: $(VENV)/.user
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[dev]'
	touch $@

demo: $(VENV)/.user
	$(BIN)/ocpi-emsp demo $(ARGS)

test: lint types test-foreign unit

UV := .venv-uv/bin/uv
$(UV): Makefile
	$(PYTHON) -m venv .venv-uv
	.venv-uv/bin/python -m pip install --quiet --disable-pip-version-check uv==0.13.9
	touch $@

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.dev
	$(BIN)/mypy
	$(BIN)/basedpyright --pythonpath $(BIN)/python

WORKERS ?= 2
unit: $(VENV)/.dev
	$(BIN)/python -m pytest -n $(WORKERS) --dist worksteal $(ARGS)

# Against software of others, each in an environment of its own, over real HTTP.
FOREIGN := extrawest_ocpi ocpplab_ocpi_211_sdk
$(FOREIGN:%=.venv-%/.made): .venv-%/.made: tests/software/%/requirements.txt
	$(PYTHON) -m venv --clear .venv-$*
	.venv-$*/bin/python -m pip install --quiet --disable-pip-version-check --no-deps -r $<
	touch $@

test-foreign: $(VENV)/.dev $(FOREIGN:%=.venv-%/.made)
	$(BIN)/python -m pytest -n $(WORKERS) --dist worksteal -o norecursedirs='.*' tests/software $(ARGS)

# The suite with the newest and with the lowest versions that pyproject.toml allows, each in an environment of its own.
test-newest: RESOLUTION := highest
test-lowest: RESOLUTION := lowest-direct
test-newest test-lowest: test-%: $(UV)
	$(UV) venv --quiet --clear --python $(PYTHON) .venv-$*
	$(UV) pip install --quiet --python .venv-$* --resolution $(RESOLUTION) -e '.[dev]'
	.venv-$*/bin/python -m pytest -n $(WORKERS) --dist worksteal $(ARGS)

# All extras, and what builds the package, for every Python from the lowest on.
lock: $(UV)
	$(PYTHON) -c 'import tomllib; print(*tomllib.load(open("pyproject.toml", "rb"))["build-system"]["requires"], "editables", sep="\n")' \
	| $(UV) pip compile pyproject.toml - --all-extras --universal --python-version 3.11 --upgrade --no-emit-index-url \
	    --no-annotate --custom-compile-command 'make lock' --quiet --output-file $(LOCKED)
	for each in $(FOREIGN:%=tests/software/%/requirements); do \
	    $(UV) pip compile $$each.in --universal --python-version 3.11 --upgrade --no-emit-index-url --no-annotate \
	        --custom-compile-command 'make lock' --quiet --output-file $$each.txt || exit 1; \
	done

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

# The two laws of tests/foreign with new examples, on memory, SQLite and PostgreSQL.
EXAMPLES ?= 10000
laws: $(VENV)/.dev
	LAW_EXAMPLES=$(EXAMPLES) $(BIN)/python -m pytest -n $(WORKERS) -o timeout=0 -o faulthandler_timeout=0 \
	    tests/foreign/test_law_of_spelling.py tests/foreign/test_law_of_the_last_word.py $(ARGS)

clean:
	rm -rf $(VENV) .venv-* .mypy_cache .pytest_cache .ruff_cache .hypothesis .coverage .coverage.*
