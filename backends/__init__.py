"""Backends: what turns the IR into something that runs."""
