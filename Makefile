# Two commands matter: `make demo` and `make test`. Both need only Python >= 3.11.
PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin
PIP = $(BIN)/python -m pip --disable-pip-version-check

.PHONY: demo test lint types vscode editors install install-test clean

demo: install
	@$(BIN)/midfill demo

test: install-test
	@$(BIN)/python -m pytest

lint: install-test
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/codespell
	@$(BIN)/lint-imports

types: install-test
	@$(BIN)/mypy

# Checks and packs the VS Code extension; brings its own Node.
vscode: | $(BIN)/python
	@PYTHON=$(CURDIR)/$(BIN)/python editor-clients/vscode/ci.sh

# Puts the editors that the tests drive into .editors/; what cannot be had is named and skipped.
editors: | $(BIN)/python
	@$(BIN)/python tests/editors/provide.py

install: $(VENV)/.engine
install-test: $(VENV)/.test

$(BIN)/python:
	@echo "Creating $(VENV) ..."
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Midfill needs Python 3.11 or newer; set PYTHON=..."; exit 1; }
	@$(PYTHON) -m venv $(VENV)

$(VENV)/.engine: pyproject.toml constraints.txt | $(BIN)/python
	@echo "Installing the engine and the language server (about a minute) ..."
	@$(PIP) install --progress-bar on -q -c constraints.txt -e '.[engine]'
	@touch $@

$(VENV)/.test: pyproject.toml constraints.txt | $(BIN)/python
	@echo "Installing what the tests need ..."
	@$(PIP) install --progress-bar on -q -c constraints.txt -e '.[test]'
	@touch $@ $(VENV)/.engine

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
