"""The files in which a program is kept."""
