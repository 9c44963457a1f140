"""Samples: in files, in folders of images and in memory, all at once or some at a time."""
