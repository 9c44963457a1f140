"""Operators that have no importer: they are supported where what they compute is constant."""

from __future__ import annotations

from collections.abc import Mapping

from epimc.frontend.core.operator import OnnxOperator, register
from epimc.frontend.model.standard import OLDEST_OPSET

# From which opset on each is read.  Models compute shapes and prepare weights with them.
FOLDED: Mapping[str, int] = {
    "And": OLDEST_OPSET,
    "Ceil": OLDEST_OPSET,
    "Constant": OLDEST_OPSET,
    "ConstantOfShape": 9,
    "Equal": OLDEST_OPSET,
    "Floor": OLDEST_OPSET,
    "Greater": OLDEST_OPSET,
    "Less": OLDEST_OPSET,
    "Log": OLDEST_OPSET,
    "Mod": 10,
    "Not": OLDEST_OPSET,
    "Or": OLDEST_OPSET,
    "Range": 11,
    "Reciprocal": OLDEST_OPSET,
    "ReduceProd": OLDEST_OPSET,
    "Round": 11,
    "Sign": 9,
    "Sqrt": OLDEST_OPSET,
}

for _op_type, _since in FOLDED.items():
    register(OnnxOperator(_op_type, "Of constants only", _since, folds=True))
for _op_type in ("Shape", "Size"):
    register(OnnxOperator(_op_type, "Of anything with a fixed shape", shape_only=True))
