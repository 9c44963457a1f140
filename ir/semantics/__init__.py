"""What numbers mean: integers, functions, and what moves where.  It imports nothing of the IR."""
