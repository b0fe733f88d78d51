# A fresh machine with Python 3.11 is enough: every target makes its own environment first.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# The versions that were tested, for what is installed and (second line: new pip has an option of its own) for what
# builds it. `make lock` renews them.
LOCKED := .ci/constraints.txt
$(VENV)/.user $(VENV)/.dev: export PIP_CONSTRAINT := $(LOCKED)
$(VENV)/.user $(VENV)/.dev: export PIP_BUILD_CONSTRAINT := $(LOCKED)

.DEFAULT_GOAL := help
.PHONY: help demo test test-foreign test-newest test-lowest test-pythons lock lint types unit coverage bench bench-load bench-statements docs docs-check fuzz laws dist release-check audit clean

$(VENV)/.user: pyproject.toml $(LOCKED)
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[server,cli,sql]'
	touch $@

$(VENV)/.dev: $(VENV)/.user
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[dev]'
	touch $@

## help: this list
help:
	@awk -F': ' '/^## / { name = substr($$1, 4); sub(/^[^:]*: /, ""); printf "%-18s%s\n", name, $$0 }' $(MAKEFILE_LIST)

## demo: the main job end to end, over real HTTP
demo: $(VENV)/.user
	$(BIN)/ocpi-emsp demo $(ARGS)

## test: what CI runs: lint, types, docs, software of others, the suite (10 minutes on 2 cores)
test: lint types docs test-foreign unit

UV := .venv-uv/bin/uv
$(UV): Makefile
	$(PYTHON) -m venv .venv-uv
	.venv-uv/bin/python -m pip install --quiet --disable-pip-version-check uv==0.13.9
	touch $@

## lint: ruff: its rules, and its format
lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

## types: mypy and basedpyright, on the code and on the Python of the pages
types: $(VENV)/.dev
	PYTHONPATH=tests $(BIN)/python tests/pages/modules.py
	$(BIN)/mypy src tests bench docs/tools docs/examples .ci/check_dist.py build/types
	$(BIN)/basedpyright --pythonpath $(BIN)/python

WORKERS ?= 2
## unit: the suite, or a part of it: make unit ARGS="tests/flows -x"
unit: $(VENV)/.dev
	$(BIN)/python -m pytest -n $(WORKERS) --dist worksteal $(ARGS)

# Against software of others, each in an environment of its own, over real HTTP.
FOREIGN := celery extrawest_ocpi ocpplab_ocpi_211_sdk prometheus
$(FOREIGN:%=.venv-%/.made): .venv-%/.made: tests/software/%/requirements.txt
	$(PYTHON) -m venv --clear .venv-$*
	.venv-$*/bin/python -m pip install --quiet --disable-pip-version-check --no-deps -r $<
	touch $@

## test-foreign: against software of others, each in an environment of its own
test-foreign: $(VENV)/.dev $(FOREIGN:%=.venv-%/.made)
	$(BIN)/python -m pytest -n $(WORKERS) --dist worksteal -o norecursedirs='.*' tests/software $(ARGS)

# The suite with the newest and with the lowest versions that pyproject.toml allows, each in an environment of its own.
test-newest: RESOLUTION := highest
test-lowest: RESOLUTION := lowest-direct
## test-newest: the suite with the newest versions that pyproject.toml allows
## test-lowest: the suite with the lowest versions that pyproject.toml allows
test-newest test-lowest: test-%: $(UV)
	$(UV) venv --quiet --clear --python $(PYTHON) .venv-$*
	$(UV) pip install --quiet --python .venv-$* --resolution $(RESOLUTION) -e '.[dev]'
	.venv-$*/bin/python -m pytest -n $(WORKERS) --dist worksteal $(ARGS)

# All extras, and what builds the package, for every Python from the lowest on.
## lock: renew the versions that the other targets install, after a change of the dependencies
lock: $(UV)
	$(PYTHON) -c 'import tomllib; print(*tomllib.load(open("pyproject.toml", "rb"))["build-system"]["requires"], "editables", sep="\n")' \
	| $(UV) pip compile pyproject.toml - --all-extras --universal --python-version 3.11 --upgrade --no-emit-index-url \
	    --no-annotate --custom-compile-command 'make lock' --quiet --output-file $(LOCKED)
	for each in .ci/tools $(FOREIGN:%=tests/software/%/requirements); do \
	    $(UV) pip compile $$each.in --universal --python-version 3.11 --upgrade --no-emit-index-url --no-annotate \
	        --custom-compile-command 'make lock' --quiet --output-file $$each.txt || exit 1; \
	done

# The site of the documentation, in build/site; a link that leads nowhere, or a page outside the menu, fails.
## docs: the site of the documentation, into build/site
docs: export NO_MKDOCS_2_WARNING := 1
docs: $(VENV)/.dev
	$(BIN)/python docs/tools/site_pages.py
	$(BIN)/mkdocs build --strict --config-file build/mkdocs.yml

# Each page of the site in a real Chromium, Debian's: dead links, errors in the console, requests to elsewhere, the search,
# and whether 400 pixels are enough. It installs Chromium where that is missing.
## docs-check: each page of the site in Chromium: links, console, 400 pixels, search
docs-check: docs
	command -v chromium > /dev/null || { apt-get update && apt-get install --yes --no-install-recommends chromium; }
	$(BIN)/python docs/tools/check_site.py

