"""Ops that compute with weights rebuilt from an epitome."""

from __future__ import annotations

from epimc.ir.core.attributes import INTEGER, TENSOR, maybe, pair, sides
from epimc.ir.core.attributes import integers as ints
from epimc.ir.core.op import (
    ACCUMULATOR,
    ACTIVATION,
    FLOAT,
    VECTOR_OR_MAP,
    Array,
    Attribute,
    Lookup,
    Op,
    Operand,
    Result,
)
from epimc.ir.epitome.plan import PLAN, Shape, rebuild
from epimc.ir.semantics.windows import Window

SIGNED = frozenset({"s"})


class Epitomized(Op):
    """A layer of the epitomized network: what `epi.conv` declares, but for its name and checks."""

    x = Operand(FLOAT | ACTIVATION, VECTOR_OR_MAP)
    epitome = Attribute(TENSOR, stored=(FLOAT | SIGNED, 4))
    bias = Attribute(maybe(TENSOR), optional=True, stored=(FLOAT | ACCUMULATOR, 1))
    weight_scales = Attribute(maybe(TENSOR), optional=True, stored=(FLOAT, 1))
    weight_bits = Attribute(maybe(INTEGER), optional=True)
    shape = Attribute(ints(4, minimum=1))
    plan = Attribute(PLAN)
    strides = Attribute(pair(1), (1, 1))
    pads = Attribute(sides(0), (0, 0, 0, 0))
    dilations = Attribute(pair(1), (1, 1))
    groups = Attribute(INTEGER, 1)
    result = Result(FLOAT | ACCUMULATOR)

    @property
    def weights_shape(self) -> Shape:
        """[Cout, Cin / groups, Kh, Kw] of the rebuilt weights."""
        cout, cin, kh, kw = self.shape
        return cout, cin, kh, kw

    @property
    def window(self) -> Window:
        """The window [Kh, Kw] of the rebuilt weights, which is not that of the epitome."""
        _, _, kh, kw = self.shape
        return Window((kh, kw), self.strides, self.pads, self.dilations)

    def weights(self, tensors: Lookup) -> Array:
        """The rebuilt weights [Cout, Cin / groups, Kh, Kw]."""
        return rebuild(tensors(self.epitome), self.plan, self.weights_shape)
