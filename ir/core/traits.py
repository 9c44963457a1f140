"""Traits: what passes may know of an op without knowing its class.

An op declares its traits as bases.  What works on ops asks for a trait, `isinstance(op, Clips)`, or
registers a rule for it (`dispatch.OpTable`); it never asks for the class of an op.  So an op that
is declared with its traits takes part in every pass that knows them.

| trait | what it says | who asks |
| --- | --- | --- |
| `KeepsShape` | the result has the shape of the first operand | `Builder.emit`, the verifier |
| `Moves` | elements of the operands, of their type, in other places | quantization |
| `Joins` | moves several operands into one result | quantization |
| `Linear` | a sum of multiples of the operands and constants | quantization |
| `ChannelAffine` | an affine function of each channel by itself | folding, layout |
| `Clips` | keeps what lies between two bounds | quantization, folding of pads |
| `Homogeneous` | passes a positive factor on a channel on | equalization |
| `Weighted` | a layer with constant weights and a bias | equalization, folding, epitomes |
| `StatesModel` | a function of each element, by an ONNX model | interpreter, quantization |
| `CallsHost` | the host computes the results at once, by a fragment | interpreter, backends |
| `AtOnce` | computed at once, not row by row | backends |
| `FromHost` | a value of the host as reals for the chip | verifier, backends |
| `PicksResult` | one of the results of a host call | backends |
| `Border` | between the reals outside and the activations inside | verifier, backends |

Traits hold no state, and only declarations that all ops with the trait share.
"""

from __future__ import annotations

from typing import Any, ClassVar

from epimc.ir.core.attributes import INTEGER, TENSOR, Ref
from epimc.ir.core.op import ACTIVATION, Array, Attribute, Lookup, Op, Stored
from epimc.ir.core.types import TensorType, expect


class KeepsShape(Op):
    """The result has the shape of the first operand."""

    def result_shape(self, stored: Stored) -> tuple[int, ...]:
        """As the trait says; an op that asks for more checks it here."""
        return self.operands[0].type.shape


def expect_moved(op: Op) -> None:
    """The result has the element type and quantization of every operand.

    Raises:
        IrError: It has not.
    """
    shape = op.output.type.shape
    same = all(op.output.type == operand.type.with_shape(shape) for operand in op.operands)
    expect(same, "the result must have the element type and quantization of the operand")


class Moves(Op):
    """Moves elements, or the zero point, and computes nothing: the result keeps their type."""

    def result_type(self, stored: Stored) -> TensorType:
        """That of the operands, over the shape of the result."""
        return self.operands[0].type.with_shape(self.result_shape(stored))

    def check(self, stored: Stored) -> None:
        """The result has the element type and quantization of the operands."""
        super().check(stored)
        expect_moved(self)


class Joins(Moves):
    """Moves several operands into one result: all of them must be of its type."""


class Linear(Op):
    """The result is a sum of multiples of the operands, one a channel, and a constant a channel."""


class Adds(Linear):
    """The first operand plus or minus the second.

    Attributes:
        sign: Of the second, 1 or -1.
    """

    sign: ClassVar[int]


class ChannelAffine(KeepsShape, Linear):
    """An affine function of each channel: y[c] = x[c] * scale[c] + offset[c]."""

    def as_affine(self, tensors: Lookup) -> tuple[Array, Array]:
        """(scale, offset) in float64, one value a channel."""
        raise NotImplementedError(self.name)


class Clips(Op):
    """Of one operand: what lies between two bounds stays, what lies beyond is the bound.

    Attributes:
        bounds: The smallest and the largest result.
    """

    @property
    def bounds(self) -> tuple[float, float]:
        """Smallest and largest result."""
        raise NotImplementedError(self.name)


class Homogeneous(Op):
    """Keeps channels apart, in their order, and passes a positive factor on each of them on."""

    @property
    def is_homogeneous(self) -> bool:
        """It is, unless its attributes stand against it, which the op then says."""
        return True


class Weighted(Op):
    """A layer: constant weights [outputs, inputs / groups, …], and a bias for each output."""

    # Declared by the ops, whose weights are of different ranks.
    weight: ClassVar[Attribute[Ref]]
    bias: ClassVar[Attribute[Ref | None]]

    @property
    def group_count(self) -> int:
        """Runs of output channels, each of which reads its own run of input channels."""
        return 1


class StatesModel(KeepsShape):
    """A function of each element by itself, which a small ONNX model states.

    The model takes float32 numbers `x` [N] and gives `y` [N]; whoever runs models computes it.

    Attributes:
        model: The serialized model, bytes.
    """

    model = Attribute(TENSOR, stored=(ACTIVATION, 1))

    def check(self, stored: Stored) -> None:
        """The model is a sequence of bytes."""
        super().check(stored)
        expect(stored(self.model).element == "u8", "a model must be of bytes (u8)")


class CallsHost(Op):
    """Results that the host computes at once, by an ONNX model: the fragment.

    Attributes:
        fragment: The serialized model, bytes.
    """

    fragment = Attribute(TENSOR, stored=(ACTIVATION, 1))

    def host_operands(self, operands: list[Any]) -> list[Any]:
        """What the fragment takes, from the op's operands."""
        return operands


class FromHost(Op):
    """A value of the host, its only operand, as reals for the chip."""


class PicksResult(Op):
    """One of the results of a host call, which is the only operand.

    Attributes:
        index: Which one, from 0.
    """

    index = Attribute(INTEGER)


class AtOnce(Op):
    """Computed at once, not row by row: the host does it."""


class Border(Op):
    """Between the reals of the user and the activations inside; the host does it.

    Attributes:
        inward: From reals to activations; else back.
    """

    inward: ClassVar[bool]
