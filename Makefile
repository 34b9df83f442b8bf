# Two commands for newcomers: `make demo` and `make test`. Each does all its own set-up.
PYTHON ?= python3
VENV := .venv
LITERT := .venv-litert
RIVALS := .venv-bench
BIN := $(VENV)/bin
# A CPU or CUDA build of torch from an index of your choice, for example TORCH_INDEX=https://…/whl/cpu
TORCH_INDEX ?=
SIDE_BY_SIDE := $(addprefix tests/,conformance/test_runtime.py data devices export models search service store)
export PIP_DISABLE_PIP_VERSION_CHECK = 1

.DEFAULT_GOAL := help
.PHONY: help demo test test-arm test-faults lint format schema litert sshd beds bench-measuring bench-board bench-boards bench-fleet bench-data bench-subset bench-accuracy bench-distil bench-training clean

help: ## Show this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  make \1\t/' | expand -t 26

demo: $(VENV)/.demo ## Run the main job on this computer: data, search, front, student
	NAS_HOME=$${NAS_HOME:-$(CURDIR)/.nas} $(BIN)/nas demo

# Whole services and boards, and what looks at this computer itself, run alone; the other rooms two tests at a time.
test: $(VENV)/.dev $(LITERT)/.ready sshd beds ## Run the tests
	@OMP_NUM_THREADS=1 $(BIN)/python -m pytest --cache-clear -n 2 --dist loadscope $(SIDE_BY_SIDE); first=$$?; \
	  $(BIN)/python -m pytest $(addprefix --ignore=,$(SIDE_BY_SIDE)); second=$$?; \
	  test "$$first $$second" = "0 0" && echo "Both runs have passed." || \
	  { echo "Exit codes: $$first side by side, $$second alone. What failed in either:"; \
	    $(BIN)/python -m pytest --cache-show cache/lastfailed; exit 1; }

test-arm: $(VENV)/.dev sshd ## Run the tests on an emulated Arm board (needs root; its system is kept in /var/cache/edge-nas)
	@command -v qemu-aarch64-static >/dev/null || test "$$(uname -m)" = aarch64 || { $(call APT,qemu-user-static); } || true
	$(BIN)/python -m tests.arm.root
	$(BIN)/python -m pytest -m arm tests/arm

test-faults: $(VENV)/.dev sshd beds ## Break links, boards, controllers and databases in the middle of searches
	$(BIN)/python -m pytest -m faults

lint: $(VENV)/.dev ## Run the linters, type checks and import contracts
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/vermin --no-tips --violations -t=3.8- device_agents nas/export/predict.py

format: $(VENV)/.dev ## Format the code
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

schema: $(VENV)/.dev ## Write the JSON schema of search spaces anew
	$(BIN)/nas space schema > search_spaces/schema.json

litert: $(LITERT)/.ready ## Install LiteRT's converter into an environment of its own (2 GB)

bench-measuring: $(VENV)/.dev sshd ## Measure what a candidate costs over SSH, beside its own run time
	$(BIN)/python -m tests.benchmarks.measuring

bench-board: $(VENV)/.dev ## Measure on a board of your own: HOST=… [USER= KEY= PORT= NAME= WHEEL= FINGERPRINT=]
	@test -n "$(HOST)" || { echo "Name the board: make bench-board HOST=192.168.1.40 USER=pi" >&2; exit 2; }
	$(BIN)/python -m tests.benchmarks.board "$(HOST)" $(if $(filter command,$(origin USER)),--user "$(USER)") $(if $(KEY),--key "$(KEY)") \
	  $(if $(PORT),--port "$(PORT)") $(if $(NAME),--name "$(NAME)") $(if $(WHEEL),--wheel "$(WHEEL)") \
	  $(if $(FINGERPRINT),--fingerprint "$(FINGERPRINT)")

bench-boards: $(VENV)/.dev sshd ## Search on an emulated Arm board and an x86 board together (needs root)
	@command -v qemu-aarch64-static >/dev/null || test "$$(uname -m)" = aarch64 || { $(call APT,qemu-user-static); } || true
	$(BIN)/python -m tests.benchmarks.two_boards

