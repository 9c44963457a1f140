"""Which ops are functions of each element, everywhere the same, and which of them are costly."""

from __future__ import annotations

import numpy as np

from epimc.ir.core.dispatch import OpTable
from epimc.ir.core.op import Lookup, Op
from epimc.ir.core.traits import ChannelAffine, StatesModel
from epimc.ir.dialects import elementwise, nn

alike: OpTable[[Lookup], bool] = OpTable("answer whether it treats all elements alike")
"""Whether each element of the result is one function, everywhere the same, of those of the
operands at its place."""

costly: OpTable[[], bool] = OpTable("answer whether it costs something")
"""Whether an op takes a table or a rounding of its own, even within a sum."""

tabled: OpTable[[], bool] = OpTable("answer whether a table computes it")
"""Whether an op is a function that no sum has, so that it takes a table by itself."""


def is_pointwise(op: Op, tensors: Lookup) -> bool:
    """Whether an op is one function of each element, so that a table of one row can hold it."""
    return alike.covers(type(op)) and alike.apply(op, tensors)


def has_no_numbers(op: Op, tensors: Lookup) -> bool:
    """True, of ops that have no numbers of channels."""
    return True


for _kind in (nn.Relu, elementwise.Clip, nn.Sum, StatesModel):
    alike(_kind)(has_no_numbers)


@alike(elementwise.Activation)
def is_one_function(op: elementwise.Activation, tensors: Lookup) -> bool:
    """Unless every channel has a parameter of its own."""
    return op.alphas is None


@alike(elementwise.Multiply)
def is_of_equal_shapes(op: elementwise.Multiply, tensors: Lookup) -> bool:
    """Unless a factor belongs to a channel."""
    return op.a.type.shape == op.b.type.shape


@alike(ChannelAffine)
def is_one_affine(op: ChannelAffine, tensors: Lookup) -> bool:
    """Where all channels have the same numbers."""
    scale, offset = op.as_affine(tensors)
    return bool(np.all(scale == scale[0]) and np.all(offset == offset[0]))


def is_costly(op: Op) -> bool:
    """Whether an op takes a table or a rounding of its own."""
    return costly.covers(type(op)) and costly.apply(op)


def is_tabled(op: Op) -> bool:
    """Whether a table computes an op, whatever stands around it."""
    return tabled.covers(type(op)) and tabled.apply(op)


def always(op: Op) -> bool:
    """True."""
    return True


for _costly in (elementwise.Activation, elementwise.Multiply, StatesModel):
    costly(_costly)(always)
for _tabled in (elementwise.Activation, StatesModel):
    tabled(_tabled)(always)
