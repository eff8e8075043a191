# Two commands do everything on a fresh machine with Python >= 3.11 and make: `make run`, `make test`.

PYTHON ?= python3
CONFIG ?= configs/pcam_resnet18.yaml
VENV   := .venv
BIN    := $(VENV)/bin
# A process a core, a file of tests at a time; nothing can be timed so. A process that dies ends
# the suite, which else may wait for it for ever.
SIDE_BY_SIDE := -n auto --dist loadfile --max-worker-restart 0 --benchmark-disable

.PHONY: run test test-slow lint docs bench clean

run: $(VENV)/.run  ## install, then run the main config (CONFIG=... for another)
	$(BIN)/xaibench run $(CONFIG)

test: $(VENV)/.test  ## install with the test tools, then the default suite
	$(BIN)/pytest -m "not slow" $(SIDE_BY_SIDE)

test-slow: $(VENV)/.test  ## the long tests that `make test` leaves out
	$(BIN)/pytest -m slow $(SIDE_BY_SIDE)

lint: $(VENV)/.test
	$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/lint-imports

docs: $(VENV)/.test  ## build the documentation into build/docs, which opens from disk
	$(BIN)/python docs/site/build.py build/docs

bench: $(VENV)/.bench  ## time ours and peers side by side, in ten minutes; tables and figure in build/bench
	$(BIN)/python -m benchmarks.peers --brief --repeats 3 --precision fp32 --minutes 9 --out build/bench \
		$(if $(SIZES),--sizes $(SIZES))

clean:  ## remove the virtual environment, not the results
	rm -rf $(VENV)

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "xaibench needs Python 3.11 or newer; try: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --upgrade pip

# A stamp for each set of packages, so that a second `make` installs nothing.
$(VENV)/.run: pyproject.toml .ci/constraints.txt | $(VENV)/bin/python
	$(BIN)/pip install --quiet --constraint .ci/constraints.txt --editable .
	@touch $@

$(VENV)/.test: pyproject.toml .ci/constraints.txt | $(VENV)/bin/python
	$(BIN)/pip install --quiet --constraint .ci/constraints.txt --editable ".[dev]"
	@touch $@ $(VENV)/.run

$(VENV)/.bench: $(VENV)/.test
	$(BIN)/pip install --quiet --constraint .ci/constraints.txt --editable ".[dev,bench]"
	@touch $@
