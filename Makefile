# make serve   run the service on this machine with the artefact that ships
# make test    run the linter, the type checker and all tests that need no Docker engine
# make help    list all targets

PYTHON  ?= python3
BIN     := .venv/bin
RUNTIME := $(shell nvidia-smi >/dev/null 2>&1 && echo gpu || echo cpu)
PIP     := $(BIN)/python -m pip --disable-pip-version-check --quiet
DATA    ?= $(or $(AGCNN_REALDATA),../shared/data)

.DEFAULT_GOAL := help
.PHONY: help serve test docker-test image lint lint-js types audit sbom clean

help:  ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.venv/made:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is required; name one with PYTHON=..."; exit 2; }
	@$(PYTHON) -m venv .venv
	@touch $@

# The stamps name the runtime, so that the packages are installed again when a GPU driver is added or removed: CPU and GPU
# builds of ONNX Runtime cannot be installed together.
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

test: lint types  ## run ruff, mypy and the tests
	$(BIN)/python -m pytest -n $${TEST_PROCESSES:-2} --dist loadfile -m "not docker"

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

build/tools/made: .ci/tools.txt
	@$(PYTHON) -m venv build/tools
	@build/tools/bin/python -m pip --disable-pip-version-check --quiet install -r .ci/tools.txt
	@touch $@

# An environment with the packages of the image and nothing else
build/runtime/made: build/tools/made pyproject.toml constraints.txt
	@$(PYTHON) -m venv --clear --without-pip build/runtime
	@$(PYTHON) docker/requirements.py cpu postgres >build/runtime/requirements.txt
	@build/tools/bin/python -m pip --disable-pip-version-check --quiet --python build/runtime/bin/python install -c constraints.txt -r build/runtime/requirements.txt
	@touch $@

audit: build/tools/made  ## look up known vulnerabilities of the pinned packages
	@build/tools/bin/python .ci/audit.py

sbom: build/runtime/made  ## write the software bill of materials (CycloneDX) to build/sbom.cdx.json
	@build/tools/bin/cyclonedx-py environment --pyproject pyproject.toml --output-reproducible -o build/sbom.cdx.json build/runtime/bin/python
	@echo "build/sbom.cdx.json: $$(grep -c '"bom-ref"' build/sbom.cdx.json) components"

RUNS  := runs
AGCNN := $(BIN)/agcnn
TRAIN := $(AGCNN) train --cache $(RUNS)/cache --resume
JUDGE := --data $(DATA)/nih-subset --cache $(RUNS)/cache --collection B
BEGIN := --init $(DATA)/weights/squeezenet1_1_imagenet.npz
.PHONY: artefact systems phantoms recipe
.SECONDARY:

# The artefact that ships, from the real images; each step is kept, and an interrupted one goes on where it stopped.
# About an hour on two cores: make -j2 artefact
SHIPPED  := $(RUNS)/shipped
FOLDS    := 1 2 3 4
TEACHERS := $(SHIPPED)/teacher-1 $(SHIPPED)/teacher-2

artefact: service/assets/agcnn.onnx  ## train, evaluate and export the artefact that ships

$(SHIPPED)/teacher-%/run.json: | $(TEST)
	$(TRAIN) --config training/recipes/pretrained.toml --data $(DATA)/nih-128 --split train+val $(BEGIN) --seed $* --out $(@D)

$(SHIPPED)/student/run.json: $(TEACHERS:%=%/run.json)
	$(TRAIN) --config training/recipes/pretrained.toml --data $(DATA)/nih-128 --split train+val $(BEGIN) --seed 3 --out $(@D) \
	  $(TEACHERS:%=--teacher %) --distil 0.7

$(SHIPPED)/fold-%/run.json: $(SHIPPED)/student/run.json
	$(TRAIN) --config training/recipes/shipped.toml --data $(DATA)/nih-subset --out $(@D) --init $(<D)/network.safetensors --fold $*/4

$(SHIPPED)/final/run.json: $(SHIPPED)/student/run.json
	$(TRAIN) --config training/recipes/shipped.toml --data $(DATA)/nih-subset --out $(@D) --init $(<D)/network.safetensors --split train+val

$(SHIPPED)/final/card.json: $(SHIPPED)/final/run.json $(FOLDS:%=$(SHIPPED)/fold-%/run.json)
	$(AGCNN) evaluate $(JUDGE) --run $(@D) $(FOLDS:%=--fold $(SHIPPED)/fold-%) --compare $(DATA)/nih-subset/chexnet_predictions.csv

