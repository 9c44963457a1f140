"""ONNX's own backend suite, run through `epimc.backend`: `python -m tests.conformance`."""
