"""The version of epimc, which pyproject.toml repeats."""

VERSION = "0.1.0"
