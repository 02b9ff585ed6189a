# Everything a person does with this repository. `make help` lists it.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/pip --disable-pip-version-check
# PyTorch from its registry default brings gigabytes of GPU libraries on Linux; give TORCH_INDEX=<a CPU wheel index> to avoid them.
TORCH_INDEX ?=
TORCH_FLAGS := $(if $(TORCH_INDEX),--extra-index-url $(TORCH_INDEX))

# `make test` in parts, the long ones first: LANES of them run side by side, and where one ends the next begins. Each is a
# pytest of its own; what none of them names is in `rest`.
PLAYER := tests/browser/test_player.py tests/browser/test_player_page.py
crash := tests/crash
wire := tests/server/http tests/contract
models := tests/zoo tests/train tests/nets tests/engine
service := tests/server --ignore=tests/server/http
commands := tests/cli tests/batch tests/mcp tests/integrations tests/deploy
console := tests/browser/test_console.py
rest := tests $(patsubst %,--ignore=%,$(filter tests/%,$(PLAYER) $(crash) $(wire) $(models) $(service) $(commands) $(console)))
PARTS := types crash wire models service rest commands console
LANES ?= 2

.DEFAULT_GOAL := help

PAGE := src/stemwright/server/http/page
CONSOLE := $(PAGE)/console
CONSOLE_SOURCES := $(wildcard console/*.json console/*.ts console/*.html) $(shell find console/src -type f)

N8N := build/n8n
CHROMIUM := .cache/chromium/chromium

.PHONY: audit sbom release wheel help setup setup-dev console docs n8n demo serve test check fix lock clean train-system bench $(PARTS:%=test-%)

help:            ## list the targets
	@grep -E '^[a-z0-9-]+: *.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## */\t/' | expand -t 16

setup: $(VENV)/.core console  ## the virtual environment with the product in it (no root, no torch)

setup-dev: $(VENV)/.dev console  ## the same, plus what the tests and the training need

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Stemwright needs Python 3.11 or newer; give one with: make PYTHON=python3.12 …")'
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); exit 1; }  # half of one would be taken for a whole one next time

$(VENV)/.core: $(VENV)/bin/python pyproject.toml constraints.txt requirements.lock
	@echo "Installing Stemwright into $(VENV) (about 400 MB, half a minute) …"
	$(PIP) install --quiet --progress-bar off --no-deps --require-hashes -r requirements.lock
	$(PIP) install --quiet --progress-bar off -c constraints.txt -e .
	@touch $@

$(VENV)/.dev: $(VENV)/.core
	@echo "Installing the test and training tools …"
	$(PIP) install --quiet --progress-bar off $(TORCH_FLAGS) -c constraints.txt -e '.[dev,torch,train,otel,mcp]'
	@command -v cc >/dev/null && $(PIP) install --quiet -c constraints.txt -e '.[voices]' \
	    || echo "No C compiler: pyworld is left out, and the tests of re-sung speech are skipped."
	@touch $@

console: $(CONSOLE)/index.html  ## the web console, from its sources; it needs npm, and nothing needs it

# Whatever goes wrong here is a warning: the service runs without its console.
$(CONSOLE)/index.html: $(CONSOLE_SOURCES)
	@if ! command -v npm >/dev/null; then echo "npm is not there: the web console is left out."; \
	elif echo "Building the web console …" && (cd console && npm ci --silent --no-fund --no-audit --fetch-retries=0 \
	    && npm run --silent build) >console/build.log 2>&1; then touch $@; \
	else echo "The web console could not be built (console/build.log says why); everything else works."; fi

demo: $(VENV)/.core console  ## the main job, end to end, on the demo song or on yours: make demo SONG=/path/to/song.mp3
	$(BIN)/python demo/run.py $(if $(SONG),"$(SONG)")

serve: $(VENV)/.core console  ## the service on http://127.0.0.1:8000 with its data in ./data
	$(BIN)/stemwright serve --data data

check: $(VENV)/.dev  ## the quick half: format, lint, types, imports, unit tests (under a minute)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/pyright
	$(BIN)/lint-imports
	$(BIN)/pytest -m "not slow" tests/architecture tests/audio tests/engine

# A machine with a browser of its own uses it; one without gets one from npm, checked against the lock. Without either, a warning.
$(CHROMIUM): tests/browser/package-lock.json
	@if (command -v chromium || command -v chromium-browser || command -v google-chrome) >/dev/null; then :; \
	elif ! command -v npm >/dev/null; then echo "npm is not there: the tests in a browser are skipped."; \
	elif echo "Fetching a browser for the tests (65 MB) …" && mkdir -p $(@D) && (cd tests/browser \
	    && npm ci --silent --no-fund --no-audit --fetch-retries=0 && TMPDIR=$(abspath $(@D)) AWS_EXECUTION_ENV=20.x node \
	    --input-type=module -e 'import chromium from "@sparticuz/chromium"; await chromium.executablePath()') \
	    >$(@D)/fetched.log 2>&1; then rm -rf tests/browser/node_modules; touch $@; \
	else rm -f $@; echo "No browser could be fetched ($(@D)/fetched.log says why): the tests in one are skipped."; fi

test: $(VENV)/.dev console $(CHROMIUM)  ## the whole suite
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	@# The player is real time, and runs alone.
	@$(BIN)/pytest $(PLAYER); played=$$?; \
	$(MAKE) --no-print-directory --keep-going --jobs $(LANES) $(PARTS:%=test-%) && exit $$played

