# Every command of the project. `make` alone lists them; `make up` and `make test` set themselves up.
.DEFAULT_GOAL := help
SHELL := /bin/sh
PY := .venv/bin/python
MODEL := all-MiniLM-L6-v2
# The template has loops (Fn::ForEach), which sam leaves to CloudFormation unless it is told otherwise.
export SAM_CLI_ENABLE_LANGUAGE_EXTENSIONS := 1
# How long `make fuzz` runs.
MINUTES ?= 10
# Packages come from lock files (local/lock.py): every file of theirs has its SHA-256 there, and any other is refused.
LOCKED := --require-hashes --only-binary :all: -r
# What `make build` builds for: x86_64 or arm64 (Graviton).
ARCH ?= x86_64
MEM0_PINS := mem0ai==2.0.18 'pymilvus>=2.5,<2.6' milvus-lite==2.5.1 'setuptools<80' psutil

# The stamp's name is the content of the pins, the place of the checkout and nothing else: a touch or a
# `git checkout` that changes neither costs nothing, whatever the file times say.
PINS := $(shell { pwd; cat pyproject.toml locks/project.txt; } | cksum | cut -d' ' -f1)
STAMP := .venv/.installed-$(PINS)
# What is deployed runs on another Python than the rest: the same pins in an environment of its own.
DEPLOYED_STAMP := .venv-3.13/$(notdir $(STAMP))
SAM_STAMP := .venv-sam/.installed-$(shell { pwd; cat locks/sam.txt; } | cksum | cut -d' ' -f1)
SCAN_STAMP := .venv-scan/.installed-$(shell { pwd; cat locks/scan.txt; } | cksum | cut -d' ' -f1)
PEER_PINS := embedder_container/bench/requirements-infinity.txt
PEER_STAMP := .venv-infinity/.installed-$(shell { pwd; cat $(PEER_PINS); } | cksum | cut -d' ' -f1)
TORCH_PINS := embedder_container/requirements-optimum.txt
TORCH_STAMP := .venv-models/.installed-$(shell { pwd; cat $(TORCH_PINS); } | cksum | cut -d' ' -f1)
LOAD_STAMP := .venv-load/.installed-$(shell { pwd; cat locks/load.txt; } | cksum | cut -d' ' -f1)
CONSOLE_STAMP := .venv-console/.installed-$(shell { pwd; cat locks/console.txt; } | cksum | cut -d' ' -f1)
LITE_STAMP := .venv-milvus3/.installed-$(shell { pwd; cat locks/milvus3.txt; } | cksum | cut -d' ' -f1)
# The documentation's generator, and the scripts that its pages would otherwise load from the network.
DOCS_STAMP := .venv-docs/.installed-$(shell { pwd; cat locks/docs.txt; } | cksum | cut -d' ' -f1)
LOCK_STAMP := .venv-lock/.installed-$(shell { pwd; cat locks/lock.txt; } | cksum | cut -d' ' -f1)
AUDIT_STAMP := .venv-audit/.installed-$(shell { pwd; cat locks/audit.txt; } | cksum | cut -d' ' -f1)
DOCS_SCRIPTS := @mermaid-js/tiny@11.17.2 iframe-worker@1.0.4
DOCS_SCRIPTS_STAMP := .venv-docs/scripts/.installed-$(shell echo $(DOCS_SCRIPTS) | cksum | cut -d' ' -f1)
TEST_MODEL := $(CURDIR)/.forgetless/models/$(MODEL)

CLIENTS := py-2.2.1 py-1.0.11 py-0.1.118 npm-3.3.1 npm-2.4.6 schemathesis-4.32.5 \
	mcp-2.3.0 mcp-1.30.0 fastmcp-4.2.3 langchain-mcp-adapters-0.3.2 openai-agents-0.24.0 \
	npm-mcp-client-2.4.0 npm-mcp-sdk-1.32.2 npm-mcp-remote-0.15.1 \
	agent-framework-mem0-1.0.0b261015 llama-index-memory-mem0-2.1.0 mem0-cli-0.2.13 \
	npm-vercel-ai-provider-3.0.2 npm-openclaw-mem0-1.0.16
CLIENTS_HOME := .venv-clients
empty :=
space := $(empty) $(empty)

