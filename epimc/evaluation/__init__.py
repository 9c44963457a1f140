"""A data set through a bundle: batches over processes, figures that no batch or process changes."""
