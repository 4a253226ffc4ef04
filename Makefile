# Needs make and Python >= 3.11, nothing else. `make` lists what there is.
#
#   PYTHON=python3.12   the interpreter that creates .venv; for gpu, one with torch, torchvision, numpy, h5py, tqdm and pytest
#   DEVICE=cuda         what gpu computes on
#   PORT=8501           where the app listens
#   ARGS="..."          more arguments for the command of fig1, demo, test, test-slow or bench; ARGS="-n 0": tests in one process
#   PIP_FLAGS=          show all that pip says; pip's own environment variables (PIP_...) work as usual

PYTHON    ?= python3
PORT      ?= 8501
DEVICE    ?= cuda
PIP_FLAGS ?= --quiet
ARGS      ?=

# Relative, so that a folder whose path has spaces works.
PY  := .venv/bin/python
# One process per core, four at most; the tests of a file share one. In the order of the files: files
# of few tests would come last, and those of the browser, which take longest, are of few.
PYTEST := $(PY) -m pytest -n auto --maxprocesses 4 --dist loadfile --no-loadscope-reorder
PIP := $(PY) -m pip install $(PIP_FLAGS) --disable-pip-version-check

# Compiled modules are kept, as by default: the tests start hundreds of processes, and each would compile all of ours again.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help install demo fig1 app test test-slow browser check format bench gpu notebooks clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' Makefile

install: .venv/.core ## create .venv and install the project into it

demo: fig1 app ## install, compute Fig. 1 (quick preset) and show it in the browser

fig1: install ## compute Fig. 1 with the quick preset; a finished run is returned at once
	$(PY) -m landscape.compute --steps 10 $(ARGS)

app: install ## show the bundled run and your own ones in the browser
	$(PY) -m streamlit run app/main.py --server.port $(PORT) --server.headless true

test: .venv/.dev browser ## install what the tests need and run them (all but the slow ones)
	$(PYTEST) -m "not slow" $(ARGS)

test-slow: .venv/.dev browser ## run the slow tests
	$(PYTEST) -m slow $(ARGS)

check: .venv/.dev ## lint, format, types, import directions
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m mypy
	$(PY) -m pytest -q tests/test_layers.py tests/test_starts.py tests/test_project.py

format: .venv/.dev ## apply the formatter and the safe lint fixes
	$(PY) -m ruff check --fix-only --quiet .
	$(PY) -m ruff format .

bench: .venv/.dev ## run every benchmark but that of gpu
	@set -e; for script in $$(grep -l '__main__' benchmarks/*.py | grep -v gpu.py); do echo "# $$script"; \
	  $(PY) -m "benchmarks.$$(basename "$$script" .py)" $(ARGS); done

gpu: ## test and measure on a GPU with the packages of $(PYTHON); DEVICE=cpu tries it without one
	@DEVICE="$(DEVICE)" "$(PYTHON)" -m pytest -c tests/gpu/pytest.ini tests/gpu; tested=$$?; \
	OMP_NUM_THREADS=1 "$(PYTHON)" -m benchmarks.gpu --device "$(DEVICE)" $(ARGS) && exit $$tested

notebooks: .venv/.dev ## execute every notebook, small (FAST=1); the files stay as they are
	@set -e; for book in notebooks/*.ipynb; do echo "== $$book"; FAST=1 .venv/bin/jupyter-execute "$$book"; done

clean: ## remove caches and builds; keeps .venv and runs
	rm -rf build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name .venv -prune -o -name __pycache__ -type d -prune -exec rm -rf {} +

# Each step leaves a stamp, so the next call is instant; a change of pyproject.toml installs again.
.venv/.made:
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2> /dev/null || { \
	  echo "$(PYTHON) is $$("$(PYTHON)" --version 2> /dev/null || echo 'not to be found'), Python >= 3.11 is needed;" \
	    "name one with: make PYTHON=python3.12 ..." >&2; exit 1; }
	@echo "Creating .venv with $$("$(PYTHON)" --version)"
	@"$(PYTHON)" -m venv .venv || { echo "On Debian and Ubuntu: apt-get install python3-venv" >&2; exit 1; }
	@touch $@

.venv/.core: .venv/.made pyproject.toml
	@echo "Installing the project and its dependencies (on Linux PyTorch alone is 2 to 3 GB) ..."
	@$(PIP) -e .
	@touch $@

.venv/.dev: .venv/.made pyproject.toml
	@echo "Installing the project and the test tools (on Linux PyTorch, if not here yet, is 2 to 3 GB) ..."
	@$(PIP) -e ".[dev]"
	@touch $@ .venv/.core

# The browser tests drive a Chromium that is on the machine. $CHROMIUM names one that is elsewhere.
browser:
	@for name in "$$CHROMIUM" chromium chromium-browser google-chrome; do \
	  if [ -n "$$name" ] && command -v "$$name" > /dev/null; then exit 0; fi; done; \
	if command -v apt-get > /dev/null && [ "$$(id -u)" = 0 ]; then \
	  echo "Installing Chromium for the browser tests ..."; \
	  apt-get update -qq && DEBIAN_FRONTEND=noninteractive \
	    apt-get install -y -qq --no-install-recommends chromium fonts-dejavu-core > /dev/null && exit 0; \
	fi; \
	echo "No Chromium here, so the browser tests will be skipped (in CI: fail)." \
	  "Install one (Debian: apt-get install chromium) or set CHROMIUM to its path." >&2
