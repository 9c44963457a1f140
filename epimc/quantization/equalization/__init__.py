"""Equalization: channels between two layers get weights of like sizes, where that loses less."""
