"""What quantization does to ops: every op is in one table, and traits are all that rules need."""

from __future__ import annotations

import pytest

from epimc.ir.core.levels import CALIBRATED, FLOATS, QUANTIZED, up_to
from epimc.ir.core.module import Module
from epimc.ir.core.op import FLOAT, Array, Lookup, Operand, Result
from epimc.ir.core.registry import OPS
from epimc.ir.core.traits import CallsHost, Clips, Joins, KeepsShape, Linear, Moves
from epimc.ir.core.types import Location
from epimc.ir.dialects import host, moves, nn
from epimc.ir.dialects.nn import MOVABLE
from epimc.quantization.quantize import Quantize
from epimc.quantization.rewriter import quantizes, sums
from epimc.support.diagnostics import EpimcError
from tests.helpers.modules import Net


def test_every_op_is_in_one_of_the_tables() -> None:
    legal = [op for op in OPS.values() if CALIBRATED in op.levels]
    assert len(legal) > 10
    assert [op.name for op in legal if sums.covers(op) == quantizes.covers(op)] == []


def test_what_keeps_a_sum_a_sum_is_a_sum_itself() -> None:
    legal = [op for op in OPS.values() if CALIBRATED in op.levels]
    linear = [op for op in legal if issubclass(op, Linear)]
    assert {op.name for op in linear} == {"nn.add", "nn.sub", "nn.affine"}
    assert all(map(sums.covers, linear))


def test_what_moves_is_legal_on_integers() -> None:
    moving = {op.name for op in OPS.values() if issubclass(op, Moves) and QUANTIZED in op.levels}
    assert moving == {"nn.max_pool", "nn.rearrange", "nn.concat", "nn.select", "nn.pad"}
    assert issubclass(moves.Concat, Joins)
    assert not issubclass(nn.Relu, Moves)
    assert issubclass(host.Call, CallsHost)


class Reverse(Moves, KeepsShape):
    """The channels in reverse order: an op that nobody but its traits tells of."""

    name = "toy.reverse"
    levels = up_to(QUANTIZED)
    x = Operand(MOVABLE)
    result = Result(MOVABLE)

    def evaluate(self, inputs: list[Array], tensors: Lookup) -> Array:
        """Moved."""
        return inputs[0][:, ::-1]


class Halve(Clips, KeepsShape):
    """min(x, 0.5)."""

    name = "toy.halve"
    levels = FLOATS
    bounds = (-float("inf"), 0.5)
    x = Operand(FLOAT)
    result = Result(FLOAT)


class Stranger(KeepsShape):
    """An op that tells nothing of itself."""

    name = "toy.stranger"
    levels = FLOATS
    x = Operand(FLOAT)
    result = Result(FLOAT)


def through(*kinds: type[KeepsShape]) -> Module:
    """A calibrated module of these ops, one behind the other."""
    net = Net()
    value = net.input(3)
    for kind in kinds:
        value = net.op(kind, value)
    module = net.module(value)
    module.level = CALIBRATED
    for known in module.values():
        known.range = (-1.0, 1.0)
    return module


def test_traits_are_all_that_a_new_op_needs() -> None:
    module = Quantize().run(through(Reverse, Halve))
    assert [op.name for op in module.ops] == [
        "epi.quantize",
        "toy.reverse",
        "epi.requantize",
        "epi.dequantize",
    ]
    quantized, moved, clipped, _ = (op.output for op in module.ops)
    assert moved.type == quantized.type
    bound = round(0.5 / clipped.type.step) + clipped.type.zero_point
    assert module.ops[2].attributes["high"] == bound


def test_an_op_that_nobody_knows_is_named() -> None:
    with pytest.raises(EpimcError) as caught:
        Quantize().run(through(Stranger))
    assert "Op toy.stranger has no rule for integers." in str(caught.value)


def test_what_moves_keeps_its_place_and_its_range() -> None:
    module = through(Reverse)
    (op,) = Quantize().run(module).ops[1:-1]
    assert op.location == module.ops[0].location != Location()
    assert op.output.range == (-1.0, 1.0)
