"""Verification: the proof against the integer reference, and what is lost to the float model."""
