"""Passes from the integer `epi` level down to a placed, scheduled and allocated `xbar` module."""