# Packages are compiled when they are first loaded (local/up/venv.sh). If the caller's shell kept Python from writing what
# it has compiled, each of the many processes of the service and of its tests would compile it again.
unexport PYTHONDONTWRITEBYTECODE

# Thousands of tests make a ledger, which waits for the disk some ten times. In memory, if there is enough, none waits.
IN_MEMORY := $(shell test -z "$$TMPDIR" && test -w /dev/shm && df -Pk /dev/shm | awk 'NR == 2 && $$4 > 4000000 {print "TMPDIR=/dev/shm"}')
# Tests never talk to a real LLM, whatever the caller's shell has configured.
CLEAN_ENV := env -u OPENAI_BASE_URL -u OPENAI_API_KEY -u FORGETLESS_LLM_MODEL $(IN_MEMORY)

# Every target here is a command, none a file.
.PHONY: $(shell sed -n 's/^\([a-z0-9-]*\):.*/\1/p' $(firstword $(MAKEFILE_LIST)))

help: ## List these commands
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-19s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

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

# Many tests wait for processes and servers, so three run at once where there are two processors.
unit: $(STAMP) $(LOAD_STAMP) model ## The tests alone: make unit ARGS="tests/up -k lock"
	@$(CLEAN_ENV) FORGETLESS_LOAD_REQUIRED=1 FORGETLESS_MODEL_DIR='$(TEST_MODEL)' $(PY) -m pytest -q -n 3 -m 'not docker and not mutations and not clients and not console' $(ARGS)

# The functions and layers, the embedder and the API as an image has it; what only runs on one machine stays on 3.11.
DEPLOYED_TESTS := tests/unit tests/contract tests/embedder tests/e2e
test-python313: $(DEPLOYED_STAMP) model ## Unit, contract and end-to-end tests of what is deployed, under Python 3.13
	@$(CLEAN_ENV) FORGETLESS_MODEL_DIR='$(TEST_MODEL)' .venv-3.13/bin/python -m pytest -q -n 3 \
		-m 'not docker and not mutations and not clients and not console' \
		$(DEPLOYED_TESTS) --ignore tests/embedder/test_bench.py \
		--ignore tests/e2e/test_examples.py --ignore tests/e2e/test_stores.py $(ARGS)

kill-test: $(STAMP) ## Kill processes after every step, three ways; print what was lost or doubled: ARGS="--runs 10"
	@$(CLEAN_ENV) $(PY) -m tests.faults $(ARGS)

test-histories: $(STAMP) ## Clients, faults and a checker: is anything acknowledged lost? ARGS="--minutes 60 --seed 1 --world sqlite"
	@$(CLEAN_ENV) $(PY) -m tests.histories $(ARGS)

fuzz: $(STAMP) ## Random input for filters, routes, tools, OAuth, webhooks, the embedder and the emulator: make fuzz MINUTES=10 ARGS="--seed 1 filters"
	@$(CLEAN_ENV) $(PY) -m tests.fuzz --minutes $(MINUTES) $(ARGS)

# A small form of it, over a service in one process, is part of `make test`.
test-erasure: $(STAMP) model ## Plant marked words and ids through every route, erase, scan every stored byte: files, and a table of DynamoDB
	@$(CLEAN_ENV) FORGETLESS_ERASURE_WHOLE=1 FORGETLESS_MODEL_DIR='$(TEST_MODEL)' \
		$(PY) -m pytest -q --timeout 1800 tests/erasure $(ARGS)

test-mutations: $(STAMP) ## Take the checks of tenants, keys and roles out one by one: some test must notice each
	@$(CLEAN_ENV) $(PY) -m pytest -q -n 2 tests/tenancy/test_mutations.py -m 'mutations or slow' $(ARGS)

# The small form of it, with 6,000 and 12,000 memories, is part of `make test`.
test-scale: $(STAMP) ## Does any route or job cost more in a larger ledger? Counts, no seconds: make test-scale SIZES="10000 100000"
	@$(CLEAN_ENV) FORGETLESS_SCALE_SIZES='$(or $(SIZES),10000 100000)' \
		$(PY) -m pytest -q --timeout 7200 tests/scale $(ARGS)

