# make serve   run the service on this machine with the artefact that ships
# make test    run the linter, the type checker and the tests
# make help    list all targets

PYTHON  ?= python3
BIN     := .venv/bin
RUNTIME := $(shell nvidia-smi >/dev/null 2>&1 && echo gpu || echo cpu)
INSTALL := $(BIN)/python .ci/install.py -c constraints.txt
DATA    ?= $(or $(AGCNN_REALDATA),../shared/data)

.DEFAULT_GOAL := help
.PHONY: help packages serve test soak fuzz fuzz-guided bench docker-test image lint lint-js ohif types audit sbom clean

help:  ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.venv/made:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is required; name one with PYTHON=..."; exit 2; }
	@echo "Making an environment of its own in .venv, with $$($(PYTHON) --version)."
	@$(PYTHON) -m venv .venv
	@touch $@

# The stamps name the runtime, so that the packages are installed again when a GPU driver is added or removed: CPU and GPU
# builds of ONNX Runtime cannot be installed together.
SERVE := .venv/serve-$(RUNTIME)
TEST  := .venv/test-$(RUNTIME)

$(SERVE): .venv/made pyproject.toml constraints.txt
	@echo "Installing the service ($(RUNTIME)) into .venv: about 60 packages, once, in a minute or two."
	@$(BIN)/python -m pip --disable-pip-version-check -qq uninstall --yes onnxruntime onnxruntime-gpu
	@rm -f .venv/serve-* .venv/test-*
	@$(INSTALL) -e '.[$(RUNTIME)]'
	@touch $@

$(TEST): $(SERVE)
	@echo "Installing training and test tools into .venv, once, in some minutes."
	@$(INSTALL) -e '.[$(RUNTIME),train,dev]'
	@touch $@

packages: $(TEST)

serve: $(SERVE)  ## run the service on 127.0.0.1:8000
	@echo "Starting the service; Ctrl-C stops it."
	@$(BIN)/triage serve

test: lint types  ## run ruff, mypy and the tests
	$(BIN)/python -m pytest -n $${TEST_PROCESSES:-2} --dist loadfile -m "not docker and not soak"

# Each has a shorter test of its kind in `make test`; run these after a change of the export, of training or of the commands.
soak: $(TEST)  ## run the long tests that make test leaves out
	$(BIN)/python -m pytest -n $${TEST_PROCESSES:-2} --dist load -m soak

# Both go on where the last run ended; what they find is in build/fuzz and build/corpus.
HOURS ?= 1

fuzz: $(TEST)  ## send hostile inputs to the service and its acceptor for HOURS=1
	$(BIN)/python -m bench.fuzz --hours $(HOURS)

fuzz-guided: $(TEST)  ## search for hostile inputs by the branches that they take, for HOURS=1
	@$(INSTALL) -e '.[$(RUNTIME),train,dev,fuzz]'
	for target in reader store pdus; do \
	  $(BIN)/python -m tests.hostile.guided $$target -max_total_time=$$(awk 'BEGIN { print int(1200 * $(HOURS)) }') || exit 1; \
	done

# LitServe and what it needs beside our own packages, for one section; in a folder of its own, so that no other changes
build/litserve/made: .ci/litserve.txt
	@$(BIN)/python -m pip --disable-pip-version-check --quiet install --no-deps --target $(@D) -r $<
	@touch $@

bench: $(TEST) build/litserve/made  ## measure everything in bench/RESULTS.md and write it: 20 minutes, then as long for memory
	$(BIN)/python -m bench.speed --write --without "$(WITHOUT)"

docker-test: $(TEST)  ## test the images, including failures; needs a Docker engine
	$(BIN)/python -m pytest -m docker tests/docker

image:  ## build the service's image, agcnn-triage:cpu
	docker build -f docker/service.Dockerfile --build-arg REVISION=$$(git rev-parse HEAD) -t agcnn-triage:cpu .

lint: $(TEST)  ## check style and format with ruff
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(TEST)  ## check types with mypy --strict
	$(BIN)/mypy

# Node comes from PyPI, so that no other package manager is needed.
build/js/made: $(wildcard .ci/js/*)
	@$(PYTHON) -m venv --clear build/js
	@build/js/bin/python -m pip --disable-pip-version-check --quiet install -r .ci/js/node.txt
	@cp .ci/js/* build/js
	@cd build/js && PATH="$$PWD/bin:$$PATH" bin/npm ci --no-audit --no-fund --silent
	@touch $@

lint-js: build/js/made  ## check the page's JavaScript with eslint and tsc
	build/js/bin/node build/js/node_modules/eslint/bin/eslint.js --max-warnings 0 --config build/js/eslint.config.js service/web
	build/js/bin/node build/js/node_modules/typescript/bin/tsc --project .ci/js/tsconfig.json

# The package brings OHIF built; the lock file names its dependencies nowhere, so that none is installed.
build/ohif/made: build/js/made $(wildcard .ci/ohif/*)
	@mkdir -p build/ohif
	@cp .ci/ohif/* build/ohif
	@cd build/ohif && PATH="$(CURDIR)/build/js/bin:$$PATH" npm ci --ignore-scripts --no-audit --no-fund --silent
	@touch $@

ohif: build/ohif/made  ## fetch OHIF's built viewer into build/ohif, for tests/viewer and the profile viewer

build/tools/made: .ci/tools.txt
	@$(PYTHON) -m venv build/tools
	@build/tools/bin/python -m pip --disable-pip-version-check --quiet install -r .ci/tools.txt
	@touch $@

# An environment with the packages of the image and nothing else
build/runtime/made: build/tools/made pyproject.toml constraints.txt
	@$(PYTHON) -m venv --clear --without-pip build/runtime
	@$(PYTHON) docker/requirements.py cpu postgres s3 traces >build/runtime/requirements.txt
	@build/tools/bin/python -m pip --disable-pip-version-check --quiet --python build/runtime/bin/python install -c constraints.txt -r build/runtime/requirements.txt
	@touch $@

audit: build/tools/made  ## look up known vulnerabilities of the pinned packages
	@build/tools/bin/python .ci/audit.py

sbom: build/runtime/made  ## write the software bill of materials (CycloneDX) to build/sbom.cdx.json
	@build/tools/bin/cyclonedx-py environment --pyproject pyproject.toml --output-reproducible -o build/sbom.cdx.json build/runtime/bin/python
	@build/runtime/bin/python .ci/libraries.py build/sbom.cdx.json

# artefact, recipe, systems, phantoms, second-look: the trainings behind the artefact and docs/studies.md
include bench/studies.mk

clean:  ## remove the virtual environment, build outputs and caches
	rm -rf .venv build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
