# Two commands on a fresh machine: `make quickstart` and `make test`. Both set up .venv where it is missing.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: install quickstart test check docs clean

$(VENV)/installed: pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed, this is " + sys.version.split()[0] if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install -c constraints.txt -e '.[test]'
	touch $@

install: $(VENV)/installed

quickstart: $(VENV)/installed
	$(BIN)/compress run recipes/quickstart.yaml

test: $(VENV)/installed
	$(BIN)/python -m pytest -n 2 --dist worksteal

# Changes nothing. The last two say which generated pages are stale.
check: $(VENV)/installed
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/python docs/generate.py --check
	$(BIN)/python benchmarks/pages.py --check

# Fills the generated parts of docs/ and README.md.
docs: $(VENV)/installed
	$(BIN)/python docs/generate.py
	$(BIN)/python benchmarks/pages.py

clean:
	rm -rf $(VENV)
