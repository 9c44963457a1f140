"""Campaigns: thousands of hostile inputs, each in a process of its own (README.md)."""
