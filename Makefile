# Two commands: `make demo` shows the main job, `make test` proves it. Both set up what is missing.
PYTHON ?= python3
UV := 0.13.9
BIN := .venv/bin

.PHONY: help setup lock demo up test test-fast check format browser bench bench-sleep clean reset

help:  ## list the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-11s %s\n", $$1, $$2}'

setup: .venv/.installed  ## virtual environment with locked dependencies; leaves .venv/bin/waymark

.venv/.installed: requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Waymark needs Python 3.11 or later: call make with PYTHON=/path/to/python3.11" >&2; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check uv==$(UV)
	@$(BIN)/uv pip sync --quiet --compile-bytecode --require-hashes --python $(BIN)/python requirements.lock
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation --editable . uv==$(UV)
	@$(BIN)/python -m compileall -q journeys activities records console workers
	@touch $@

lock:  ## rewrite requirements.lock from pyproject.toml
	$(BIN)/uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header \
	  --group dev pyproject.toml --output-file requirements.lock

demo: setup  ## the main job, 45 days in a minute or two; then stays up until Ctrl-C
	@$(BIN)/waymark demo

up: setup  ## everything needed for local work, until Ctrl-C
	@$(BIN)/waymark up

browser: setup
	@$(BIN)/python -m tools.browser

# Most tests wait more than they reckon: three files at a time on two cores, the long ones first.
test: setup browser  ## every test
	$(BIN)/python -m pytest -n 3 --dist loadfile --no-loadscope-reorder

test-fast: setup  ## the pure tests, under a minute
	$(BIN)/python -m pytest -n 2 --dist loadfile tests/unit -q

check: setup  ## lint, format, strict types, import arrows
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m pytest -q tests/unit/test_import_arrows.py

format: setup  ## let ruff format and fix
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: setup  ## steps per second against the barest workflow, and what a step costs
	$(BIN)/python -m benchmarks.steps

bench-sleep: setup  ## memory and processor time of 20,000 sleeping runs; takes some ten minutes
	$(BIN)/python -m benchmarks.sleeping

reset:  ## forget all local state (databases, workflows, mail)
	rm -rf .waymark

clean: reset  ## also the virtual environment
	rm -rf .venv