# Of its own: tracing every line takes time that each run of the tests should not.
## coverage: the suite with every line traced
coverage: $(VENV)/.dev
	$(BIN)/coverage erase
	$(BIN)/coverage run -m pytest -n $(WORKERS) --dist worksteal $(ARGS)
	$(BIN)/coverage combine -q
	$(BIN)/coverage report

## bench: measurements as ratios: make bench ARGS="put decode"
bench: $(VENV)/.dev $(if $(or $(findstring libraries,$(ARGS)),$(if $(ARGS),,all)),$(FOREIGN:%=.venv-%/.made))
	$(BIN)/python bench/run.py $(ARGS)

# Ours under uvicorn against an app written by hand, on three stores (8 min); ARGS="--store sqlite --case patch_evse".
## bench-load: requests per second of a served eMSP against an app written by hand (8 minutes)
bench-load: $(VENV)/.dev
	$(BIN)/python bench/load.py $(ARGS)

# Round trips to the database of each operation; ARGS=--show prints them.
## bench-statements: round trips to the database of each operation
bench-statements: $(VENV)/.dev
	$(BIN)/python bench/statements.py $(ARGS)

SECONDS ?= 60
## fuzz: new examples for a while: make fuzz SECONDS=600
fuzz: $(VENV)/.dev
	$(BIN)/python fuzz/run.py --seconds $(SECONDS) $(ARGS)

# The two laws of tests/foreign with new examples, on memory, SQLite and PostgreSQL; and prices under each reading, reckoned
# twice, with the laws that hold for each of them.
EXAMPLES ?= 10000
## laws: the laws of tests/foreign and of prices, with new examples (two hours)
laws: $(VENV)/.dev
	LAW_EXAMPLES=$(EXAMPLES) $(BIN)/python -m pytest -n $(WORKERS) -o timeout=0 -o faulthandler_timeout=0 \
	    tests/foreign/test_law_of_spelling.py tests/foreign/test_law_of_the_last_word.py \
	    tests/pricing/test_agreement.py tests/pricing/test_laws.py tests/pricing/test_explanations.py $(ARGS)

# What a release is made of, from the last commit: a wheel and a source distribution, built twice and equal to the
# byte, and the software bill of materials (CycloneDX) of the wheel with every extra, in the versions that were tested.
TOOLS := .venv-tools/.made
$(TOOLS): .ci/tools.txt $(UV)
	$(UV) venv --quiet --clear --python $(PYTHON) .venv-tools
	$(UV) pip install --quiet --python .venv-tools -r $<
	touch $@

dist: export SOURCE_DATE_EPOCH = $(shell git log -1 --format=%ct)
## dist: what a release is made of, from the last commit
dist: $(TOOLS)
	rm -rf build/dist dist
	for each in first second; do \
	    mkdir -p build/dist/$$each && git archive HEAD | tar -x -C build/dist/$$each && \
	    $(UV) build --quiet --python $(PYTHON) --build-constraints $(LOCKED) --out-dir build/dist/$$each/dist build/dist/$$each || exit 1; \
	done
	diff --recursive build/dist/first/dist build/dist/second/dist
	mkdir dist && cp build/dist/first/dist/*.whl build/dist/first/dist/*.tar.gz dist
	.venv-tools/bin/twine check --strict dist/*
	$(UV) venv --quiet --clear --python $(PYTHON) .venv-dist
	$(UV) pip install --quiet --python .venv-dist --constraints $(LOCKED) "$$(echo dist/*.whl)[all]"
	.venv-dist/bin/ocpi-emsp --version
	.venv-tools/bin/cyclonedx-py environment --pyproject pyproject.toml --mc-type library --output-reproducible \
	    --output-file dist/sbom.cdx.json .venv-dist
	cd dist && sha256sum *

# What is built, in environments of its own.
NOX = PATH="$(CURDIR)/.venv-uv/bin:$$PATH" .venv-tools/bin/nox --noxfile .ci/noxfile.py --envdir $(CURDIR)/.venv-nox

## release-check: build a release and look at it: contents, metadata, each extra alone, README, types, docs (5 minutes)
release-check: dist docs
	$(BIN)/python .ci/check_dist.py dist build/dist/first
	$(NOX)

# Every Python that the classifiers name; a missing one is named and left out, unless PYTHONS names it.
## test-pythons: the suite from the source distribution against the wheel: make test-pythons PYTHONS="3.12 3.13"
test-pythons: dist
	$(NOX) --session $(if $(PYTHONS),$(PYTHONS:%=suite-%) --error-on-missing-interpreters,suite) -- $(ARGS)

# Known vulnerabilities of the versions that were tested; it asks pypi.org.
## audit: known vulnerabilities of the locked versions (asks pypi.org)
audit: $(TOOLS)
	.venv-tools/bin/pip-audit --strict --disable-pip --no-deps --requirement $(LOCKED)

## clean: remove what these targets made
clean:
	rm -rf $(VENV) .venv-* build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis .coverage .coverage.*
