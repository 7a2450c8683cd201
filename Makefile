# make serve   the service, on this machine, with the artefact that ships
# make test    lint, types and every test, as CI runs them
# make help    the rest

PYTHON  ?= python3
BIN     := .venv/bin
RUNTIME := $(shell nvidia-smi >/dev/null 2>&1 && echo gpu || echo cpu)
PIP     := $(BIN)/python -m pip --disable-pip-version-check --quiet
DATA    ?= $(or $(AGCNN_REALDATA),../shared/data)

.DEFAULT_GOAL := help
.PHONY: help serve test lint types bench clean

help:  ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.venv/made:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed; PYTHON=... names one"; exit 2; }
	@$(PYTHON) -m venv .venv
	@touch $@

.venv/serve: .venv/made pyproject.toml constraints.txt
	@echo "installing the service ($(RUNTIME)) into .venv ..."
	@$(PIP) install -c constraints.txt -e '.[$(RUNTIME)]'
	@touch $@

.venv/test: .venv/serve
	@echo "installing training and test tools into .venv ..."
	@$(PIP) install -c constraints.txt -e '.[$(RUNTIME),train,dev]'
	@touch $@

serve: .venv/serve  ## run the service on 127.0.0.1:8000
	@$(BIN)/triage serve

test: lint types  ## lint, types, tests
	$(BIN)/python -m pytest -n $${TEST_PROCESSES:-2} --dist loadfile

lint: .venv/test  ## ruff
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: .venv/test  ## mypy --strict
	$(BIN)/mypy

clean:  ## remove the virtual environment and caches
	rm -rf .venv build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
