# Every command of the project. `make` alone lists them.
SHELL := /bin/bash
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.NOTPARALLEL:

VENV := build/venv
BIN := $(CURDIR)/$(VENV)/bin
PYTHON := $(BIN)/python
NPM := tools/npm.sh
STEP := tools/step.sh
# What opens the Docker Engine's socket or the packet filter is root's: as it is for root, through sudo for others.
AS_ROOT := tools/as-root.sh
PLATFORM := $(AS_ROOT) $(BIN)/himalia-platform
SET_UP = @test -x $(BIN)/himalia-platform || { echo "Nothing is set up in this directory yet: \`make demo\` or \`make up\` does that."; exit 1; }
IMAGE ?= himalia/server:dev
GPU_IMAGE ?= himalia/gpu:dev
# A PORT of the environment means something else.
ifneq ($(origin PORT),command line)
PORT :=
endif
PYTEST := $(PYTHON) -m pytest
PACKAGES := ca-certificates gcc libc6-dev python3 python3-venv iptables
LAB_SOURCES := $(shell find labextension/src labextension/style labextension/schema -type f 2>/dev/null) labextension/package.json labextension/tsconfig.json

.PHONY: help demo up down status install purge test unit lint pictures bench simulate figures isolation campaign test-gpu images gpu-image docker lock docs clean setup

help:  ## show this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

demo:  ## set up everything here, start the platform and run a first job on it (PORT=8010: on another port)
	@IMAGE=$(IMAGE) tools/announce.sh "$(PORT)" $(PACKAGES)
	@$(MAKE) --no-print-directory setup
	@$(PLATFORM) demo $(if $(PORT),--port $(PORT))

up: setup  ## start the platform (proxy, hub, job service) with data/himalia.toml
	@$(PLATFORM) up

down:  ## stop proxy, hub and job service; servers and jobs run on
	$(SET_UP)
	@$(PLATFORM) down

status:  ## say what runs
	$(SET_UP)
	@$(PLATFORM) status

install: setup  ## write and enable systemd units, so that the platform starts with the machine
	@$(PLATFORM) install

purge:  ## remove the platform and, after asking, all its data
	$(SET_UP)
	@$(PLATFORM) purge

test: setup build/test-tools.stamp lint  ## run all tests (needs root or sudo; starts a Docker Engine if none runs)
	@$(STEP) "tests" $(AS_ROOT) tools/leftovers.sh tools/tests.sh $(PYTHON) -q -n 2 --dist loadscope -m 'not gpu' tests

unit: build/editable.stamp build/launcher/himalia-launcher  ## run the tests that need no Docker (seconds)
	@$(PYTEST) -q tests/unit tests/test_architecture.py

lint: build/venv.stamp build/npm.stamp  ## check style and types: ruff, mypy, eslint, prettier, tsc
	@$(STEP) "ruff" $(BIN)/ruff check -q .
	@$(STEP) "ruff format" $(BIN)/ruff format -q --check .
	@$(STEP) "mypy" $(BIN)/mypy
	@$(STEP) "eslint, prettier, tsc" $(NPM) labextension run --silent lint

pictures: setup build/test-tools.stamp  ## take the pictures of the docs anew, in a real browser
	@HIMALIA_SCREENSHOTS=1 $(AS_ROOT) $(PYTEST) -q tests/browser

bench: setup  ## measure speed against the goals, both sides in one run (GOALS="G1 G4": only these; SCALE=0.2: smaller)
	@$(AS_ROOT) $(PYTHON) benchmarks/run.py $(GOALS) $(if $(SCALE),--scale $(SCALE))

simulate: build/editable.stamp  ## replay months of notebooks and jobs through the queue's policy, in virtual time (half an hour; with GPUS=8 five minutes)
	@PYTHONPATH=benchmarks $(PYTHON) -m simulate $(foreach gpus,$(GPUS),--gpus $(gpus)) --json build/simulation.json --pictures docs/images

