# Everything here needs only make and Python >= 3.11: the first target makes its own environment.
# What is installed there is pinned by constraints.txt (docs/decisions/0005-pinned-and-floating.md).

PYTHON ?= python3
VENV ?= .venv
LATEST ?= .venv-latest

BIN := $(VENV)/bin
STAMP := $(VENV)/installed
DEMO := build/fashion-resnet8
PIP_INSTALL := -m pip install --quiet --disable-pip-version-check
# One thread a process: xdist gives each core one, and who is done early takes over from the other.
PYTEST := -m pytest -n auto --dist worksteal

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help demo check test test-latest test-torch campaign conformance lint hooks wheel lock clean

help: ## Show this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' $(firstword $(MAKEFILE_LIST)) | expand -t 24

# Without isolation, so that the lock pins the build backend too: pip builds in isolation with the
# newest one.
$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python $(PIP_INSTALL) --constraint constraints.txt setuptools
	$(BIN)/python $(PIP_INSTALL) --constraint constraints.txt --no-build-isolation --editable '.[dev]'
	touch $@

demo: $(STAMP) ## Compile the Fashion-MNIST ResNet-8 and verify the program
	@mkdir -p build
	$(BIN)/epimc compile examples/fashion-resnet8.onnx -o $(DEMO) \
	    --calibration examples/fashion-calibration.npz --dump-ir $(DEMO)-ir
	$(BIN)/epimc verify $(DEMO) --input examples/fashion-test.npz
	@echo
	@echo "The bundle lies in $(DEMO)/, the IR after every stage in $(DEMO)-ir/:"
	@ls $(DEMO)-ir
	@echo "Read the last one, for example: less $$(ls $(DEMO)-ir/*.epi | tail -n 1)"

check: lint ## Check all that lint does, and run the fast tests of every part
	OPENBLAS_NUM_THREADS=1 $(BIN)/python $(PYTEST) -q -m smoke

test: $(STAMP) ## Run all tests on all cores
	OPENBLAS_NUM_THREADS=1 $(BIN)/python $(PYTEST)

test-latest: ## Run all tests with the newest versions of all packages, without the lock
	$(PYTHON) -m venv --clear $(LATEST)
	$(LATEST)/bin/python $(PIP_INSTALL) --editable '.[dev]'
	OPENBLAS_NUM_THREADS=1 $(LATEST)/bin/python $(PYTEST)

lint: $(STAMP) ## Check style, formatting, types and imports
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m pytest -q tests/test_import_graph.py

test-torch: $(STAMP) ## Install PyTorch too, and run the tests that need it
	$(BIN)/python $(PIP_INSTALL) --constraint constraints.txt --constraint constraints-torch.txt \
	    torch==2.13.0
	$(BIN)/python $(PIP_INSTALL) --constraint constraints.txt --constraint constraints-torch.txt \
	    --no-build-isolation --editable '.[dev,torch]'
	$(BIN)/python -m pytest tests/frontend/test_sources.py tests/test_python_page.py

campaign: $(STAMP) ## Try hostile inputs for ten minutes; CASES=20000 as many, going on where it stopped
	OPENBLAS_NUM_THREADS=1 $(BIN)/python -m tests.campaigns $(if $(CASES),--cases $(CASES))

conformance: $(STAMP) ## Run ONNX's backend suite; fails where less passes than is kept
	$(BIN)/python -m tests.conformance

hooks: $(STAMP) ## Have git check each commit, and types before a push
	$(BIN)/pre-commit install

wheel: $(STAMP) ## Build dist/epimc-*.whl
	rm -rf build/lib build/bdist.*
	$(BIN)/python -m build --wheel --no-isolation

lock: ## Pin the newest versions of all packages in constraints.txt
	$(PYTHON) -m venv --clear build/lock
	build/lock/bin/python $(PIP_INSTALL) --upgrade setuptools
	build/lock/bin/python $(PIP_INSTALL) --editable '.[dev]'
	@echo "# The versions that make installs; written by make lock." > build/constraints.txt
	build/lock/bin/python -m pip freeze --all --exclude pip --exclude-editable >> build/constraints.txt
	mv build/constraints.txt constraints.txt

clean: ## Remove everything that make has made, the environment included
	rm -rf $(VENV) $(LATEST) build dist *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis .coverage
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