service/assets/agcnn.onnx: $(SHIPPED)/final/card.json
	$(AGCNN) export --run $(<D) --data $(DATA)/nih-subset --cache $(RUNS)/cache --out $(<D)/agcnn.onnx
	$(AGCNN) typical --artefact $(<D)/agcnn.onnx --data $(DATA)/nih-subset --also $(DATA)/nih-128 --cache $(RUNS)/cache
	mv $(<D)/agcnn.onnx $@

# One thing changed at a time, for docs/studies.md. A few minutes of one core for each: make -j2 recipe
TRIAL := --config training/recipes/pretrained.toml --data $(DATA)/nih-128 $(BEGIN) --epochs 2,1,1 --average 0 --select best
TRIED := nothing max-pooling SGD average-of-weights
CHANGE_nothing            :=
CHANGE_max-pooling        := --pooling max
CHANGE_SGD                := --optimiser sgd --schedule step --rates 1e-2,1,1 --weight-decay 1e-4
CHANGE_average-of-weights := --average 0.998

recipe: $(TRIED:%=$(RUNS)/recipe/%/run.json)  ## try what the default recipe is made of
	$(BIN)/python -m bench.recipe --write

$(RUNS)/recipe/%/run.json: | $(TEST)
	$(TRAIN) $(TRIAL) $(CHANGE_$*) --out $(@D)

# Every system by one small budget, for docs/studies.md. Six minutes of one core for each, self-attention fifteen: make -j2 systems
SYSTEMS := resnet50 densenet121 se_resnet50 se_densenet121 sasa_resnet50 hybrid_resnet50 nonlocal_resnet50
BUDGET  := --config bench/systems.toml --backbone

systems: $(SYSTEMS:%=$(RUNS)/systems/%/final/metrics.json)  ## compare the attention systems on the real images
	$(BIN)/python -m bench.systems $(RUNS)/systems --write

$(RUNS)/systems/%/final/metrics.json: | $(TEST)
	$(TRAIN) $(BUDGET) $* --data $(DATA)/nih-128 --stages global --canvas-size 64 --rates 1e-3,1,1 --out $(RUNS)/systems/$*/pretrained
	for part in "--fold 1/2 --out $(RUNS)/systems/$*/fold-1" "--fold 2/2 --out $(RUNS)/systems/$*/fold-2" "--split train+val --out $(@D)"; do \
	  $(TRAIN) $(BUDGET) $* --data $(DATA)/nih-subset --init $(RUNS)/systems/$*/pretrained/network.safetensors $$part || exit; done
	$(AGCNN) evaluate $(JUDGE) --run $(@D) --fold $(RUNS)/systems/$*/fold-1 --fold $(RUNS)/systems/$*/fold-2 \
	  --compare $(DATA)/nih-subset/chexnet_predictions.csv

# What looking closer is worth where the truth is known, for docs/studies.md. About half an hour of one core: make -j2 phantoms
LOOK     := --config bench/phantoms.toml --data $(RUNS)/phantoms/data
SEEDS    := 1 2 3
VARIANTS := $(foreach seed,$(SEEDS),seed-$(seed)/canvas-0.7 seed-$(seed)/input-0.7) $(foreach tau,0.5 0.6 0.8,seed-1/canvas-$(tau))

phantoms: $(VARIANTS:%=$(RUNS)/phantoms/%/run.json)  ## study the second look on phantoms
	$(BIN)/python -m bench.phantoms --write

$(RUNS)/phantoms/data/labels.csv: | $(TEST)
	$(AGCNN) phantom --out $(@D) --count 2400 --seed 11 --size 448 --small 0.5 --workers 2 \
	  --findings Cardiomegaly,Effusion,Mass,Nodule,Pneumothorax,Consolidation

$(RUNS)/phantoms/seed-%/global/run.json: $(RUNS)/phantoms/data/labels.csv
	$(TRAIN) $(LOOK) --stages global --seed $* $(BEGIN) --out $(@D)

define variant
$(RUNS)/phantoms/$(1)/run.json: $(RUNS)/phantoms/$(dir $(1))global/run.json
	$$(TRAIN) $$(LOOK) --stages local,fusion --seed $(patsubst seed-%/,%,$(dir $(1))) --init $$(<D)/network.safetensors \
	  --crop-from $(word 1,$(subst -, ,$(notdir $(1)))) --tau $(word 2,$(subst -, ,$(notdir $(1)))) --out $$(@D)
endef
$(foreach one,$(VARIANTS),$(eval $(call variant,$(one))))

# A run's document is written whole at its end: an interrupted make shall not take it away.
.PRECIOUS: $(RUNS)/%/run.json $(RUNS)/%/metrics.json $(VARIANTS:%=$(RUNS)/phantoms/%/run.json)

clean:  ## remove the virtual environment, build outputs and caches
	rm -rf .venv build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