bench-fleet: $(VENV)/.dev sshd ## Drive 1,000 devices from one controller, 100 of them over real SSH
	$(BIN)/python -m tests.benchmarks.fleet

bench-data: $(VENV)/.dev ## Check a sales table of 44 million rows
	$(BIN)/python -m tests.benchmarks.data

bench-subset: $(VENV)/.dev ## Rank architectures on subsets of the series and on all of them: [ROSSMANN=folder]
	$(if $(ROSSMANN),ROSSMANN="$(abspath $(ROSSMANN))") $(BIN)/python -m tests.benchmarks.subset

bench-accuracy: $(VENV)/.dev $(RIVALS)/.ready ## Compare accuracy and cost with LightGBM and others: [ROSSMANN=folder ONLY=… BUDGET=s SERIES=n WORK=…]
	ROSSMANN="$(ROSSMANN)" ONLY="$(ONLY)" BUDGET="$(BUDGET)" SERIES="$(SERIES)" WORK="$(WORK)" $(BIN)/python -m tests.benchmarks.accuracy

bench-distil: $(VENV)/.dev $(RIVALS)/.ready ## Distil students from a 2x512 LSTM and from LightGBM: ROSSMANN=folder
	ROSSMANN="$(ROSSMANN)" $(BIN)/python -m tests.benchmarks.distillation

bench-training: $(VENV)/.dev ## Time a step of training, with and without torch.compile: [ROSSMANN=folder]
	ROSSMANN="$(ROSSMANN)" $(BIN)/python -m tests.benchmarks.training

clean: ## Remove the virtual environment and what the demo wrote
	rm -rf $(VENV) $(LITERT) $(RIVALS) .nas build *.egg-info

$(VENV)/.%: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "Python 3.11 or newer is needed, found $$($(PYTHON) --version); choose one with make PYTHON=python3.12" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { $(call APT,python3-venv); }
	$(PYTHON) -m venv $(VENV)
	@echo "Installing into $(VENV); this takes a minute or two"
	$(if $(TORCH_INDEX),$(BIN)/python -m pip install -q --index-url $(TORCH_INDEX) -c constraints.txt torch)
	$(BIN)/python -m pip install -q -c constraints.txt -e '.[$*]'
	@touch $@

$(LITERT)/.ready: constraints-litert.txt
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { $(call APT,python3-venv); }
	$(PYTHON) -m venv $(LITERT)
	@echo "Installing LiteRT's converter into $(LITERT); this takes a minute or two"
	$(if $(TORCH_INDEX),$(LITERT)/bin/python -m pip install -q --index-url $(TORCH_INDEX) -c constraints-litert.txt torch)
	$(LITERT)/bin/python -m pip install -q -c constraints-litert.txt litert-torch
	@touch $@

$(RIVALS)/.ready: constraints-bench.txt
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { $(call APT,python3-venv); }
	$(PYTHON) -m venv $(RIVALS)
	@echo "Installing what we are compared with into $(RIVALS); this takes some minutes"
	$(if $(TORCH_INDEX),$(RIVALS)/bin/python -m pip install -q --index-url $(TORCH_INDEX) -c constraints-bench.txt torch)
	$(RIVALS)/bin/python -m pip install -q -c constraints-bench.txt lightgbm neuralforecast optuna statsforecast
	@touch $@

sshd:
	@command -v sshd >/dev/null || test -x /usr/sbin/sshd || { $(call APT,openssh-server); } || true

beds: # what the boards in network namespaces and the tests' own PostgreSQL are made of
	@{ command -v ip && command -v nft && ls /usr/lib/postgresql/*/bin/initdb; } >/dev/null 2>&1 || \
	  { $(call APT,iproute2 nftables postgresql); } || true

# Install a Debian package where that is allowed, else say what is missing.
define APT
  if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
    apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $(1) >/dev/null; \
  elif command -v apt-get >/dev/null && sudo -n true 2>/dev/null; then \
    sudo -n -E apt-get update -qq && sudo -n -E apt-get install -y -qq --no-install-recommends $(1) >/dev/null; \
  else \
    echo "$(1) is not installed and may not be installed from here: ask for it (apt-get install $(1)); going on without" >&2; \
    false; \
  fi
endef
