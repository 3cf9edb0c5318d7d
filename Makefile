# Every target stands alone: it creates .venv when that is missing or out of date.
#   make figures [FORCE=1]   draw all figures and the HTML report      make notebooks   execute the notebooks in place
#   make test                all tests, notebooks and figure checks    make report      rebuild reports/site only
#   make lint                ruff and mypy                             make validate    longer checks (minutes)
# PYTHON   the interpreter that .venv is made from (3.11, 3.12 or 3.13)
# PIP_ARGS more arguments for pip, for example the package index that serves torch for CPU only
# Paths are relative throughout, so a checkout whose path holds spaces works.

PYTHON ?= python3
PIP_ARGS ?=
FORCE ?=
PYTEST_ARGS ?=

ifeq ($(OS),Windows_NT)
BIN := .venv/Scripts
else
BIN := .venv/bin
endif
PY := $(BIN)/python
STAMP := .venv/installed

# The same thread count gives the same bytes, and where several processes run, threads would only wait for each other;
# freed memory is kept instead of returned and faulted in again each step.
export OMP_NUM_THREADS ?= 1
export MALLOC_TRIM_THRESHOLD_ ?= 1073741824
export MALLOC_MMAP_THRESHOLD_ ?= 1073741824
export MALLOC_TOP_PAD_ ?= 67108864
# What a user configured for Jupyter, IPython, matplotlib or Python elsewhere must not change results here.
export JUPYTER_PREFER_ENV_PATH := 1
export JUPYTER_CONFIG_DIR := $(CURDIR)/.venv/var/jupyter-config
export JUPYTER_DATA_DIR := $(CURDIR)/.venv/var/jupyter-data
export IPYTHONDIR := $(CURDIR)/.venv/var/ipython
export MPLCONFIGDIR := $(CURDIR)/.venv/var/matplotlib
export PYTHONHASHSEED := 0
unexport PYTHONPATH PYTHONHOME PYTHONSTARTUP MPLBACKEND VIRTUAL_ENV

.PHONY: setup figures test notebooks report lint validate clean

figures: $(STAMP)
	"$(PY)" -m g3an figures $(if $(filter-out 0 no false,$(FORCE)),--force)

test: $(STAMP)
	"$(PY)" -m pytest tests notebooks -n logical --maxprocesses 8 --dist loadfile \
	    --nbval --nbval-sanitize-with tests/notebooks/sanitize.cfg --nbval-cell-timeout 300 $(PYTEST_ARGS)

notebooks: $(STAMP)
	"$(PY)" -m g3an.runs

report: $(STAMP)
	"$(PY)" -m g3an.report

lint: $(STAMP)
	"$(PY)" -m ruff check .
	"$(PY)" -m mypy

validate: $(STAMP)
	"$(PY)" -m pytest tests/validate_figures.py tests/validate_faces.py tests/validate_anywhere.py $(PYTEST_ARGS)

setup: $(STAMP)

# The stamp holds the checkout's path: an environment that was moved, copied or left half-made is made anew.
ifneq ($(shell cat $(STAMP) 2>/dev/null),$(CURDIR))
.PHONY: $(STAMP)
CLEAR := --clear
endif
$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 14))' || \
	    { echo 'This project needs Python 3.11, 3.12 or 3.13: make PYTHON=/path/to/python ...' >&2; exit 1; }
	@echo 'Installing into .venv (the first time takes minutes) ...'
	@$(PYTHON) -m venv $(CLEAR) .venv
	@"$(PY)" -m pip install --quiet --disable-pip-version-check --editable '.[dev]' --constraint constraints.txt $(PIP_ARGS)
	@mkdir -p .venv/var
	@printf '%s\n' '$(subst ','\'',$(CURDIR))' > "$@"

clean:
	rm -rf .venv build g3an.egg-info reports/runs reports/site .pytest_cache .ruff_cache .mypy_cache
