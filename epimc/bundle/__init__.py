"""Bundles: the folders that hold compiled programs, with all to run and to verify them."""
