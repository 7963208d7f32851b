# Two commands are enough: `make run` and `make test`. Each makes the environment it needs on its first use.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
PYTHONS ?= python3.11 python3.12 python3.13

# The functions' runtime: what builds their package and runs it has to be the same.
STACK_PYTHON ?= python3.13
STACK_VENV ?= .venv-stack
ARCHITECTURE ?= arm64

.DEFAULT_GOAL := help
.PHONY: help run test test-browser screenshots test-slow test-nightly test-foreign test-all docs docs-serve docs-tables \
  build build-authorizer check-stack bench lint types format lock clean

help: ## Show this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-17s %s\n", $$1, $$2}'

# The stamp lies inside the environment, so that a deleted environment is made again.
$(VENV)/.ready: requirements/dev.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "Gatesocket needs Python 3.11 or later, found $$($(PYTHON) --version). Name one: make $(MAKECMDGOALS) PYTHON=python3.12"; exit 1; }
	@$(PYTHON) -m venv $(VENV) \
	  || { echo "Python's venv module can't make an environment here. On Debian: apt install python3-venv"; exit 1; }
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements/dev.txt
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

run: $(VENV)/.ready ## Start the chat on an emulated API Gateway, and print its address
	$(BIN)/gatesocket dev

test: $(VENV)/.ready lint types ## Lint, types, and the tests with 100 % branch coverage of src
	$(BIN)/coverage erase
	$(BIN)/coverage run -m pytest -m "not slow and not browser" -n auto --maxprocesses 4 --dist loadfile $(ARGS)
	$(BIN)/coverage combine --quiet
	$(BIN)/coverage report --fail-under=100

# By themselves, and unmeasured: a browser, a server and two tabs want the machine's cores.
test-browser: $(VENV)/.ready ## The chat and the AsyncAPI page in Chromium, in every life
	$(BIN)/python -m pytest -m browser $(ARGS)

screenshots: $(VENV)/.ready ## Take the README's pictures of the chat anew; look at them before you commit them
	GATESOCKET_SCREENSHOTS=1 $(BIN)/python -m pytest tests/browser/test_screenshots.py

test-slow: $(VENV)/.ready ## The long suites: generated programs, killed processes, benchmarks, the checks of a stack
	$(BIN)/python -m pytest -m slow $(ARGS)

test-nightly: $(VENV)/.ready ## Ten times the generated programs of test-slow
	GENERATED_PROGRAMS=20000 $(BIN)/python -m pytest -m slow tests/differential/test_generated.py $(ARGS)

test-foreign: $(VENV)/.ready ## Starlette's and FastAPI's own WebSocket tests, downloaded, against GatewayTestClient
	$(BIN)/python tests/foreign/run.py

test-all: ## The tests on every Python of $(PYTHONS) that is there
	@for python in $(PYTHONS); do \
	  if $$python -c '' 2>/dev/null; then \
	    echo "== $$($$python --version)"; \
	    $(MAKE) --no-print-directory test PYTHON=$$python VENV=.venv-$$python || exit 1; \
	  else echo "== $$python: not found, skipped"; fi; \
	done

# The theme's advertisement of its successor is not a warning about the site. Not --quiet: what isn't printed isn't
# counted as a warning either.
docs: export NO_MKDOCS_2_WARNING = 1
docs: $(VENV)/.ready ## Build the documentation site into .cache/site; a warning is an error
	$(BIN)/mkdocs build --strict

docs-serve: export NO_MKDOCS_2_WARNING = 1
docs-serve: $(VENV)/.ready ## Serve the documentation site on this machine, and build it anew when a page changes
	$(BIN)/mkdocs serve --dev-addr 127.0.0.1:8001

docs-tables: $(VENV)/.ready ## Write what pages take from the code: settings, limits, errors, commands
	$(BIN)/python docs/hooks/tables.py

$(STACK_VENV)/.ready: requirements/stack.txt
	@$(STACK_PYTHON) -c '' 2>/dev/null \
	  || { echo "The functions' package is built by $(STACK_PYTHON), which isn't here. Name it: make $(MAKECMDGOALS) STACK_PYTHON=…"; exit 1; }
	$(STACK_PYTHON) -m venv $(STACK_VENV)
	$(STACK_VENV)/bin/pip install --quiet --disable-pip-version-check --require-hashes -r requirements/stack.txt
	@touch $@

build: $(STACK_VENV)/.ready ## Build what `sam deploy` deploys: one package, with byte code, reproducible
	PATH="$(CURDIR)/$(STACK_VENV)/bin:$$PATH" SAM_CLI_TELEMETRY=0 sam build --parameter-overrides Architecture=$(ARCHITECTURE)
	$(STACK_VENV)/bin/python infra/build/finish.py --python $(STACK_VENV)/bin/python

build-authorizer: $(STACK_VENV)/.ready ## The same for infra/authorizer, a stack of its own
	PATH="$(CURDIR)/$(STACK_VENV)/bin:$$PATH" SAM_CLI_TELEMETRY=0 sam build --template infra/authorizer/template.yaml \
	  --build-dir .aws-sam/authorizer --parameter-overrides Architecture=$(ARCHITECTURE)
	$(STACK_VENV)/bin/python infra/build/finish.py .aws-sam/authorizer --python $(STACK_VENV)/bin/python

# What runs here has to be built for this machine.
HERE := $(if $(filter aarch64 arm64,$(shell uname -m)),arm64,x86_64)

check-stack: ## Build the stack twice, lint it, deploy it into MiniStack, and try it with real clients
	$(MAKE) --no-print-directory build build-authorizer ARCHITECTURE=$(HERE)
	$(STACK_VENV)/bin/python infra/checks/reproducible.py --architecture $(HERE)
	AWS_DEFAULT_REGION=us-east-1 SAM_CLI_TELEMETRY=0 $(STACK_VENV)/bin/sam validate
	AWS_DEFAULT_REGION=us-east-1 SAM_CLI_TELEMETRY=0 $(STACK_VENV)/bin/sam validate --lint
	$(STACK_VENV)/bin/python infra/checks/ministack.py

bench: $(VENV)/.ready ## Measure side by side: hibernation, the handler, cold starts, broadcasts, costs, round trips, load; some six minutes
	$(BIN)/python benchmarks/hibernation.py
	$(BIN)/python benchmarks/handler.py
	$(BIN)/python benchmarks/cold_start.py
	$(BIN)/python benchmarks/posts.py
	$(BIN)/python benchmarks/broadcast.py
	$(BIN)/python benchmarks/costs.py
	$(BIN)/python benchmarks/round_trip.py
	$(BIN)/python benchmarks/load.py

lint: $(VENV)/.ready
	$(BIN)/ruff check --quiet .
	$(BIN)/ruff format --check --quiet .

types: $(VENV)/.ready
	$(BIN)/mypy

format: $(VENV)/.ready ## Format the code and mend what ruff can mend
	$(BIN)/ruff check --fix --quiet .
	$(BIN)/ruff format --quiet .

lock: $(VENV)/.ready ## Pin every dependency anew, with hashes
	$(BIN)/pip install --quiet uv
	$(BIN)/uv pip compile --upgrade --universal --generate-hashes --no-header --python-version 3.11 \
	  --all-extras --group dev pyproject.toml -o requirements/dev.txt
	$(BIN)/uv pip compile --upgrade --universal --generate-hashes --no-header --python-version 3.13 \
	  --group stack -o requirements/stack.txt

clean: ## Remove the environments and what the tools left
	rm -rf .aws-sam .venv* .cache .coverage* .mypy_cache .pytest_cache .ruff_cache .hypothesis dist htmlcov
