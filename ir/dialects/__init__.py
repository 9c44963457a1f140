"""The ops, by name; each module declares some of them, `nn` being spread over three."""

from __future__ import annotations

from epimc.ir.core import Op
from epimc.ir.dialects import elementwise, epi, moves, nn, xbar

MODULES = (nn, elementwise, moves, epi, xbar)

OPS: dict[str, type[Op]] = {op.name: op for module in MODULES for op in module.OPS}
