# One entry for everything. Every target works from a fresh clone with Python 3.11+, make and git:
# the virtual environment is made on first use.
#   make demo    the main job on real input, in under a minute
#   make test    every test that this machine can run
#   make check   format, lint, types, import rules, buf lint, unit tests; under a minute
#   make bench   the figures of docs/benchmarks.md
.DEFAULT_GOAL := help
SHELL := /bin/sh
PYTHON ?= $(shell for p in python3 python3.11 python3.12 python3.13 python3.14; do \
  command -v $$p >/dev/null 2>&1 && $$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
VENV ?= .venv
BIN := $(VENV)/bin
PROTO := $(wildcard proto/kaged/api/v1/*.proto)
JOBS ?= auto
# Code in documents is laid out for people.
FORMAT := $(BIN)/ruff format --exclude '*.md' --exclude .venv

.PHONY: help demo test check format proto breaking bench run search test-agents torture torture-sweep torture-points dist test-dist test-onefile clean
help: ## show the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

$(VENV)/.ready: pyproject.toml constraints.txt
	@test -n "$(PYTHON)" || { echo "Kage needs Python 3.11 or newer on PATH (or make PYTHON=/path/to/python3)" >&2; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "installing Kage and its tools into $(VENV) (once, a minute or two)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $@

demo: $(VENV)/.ready ## run real agents in a real repository, kill the daemon in the middle, lose nothing
	@$(BIN)/python -m tests.demo

test: $(VENV)/.ready ## every test this machine can run
	@$(BIN)/python -m pytest -n $(JOBS) --dist worksteal tests

check: $(VENV)/.ready ## format, lint, types, import rules, buf lint, unit and contract tests
	@$(FORMAT) --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-timing-info 2>/dev/null || $(BIN)/lint-imports
	@$(BIN)/buf lint proto
	@# The same examples each time, and no time limit for one: a gate. Chance searches in `make test`.
	@$(BIN)/python -m pytest -q -n $(JOBS) --dist worksteal --hypothesis-profile=ci tests/unit tests/contract

format: $(VENV)/.ready ## write the format and the safe fixes
	@$(BIN)/ruff check --fix-only --quiet .
	@$(FORMAT) --quiet .

proto: $(VENV)/.ready ## generate kaged/api from proto/
	@$(BIN)/python -m tests.protogen kaged/api/v1

breaking: $(VENV)/.ready ## compare proto/ with the last released image
	@$(BIN)/buf breaking proto --against proto/released.binpb

bench: $(VENV)/.ready ## measure what docs/benchmarks.md shows
	@$(BIN)/python -m tests.bench

run: $(VENV)/.ready ## start a daemon on a throw-away state folder
	@state=$$(mktemp -d) && echo "state: $$state" && exec $(BIN)/kaged --state-dir $$state --socket $$state/kaged.sock

test-agents: $(VENV)/.ready ## drive the real agent programs against a scripted model (installs them, 1.1 GB)
	@test tests/agents/cli/node_modules/.package-lock.json -nt tests/agents/cli/package-lock.json || (cd tests/agents/cli && npm ci --silent) || \
	  echo "NOT INSTALLED: the agent programs. Their tests are SKIPPED, NOT PROVED." >&2
	@$(BIN)/python -m pytest -n $(JOBS) --dist worksteal -ra tests/agents

SEARCH ?= 20
search: $(VENV)/.ready ## a night's search by chance: SEARCH times the examples of each property
	@KAGE_SEARCH=$(SEARCH) $(BIN)/python -m pytest -q -n $(JOBS) --dist worksteal tests/unit tests/contract tests/model

torture: $(VENV)/.ready ## the long soak: random kill -9 of the daemon
	@$(BIN)/python -m tests.faults.soak --kills 600 --agents 100

MINUTES ?= 0
torture-sweep: $(VENV)/.ready ## kill -9 at every system call, by strace; hours, goes on where it stopped (MINUTES=30 for a while)
	@$(BIN)/python -m tests.faults.sweep_all --minutes $(MINUTES)

TIMES ?= 5
torture-points: $(VENV)/.ready ## kill -9 at every named crash point, at its first TIMES passes
	@$(BIN)/python -m tests.faults.crash --times $(TIMES)

# Linux: the interpreter that is carried. It needs a shared libpython; a newer or older one is a matter of choice.
DIST_PYTHON ?= $(PYTHON)
dist: ## build dist/: wheel, sdist, and kage, one file that needs nothing installed (needs gcc, liblzma-dev)
	@test -n "$(DIST_PYTHON)" || { echo "make dist needs Python 3.11 or newer on PATH (or DIST_PYTHON=/path/to/python3)" >&2; exit 1; }
	@rm -rf build/dist dist && mkdir -p build/dist
	@$(DIST_PYTHON) -m venv build/dist/venv
	@build/dist/venv/bin/python -m pip install --quiet --disable-pip-version-check -c constraints.txt hatchling
	@build/dist/venv/bin/python -m hatchling build --directory dist >/dev/null
	@if [ "$$(uname)" = Linux ]; then build/dist/venv/bin/python packaging/onefile/build.py --python build/dist/venv/bin/python \
	  --wheel dist/*.whl --work build/dist/onefile --out dist/kage; else echo "the one file is for Linux only"; fi
	@ls -l dist

test-dist: $(VENV)/.ready dist ## build dist/ and try all of it: without Python, on a real systemd, in a new venv (minutes)
	@KAGE_ONE_FILE=dist/kage $(BIN)/python -m pytest -q -ra tests/dist

test-onefile: $(VENV)/.ready ## the same for a quickly pressed one file of this work tree, without network
	@KAGE_ONE_FILE=quick $(BIN)/python -m pytest -q -ra tests/dist

clean: ## remove what the other targets made
	rm -rf $(VENV) .torture .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis dist build
	find . -name __pycache__ -type d -not -path './$(VENV)/*' -prune -exec rm -rf {} +
