"""The IR's own dialects, `nn` and `epi`; importing this package registers them."""

from __future__ import annotations

from inspect import getdoc

from epimc.ir.core.registry import Dialect, register
from epimc.ir.dialects import elementwise, epi, moves, nn

NN = register(
    Dialect(
        "nn",
        "the float operators of a network",
        getdoc(nn) or "",
        (*nn.OPS, *elementwise.OPS, *moves.OPS),
    )
)
EPI = register(
    Dialect(
        "epi",
        "epitomes, and the integer operators that quantization introduces",
        getdoc(epi) or "",
        epi.OPS,
    )
)
