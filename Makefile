# SPDX-License-Identifier: Apache-2.0
# One word each: setup, demo, demo-mono, test, test-slow, check, bench, accuracy, config, pictures. All but setup run it first.
PYTHON ?= python3
EXTRAS ?= ros,bag,dev
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.PHONY: setup demo demo-mono test test-slow check bench accuracy config pictures clean

setup: $(READY)

# torch first and exact, so that nothing pulls another build of it.
$(READY): setup.py
	$(PYTHON) -m venv $(VENV)
	.ci/install_torch $(BIN)/python 2.13.0
	@echo "setup: installing vizion3d with $(EXTRAS) into $(VENV), which takes some minutes; 1.7 GB in all with torch for the CPU"
	$(BIN)/pip install --quiet --editable ".[$(EXTRAS)]"
	touch $@

# make demo                                             synthetic camera
# make demo BAG=folder LEFT=/stereo/left RIGHT=/stereo/right      a rosbag2 recording
# make demo VIEW=1                                      live in Foxglove or Lichtblick, until Ctrl-C
demo: $(READY)
	$(BIN)/python -m vizion3d_ros.demo $(if $(BAG),--bag $(BAG)) $(if $(LEFT),--left $(LEFT)) $(if $(RIGHT),--right $(RIGHT)) \
		$(if $(RATE),--rate $(RATE)) $(if $(MODEL),--model $(MODEL)) $(if $(VIEW),--view)

# make demo-mono WEIGHTS=file-or-name IMAGE=picture, or BAG=folder LEFT=/camera (namespace of image_raw and camera_info)
demo-mono: $(READY)
	$(BIN)/python -m vizion3d_ros.demo --mono $(or $(WEIGHTS),depth-anything-v2-small) $(if $(IMAGE),--image $(IMAGE)) \
		$(if $(BAG),--bag $(BAG)) $(if $(LEFT),--left $(LEFT))

# More processes than cores, since the tests of nodes wait more than they compute.
test: $(READY)
	$(BIN)/python -m pytest -n 3 --dist worksteal

# What takes a minute or more: compiling and exporting networks.
test-slow: $(READY)
	$(BIN)/python -m pytest -m slow

check: $(READY)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/mypy --strict --follow-imports=silent test/typed_consumer.py
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

# What is to be reached beside what is measured here, and the ceiling; some minutes.
bench: $(READY)
	$(BIN)/python -m bench

# How right depth is, on real and drawn pairs: docs/accuracy.md.
accuracy: $(READY)
	$(BIN)/python -m bench.accuracy --out docs/accuracy.md

# The YAML files of the nodes and docs/options.md, from the dataclasses that own the options; layouts/ from the topics of
# the nodes; THIRD_PARTY.md from the registry.
config: $(READY)
	$(BIN)/python -m vizion3d_ros.settings
	$(BIN)/python -m vizion3d_ros.view.layout
	$(BIN)/python -m vizion3d.weights.terms

# docs/images, from drawn scenes.
pictures: $(READY)
	$(BIN)/python docs/pictures.py

clean:
	rm -rf $(VENV) build install log demo_out *.egg-info
