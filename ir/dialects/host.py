"""Dialect `host`: what the chip has no form for, and what goes to the host and comes back.

A part of the model that the host runs is one op, `host.call`: an ONNX model, its fragment, over
reals of the chip and over values that the host alone knows, which may be of any ONNX type.  All of
its results together are one value; `host.result` is one of them, and `host.real` the reals of one
for the chip.  Where the chip works on integers, `epi.dequantize` stands before a call and
`epi.quantize` behind `host.real`.
"""

from __future__ import annotations

import inspect
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from epimc.ir.core.attributes import integers as ints
from epimc.ir.core.levels import QUANTIZED, up_to
from epimc.ir.core.op import (
    ANY_RANK,
    FLOAT,
    HOST_RANK,
    OPAQUE,
    Array,
    Attribute,
    Lookup,
    Op,
    Operand,
    Result,
    Stored,
)
from epimc.ir.core.registry import Dialect, register
from epimc.ir.core.traits import CallsHost, FromHost, PicksResult
from epimc.ir.core.types import HOST_RESULTS, IrError, expect, expect_port_type
from epimc.support.diagnostics import counted

LEVELS = up_to(QUANTIZED)

DIALECT = register(
    Dialect("host", "what the host runs, beside the chip", inspect.cleandoc(__doc__))
)


def result_of(results: Any, index: int) -> Any:
    """One of the results of a call, a sequence; IrError where there are not so many."""
    count = counted(len(results), "result")
    expect(index < len(results), f"the host gives {count}, and no {index}")
    return results[index]


def reals_of(samples: Any, shape: tuple[int, ...], dtype: DTypeLike) -> Array:
    """Samples of the host as an array [samples, *shape]; IrError where they are no such reals."""
    try:
        return np.stack([np.asarray(sample, dtype).reshape(shape) for sample in samples])
    except (TypeError, ValueError):
        raise IrError(f"the host gives no reals of shape {list(shape)}") from None


class HostValue(Op):
    """An op whose result the host alone knows."""

    result = Result(OPAQUE)

    def result_shape(self, stored: Stored) -> tuple[int, ...]:
        """None: what the host knows is one value of the IR, whatever it is."""
        return ()


class HostCall(HostValue, CallsHost):
    """What the host calls of all dialects share: everything but the name and the operands."""

    def check(self, stored: Stored) -> None:
        """The fragment is a sequence of bytes, and the result all of its results."""
        super().check(stored)
        expect(self.output.type == HOST_RESULTS, f"the result of a call is a {HOST_RESULTS}")
        expect(stored(self.fragment).element == "u8", "a fragment must be of bytes (u8)")


@DIALECT.op
class Call(HostCall):
    """The results of an ONNX model, one sample at a time.

    `fragment` holds the serialized model.  Its inputs are the operands in order: of reals an input
    of float32 in a fixed shape with as many elements as one sample.  The result stands for all of
    its outputs.
    """

    name = "host.call"
    levels = LEVELS
    inputs = Operand(FLOAT | OPAQUE, (*HOST_RANK, *ANY_RANK), variadic=True, least=0)

    def check(self, stored: Stored) -> None:
        """It takes single results of other calls."""
        super().check(stored)
        for operand in self.operands:
            if operand.type.is_host:
                expect_port_type(operand.type)


@DIALECT.op
class ResultOf(HostValue, PicksResult):
    """One of the results of a call, by its number."""

    name = "host.result"
    levels = LEVELS
    call = Operand(OPAQUE, HOST_RANK)

    def check(self, stored: Stored) -> None:
        """It is of a call.  There are no negative numbers; how many there are the fragment says."""
        super().check(stored)
        expect(self.call.type == HOST_RESULTS, f"%{self.call.name} is not all results of a call")
        expect_port_type(self.output.type)
        expect(self.index >= 0, f"there is no result {self.index}")

    def evaluate(self, inputs: list[Array], tensors: Lookup) -> Any:
        """That of each sample."""
        return result_of(inputs[0], self.index)


@DIALECT.op
class Real(FromHost):
    """A float tensor of the host as reals [samples, *shape] for the chip, its elements in order.

    The chip has no NaN: it takes 0 in its place.
    """

    name = "host.real"
    levels = LEVELS
    x = Operand(OPAQUE, HOST_RANK)
    shape = Attribute(ints(minimum=1))
    result = Result(FLOAT)

    def result_shape(self, stored: Stored) -> tuple[int, ...]:
        """As stated; IrError for one that no value of the chip has."""
        expect(len(self.shape) in ANY_RANK, f"a value of shape {list(self.shape)} has no place")
        return self.shape

    def check(self, stored: Stored) -> None:
        """It takes a single result."""
        super().check(stored)
        expect_port_type(self.x.type)

    def evaluate(self, inputs: list[Array], tensors: Lookup) -> Array:
        """The samples, one behind the other, in float64; NaN is 0 on the chip."""
        samples = reals_of(inputs[0], self.shape, np.float64)
        return np.nan_to_num(samples, nan=0.0, posinf=np.inf, neginf=-np.inf)
