"""Targets: the TOML files that describe chips."""
