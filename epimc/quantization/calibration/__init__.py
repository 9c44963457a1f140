"""Ranges from samples: the float network is run, and what its values are is looked at."""
