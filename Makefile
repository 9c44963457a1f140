# Everything here needs only make and Python >= 3.11: the first target makes its own environment.

PYTHON ?= python3
VENV ?= .venv

BIN := $(VENV)/bin
STAMP := $(VENV)/installed
DEMO := build/fashion-resnet8

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help demo test lint wheel clean

help: ## Show this list
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  make \1\t\2/p' $(firstword $(MAKEFILE_LIST)) | expand -t 16

$(STAMP): pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
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

test: $(STAMP) ## Run all tests on all cores
	OPENBLAS_NUM_THREADS=1 $(BIN)/python -m pytest -n auto

lint: $(STAMP) ## Check style, formatting, types and import directions
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m pytest -q tests/test_import_directions.py

wheel: $(STAMP) ## Build dist/epimc-*.whl
	rm -rf build/lib build/bdist.*
	$(BIN)/python -m build --wheel

clean: ## Remove everything that make has made, the environment included
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis .coverage
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