console-pictures: $(STAMP) $(CONSOLE_STAMP) model ## Take the console's pictures in docs/
	@$(CLEAN_ENV) FORGETLESS_MODEL_DIR='$(TEST_MODEL)' PYTHONPATH="$$(echo .venv-console/lib/python*/site-packages)" \
		$(PY) -m pytest -q -rs -m console tests/console/pictures.py $(ARGS)

test-console: $(STAMP) $(CONSOLE_STAMP) model ## The console in a real browser (Chromium), with screenshots in console-results; says so if there is none
	@$(CLEAN_ENV) FORGETLESS_MODEL_DIR='$(TEST_MODEL)' PYTHONPATH="$$(echo .venv-console/lib/python*/site-packages)" \
		$(PY) -m pytest -q -rs --timeout 300 -m console tests/console $(ARGS)

test-milvus3: $(STAMP) $(LITE_STAMP) ## The contract of the index on Milvus Lite 3.2.2, the nearest thing to newer servers
	@$(CLEAN_ENV) FORGETLESS_TEST_LITE=3 $(PY) -m pytest -q -m slow --timeout 600 tests/contract/index/test_index_contract.py \
		tests/contract/index/test_milvus_index.py tests/contract/index/test_filters_in_milvus.py \
		tests/contract/index/test_past_contract.py tests/contract/index/test_recipe_2_in_milvus.py $(ARGS)

# A round is the same one each time for its seed: what fails can be played again.
test-races: $(STAMP) ## Several processes at once on every store, longer: make test-races TIMES=50 SEED=1000
	@$(CLEAN_ENV) FORGETLESS_RACE_TIMES=$(or $(TIMES),10) FORGETLESS_RACE_SEED=$(or $(SEED),1) \
		$(PY) -m pytest -q -n 2 --timeout 7200 tests/concurrency $(ARGS)

# Each client in an environment of its own, with its own dependencies; CLIENTS names those that are wanted.
test-clients: $(STAMP) model client-environments ## mem0's own clients and those of MCP, unmodified, against the service: make test-clients CLIENTS=py-2.2.1
	@$(CLEAN_ENV) FORGETLESS_MODEL_DIR='$(TEST_MODEL)' FORGETLESS_CLIENTS='$(CURDIR)/$(CLIENTS_HOME)' \
		$(PY) -m pytest -q -m clients tests/clients -k '$(subst $(space), or ,$(foreach client,$(CLIENTS),$(lastword $(subst -, ,$(client)))))' $(ARGS)

test-schemathesis: ## Requests and sequences from the OpenAPI document, no answer a server error: make test-schemathesis EXAMPLES=50 SEED=2
	@FORGETLESS_SCHEMA_EXAMPLES='$(or $(EXAMPLES),20)' FORGETLESS_SCHEMA_SEED='$(or $(SEED),1)' \
		$(MAKE) --no-print-directory test-clients CLIENTS=schemathesis-4.32.5

client-environments:
	@for client in $(CLIENTS); do sh local/up/client.sh "$$client" '$(CLIENTS_HOME)' || exit 1; done

python313-environment: $(DEPLOYED_STAMP)

console-environment: $(CONSOLE_STAMP)

model: $(STAMP) ## Prepare the embedding model once; returns at once when it is there and valid
	@$(PY) -m embedder prepare --model $(MODEL) --out '$(TEST_MODEL)'

eval-extraction: $(STAMP) ## How well an LLM extracts facts: make eval-extraction ARGS="--url URL --model NAME", or ARGS=--replies
	@exec $(PY) -m local.evaluate.extraction $(ARGS)

bench: $(STAMP) ## Measure the running service; prints the figures and saves them as JSON
	@exec $(PY) -m local.bench $(ARGS)

vector-times: $(STAMP) ## Whether the time of an add tells what other users have said, on the running service
	@exec $(PY) -m local.bench.vector_times $(ARGS)

bench-metrics: $(STAMP) ## The CPU time that metrics add to an add and a search
	@exec $(PY) -m local.bench.metrics $(ARGS)

# MEASURE=1 measures what each operation asks of DynamoDB and the other parts, and writes local/cost/operations.json.
cost: $(STAMP) ## A month's bill by service: make cost ARGS="--users 10000 --adds 300000 --searches 1000000 --memories 1000000"
	@exec $(PY) -m $(if $(MEASURE),tests.cost.measuring,local.cost) $(ARGS)

