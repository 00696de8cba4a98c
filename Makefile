# make demo    set up, then learn a task from an oracle's preferences (about three minutes)
# make test    set up, then run all tests and checks
# make quick   set up, then run the tests that take less than 15 seconds each, and all checks
# make bench   the speed and memory table
PYTHON ?= python3
VENV ?= .venv
RUN := $(VENV)/bin
export OMP_NUM_THREADS := 1

.PHONY: demo test quick bench lint setup clean
setup: $(VENV)/.ready

$(VENV)/.ready: setup.cfg pyproject.toml constraints.txt
	@command -v $(PYTHON) >/dev/null || { echo "make: $(PYTHON) not found; install Python 3.10 or later, or: make PYTHON=/path/to/python3"; exit 1; }
	@$(PYTHON) -c '' 2>/dev/null || { echo "make: $(PYTHON) cannot be run; give another: make PYTHON=python3.11"; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || { \
	  echo "make: $(PYTHON) is $$($(PYTHON) --version 2>&1); prefrl needs Python 3.10 or later. Try: make PYTHON=python3.11"; exit 1; }
	@$(PYTHON) -c 'import venv, ensurepip' || { \
	  echo "make: $(PYTHON) cannot make virtual environments; on Debian: apt-get install python3-venv"; exit 1; }
	@echo "installing into $(VENV): one to ten minutes, 3 GB with CPU wheels of torch and more with CUDA"
	@$(PYTHON) -m venv $(VENV)
	$(RUN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt --config-settings editable_mode=compat -e '.[dev]'
	@touch $@

demo: setup
	$(RUN)/python -m experiments.demo

test: setup lint
	$(RUN)/python -m pytest -n 2

quick: setup lint
	$(RUN)/python -m pytest -n 2 -m "not slow"

lint: setup
	$(RUN)/ruff check .
	$(RUN)/mypy

bench: setup
	$(RUN)/python -m benchmarks

clean:
	rm -rf $(VENV)
