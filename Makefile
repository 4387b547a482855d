# One door to everything. Generated files live in build/.
# Copyright (c) 2026, gpufleet.mig contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

PYTHON ?= python3
VENV := build/venv
BIN := $(CURDIR)/$(VENV)/bin
COLLECTION := build/collections/ansible_collections/gpufleet/mig
KUBERNETES := build/collections/ansible_collections/kubernetes/core
SIMULATOR := build/simulator
# Python compiles what it imports, and tests keep that elsewhere.
PIP = $(BIN)/pip install --quiet --disable-pip-version-check --no-compile
# One more than cores: tests also wait, for hosts and clusters.
PYTEST_WORKERS ?= $(shell expr $$(nproc) + 1)

.DEFAULT_GOAL := help
.PHONY: help venv simulator demo demo-down test bench prove mutants picture changelog clean

help:
	@echo 'make demo        partition a small fleet of simulated GPUs (make demo-down ends it)'
	@echo 'make test        each behaviour once, one summary (TESTS=tests/unit for a part)'
	@echo 'make bench       what a run costs: a table, no pass or fail'
	@echo 'make prove       every test and the long ones, with their progress; docs/reliability.md gets their figures'
	@echo 'make mutants     the tests against one mistake at a time (PART=2/4 for a part)'
	@echo 'make venv        the development environment, build/venv'
	@echo 'make simulator   the simulated GPUs, build/simulator'
	@echo 'make picture     docs/picture.svg, drawn from the demo (which it starts anew)'
	@echo 'make changelog   CHANGELOG.md from changelogs/fragments'
	@echo 'make clean       end the demo and remove build'

$(VENV)/bin/pip:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10) and "gpufleet.mig needs Python 3.10 or later on this machine; $(PYTHON) is %d.%d. Name another one: make PYTHON=python3.12 ..." % sys.version_info[:2])'
	$(PYTHON) -m venv --clear $(VENV)

$(VENV)/.demo: requirements-demo.txt | $(VENV)/bin/pip
	$(PIP) -r requirements-demo.txt
	@touch $@

$(VENV)/.dev: requirements-dev.txt $(VENV)/.demo
	$(PIP) -r requirements-dev.txt
	@touch $@

$(VENV)/.prove: requirements-prove.txt $(VENV)/.dev
	$(PIP) -r requirements-prove.txt
	@touch $@

# Ansible finds a collection by its folder's name.
$(COLLECTION):
	mkdir -p $(@D)
	ln -sfn $(CURDIR) $@

# The one wheel in which the package registry has kubernetes.core, and of it that collection alone.
$(KUBERNETES)/.here: requirements-collections.txt $(VENV)/.demo
	rm -rf build/wheels $(@D)
	$(BIN)/pip download --quiet --disable-pip-version-check --no-deps --only-binary=:all: --python-version 3.12 \
	    --dest build/wheels -r requirements-collections.txt
	$(BIN)/python -c 'import sys, zipfile; wheel = zipfile.ZipFile(sys.argv[1]); \
	    wheel.extractall("build/collections", [n for n in wheel.namelist() if n.startswith(sys.argv[2])])' \
	    build/wheels/ansible-*.whl ansible_collections/kubernetes/core/
	rm -rf build/wheels
	@touch $@

venv: $(VENV)/.dev $(COLLECTION) $(KUBERNETES)/.here

# A C compiler from PyPI where the machine has none.
simulator: $(VENV)/.demo
	@command -v "$${CC:-cc}" >/dev/null || $(BIN)/python -c 'import ziglang' 2>/dev/null \
	    || $(PIP) -r requirements-compiler.txt
	@$(MAKE) --no-print-directory -C roles/mig_simulator/files BUILD='$(CURDIR)/$(SIMULATOR)' PYTHON='$(BIN)/python'

demo: $(VENV)/.demo $(COLLECTION) simulator
	@$(BIN)/python demo/demo.py up

demo-down:
	@if [ -e build/demo ]; then $(BIN)/python demo/demo.py down; fi

test: venv simulator
	$(BIN)/python -m pytest $(if $(TESTS),$(TESTS),tests) -n $(PYTEST_WORKERS)

bench: venv simulator
	@$(BIN)/python tests/bench/bench.py
	@PYTHONPATH=tests/helpers:build/collections $(BIN)/python tests/bench/planner.py
	@$(BIN)/python tests/bench/restore.py
	@$(BIN)/python tests/bench/hosts.py
	@$(BIN)/python tests/bench/fleet.py
	@$(BIN)/python tests/bench/peer.py

prove: venv simulator $(VENV)/.prove
	$(BIN)/python -m pytest $(if $(TESTS),$(TESTS),tests) -m '' -s

mutants: venv simulator
	$(BIN)/python tests/mutants/run.py $(if $(PART),--part $(PART))

picture: venv simulator
	@ANSIBLE_FORCE_COLOR=1 $(BIN)/python demo/demo.py up
	@$(BIN)/python demo/draw.py docs/picture.svg

changelog: venv
	PATH='$(BIN)':$$PATH $(BIN)/antsibull-changelog release --update-existing

clean: demo-down
	rm -rf build
