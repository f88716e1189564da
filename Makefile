# `make demo` and `make test` need Debian's make and python3-venv; everything else they fetch themselves.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
SECONDS ?=
JSON ?=
HOURS ?= 2
MINUTES ?= 10
# Most tests wait for processes and brokers more than they compute.
WORKERS ?= 4

.DEFAULT_GOAL := help
.PHONY: help demo test test-again test-all test-virtual-camera test-systemd test-documented test-arm64 test-newcomer test-deb deb sbom audit \
  fleet test-fleet prove-no-images soak fuzz bench-peers train train-estimator train-shipped-estimator lint format clean docs screenshots

help: ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 26

$(VENV)/.run: pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "edge-agender needs Python 3.11 or newer: set PYTHON=/path/to/python3.11"; exit 1; }
	@$(PYTHON) -m venv $(VENV) || { echo "python3 -m venv failed: sudo apt install python3-venv"; exit 1; }
	@echo "installing edge-agender into $(VENV): over 100 MB to fetch the first time, some minutes on a slow line ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[demo]'
	@touch $@

$(VENV)/.dev: $(VENV)/.run
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[dev]'
	@touch $@

demo: $(VENV)/.run ## watch a moving audience be counted by gender and age (SECONDS=60 stops by itself, JSON=1)
	@$(BIN)/python examples/demo.py $(if $(SECONDS),--seconds $(SECONDS)) $(if $(JSON),--json)

$(VENV)/.fleet: $(VENV)/.run
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[fleet]'
	@touch $@

fleet: $(VENV)/.fleet ## broker, collector, page and five simulated devices; counts what was lost (SECONDS=90; Mosquitto)
	@$(BIN)/python -m proofs.fleet $(if $(SECONDS),--seconds $(SECONDS))

test-fleet: $(VENV)/.dev ## the fleet under kills: Mosquitto, three NATS nodes, PostgreSQL (root builds a Debian 13 root once)
	PYTHON=$(abspath $(BIN)/python) tests/fleet/run $(if $(SHORT),short)

test: lint ## style, types and the quick tests, WORKERS= at a time: under three minutes
	$(BIN)/python -m pytest -m 'not slow' -n $(WORKERS) --dist loadfile --no-loadscope-reorder

test-again: $(VENV)/.dev ## the quick tests that failed last, one after another
	$(BIN)/python -m pytest -m 'not slow' --last-failed --last-failed-no-failures none

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

test-all: $(VENV)/.dev ## the quick tests and the slow proofs
	$(BIN)/python -m pytest

prove-no-images: $(VENV)/.dev ## run under strace, scan everything that left the process for pixels, plant a leak
	$(BIN)/python -m proofs.no_images

test-virtual-camera: ## the Pi camera's source under real picamera2 (root; builds a Debian 13 root once)
	tests/virtual_camera/run

test-systemd: $(VENV)/.run ## the unit and the package under a real systemd (root)
	PYTHON=$(abspath $(BIN)/python) tests/real_systemd/run

test-documented: ## the installation pages' commands as they stand, under a real systemd (root)
	tests/real_systemd/documented

test-deb: $(VENV)/.run ## install, upgrade, remove, purge under bookworm's and trixie's systemd (root)
	PYTHON=$(abspath $(BIN)/python) tests/real_systemd/run
	tests/real_systemd/trixie-root /var/tmp/edge-agender-trixie
	ROOT=/var/tmp/edge-agender-trixie PYTHON=$(abspath $(BIN)/python) tests/real_systemd/run

test-arm64: $(VENV)/.run ## the wheel in arm64 userlands of bookworm and trixie, emulated (root)
	PYTHON=$(abspath $(BIN)/python) tests/arm64/run

test-newcomer: ## the README followed on a bare Debian: demo, own video, first tests (root; builds a Debian 13 root)
	tests/newcomer/run

deb: $(VENV)/.run ## the Debian package for Raspberry Pi OS, into dist/
	PYTHON=$(abspath $(BIN)/python) packaging/make-deb dist arm64

$(VENV)/.release: $(VENV)/.dev
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[release]'
	@touch $@

sbom: $(VENV)/.release ## bills of materials (CycloneDX), into dist/
	PATH="$(abspath $(BIN)):$$PATH" packaging/sbom dist

audit: $(VENV)/.release ## known vulnerabilities of the locked packages
	PATH="$(abspath $(BIN)):$$PATH" packaging/audit

soak: $(VENV)/.dev ## the demo with a flapping broker for HOURS=, slopes of memory, descriptors, threads, latency
	$(BIN)/python -m proofs.soak --hours $(HOURS)

$(VENV)/.fuzz: $(VENV)/.dev
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[fuzz]'
	@touch $@

fuzz: $(VENV)/.fuzz ## configuration, commands and manifest against mutated bytes, each for MINUTES=
	$(BIN)/python -m proofs.fuzz --minutes $(MINUTES)

bench-peers: $(VENV)/.dev ## side by side with others (edge-agender models add res10, ssrnet first; MODELS= FIELD= KERAS=)
	$(BIN)/python -m benchmarks.peers $(if $(MODELS),--models $(MODELS)) $(if $(FIELD),--field $(FIELD)) $(if $(KERAS),--keras $(KERAS))

train: $(VENV)/.dev ## reproduce the detector: DATA=archives YUNET=onnx SCRFD=onnx OUT=folder; needs torch, tensorflow, onnx, onnxruntime
	PATH="$(abspath $(BIN)):$$PATH" training/run $(DATA) $(YUNET) $(SCRFD) $(OUT)

train-estimator: $(VENV)/.dev ## an estimator from labelled pictures of your own: DATA=folder OUT=folder DEVICE=cuda
	PYTHON="$(abspath $(BIN)/python)" training/train-estimator $(DATA) $(or $(OUT),training-out) $(or $(DEVICE),cpu)

train-shipped-estimator: $(VENV)/.dev ## reproduce both estimators: DATA=archives MODELS=teachers OUT=folder DEVICE=cuda
	PYTHON="$(abspath $(BIN)/python)" training/shipped-estimator $(DATA) $(MODELS) $(OUT) $(or $(DEVICE),cpu)

$(VENV)/.docs: $(VENV)/.run
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[docs]'
	@touch $@

docs: $(VENV)/.docs ## this documentation as a site, into build/site; every link and anchor checked
	PYTHONPATH=$(CURDIR) $(BIN)/mkdocs build --strict

screenshots: $(VENV)/.dev ## the pages' pictures of the status page, from the running demo (Chromium, Mosquitto)
	$(BIN)/python -m docs_tools.screenshots

format: $(VENV)/.dev ## put the style right
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

clean: ## remove what the targets above made
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis dist build
