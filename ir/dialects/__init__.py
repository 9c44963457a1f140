"""The ops, by name; `nn` and `epi` and `xbar` each declare theirs in one module."""

from __future__ import annotations

from epimc.ir.core import Op
from epimc.ir.dialects import epi, nn, xbar

OPS: dict[str, type[Op]] = {op.name: op for module in (nn, epi, xbar) for op in module.OPS}