figures: build/venv.stamp  ## count the lines of source and tests, the longest modules, import cycles
	@$(PYTHON) tools/figures.py

isolation: setup build/test-tools.stamp build/engines/trixie.stamp  ## show what containers see of GPUs, by each way to give them
	@$(AS_ROOT) env PYTHONPATH=tests/support:tests/fakes $(PYTHON) tools/isolation_table.py

campaign: setup build/test-tools.stamp build/engines/trixie.stamp  ## long runs of faults, with a table of what came of them (two hours)
	@HIMALIA_CAMPAIGN=1 $(AS_ROOT) $(PYTEST) -q -s tests/faults tests/unit/jobs/test_recovery_steps.py \
	  tests/unit/jobs/test_recovery_chaos.py tests/unit/jobs/test_cancel_races.py tests/unit/jobs/test_ledger_histories.py \
	  tests/integration/jobs/test_isolation.py

test-gpu: build/venv.stamp  ## tests on a machine with an NVIDIA GPU
	@$(PYTEST) -q -m gpu tests/gpu

setup: build/apt.stamp docker build/venv.stamp build/editable.stamp build/proxy.stamp build/launcher/himalia-launcher images

docker:
	@$(STEP) "docker engine" tools/docker-up.sh

images: docker build/venv.stamp build/lab.stamp  ## build the container images
	@$(STEP) "wheel" images/server/wheel.sh
	@$(STEP) "images" images/server/build.sh $(IMAGE)

gpu-image: images  ## build himalia/gpu: PyTorch with CUDA on our image (3 GB to fetch, 7 GB to keep)
	@$(STEP) "gpu image" images/gpu/build.sh $(GPU_IMAGE) $(IMAGE)

lock: build/venv.stamp  ## write the locks of the Python packages anew
	@requirements/lock.sh

docs: build/editable.stamp  ## write the generated pages of docs/reference anew
	@$(PYTHON) docs/generate.py

clean:  ## remove what was built here (not images, not data)
	$(AS_ROOT) rm -rf build labextension/dist labextension/lib labextension/node_modules proxy/node_modules himalia.egg-info

build/apt.stamp: tools/apt.sh
	@mkdir -p build
	@$(STEP) "debian packages" tools/apt.sh $(PACKAGES)
	@touch $@

build/test-tools.stamp: tools/apt.sh
	@mkdir -p build
	@$(STEP) "debian packages for tests" tools/apt.sh chromium busybox-static e2fsprogs fonts-dejavu-core iproute2 systemd
	@touch $@

# A newer Docker Engine, for tests of CDI.
build/engines/%.stamp: tools/newer-engine.sh
	@$(STEP) "docker engine of $*" tools/newer-engine.sh $* build/engines/$*
	@touch $@

build/venv.stamp: requirements/host.txt tools/venv.sh | build/apt.stamp
	@$(STEP) "python packages" tools/venv.sh
	@touch $@

build/npm.stamp: labextension/package.json labextension/package-lock.json | build/venv.stamp
	@$(STEP) "npm packages" $(NPM) labextension ci --no-audit --no-fund --loglevel=error
	@touch $@

build/lab.stamp: build/npm.stamp $(LAB_SOURCES)
	@$(STEP) "lab extension" $(NPM) labextension run --silent build
	@touch $@

build/proxy.stamp: proxy/package.json proxy/package-lock.json | build/venv.stamp
	@$(STEP) "proxy" $(NPM) proxy ci --no-audit --no-fund --loglevel=error
	@touch $@

build/editable.stamp: setup.py pyproject.toml build/venv.stamp build/lab.stamp
	@$(STEP) "our own packages" $(BIN)/pip install -qq --disable-pip-version-check --no-build-isolation --no-deps -e .
	@touch $@

build/launcher/himalia-launcher: $(wildcard jobs/launcher/*.[ch])
	@mkdir -p build/launcher
	@$(MAKE) -s -C jobs/launcher
