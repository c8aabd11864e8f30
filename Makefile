# Every command of the project. `make` alone lists them; `make up` and `make test` set themselves up.
.DEFAULT_GOAL := help
SHELL := /bin/sh
PY := .venv/bin/python
MODEL := all-MiniLM-L6-v2
SAM_PIN := aws-sam-cli==1.170.0

# The stamp's name is the content of the pins, the place of the checkout and nothing else: a touch or a
# `git checkout` that changes neither costs nothing, whatever the file times say.
PINS := $(shell { pwd; cat pyproject.toml constraints.txt; } | cksum | cut -d' ' -f1)
STAMP := .venv/.installed-$(PINS)
SAM_STAMP := .venv-sam/.installed-$(shell { pwd; echo $(SAM_PIN); } | cksum | cut -d' ' -f1)
TEST_MODEL := $(CURDIR)/.forgetless/models/$(MODEL)

# Tests never talk to a real LLM, whatever the caller's shell has configured.
CLEAN_ENV := env -u OPENAI_BASE_URL -u OPENAI_API_KEY -u FORGETLESS_LLM_MODEL

.PHONY: help up down status test lint format typecheck imports unit test-mutations bench eval demo reindex reset-data build validate clean model

help: ## List these commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

up: $(STAMP) ## Start everything on this machine and stay in the foreground (Ctrl-C stops it)
	@exec $(PY) -m local.up up $(ARGS)

down: $(STAMP) ## Stop what `make up` started, from any terminal; returns when all is gone
	@exec $(PY) -m local.up down $(ARGS)

status: $(STAMP) ## Say what runs and whether it answers
	@exec $(PY) -m local.up status $(ARGS)

test: $(STAMP) lint typecheck imports unit ## Lint, types, import directions and every test that needs no Docker

# Without ruff's cache: it does not see that a new file elsewhere changes which imports are our own.
lint: $(STAMP) ## ruff: rules and format
	@$(PY) -m ruff check --no-cache .
	@$(PY) -m ruff format --check .

format: $(STAMP) ## Let ruff format and repair what it can
	@$(PY) -m ruff check --fix . ; $(PY) -m ruff format .

typecheck: $(STAMP) ## mypy, strict
	@$(PY) -m mypy

imports: $(STAMP) ## Import directions (import-linter)
	@.venv/bin/lint-imports --no-logo

unit: $(STAMP) model ## The tests alone: make unit ARGS="tests/up -k lock"
	@$(CLEAN_ENV) FORGETLESS_MODEL_DIR='$(TEST_MODEL)' $(PY) -m pytest -q -n 2 --dist loadgroup -m 'not docker and not mutations' $(ARGS)

test-mutations: $(STAMP) ## Take the checks of tenants, keys and roles out one by one: some test must notice each
	@$(CLEAN_ENV) $(PY) -m pytest -q -n 2 tests/tenancy/test_mutations.py -m 'mutations or slow' $(ARGS)

model: $(STAMP) ## Prepare the embedding model once; returns at once when it is there and valid
	@$(PY) -m embedder prepare --model $(MODEL) --out '$(TEST_MODEL)'

bench: $(STAMP) ## Measure the running service; prints the figures and saves them as JSON
	@exec $(PY) -m local.bench $(ARGS)

eval: $(STAMP) ## Recall over LoCoMo-format files: make eval ARGS="FILE..."
	@exec $(PY) -m local.evaluate $(ARGS)

demo: $(STAMP) ## Replay a conversation of several days into the running service and ask ten questions
	@exec $(PY) -m local.demo $(ARGS)

reindex: $(STAMP) ## Rebuild the index from the ledger of the running service
	@exec $(PY) -m local.up reindex $(ARGS)

reset-data: $(STAMP) ## Delete all memories of this machine (the models stay); the service must be stopped
	@exec $(PY) -m local.up reset-data $(ARGS)

build: $(SAM_STAMP) ## sam build: what would be deployed, in .aws-sam
	@exec .venv-sam/bin/sam build --template-file template.yaml $(ARGS)

validate: $(SAM_STAMP) ## sam validate --lint (no account needed)
	@SAM_CLI_TELEMETRY=0 AWS_DEFAULT_REGION=eu-central-1 .venv-sam/bin/sam validate --lint --template-file template.yaml

clean: ## Remove both environments and caches (memories and models under .forgetless stay)
	@rm -rf .venv .venv-sam .aws-sam .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis *.egg-info
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(STAMP):
	@sh local/up/venv.sh .venv .installed-$(PINS) -c constraints.txt -e '.[test]'

$(SAM_STAMP):
	@sh local/up/venv.sh .venv-sam $(notdir $(SAM_STAMP)) $(SAM_PIN)