test-types:
	$(BIN)/pyright
	$(BIN)/lint-imports

$(filter-out test-types,$(PARTS:%=test-%)): test-%:
	@mkdir -p .cache && $(BIN)/pytest $($*) >.cache/$@.log 2>&1; status=$$?; echo "$@:"; cat .cache/$@.log; exit $$status

fix: $(VENV)/.dev  ## format, and mend what the linter can
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

docs: $(VENV)/.core  ## the guide, the decisions and the API's reference as a site, in build/docs
	$(PIP) install --quiet --progress-bar off -c constraints.txt -e '.[docs]'
	$(BIN)/zensical build --clean --strict
	cp $(PAGE)/docs.html build/docs/reference.html
	$(BIN)/python -c 'import json, sys, yaml; json.dump(yaml.safe_load(sys.stdin), sys.stdout)' <$(PAGE)/openapi.yaml >build/docs/openapi.json

n8n: $(VENV)/.dev  ## the nodes for n8n: its own linter, the build, the tests in its own engine (npm; some minutes the first time)
	mkdir -p $(N8N) && rm -rf $(N8N)/dist $(N8N)/nodes $(N8N)/credentials $(N8N)/*.tgz
	cp -R integrations/n8n/. $(N8N)/
	@# What n8n's tools need for AI models alone is left out with the peers: it is most of what they bring, and none of it is ours.
	cd $(N8N) && npm install --ignore-scripts --no-audit --no-fund --no-package-lock --legacy-peer-deps --loglevel error
	cd $(N8N) && npm run --silent lint && npm run --silent build && npm pack --silent
	STEMWRIGHT_N8N=$(N8N) $(BIN)/pytest tests/integrations

train-system:    ## (root, Debian) the soundfonts, kits and speech synthesizers that training songs are made with
	apt-get update -q && apt-get install -q -y --no-install-recommends $$(cat src/stemwright/train/packages.txt)

wheel: $(VENV)/.core console  ## the package as one file in dist/, with the console in it where npm is
	$(BIN)/python -m venv --clear build/tools
	build/tools/bin/pip --disable-pip-version-check install --quiet --no-deps --require-hashes -r deploy/build.lock
	build/tools/bin/pip --disable-pip-version-check wheel --quiet --no-deps --no-build-isolation --wheel-dir dist .

PIN = $(BIN)/pip-compile --quiet --generate-hashes --no-header --no-annotate --no-emit-index-url --no-emit-trusted-host \
	--no-emit-find-links --strip-extras -c constraints.txt -o -

lock: $(VENV)/.dev  ## write constraints.txt from what is installed, and with hashes the core and what builds the package
	$(PIP) freeze --exclude-editable | grep -v -E '^(pip|setuptools)==|@ file|^torch==' > constraints.txt.new
	echo 'torch==2.13.0' >> constraints.txt.new
	sort -f constraints.txt.new > constraints.txt && rm constraints.txt.new
	$(PIP) install --quiet 'pip-tools>=7.5'
	echo '# The core install, hashed: `make lock` writes it from constraints.txt, `make setup` installs it.' > requirements.lock
	$(PIN) pyproject.toml >> requirements.lock
	echo '# What builds the wheel in the image, hashed: `make lock` writes it.' > deploy/build.lock
	$(PIN) --build-deps-for wheel --only-build-deps pyproject.toml >> deploy/build.lock

audit: $(VENV)/.dev  ## known faults in what we depend on (asks the network), and the linter's rules of security
	$(BIN)/ruff check src
	$(PIP) install --quiet 'pip-audit>=2.9'
	@$(BIN)/pip-audit --disable-pip --require-hashes --progress-spinner off -r requirements.lock >.audit.log 2>&1; found=$$?; \
	unasked=$$(grep -c 'could not be audited' .audit.log); grep -v 'could not be audited' .audit.log | tail -n 40; \
	if [ $$unasked != 0 ] || { [ $$found != 0 ] && ! grep -q 'known vulnerabilit' .audit.log; }; then found=1; \
	echo "NOT AUDITED: the database of known faults did not answer (for $$unasked packages). Run this where it can be reached."; \
	fi; rm .audit.log; exit $$found

sbom: $(VENV)/.dev  ## the bills of materials in dist/, CycloneDX JSON: of the core install and, where npm is, of the console
	$(PIP) install --quiet 'cyclonedx-bom>=7'
	mkdir -p dist && $(BIN)/cyclonedx-py requirements requirements.lock --pyproject pyproject.toml --of JSON -o dist/sbom.cdx.json
	@if command -v npm >/dev/null; then (cd console && npm sbom --package-lock-only --omit=dev --sbom-format cyclonedx --loglevel error) \
	    >dist/console.cdx.json; else echo "npm is not there: the console's bill is left out."; fi

release: $(VENV)/.dev console  ## what is published: the wheel with the console, its bills of materials, and their sums, in dist/
	@test -f $(CONSOLE)/index.html || { echo "The console is not built: a release needs npm, and console/build.log clean."; exit 1; }
	rm -rf dist && $(MAKE) --no-print-directory wheel sbom
	cd dist && $(abspath $(BIN))/python -c 'import hashlib, pathlib; [print(hashlib.sha256(p.read_bytes()).hexdigest(), "", p.name) for p in sorted(pathlib.Path().iterdir()) if p.name != "SHA256SUMS"]' >SHA256SUMS

clean:           ## remove the virtual environment and every cache
	rm -rf $(VENV) build demo/out console/node_modules $(CONSOLE) .cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis
