"""Mixed precision: what each layer's weights lose at each width, and the best choice of widths."""
