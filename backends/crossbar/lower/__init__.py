"""From the quantized IR to a program: the passes, and emitting."""