bench-scale: $(STAMP) model ## 1,000 to 100,000 memories in services of its own, at most 20 minutes: make bench-scale ARGS="--sizes 1000 20000"
	@exec $(PY) -m local.bench.scale $(ARGS)

bench-index: $(STAMP) ## Searches over 1,000 to 1,000,000 rows in Milvus Lite, one tenant's and 1,000 tenants', at most 15 minutes
	@exec $(PY) -m local.bench.index_rows $(ARGS)

bench-embedder: $(STAMP) $(PEER_STAMP) model ## The embedding service beside infinity and ONNX Runtime alone: ten minutes
	@cd embedder_container && exec ../$(PY) -m bench --model-dir '$(TEST_MODEL)' --infinity ../.venv-infinity/bin/infinity_emb --out ../bench-results $(ARGS)

bench-graphs: $(STAMP) ## An embedding model's graphs beside each other and beside the int8 products alone: a minute (EMBEDDING_MODEL=...)
	@cd embedder_container && exec ../$(PY) -m bench.graphs '$(or $(EMBEDDING_MODEL),$(MODEL))' $(ARGS)

bench-embedder-full: $(STAMP) model ## Batching policies, sweeps, memory over half an hour, jina-v3 in full size (12 GB of disk)
	@cd embedder_container && exec ../$(PY) -m bench --full --model-dir '$(TEST_MODEL)' --out ../bench-results $(ARGS)

test-models: $(TORCH_STAMP) ## Tests of models against torch (installs it, in an environment of its own)
	@PYTHONPATH=embedder_container:. .venv-models/bin/python -m pytest -q --confcutdir tests/models tests/models $(ARGS)
# Only a model on make's own command line: a shell may have one for `make up`.
LOAD_MODEL = $(if $(filter command,$(firstword $(origin EMBEDDING_MODEL))),--model '$(EMBEDDING_MODEL)')
load: $(STAMP) $(LOAD_STAMP) ## Load the running service with k6 and draw a report: make load ARGS="--quick"; EMBEDDING_MODEL=jina-v3-shape: two of its own
	@exec $(PY) -m local.loadtest load --tool k6 $(LOAD_MODEL) $(ARGS)

load-locust: $(STAMP) $(LOAD_STAMP) ## The same scenario driven by locust
	@exec $(PY) -m local.loadtest load --tool locust $(ARGS)

scaling: $(STAMP) ## What a run of make load says about up to 10,000 users: make scaling RUN=load-results/FOLDER
	@exec $(PY) -m local.loadtest scaling $(RUN) $(ARGS)

saturation: $(STAMP) $(LOAD_STAMP) ## Searches without think time by 1 to 64 users: where throughput stops growing
	@exec $(PY) -m local.loadtest load --mix search --think 0 --stages 1,2,4,8,16,32,64 --seconds 20 --ramp 2 $(ARGS)

soak: $(STAMP) $(LOAD_STAMP) ## 60 users for long, and whether memory grows: make soak MINUTES=60
	@exec $(PY) -m local.loadtest load --stages 60 --seconds $$(( $(or $(MINUTES),60) * 60 )) $(ARGS)

burst: $(STAMP) $(LOAD_STAMP) ## From none to 200 users at once, onto cold functions of a service of its own
	@exec $(PY) -m local.loadtest load --own --cold --stages 200 --seconds 30 --ramp 0.5 --memories 1000 $(ARGS)

sweep: $(STAMP) $(LITE_STAMP) ## Settings of embedder and emulator, uvicorn, Milvus Lite 3.2.2: each beside the default
	@exec $(PY) -m local.loadtest sweep $(ARGS)

versus-mem0: $(STAMP) ## Drive mem0's own server and Forgetless alternately: make versus-mem0 MEM0=path
	@test -f '$(MEM0)/server/requirements.txt' || { echo "forgetless: name a checkout of mem0: make versus-mem0 MEM0=path" >&2; exit 2; }
	@test -f .venv-mem0/.installed-mem0 || sh local/up/venv.sh .venv-mem0 .installed-mem0 -r '$(MEM0)/server/requirements.txt' $(MEM0_PINS)
	@exec $(PY) -m local.loadtest versus-mem0 '$(MEM0)' $(ARGS)

