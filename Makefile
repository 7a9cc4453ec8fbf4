# `make quickstart` runs every stage on a generated corpus, and `make test` runs the tests.
# Both set up .venv on first use, and again when the lock file, setup.cfg or pyproject.toml changes.
# To choose a Python: `make test PYTHON=/path/to/python3.11`.

VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
LOCK := deploy/requirements.lock
LOCK_GCP := deploy/requirements-gcp.lock
LOCK_GPU := deploy/requirements-gpu.lock
LOCK_IMAGE := deploy/requirements-image.lock
LOCK_VERTEX := deploy/requirements-vertex.lock
LICENSES := deploy/release/LICENSES.md
SBOM := dist/diptych.cdx.json
UV ?= uv
# Of the tests: one more than cores, up to four, because many tests wait, for a process or until a time is up.
WORKERS := $(shell cores=$$(nproc 2>/dev/null || echo 2); echo $$((cores < 3 ? cores + 1 : 4)))

# The first Python found that runs and has a version for which TensorFlow 2.17 has wheels.
PYTHON ?= $(shell for python in python3.11 python3.12 python3.10 python3 python; do \
    $$python -c 'import sys; sys.exit(not (3, 10) <= sys.version_info[:2] < (3, 13))' 2>/dev/null \
    && command -v $$python && break; done)

.PHONY: help install install-gcp install-vertex quickstart test test-slow test-buckets test-serving test-jax test-pythons lint format audit \
	licenses sbom lock lock-upgrade clean

help:
	@echo "make quickstart   run the whole pipeline on a generated corpus (4 to 8 minutes on 2 cores)"
	@echo "make test         run the fast tests, then ruff"
	@echo "make test-slow    run the slow tests"
	@echo "make test-buckets run the slow tests of buckets, against an emulator"
	@echo "make test-serving run the slow tests of diptych serve: load, signals and its page in Chromium"
	@echo "make test-jax     run the tests of models/ and of the benchmark for accelerators on JAX (about 15 minutes)"
	@echo "make test-pythons run the fast tests with every Python 3.10, 3.11 and 3.12 that there is, each in a .venv of its own"
	@echo "make install      set up $(VENV)"
	@echo "make install-gcp  add the packages for Dataflow and Cloud Storage; make test then tests the Dataflow job, too"
	@echo "make install-vertex  add those, and the packages for Vertex AI Pipelines"
	@echo "make lint         check the code with ruff"
	@echo "make format       let ruff fix and format the code"
	@echo "make audit        check the locked packages for known security holes (needs the internet)"
	@echo "make licenses     list the licenses of the locked packages in $(LICENSES)"
	@echo "make sbom         list the packages of the images in $(SBOM), for who receives a release"
	@echo "make lock         fit $(LOCK) and the other lock files to setup.cfg, and keep all versions that still fit (needs uv)"
	@echo "make lock-upgrade the same with the newest version of everything"
	@echo "make clean        remove $(VENV)"

install: $(STAMP)

$(STAMP): $(LOCK) setup.cfg pyproject.toml
	@test -n "$(PYTHON)" || { echo "There is no Python 3.10, 3.11 or 3.12 on the path: install one (Debian 12, Ubuntu" \
	    "22.04 and 24.04: sudo apt install python3 python3-venv; elsewhere, e.g.: uv python install 3.11) or name it:" \
	    "make PYTHON=/path/to/python3.11" >&2; exit 1; }
	@"$(PYTHON)" -c 'import sys; sys.exit(not (3, 10) <= sys.version_info[:2] < (3, 13))' || { \
	    echo "$(PYTHON) is not a Python 3.10, 3.11 or 3.12: name one with make PYTHON=/path/to/python3.11" >&2; exit 1; }
	@"$(PYTHON)" -c 'import ensurepip, venv' 2>/dev/null || { \
	    echo "$(PYTHON) cannot make virtual environments: install its venv package" \
	    "(Debian, Ubuntu: sudo apt install" \
	    "python$$("$(PYTHON)" -c 'import sys; print("%d.%d" % sys.version_info[:2])')-venv)" >&2; exit 1; }
	@echo "Setting up $(VENV) with $(PYTHON). This takes a few minutes, but only once."
	@"$(PYTHON)" -m venv --clear $(VENV)
	@$(BIN)/pip install --quiet --disable-pip-version-check --requirement $(LOCK)
	@$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

install-gcp: $(STAMP)
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --requirement $(LOCK_GCP)

install-vertex: $(STAMP)
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --requirement $(LOCK_VERTEX)

quickstart: $(STAMP)
	$(BIN)/diptych run --preset quickstart

test: $(STAMP)
	$(BIN)/python -m pytest --numprocesses=$(WORKERS) --dist=worksteal
	$(BIN)/ruff check --quiet .
	$(BIN)/ruff format --check --quiet .

test-slow: $(STAMP)
	$(BIN)/python -m pytest -m slow

test-buckets: install-gcp
	$(BIN)/python -m pytest -m "slow and bucket"

test-serving: $(STAMP)
	$(BIN)/python -m pytest -m slow tests/pipeline/serving/server

