# The README's two commands are `make demo` and `make test`; each does all its own set-up.
SHELL := /bin/sh
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
ARGS ?=
WORKERS ?= 2

.PHONY: help demo test test-all check bench serve setup format lock clean

help:  ## what there is to call
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

$(VENV)/.run: requirements/run.txt pyproject.toml
	@PYTHON=$(PYTHON) sh tools/setup.sh run

$(VENV)/.dev: requirements/dev.txt pyproject.toml
	@PYTHON=$(PYTHON) sh tools/setup.sh dev

demo: $(VENV)/.run  ## a good push, a bad one rolled back, and its fix, on eight embedded hosts
	@$(BIN)/leuko demo $(ARGS)

serve: $(VENV)/.run  ## the controller for ./leuko.yml
	@$(BIN)/leuko serve $(ARGS)

$(VENV)-farm/.farm: requirements/farm.txt
	@PYTHON=$(PYTHON) sh tools/setup.sh farm

setup: $(VENV)/.dev $(VENV)-farm/.farm  ## everything the tests need, system packages included (as root)
	@sh tools/system.sh

test: setup  ## the tests; slow and statistical ones are in test-all
	@$(BIN)/pytest -m "not slow" -n $(WORKERS) --dist loadfile --durations=20 $(ARGS)

test-all: setup  ## every test
	@$(BIN)/pytest -n $(WORKERS) --dist loadfile --durations=20 $(ARGS)

check: $(VENV)/.dev  ## lint, types, import contracts, and the tests that need no server
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-cache
	@$(BIN)/pytest -q -m "not slow and not needs" -n $(WORKERS) --dist loadfile $(ARGS)

format: $(VENV)/.dev
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix -q .

bench: $(VENV)/.dev  ## what is measured against peers; JSON lines
	@for file in bench/[a-z]*.py; do $(BIN)/python $$file $(ARGS) || exit 1; done

lock:  ## resolve the dependencies anew (needs uv)
	uv pip compile -q --generate-hashes --universal --python-version 3.11 --extra postgresql --extra mysql --extra notify --no-header --no-annotate pyproject.toml -o requirements/run.txt
	uv pip compile -q --generate-hashes --universal --python-version 3.11 --extra postgresql --extra mysql --extra notify --group dev --no-header --no-annotate pyproject.toml -o requirements/dev.txt
	uv pip compile -q --generate-hashes --universal --python-version 3.11 --no-header --no-annotate --group farm -o requirements/farm.txt

clean:
	rm -rf $(VENV) $(VENV)-farm .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
