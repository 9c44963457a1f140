"""What the importers of operators are written with: the record, the node, the draft of a module."""
