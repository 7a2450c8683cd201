# The trainings behind the artefact that ships and the tables of docs/studies.md; included by the Makefile.
# Every step is kept in $(RUNS), and the same command resumes an interrupted one.

RUNS     := runs
AGCNN    := $(BIN)/agcnn
TRAIN    := $(AGCNN) train --cache $(RUNS)/cache --resume
EVALUATE := --data $(DATA)/nih-subset --cache $(RUNS)/cache --collection B
IMAGENET := --init $(DATA)/weights/squeezenet1_1_imagenet.npz
.PHONY: artefact systems phantoms recipe
.SECONDARY:

# The artefact that ships, from the real images. About an hour on two cores: make -j2 artefact
SHIPPED  := $(RUNS)/shipped
FOLDS    := 1 2 3 4
TEACHERS := $(SHIPPED)/teacher-1 $(SHIPPED)/teacher-2

artefact: service/assets/agcnn.onnx  ## train, evaluate and export the artefact that ships

$(SHIPPED)/teacher-%/run.json: | $(TEST)
	$(TRAIN) --config training/recipes/pretrained.toml --data $(DATA)/nih-128 --split train+val $(IMAGENET) --seed $* --out $(@D)

$(SHIPPED)/student/run.json: $(TEACHERS:%=%/run.json)
	$(TRAIN) --config training/recipes/pretrained.toml --data $(DATA)/nih-128 --split train+val $(IMAGENET) --seed 3 --out $(@D) \
	  $(TEACHERS:%=--teacher %) --distil 0.7

$(SHIPPED)/fold-%/run.json: $(SHIPPED)/student/run.json
	$(TRAIN) --config training/recipes/shipped.toml --data $(DATA)/nih-subset --out $(@D) --init $(<D)/network.safetensors --fold $*/4

$(SHIPPED)/final/run.json: $(SHIPPED)/student/run.json
	$(TRAIN) --config training/recipes/shipped.toml --data $(DATA)/nih-subset --out $(@D) --init $(<D)/network.safetensors --split train+val

$(SHIPPED)/final/card.json: $(SHIPPED)/final/run.json $(FOLDS:%=$(SHIPPED)/fold-%/run.json)
	$(AGCNN) evaluate $(EVALUATE) --run $(@D) $(FOLDS:%=--fold $(SHIPPED)/fold-%) --compare $(DATA)/nih-subset/chexnet_predictions.csv

service/assets/agcnn.onnx: $(SHIPPED)/final/card.json
	$(AGCNN) export --run $(<D) --data $(DATA)/nih-subset --cache $(RUNS)/cache --out $(<D)/agcnn.onnx
	$(AGCNN) typical --artefact $(<D)/agcnn.onnx --data $(DATA)/nih-subset --also $(DATA)/nih-128 --cache $(RUNS)/cache
	mv $(<D)/agcnn.onnx $@

# Variations of the default recipe, one setting changed at a time. A few minutes of one core for each: make -j2 recipe
TRIAL := --config training/recipes/pretrained.toml --data $(DATA)/nih-128 $(IMAGENET) --epochs 2,1,1 --average 0 --select best
VARIATIONS := nothing max-pooling SGD average-of-weights
CHANGE_nothing            :=
CHANGE_max-pooling        := --pooling max
CHANGE_SGD                := --optimiser sgd --schedule step --rates 1e-2,1,1 --weight-decay 1e-4
CHANGE_average-of-weights := --average 0.998

recipe: $(VARIATIONS:%=$(RUNS)/recipe/%/run.json)  ## vary the default recipe, one setting at a time
	$(BIN)/python -m bench.recipe --write

$(RUNS)/recipe/%/run.json: | $(TEST)
	$(TRAIN) $(TRIAL) $(CHANGE_$*) --out $(@D)

# Every attention system on one small budget. Six minutes of one core for each, self-attention fifteen: make -j2 systems
SYSTEMS := resnet50 densenet121 se_resnet50 se_densenet121 sasa_resnet50 hybrid_resnet50 nonlocal_resnet50
BUDGET  := --config bench/systems.toml --backbone

systems: $(SYSTEMS:%=$(RUNS)/systems/%/final/metrics.json)  ## compare the attention systems on the real images
	$(BIN)/python -m bench.systems $(RUNS)/systems --write

$(RUNS)/systems/%/final/metrics.json: | $(TEST)
	$(TRAIN) $(BUDGET) $* --data $(DATA)/nih-128 --stages global --canvas-size 64 --rates 1e-3,1,1 --out $(RUNS)/systems/$*/pretrained
	for part in "--fold 1/2 --out $(RUNS)/systems/$*/fold-1" "--fold 2/2 --out $(RUNS)/systems/$*/fold-2" "--split train+val --out $(@D)"; do \
	  $(TRAIN) $(BUDGET) $* --data $(DATA)/nih-subset --init $(RUNS)/systems/$*/pretrained/network.safetensors $$part || exit; done
	$(AGCNN) evaluate $(EVALUATE) --run $(@D) --fold $(RUNS)/systems/$*/fold-1 --fold $(RUNS)/systems/$*/fold-2 \
	  --compare $(DATA)/nih-subset/chexnet_predictions.csv

# The gain from the local branch on phantoms, whose findings are known. About 50 minutes of one core: make -j2 phantoms
PHANTOMS := --config bench/phantoms.toml --data $(RUNS)/phantoms/data
SEEDS    := 1 2 3
VARIANTS := $(foreach seed,$(SEEDS),seed-$(seed)/canvas-0.7 seed-$(seed)/input-0.7) $(foreach tau,0.5 0.6 0.8,seed-1/canvas-$(tau))

phantoms: $(VARIANTS:%=$(RUNS)/phantoms/%/run.json)  ## study the local branch on phantoms
	$(BIN)/python -m bench.phantoms --write

$(RUNS)/phantoms/data/labels.csv: | $(TEST)
	$(AGCNN) phantom --out $(@D) --count 2400 --seed 11 --size 448 --small 0.5 --workers 2 \
	  --findings Cardiomegaly,Effusion,Mass,Nodule,Pneumothorax,Consolidation

$(RUNS)/phantoms/seed-%/global/run.json: $(RUNS)/phantoms/data/labels.csv
	$(TRAIN) $(PHANTOMS) --stages global --seed $* $(IMAGENET) --out $(@D)

define variant
$(RUNS)/phantoms/$(1)/run.json: $(RUNS)/phantoms/$(dir $(1))global/run.json
	$$(TRAIN) $$(PHANTOMS) --stages local,fusion --seed $(patsubst seed-%/,%,$(dir $(1))) --init $$(<D)/network.safetensors \
	  --crop-from $(word 1,$(subst -, ,$(notdir $(1)))) --tau $(word 2,$(subst -, ,$(notdir $(1)))) --out $$(@D)
endef
$(foreach name,$(VARIANTS),$(eval $(call variant,$(name))))

# A run's document is written atomically at the end of the run, so an interrupted make must not delete it.
.PRECIOUS: $(RUNS)/%/run.json $(RUNS)/%/metrics.json $(VARIANTS:%=$(RUNS)/phantoms/%/run.json)
