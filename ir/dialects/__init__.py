"""The IR's own dialects, `nn` and `epi`; importing this package registers them."""

# Each module registers what it declares; `nn` comes first, as the others build on it.
from epimc.ir.dialects import elementwise, epi, host, moves, nn

__all__ = ["elementwise", "epi", "host", "moves", "nn"]
