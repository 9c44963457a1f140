"""Functions of one value become one table, where that saves a table or a rounding."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from epimc.ir.core.module import Module
from epimc.ir.dialects import epi
from epimc.ir.interpreter import interpret
from epimc.ir.text.parser import parse_module
from epimc.ir.verifier import verify
from epimc.quantization import joining
from epimc.quantization.quantize import Quantize

HEAD = """epimc.module 2 "m" level calibrated {
  tensor @w : tensor<3x3x1x1xf32> = normal(seed = 1, scale = 1.0)
  tensor @three : tensor<3xf32> = [0.5, 1.0, -2.0]
  tensor @half : tensor<3xf32> = [0.5, 0.5, 0.5]
  input "x" %x : tensor<3x4x4xf32> range [-4.0, 4.0]
"""
MAP = "tensor<3x4x4xf32> range [-4.0, 4.0]"
CONV = "epi.conv({}) {{epitome = @w, shape = [3, 3, 1, 1], plan = [[0, 3, 0, 3, 0, 0, 0, 0]]}}"
SIGMOID = 'nn.activation({}) {{function = "sigmoid"}}'
RELU, MULTIPLY, ADD = "nn.relu({})", "nn.multiply({}, {})", "nn.add({}, {})"
HALF, AFFINE = "nn.affine({}) {{scale = @half}}", "nn.affine({}) {{scale = @three}}"


def modules(*lines: tuple[str, str], outputs: Sequence[str] = ("y",)) -> tuple[Module, Module]:
    """A calibrated module of some (name, op), and its integers."""
    body = [f"  %{name} = {text} : {MAP}\n" for name, text in lines]
    ends = [f'  output "{name}" = %{name}\n' for name in outputs]
    module = parse_module(HEAD + "".join(body) + "".join(ends) + "}\n")
    verify(module)
    integers = Quantize().run(module)
    verify(integers)
    return module, integers


def names(module: Module) -> list[str]:
    """The ops without the border."""
    return [op.name for op in module.ops if op.name not in ("epi.quantize", "epi.dequantize")]


def line(name: str, form: str, *operands: str) -> tuple[str, str]:
    """An op of named values."""
    return name, form.format(*(f"%{operand}" for operand in operands))


SWISH = (line("s", SIGMOID, "x"), line("y", MULTIPLY, "x", "s"))
GELU = (
    line("h", HALF, "x"),
    line("e", 'nn.activation({}) {{function = "erf"}}', "h"),
    line("p", MULTIPLY, "x", "e"),
    line("a", ADD, "p", "x"),
    line("y", HALF, "a"),
)


@pytest.mark.parametrize(
    "lines",
    [
        SWISH,
        GELU,
        (line("r", RELU, "x"), line("y", SIGMOID, "r")),
        (line("s", SIGMOID, "x"), line("y", RELU, "s")),
        (line("m", MULTIPLY, "x", "x"), line("y", MULTIPLY, "m", "x")),
        (line("m", MULTIPLY, "x", "x"), line("y", RELU, "m")),
    ],
)
def test_one_table(lines: Sequence[tuple[str, str]]) -> None:
    module, integers = modules(*lines)
    assert names(integers) == ["epi.lookup"]
    (table,) = (op for op in integers.ops if isinstance(op, epi.LookUp))
    assert table.x.name == "x.q"
    # What the ops compute of each value, rounded once.
    kind = table.x.type
    real = (np.arange(256) - kind.zero_point) * kind.step
    x = np.broadcast_to(real[:, None, None, None], (256, 3, 4, 4))
    (expected,) = interpret(module, {"x": x}).values()
    step, zero_point = table.output.type.step, table.output.type.zero_point
    steps = np.clip(np.rint(expected[:, 0, 0, 0] / step) + zero_point, 0, 255)
    assert integers.tensor(table.table).tolist() == [steps.tolist()]


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        # Two values: neither is a function of the other.
        (
            (line("c", CONV, "x"), line("s", SIGMOID, "x"), line("y", MULTIPLY, "c", "s")),
            ["epi.lookup", "epi.conv", "epi.requantize", "epi.multiply", "epi.requantize"],
        ),
        # Sums that are clipped: one rounding as they are.
        (
            (line("a", HALF, "x"), line("b", ADD, "x", "a"), line("y", RELU, "b")),
            ["epi.requantize"],
        ),
        ((line("y", MULTIPLY, "x", "x"),), ["epi.multiply", "epi.requantize"]),
        # A number for each channel is no table of all.
        (
            (line("a", AFFINE, "x"), line("y", SIGMOID, "a")),
            ["epi.requantize", "epi.lookup"],
        ),
        # The sum of a layer is rounded once, behind its relu: the table begins there.
        (
            (
                line("c", CONV, "x"),
                line("r", RELU, "c"),
                line("s", SIGMOID, "r"),
                line("y", MULTIPLY, "r", "s"),
            ),
            ["epi.conv", "epi.requantize", "epi.lookup"],
        ),
        # A scale costs nothing in the sum that reads it.
        (
            (
                line("s", SIGMOID, "x"),
                line("h", HALF, "s"),
                line("c", CONV, "x"),
                line("y", ADD, "h", "c"),
            ),
            ["epi.lookup", "epi.conv", "epi.requantize"],
        ),
    ],
)
def test_what_stays(lines: Sequence[tuple[str, str]], expected: list[str]) -> None:
    _, integers = modules(*lines)
    assert sorted(names(integers)) == sorted(expected)


def test_a_product_is_a_table_before_a_sum_too() -> None:
    swish = (line("s", SIGMOID, "x"), line("m", MULTIPLY, "x", "s"))
    _, integers = modules(*swish, line("c", CONV, "x"), line("y", ADD, "m", "c"))
    assert sorted(names(integers)) == ["epi.conv", "epi.lookup", "epi.requantize"]


def test_what_is_read_elsewhere_has_a_table_of_its_own() -> None:
    _, integers = modules(*SWISH, outputs=["s", "y"])
    assert names(integers) == ["epi.lookup", "epi.lookup"]
    assert [op.operands[0].name for op in integers.ops if op.name == "epi.lookup"] == ["x.q"] * 2


def test_nodes_are_named_in_the_order_of_the_model() -> None:
    module = parse_module(
        HEAD
        + f'  %s = {SIGMOID.format("%x")} : {MAP} loc(Sigmoid "first")\n'
        + f'  %y = {MULTIPLY.format("%x", "%s")} : {MAP} loc(Mul "second")\n'
        + '  output "y" = %y\n}\n'
    )
    (table,) = (op for op in Quantize().run(module).ops if isinstance(op, epi.LookUp))
    assert table.location.nodes == (("Sigmoid", "first"), ("Mul", "second"))


def test_long_chains_are_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(joining, "LONGEST", 4)
    chain = [line(f"s{k}", SIGMOID, f"s{k - 1}" if k else "x") for k in range(9)]
    _, integers = modules(*chain, line("y", RELU, "s8"))
    tables = [op for op in integers.ops if isinstance(op, epi.LookUp)]
    assert [op.output.name for op in tables] == ["s1", "s5", "y"]
    assert names(integers) == ["epi.lookup"] * 3
