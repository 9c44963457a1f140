"""The checker: everything about a program that can be known without running it."""
