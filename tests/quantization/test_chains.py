"""Sums as long as a model: no recursion, and the same order of ops as with it."""

from __future__ import annotations

import sys

from epimc.ir.text.parser import parse_module
from epimc.ir.verifier import verify
from epimc.quantization.quantize import Quantize

MAP = "tensor<2x1x1xf32>"
HEAD = """epimc.module 2 "m" level calibrated {
  tensor @w : tensor<2x2x1x1xf32> = [1.0, 0.5, 0.25, 1.0]
  tensor @minus : tensor<2xf32> = [-1.0, -1.0]
"""
CONV = "epi.conv({}) {{epitome = @w, shape = [2, 2, 1, 1], plan = [[0, 2, 0, 2, 0, 0, 0, 0]]}}"


def calibrated(ops: list[str], output: str) -> str:
    """A text whose ops all give maps in [-1, 1]."""
    lines = [f"  {op} : {MAP} range [-1.0, 1.0] loc(N {name(op)})\n" for op in ops]
    border = f'  input "x" %v0 : {MAP} range [-1.0, 1.0]\n'
    return f'{HEAD}{border}{"".join(lines)}  output "y" = %{output}\n}}\n'


def name(op: str) -> str:
    """The name of an op's node: that of its result."""
    return f'"{op.partition(" ")[0][1:]}"'


def test_a_chain_of_thousands_is_one_sum() -> None:
    count = 2 * sys.getrecursionlimit() + 1
    chain = [f"%v{k + 1} = nn.affine(%v{k}) {{scale = @minus}}" for k in range(count)]
    module = Quantize().run(parse_module(calibrated(chain, f"v{count}")))
    verify(module)
    assert [op.name for op in module.ops] == ["epi.quantize", "epi.requantize", "epi.dequantize"]
    rounded = module.ops[1]
    assert rounded.output.name == f"v{count}"
    # An odd number of negations.
    multipliers = module.tensor(rounded.attributes["multipliers"])
    assert (multipliers < 0).all()
    nodes = rounded.location.nodes
    assert nodes == tuple(("N", f"v{k + 1}") for k in range(count))


def test_what_a_sum_takes_comes_in_the_order_of_its_operands() -> None:
    # %b is computed before %a, and added behind it.
    ops = [
        f"%b = {CONV.format('%v0')}",
        f"%a = {CONV.format('%v0')}",
        "%n = nn.affine(%a) {scale = @minus}",
        "%s = nn.add(%n, %b)",
        f"%c = {CONV.format('%v0')}",
        "%y = nn.sub(%s, %c)",
    ]
    module = Quantize().run(parse_module(calibrated(ops, "y")))
    verify(module)
    names = [op.output.name for op in module.ops]
    assert names == ["v0.q", "a.acc", "b.acc", "c.acc", "y", "y.real"]
    rounded = module.ops[4]
    assert [value.name for value in rounded.operands] == ["a.acc", "b.acc", "c.acc"]
    assert [node for _, node in rounded.location.nodes] == ["a", "n", "b", "s", "c", "y"]
