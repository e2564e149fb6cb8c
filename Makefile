# Everything happens in .venv. On a machine without a GPU, the small CPU build of torch comes with
#   make quickstart PIP_FLAGS="--extra-index-url https://download.pytorch.org/whl/cpu"
PYTHON ?= python3
PIP_FLAGS ?=
BIN := .venv/bin
PYTEST := $(BIN)/pytest --numprocesses auto --maxprocesses 4 --dist worksteal

.PHONY: setup quickstart test test-fast lint types unit docs format clean

setup: .venv/ready

# what is imported is compiled once, and not by every process anew, whatever the caller has set
export PYTHONDONTWRITEBYTECODE :=

# the pip that Python brings may take twice as long for what follows
.venv/pip: requirements.lock
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --no-compile $(PIP_FLAGS) --upgrade --constraint requirements.lock pip
	touch .venv/pip

# requirements.lock holds the packages of tuneoff, of its extras and of the group `dev`
.venv/ready: .venv/pip requirements.lock pyproject.toml
	$(BIN)/pip install --quiet --no-compile $(PIP_FLAGS) -r requirements.lock
	$(BIN)/pip install --quiet --no-deps --no-build-isolation --editable .
	touch .venv/runs .venv/ready

# tuneoff with the extra `train` alone, in the same versions: sooner there, and it imports less
.venv/runs: .venv/pip requirements.lock pyproject.toml
	$(BIN)/pip install --quiet --no-compile $(PIP_FLAGS) --constraint requirements.lock hatchling editables
	$(BIN)/pip install --quiet --no-compile --no-build-isolation $(PIP_FLAGS) --constraint requirements.lock --editable '.[train]'
	touch .venv/runs

quickstart: .venv/runs
	$(BIN)/tuneoff run quickstart --executor process

# types are checked while the tests run: mypy uses one core
test: lint
	$(MAKE) --no-print-directory --jobs 2 types unit

# without the tests that start processes or take long
test-fast: lint
	$(PYTEST) -m "not slow and not subprocess"

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports

types: setup
	$(BIN)/mypy

unit: setup
	$(PYTEST)

# the site, in site/; a broken link or anchor ends it, and so does a page that would fetch from elsewhere
docs: .venv/docs-ready
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

.venv/docs-ready: .venv/ready requirements-docs.lock
	$(BIN)/pip install --quiet --no-compile --constraint requirements.lock -r requirements-docs.lock
	touch .venv/docs-ready

format: setup
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf .venv
