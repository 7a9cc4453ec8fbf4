# Diptych from a fresh clone: `make quickstart` runs everything on a generated corpus, `make test` runs the tests.
# Both set up .venv first, once, and again only when the lock or the packaging changes.
# A Python of your own: `make test PYTHON=/path/to/python3.11`.

VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
LOCK := deploy/requirements.lock
LOCK_GCP := deploy/requirements-gcp.lock
UV ?= uv

# The first one that really runs and is of a version that TensorFlow 2.17 and ML Metadata have wheels for.
PYTHON ?= $(shell for python in python3.11 python3.12 python3.10 python3 python; do \
    $$python -c 'import sys; sys.exit(not (3, 10) <= sys.version_info[:2] < (3, 13))' 2>/dev/null \
    && command -v $$python && break; done)

.PHONY: help install install-gcp quickstart test test-slow test-jax lint format lock clean

help:
	@echo "make quickstart   the whole pipeline on a generated corpus, 5 to 15 minutes"
	@echo "make test         the fast tests, then ruff"
	@echo "make test-slow    the long ones"
	@echo "make test-jax     the tests of models/ with JAX in TensorFlow's place, about 10 minutes"
	@echo "make install-gcp  what Dataflow and Cloud Storage need; make test then tests the Dataflow job, too"
	@echo "make lint         ruff: lint and format check"
	@echo "make format       ruff: repair what it can"
	@echo "make lock         resolve $(LOCK) and $(LOCK_GCP) anew (needs uv)"
	@echo "make clean        remove $(VENV)"

install: $(STAMP)

$(STAMP): $(LOCK) setup.cfg pyproject.toml
	@test -n "$(PYTHON)" || { echo "No Python 3.10, 3.11 or 3.12 was found: install one" \
	    "(Debian, Ubuntu: sudo apt install python3 python3-venv) or name it: make PYTHON=/path/to/python3.11" >&2; exit 1; }
	@"$(PYTHON)" -c 'import sys; sys.exit(not (3, 10) <= sys.version_info[:2] < (3, 13))' || { \
	    echo "$(PYTHON) is not a Python 3.10, 3.11 or 3.12: name one with make PYTHON=/path/to/python3.11" >&2; exit 1; }
	@"$(PYTHON)" -c 'import ensurepip, venv' 2>/dev/null || { \
	    echo "$(PYTHON) cannot make virtual environments: install its venv package" \
	    "(Debian, Ubuntu: sudo apt install python3-venv)" >&2; exit 1; }
	@echo "Setting up $(VENV) with $(PYTHON), once; this takes a few minutes."
	@"$(PYTHON)" -m venv --clear $(VENV)
	@$(BIN)/pip install --quiet --disable-pip-version-check --requirement $(LOCK)
	@$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

install-gcp: $(STAMP)
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --requirement $(LOCK_GCP)

quickstart: $(STAMP)
	$(BIN)/diptych run --preset quickstart

test: $(STAMP)
	$(BIN)/python -m pytest --numprocesses=auto --maxprocesses=4 --dist=worksteal
	$(BIN)/ruff check --quiet .
	$(BIN)/ruff format --check --quiet .

test-slow: $(STAMP)
	$(BIN)/python -m pytest -m slow

# JAX lies apart, so that the other tests keep to the lock. From 0.6 on it needs a newer ml-dtypes than TensorFlow 2.17.
test-jax: $(STAMP)
	@test -d $(VENV)/jax-packages || $(BIN)/pip install --quiet --disable-pip-version-check --no-deps --target $(VENV)/jax-packages \
	    "jax>=0.5.3,<0.6" "jaxlib>=0.5.3,<0.6"
	PYTHONPATH=$(CURDIR)/$(VENV)/jax-packages KERAS_BACKEND=jax $(BIN)/python -m pytest tests/models

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

format: $(STAMP)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# uv repeats the conditions of [tool.uv] in every line; pip needs them in none.
define compile
	$(UV) pip compile setup.cfg $(1) --universal --python-version 3.10 --quiet \
	    --no-emit-index-url --no-header --no-annotate --output-file $(2)
	sed -i -e "s/ and implementation_name == 'cpython'//" -e "s/ and platform_python_implementation == 'CPython'//" \
	    -e "s/ and sys_platform == 'linux'//" -e "s/python_full_version < '3.13' and //" \
	    -e "s/ and python_full_version < '3.13'//" -e "s/ ; python_full_version < '3.13'$$//" $(2)
endef

lock:
	@command -v $(UV) >/dev/null || { echo "make lock needs uv (pip install uv), or name it: make lock UV=/path/to/uv" >&2; exit 1; }
	$(call compile,--extra dev,$(LOCK))
	$(call compile,--extra dev --extra gcp --constraint $(LOCK),$(LOCK_GCP))

clean:
	rm -rf $(VENV)