eval: $(STAMP) ## Recall over conversations in LoCoMo's or our format: make eval ARGS="FILE..."
	@exec $(PY) -m local.evaluate $(ARGS)

demo: $(STAMP) ## Replay a conversation of several days into the running service and ask ten questions
	@exec $(PY) -m local.demo $(ARGS)

check: $(STAMP) ## Say whether ledger and index are sound and fit: make check ARGS="-- --thorough --json"
	@exec $(PY) -m local.up check $(ARGS)

backup: $(STAMP) ## Copy the ledger, also while the service runs: make backup FILE=copy.db (or a folder)
	@exec $(PY) -m local.up backup $(if $(FILE),'$(FILE)') $(ARGS)

restore: $(STAMP) ## Put a copy in the ledger's place, the service stopped: make restore FILE=copy.db ARGS=--replace
	@test -n '$(FILE)' || { echo "forgetless: name the copy: make restore FILE=copy.db" >&2; exit 2; }
	@exec $(PY) -m local.up restore '$(FILE)' $(ARGS)

reindex: $(STAMP) ## Rebuild the index from the ledger of the running service
	@exec $(PY) -m local.up reindex $(ARGS)

tidy: $(STAMP) ## Give back the space that the ledger no longer needs, also while the service runs
	@exec $(PY) -m local.up tidy $(ARGS)

forgetless: $(STAMP) ## Any other command of forgetless on the same state folder: make forgetless ARGS="jobs list --open"
	@exec $(PY) -m local.up forgetless -- $(or $(ARGS),--help)

set-aside: $(STAMP) ## List the memories that cannot be indexed; ARGS=--retry lets sweep try them again
	@exec $(PY) -m local.up set-aside $(ARGS)

reset-data: $(STAMP) ## Delete all memories of this machine (the models stay); the service must be stopped
	@exec $(PY) -m local.up reset-data $(ARGS)

docs: $(DOCS_STAMP) $(DOCS_SCRIPTS_STAMP) ## Build the documentation as a site with search, in site/; a broken link is an error (needs npm once)
	@NO_MKDOCS_2_WARNING=1 FORGETLESS_DOCS_SCRIPTS='$(CURDIR)/$(dir $(DOCS_SCRIPTS_STAMP))' .venv-docs/bin/mkdocs build --strict $(ARGS)
	@echo "The documentation is in site/index.html"

build: $(SAM_STAMP) ## sam build without Docker, what would be deployed; prints sizes, fails over 250 MB: ARCH=arm64
	@FORGETLESS_ARCH=$(ARCH) SAM_CLI_TELEMETRY=0 .venv-sam/bin/sam build --template-file template.yaml \
	  --parameter-overrides Architecture=$(ARCH) $(ARGS)
	@.venv-sam/bin/python -m local.artifacts --arch $(ARCH)

bench-cold: $(STAMP) ## Cold start of each function, from what `make build` made, under python3.13 where there is one
	@exec $(PY) -m local.bench.cold $(ARGS)

validate: $(SAM_STAMP) ## sam validate --lint and cfn-lint over the templates (no account needed)
	@SAM_CLI_TELEMETRY=0 AWS_DEFAULT_REGION=eu-central-1 .venv-sam/bin/sam validate --lint --template-file template.yaml
	@.venv-sam/bin/cfn-lint template.yaml template-embedder.yaml

