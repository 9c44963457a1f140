"""The engine `ssa`: every map computed once, whole, for blocks of samples."""
