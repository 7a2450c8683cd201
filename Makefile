# make serve   the service, on this machine, with the artefact that ships
# make test    lint, types and every test that needs no Docker engine
# make help    the rest

PYTHON  ?= python3
BIN     := .venv/bin
RUNTIME := $(shell nvidia-smi >/dev/null 2>&1 && echo gpu || echo cpu)
PIP     := $(BIN)/python -m pip --disable-pip-version-check --quiet
DATA    ?= $(or $(AGCNN_REALDATA),../shared/data)

.DEFAULT_GOAL := help
.PHONY: help serve test docker-test image lint types audit sbom clean

help:  ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.venv/made:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed; PYTHON=... names one"; exit 2; }
	@$(PYTHON) -m venv .venv
	@touch $@

# The stamps name the runtime: a machine that gains or loses its driver is installed anew, with one ONNX Runtime only.
SERVE := .venv/serve-$(RUNTIME)
TEST  := .venv/test-$(RUNTIME)

$(SERVE): .venv/made pyproject.toml constraints.txt
	@echo "installing the service ($(RUNTIME)) into .venv ..."
	@$(PIP) uninstall --yes onnxruntime onnxruntime-gpu
	@rm -f .venv/serve-* .venv/test-*
	@$(PIP) install -c constraints.txt -e '.[$(RUNTIME)]'
	@touch $@

$(TEST): $(SERVE)
	@echo "installing training and test tools into .venv ..."
	@$(PIP) install -c constraints.txt -e '.[$(RUNTIME),train,dev]'
	@touch $@

serve: $(SERVE)  ## run the service on 127.0.0.1:8000
	@$(BIN)/triage serve

test: lint types  ## lint, types, tests
	$(BIN)/python -m pytest -n $${TEST_PROCESSES:-2} --dist loadfile -m "not docker"

docker-test: $(TEST)  ## build the images, run them, break them; needs a Docker engine
	$(BIN)/python -m pytest -m docker tests/docker

image:  ## the service's image, agcnn-triage:cpu
	docker build -f docker/service.Dockerfile --build-arg REVISION=$$(git rev-parse HEAD) -t agcnn-triage:cpu .

lint: $(TEST)  ## ruff
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(TEST)  ## mypy --strict
	$(BIN)/mypy

build/tools/made: .ci/tools.txt
	@$(PYTHON) -m venv build/tools
	@build/tools/bin/python -m pip --disable-pip-version-check --quiet install -r .ci/tools.txt
	@touch $@

# What the image is made of, and nothing else
build/runtime/made: build/tools/made pyproject.toml constraints.txt
	@$(PYTHON) -m venv --clear --without-pip build/runtime
	@$(PYTHON) docker/requirements.py cpu postgres >build/runtime/requirements.txt
	@build/tools/bin/python -m pip --disable-pip-version-check --quiet --python build/runtime/bin/python install -c constraints.txt -r build/runtime/requirements.txt
	@touch $@

audit: build/tools/made  ## known vulnerabilities of the pinned packages
	@build/tools/bin/python .ci/audit.py

sbom: build/runtime/made  ## build/sbom.cdx.json: what the service is made of (CycloneDX)
	@build/tools/bin/cyclonedx-py environment --pyproject pyproject.toml --output-reproducible -o build/sbom.cdx.json build/runtime/bin/python
	@echo "build/sbom.cdx.json: $$(grep -c '"bom-ref"' build/sbom.cdx.json) components"

# artefact, recipe, systems, phantoms: the trainings behind the artefact and docs/studies.md
include bench/studies.mk

clean:  ## remove the virtual environment and caches
	rm -rf .venv build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
