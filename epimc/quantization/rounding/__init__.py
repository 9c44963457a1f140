"""Compensated rounding: the integers of weights that lose least of what a layer computes."""
