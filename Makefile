# The one door of the project. `make help` lists the targets; each sets up what it needs.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready-$(shell cat requirements.lock pyproject.toml 2>/dev/null | cksum | cut -d' ' -f1)

.PHONY: help setup demo demo-ivr test check generate lock format bench bench-routing bench-smoke bench-compare clean

help: ## show the targets
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

setup: $(READY) ## make the virtual environment with the pinned dependencies, Envoy included

$(READY):
	@command -v $(PYTHON) >/dev/null || { echo "error: $(PYTHON) not found; install Python 3.11 or later, or say make PYTHON=/path/to/python"; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "error: Python 3.11 or later is needed; say make PYTHON=/path/to/python3.11"; exit 1; }
	@echo "setting up $(VENV): about a minute the first time"
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --editable .
	@rm -f $(VENV)/.ready-*
	@touch $@

demo: setup ## start a mesh with a real Envoy, send customers' requests through it, show who answered and why
	@$(BIN)/lmos demo

demo-ivr: setup ## call a mesh by telephone: a scripted caller, a real Envoy, offline speech; keeps demo-ivr.wav
	@$(BIN)/lmos demo-ivr

test: setup ## run the tests
	@$(BIN)/pytest $(ARGS)

check: setup ## lint, types, import rules, contract, Envoy configuration, generated code
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache
	$(BIN)/buf lint
	$(BIN)/buf format --diff --exit-code
	$(BIN)/python tools/validate_envoy.py
	$(BIN)/python tools/generate.py --check

generate: setup ## generate the stubs in gen/ from protos/
	@$(BIN)/python tools/generate.py

format: setup ## format code and protos
	$(BIN)/ruff format .
	$(BIN)/buf format --write

lock: ## resolve the dependencies anew into requirements.lock
	@$(PYTHON) -m venv .cache/lock
	@.cache/lock/bin/python -m pip install --quiet uv
	@.cache/lock/bin/uv pip compile --quiet --upgrade --universal --python-version 3.11 --group dev pyproject.toml --output-file requirements.lock

bench: setup ## measure the mesh beside its alternatives, into bench/RESULTS.md (needs Go; one part: ONLY=paths)
	@$(BIN)/python -m bench $(if $(ONLY),--only $(ONLY)) $(ARGS)

bench-routing: setup ## measure how the router decides, into bench/ROUTING.md (public data: DATA=folder)
	@$(BIN)/python -m bench.routing $(if $(DATA),--data $(DATA)) $(ARGS)

bench-smoke: setup ## run every part of the benchmark for seconds, and see that figures come out (needs Go)
	@$(BIN)/pytest tests/mesh/test_bench_smoke.py $(ARGS)

bench-compare: setup ## tell what moved since bench/baseline.json; fails where a figure got worse by more than noise
	@$(BIN)/python -m bench.regression $(ARGS)

clean: ## remove the virtual environment and all caches
	rm -rf $(VENV) .cache .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis
