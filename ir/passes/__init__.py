"""Passes that need nothing but the IR."""
