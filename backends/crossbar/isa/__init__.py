"""Instruction streams: text, binary, loops, and the stepper that walks through them."""
