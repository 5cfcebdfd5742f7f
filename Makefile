# `make demo` and `make test` need Python 3.11 or later and make, nothing else. Everything they install goes to .venv.
# Every path is relative, and the tools run as `python -m`: a checkout may lie in a folder whose name has spaces.

SHELL := /bin/sh
VENV := .venv
PEERS := .venv-peers
TRAINERS := .venv-trainers
REAL := tests/mixtures/real_trainers
BIN := $(VENV)/bin/python
PIP := $(BIN) -m pip install --quiet --disable-pip-version-check -c constraints.txt
WORKERS ?= 2

.PHONY: help demo test check lint types unit search test-trainers bench bench-peers format clean distclean
.DEFAULT_GOAL := help

help:
	@echo "make demo       build the demo mixture from examples/ and look at it"
	@echo "make test       lint, types and all tests"
	@echo "make check      lint and types only"
	@echo "make search     the property tests with cases that are drawn anew"
	@echo "make bench      how fast it is, beside the alternatives, in one run"
	@echo "make bench-peers  curation beside Data-Juicer and datasketch, in an environment of their own"
	@echo "make format     let ruff format and fix"
	@echo "make clean      remove what these commands made, but not the environment"
	@echo "make distclean  remove the environment too"

demo: $(VENV)/.core
	DOIT_CACHE="$$PWD/demo/cache" $(BIN) -m doit build examples/demo.yaml demo/mixture
	DOIT_CACHE="$$PWD/demo/cache" $(BIN) -m doit inspect demo/mixture
	@echo
	@echo "The report is demo/mixture/report.html: open it in a browser."
	@echo "What was set aside is in demo/mixture/rejects.parquet, where every row went in demo/mixture/ledger.parquet."

test: check unit

check: lint types

lint: $(VENV)/.dev
	$(BIN) -m ruff check .
	$(BIN) -m ruff format --check .

types: $(VENV)/.dev
	$(BIN) -m mypy

unit: $(VENV)/.dev
	$(BIN) -m pytest -q -n $(WORKERS)

search: $(VENV)/.dev
	$(BIN) -m pytest -q -n $(WORKERS) -m hypothesis --hypothesis-profile=search

test-trainers: $(VENV)/.dev $(TRAINERS)/.made
	$(BIN) -m pytest -q tests/mixtures/test_export_trainers.py

bench: $(VENV)/.dev
	$(BIN) benchmarks/reading.py
	$(BIN) benchmarks/language.py
	$(BIN) benchmarks/near_duplicates.py
	PYTHONPATH=. $(BIN) benchmarks/contamination.py
	$(BIN) benchmarks/mixtures.py
	$(BIN) benchmarks/training.py
	$(BIN) benchmarks/tokens.py --rows 10000

bench-peers: $(VENV)/.dev $(PEERS)/.made
	$(BIN) benchmarks/peers.py --peers $(PEERS)/bin/python

format: $(VENV)/.dev
	$(BIN) -m ruff format .
	$(BIN) -m ruff check --fix .

clean:
	rm -rf demo dist build .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find doit tests benchmarks -type d -name __pycache__ -prune -exec rm -rf {} +

distclean: clean
	rm -rf $(VENV) $(PEERS) $(TRAINERS)

# aiohttp is imported by Data-Juicer and not among what it asks for.
$(PEERS)/.made: $(VENV)/.made
	$(BIN) -m venv $(PEERS)
	$(PEERS)/bin/python -m pip install --quiet --disable-pip-version-check py-data-juicer aiohttp datasketch
	@touch $@

# Two, since LLaMA-Factory and ms-swift ask for different versions of `datasets`.
$(TRAINERS)/.made: $(VENV)/.made constraints.txt $(REAL)/llamafactory.txt $(REAL)/axolotl-and-swift.txt
	@set -e; rm -f $@; \
	for trainers in llamafactory axolotl-and-swift; do \
	  echo "making $(TRAINERS)/$$trainers"; \
	  $(BIN) -m venv --clear "$(TRAINERS)/$$trainers"; \
	  install="$(TRAINERS)/$$trainers/bin/python -m pip install --quiet --disable-pip-version-check"; \
	  $$install -c constraints.txt torch; \
	  $$install --no-deps -r "$(REAL)/$$trainers.txt"; \
	done
	@touch $@

# The first Python on the path that is new enough. PYTHON=/path/to/python chooses another.
$(VENV)/.made:
	@set -e; found=""; \
	for python in "$(PYTHON)" python3.11 python3 python python3.12 python3.13 python3.14; do \
	  if [ -n "$$python" ] && "$$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; then \
	    found="$$python"; break; \
	  fi; \
	done; \
	if [ -z "$$found" ]; then \
	  echo "doit-mix needs Python 3.11 or later, and none is on the path. Try: make $(or $(MAKECMDGOALS),demo) PYTHON=/path/to/python3.11" >&2; \
	  exit 1; \
	fi; \
	if [ ! -x $(BIN) ]; then \
	  echo "making $(VENV) with $$found"; \
	  "$$found" -m venv $(VENV) || { echo "This Python cannot make environments: install its venv package (Debian: python3-venv)." >&2; exit 1; }; \
	fi; \
	touch $@

$(VENV)/.core: $(VENV)/.made pyproject.toml constraints.txt
	$(PIP) -e .
	@touch $@

$(VENV)/.dev: $(VENV)/.made pyproject.toml constraints.txt
	$(PIP) -e '.[dev]'
	@touch $(VENV)/.core $@
