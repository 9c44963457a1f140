"""A program as data: chip, maps, tables, streams; and what is counted of it."""
