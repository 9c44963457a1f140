"""The IR itself: ops and modules, types, levels, attributes, and the verifier."""
