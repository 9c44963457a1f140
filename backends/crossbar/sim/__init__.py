"""The simulator, its engines and what observes them."""
