"""Kernels compiled to machine code, with the vector instructions that the processor has."""