scan: $(SCAN_STAMP) ## bandit over the code, checkov over templates and manifests: insecure patterns; schemas of Kubernetes; no network
	@.venv-scan/bin/bandit -q -c pyproject.toml -r layers/core/python functions embedder_container/embedder local
	@.venv-scan/bin/checkov --config-file local/checkov.yaml -f template.yaml template-embedder.yaml
	@.venv-scan/bin/checkov --config-file local/checkov-kubernetes.yaml -d local/kubernetes
	@.venv-scan/bin/kubernetes-validate --strict --quiet local/kubernetes/*/*.yaml

# Exit code 3: its database does not answer here, and nothing was audited.
audit: $(AUDIT_STAMP) ## pip-audit over every lock file; fails when it could audit nothing
	@.venv-audit/bin/python -m local.audit $(ARGS)

lock: $(LOCK_STAMP) ## Write the lock files after a pin was changed: make lock ARGS="--upgrade-package urllib3"
	@.venv-lock/bin/python -m local.lock $(ARGS)

sam-local: $(STAMP) $(SAM_STAMP) ## sam build, then the service under sam local start-api, in the foreground (needs Docker)
	@SAM_CLI_TELEMETRY=0 .venv-sam/bin/sam build --template-file template.yaml >/dev/null
	@exec $(PY) -m local.sam up $(ARGS)

compose-up: model ## Milvus Lite, embedders and the API as containers, in order (needs Docker; INFRASTRUCTURE=standalone)
	@exec sh local/compose/compose.sh up

compose-down: ## Stop these containers; their volumes stay
	@exec sh local/compose/compose.sh down

compose-sizes: ## Sizes of the images
	@exec sh local/compose/compose.sh sizes

compose-digests: ## Note the digests of the base images that are here, for all later builds (local/compose/images.env)
	@sh local/compose/compose.sh digests

test-docker: $(STAMP) $(SAM_STAMP) model ## Build the images; the end-to-end tests over compose and over sam local; what else needs Docker
	@$(PY) -m tests.docker.at_hand
	@SAM_CLI_TELEMETRY=0 .venv-sam/bin/sam build --template-file template.yaml >/dev/null
	@$(CLEAN_ENV) FORGETLESS_MODEL_DIR='$(TEST_MODEL)' $(PY) -m pytest -q -m docker tests/docker
	@for kind in compose sam; do echo "end to end: $$kind"; \
	  $(CLEAN_ENV) FORGETLESS_E2E=$$kind FORGETLESS_MODEL_DIR='$(TEST_MODEL)' $(PY) -m pytest -q tests/e2e || exit 1; done
	@sh local/compose/compose.sh sizes

clean: ## Remove the environments and caches (memories and models under .forgetless stay)
	@rm -rf .venv .venv-* .aws-sam site .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis *.egg-info
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(STAMP):
	@PROJECT=. sh local/up/venv.sh .venv .installed-$(PINS) $(LOCKED) locks/project.txt

$(DEPLOYED_STAMP): | $(STAMP)
	@PYTHON="$$($(PY) -m local.lambda_python)" && export PYTHON && \
		PROJECT=. sh local/up/venv.sh .venv-3.13 $(notdir $@) $(LOCKED) locks/project.txt

$(PEER_STAMP): $(PEER_PINS)
	@sh local/up/venv.sh .venv-infinity $(notdir $@) -r $(PEER_PINS)

$(TORCH_STAMP): $(TORCH_PINS)
	@sh local/up/venv.sh .venv-models $(notdir $@) -r $(TORCH_PINS) pytest==9.2.0 pytest-timeout==2.4.0

# Its packages ask for extras of each other, which pip does not find in a lock file; all that they bring is in it.
$(SAM_STAMP):
	@sh local/up/venv.sh .venv-sam $(notdir $@) --no-deps $(LOCKED) locks/sam.txt

$(SCAN_STAMP):
	@sh local/up/venv.sh .venv-scan $(notdir $@) $(LOCKED) locks/scan.txt

$(LITE_STAMP):
	@sh local/up/venv.sh .venv-milvus3 $(notdir $@) $(LOCKED) locks/milvus3.txt

$(CONSOLE_STAMP):
	@sh local/up/venv.sh .venv-console $(notdir $@) $(LOCKED) locks/console.txt

$(LOAD_STAMP):
	@sh local/up/venv.sh .venv-load $(notdir $@) $(LOCKED) locks/load.txt

$(DOCS_STAMP):
	@sh local/up/venv.sh .venv-docs $(notdir $@) $(LOCKED) locks/docs.txt

$(LOCK_STAMP):
	@sh local/up/venv.sh .venv-lock $(notdir $@) $(LOCKED) locks/lock.txt

$(AUDIT_STAMP):
	@sh local/up/venv.sh .venv-audit $(notdir $@) $(LOCKED) locks/audit.txt

$(DOCS_SCRIPTS_STAMP): | $(DOCS_STAMP)
	@sh local/docs_scripts.sh $(@D) $(@F) $(DOCS_SCRIPTS)
