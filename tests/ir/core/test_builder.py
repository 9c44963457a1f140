"""Results are inferred where there is no choice, and refused where there is one."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from epimc.ir.core.levels import NN, QUANTIZED
from epimc.ir.core.module import Builder, Module
from epimc.ir.core.op import Op, Value
from epimc.ir.core.types import IrError, Location, TensorType
from epimc.ir.dialects import elementwise, epi, moves, nn

REAL = TensorType((2, 4, 4))
BYTES = TensorType((2, 4, 4), "u8", 0.5, 3)


def builder(kind: TensorType, level: str) -> tuple[Builder, Value]:
    """A builder, and an input of this type."""
    source = Module("m", level, inputs=[("x", Value("x", kind, (-1.0, 1.0)))])
    made = Builder(source)
    made.inputs_of(source)
    return made, made.mapped[source.inputs[0][1]]


@pytest.mark.parametrize(
    ("op", "kind", "attributes", "expected"),
    [
        (nn.Relu, REAL, {}, REAL),
        (nn.MaxPool, REAL, {"kernel": (2, 2)}, TensorType((2, 3, 3))),
        (nn.MaxPool, BYTES, {"kernel": (2, 2)}, TensorType((2, 3, 3), "u8", 0.5, 3)),
        (moves.Pad, BYTES, {"channels": (1, 0)}, TensorType((3, 4, 4), "u8", 0.5, 3)),
        (nn.Rearrange, BYTES, {"perm": (0, 1, 2), "shape": (32,)}, BYTES.with_shape((32,))),
        (epi.SumPool, BYTES, {"kernel": (4, 4)}, TensorType((2, 1, 1), "i64")),
        (epi.Dequantize, BYTES, {}, REAL),
    ],
)
def test_a_result_is_inferred(
    op: type[Op], kind: TensorType, attributes: dict[str, Any], expected: TensorType
) -> None:
    made, x = builder(kind, NN if kind is REAL else QUANTIZED)
    assert made.emit(op, [x], "y", Location(), **attributes).type == expected


def test_a_layer_makes_reals_of_reals_and_accumulators_of_activations() -> None:
    plan = ((0, 1, 0, 2, 0, 0, 0, 0),)
    for kind, element, expected in ((REAL, "f32", "f32"), (BYTES, "s8", "i64")):
        made, x = builder(kind, NN if kind is REAL else QUANTIZED)
        epitome = made.store("e", np.ones((1, 2, 1, 1)), element)
        attributes = {"epitome": epitome, "shape": (1, 2, 1, 1), "plan": plan}
        result = made.emit(epi.Conv, [x], "y", Location(), **attributes)
        assert result.type == TensorType((1, 4, 4), expected)


def test_an_old_value_gives_its_name_and_its_range_and_is_mapped() -> None:
    made, x = builder(REAL, NN)
    old = Value("old", REAL, (0.0, 2.0))
    new = made.emit(nn.Relu, [x], old, Location())
    assert (new.name, new.type, new.range) == ("old", REAL, (0.0, 2.0))
    assert made.mapped[old] is new is not old


def test_a_scale_is_a_choice() -> None:
    made, x = builder(REAL, QUANTIZED)
    with pytest.raises(IrError, match=r"the scale of a result of epi\.quantize must be chosen"):
        made.emit(epi.Quantize, [x], "q", Location())
    assert made.emit(epi.Quantize, [x], "q", Location(), BYTES).type == BYTES


def test_operands_that_do_not_fit_are_refused() -> None:
    made, x = builder(REAL, NN)
    flat = made.emit(nn.Rearrange, [x], "f", Location(), perm=(0, 1, 2), shape=(32,))
    with pytest.raises(IrError, match=r"shapes .* differ"):
        made.emit(elementwise.Sub, [x, flat], "y", Location())


def test_a_step_is_never_invented() -> None:
    assert BYTES.step == 0.5
    with pytest.raises(IrError, match="tensor<2x4x4xf32> has no scale"):
        _ = REAL.step
