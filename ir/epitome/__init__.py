"""Epitomes: sampling plans, policies that choose them, and plans layer by layer."""
