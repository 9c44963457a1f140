"""How arrays of cells are computed: exactly as they are read, or fused into one product."""
