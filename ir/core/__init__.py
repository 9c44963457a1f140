"""The IR itself: ops, their traits, modules, types, levels, attributes and stored tensors."""