# JAX gets its own folder, so that all other tests run with the locked versions. JAX 0.6 and later need a newer ml-dtypes
# than TensorFlow 2.17 allows.
test-jax: $(STAMP)
	@test -d $(VENV)/jax-packages || $(BIN)/pip install --quiet --disable-pip-version-check --no-deps --target $(VENV)/jax-packages \
	    "jax>=0.5.3,<0.6" "jaxlib>=0.5.3,<0.6"
	PYTHONPATH=$(CURDIR)/$(VENV)/jax-packages KERAS_BACKEND=jax $(BIN)/python -m pytest tests/models \
	    tests/benchmarks/accelerator

# The Pythons on the path, or else pyenv's, whether or not they are chosen. Python 3.11 uses .venv, which is there already.
# The others cost 5 minutes and 3 GB each, and then the time of the tests.
test-pythons:
	@for version in 3.10 3.11 3.12; do \
	    for python in "$$(command -v python$$version)" \
	            "$${PYENV_ROOT:-$$HOME/.pyenv}"/versions/$$version.*/bin/python$$version; do \
	        "$$python" -c '' 2>/dev/null && break || python=; \
	    done; \
	    test -n "$$python" || { \
	        echo "make test-pythons: there is no python$$version on the path or in pyenv, so it is left out"; continue; }; \
	    venv=.venv; test $$version = 3.11 || venv=.venv-$$version; \
	    echo "make test-pythons: Python $$version in $$venv"; \
	    $(MAKE) --no-print-directory install-vertex test PYTHON="$$python" VENV=$$venv || exit 1; \
	done

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

format: $(STAMP)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# pip-audit gets its own environment, so that the locked one stays as it is. --strict: a package that the database does not
# know, or a database that cannot be reached, is an error and not a package without holes. AUDIT_SERVICE: pypi or osv.
AUDIT_SERVICE ?= pypi
audit: $(STAMP)
	@test -x $(VENV)/audit/bin/pip-audit || { $(BIN)/python -m venv $(VENV)/audit \
	    && $(VENV)/audit/bin/pip install --quiet --disable-pip-version-check "pip-audit>=2.9,<3"; }
	@for lock in $(LOCK) $(LOCK_GCP) $(LOCK_VERTEX) $(LOCK_GPU); do \
	    $(VENV)/audit/bin/pip-audit --strict --vulnerability-service $(AUDIT_SERVICE) --no-deps --disable-pip \
	        --progress-spinner off --requirement $$lock || { echo "make audit: $$lock has known holes, or could not be" \
	        "checked: see above" >&2; exit 1; }; \
	done

licenses: install-vertex
	$(BIN)/python deploy/release/licenses.py

# CycloneDX' own tool, in an environment of its own, lists all that is installed; of it stays what a release hands on. The
# same packages give the same file.
sbom: install-gcp
	@test -x $(VENV)/sbom/bin/cyclonedx-py || { $(BIN)/python -m venv $(VENV)/sbom \
	    && $(VENV)/sbom/bin/pip install --quiet --disable-pip-version-check "cyclonedx-bom>=7,<8"; }
	@mkdir -p $(dir $(SBOM))
	$(VENV)/sbom/bin/cyclonedx-py environment $(BIN)/python --output-reproducible --output-file $(SBOM)
	$(BIN)/python deploy/release/sbom.py $(SBOM)

# uv repeats the conditions of [tool.uv] in every line, where pip does not need them.
define compile
	$(UV) pip compile setup.cfg $(1) $(UPGRADE) --universal --python-version 3.10 --quiet \
	    --no-emit-index-url --no-header --no-annotate --output-file $(2)
	sed -i -e "s/ and implementation_name == 'cpython'//" -e "s/ and platform_python_implementation == 'CPython'//" \
	    -e "s/ and sys_platform == 'linux'//" -e "s/python_full_version < '3.13' and //" \
	    -e "s/ and python_full_version < '3.13'//" -e "s/ ; python_full_version < '3.13'$$//" $(2)
endef

# The other locks follow the first one, of which what fits the new conditions stays. That of the GPU image holds only what
# comes on top of the other images, so that it also fits beside what `make install` has installed.
lock-upgrade: UPGRADE := --upgrade
lock lock-upgrade:
	@command -v $(UV) >/dev/null || { echo "make lock needs uv (pip install uv), or name it: make lock UV=/path/to/uv" >&2; exit 1; }
	$(call compile,--extra pipeline --extra runtimes --extra dev,$(LOCK))
	$(call compile,--extra pipeline --extra runtimes --extra dev --extra gcp --constraint $(LOCK),$(LOCK_GCP))
	$(call compile,--extra pipeline --extra runtimes --extra gcp --constraint $(LOCK_GCP),$(LOCK_IMAGE))
	$(call compile,--extra pipeline --extra runtimes --extra dev --extra gcp --extra vertex --constraint $(LOCK_GCP),$(LOCK_VERTEX))
	$(call compile,--extra pipeline --extra runtimes --extra gcp --extra gpu --constraint $(LOCK_IMAGE),$(LOCK_GPU))
	grep --invert-match --line-regexp --fixed-strings --file=$(LOCK_IMAGE) $(LOCK_GPU) >$(LOCK_GPU).new
	mv $(LOCK_GPU).new $(LOCK_GPU)

clean:
	rm -rf $(VENV)
