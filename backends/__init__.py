"""Backends: what turns the IR into something that runs."""

DEFAULT_BACKEND = "crossbar"
"""The kind of chip where the user names none."""
