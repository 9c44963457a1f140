"""An op that is declared here, once, goes all the way: text, rules, integers, both ONNX graphs.

It comes with its class and its two forms in ONNX; everything else follows from its traits.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from epimc.backends.crossbar.target.schema import load_target
from epimc.backends.forms import Claim, Node, Tensor, constant
from epimc.backends.onnx.float_graph import FloatGraph
from epimc.backends.onnx.functions import export_floats
from epimc.backends.onnx.ops import Quantized, float_form, integer_form
from epimc.ir.core.levels import QUANTIZED, up_to
from epimc.ir.core.op import Array, Lookup, Operand, Result
from epimc.ir.core.registry import Dialect, register, unregister
from epimc.ir.core.traits import KeepsShape, Moves
from epimc.ir.dialects.nn import MOVABLE
from epimc.ir.interpreter import interpret
from epimc.ir.text.document import ir_document
from epimc.ir.text.parser import parse_module
from epimc.ir.text.printer import print_module
from epimc.support.diagnostics import EpimcError
from tests.backends.onnx.agreement import LEVELS, disagreements, run_onnx
from tests.helpers.modules import lower

MODULE = """
epimc.module 2 "toy" level epi {
  attribute calibration = [@samples]
  input "x" %x : tensor<3x4x4xf32>
  tensor @samples : tensor<8x3x4x4xf32> = normal(seed = 1, scale = 1.0)
  tensor @e : tensor<2x3x1x1xf32> = [1, 2, 3, -1, -2, 0.5]
  %r = toy.reverse(%x) : tensor<3x4x4xf32>
  %c = epi.conv(%r) {epitome = @e, shape = [2, 3, 1, 1], plan = \
[[0, 2, 0, 3, 0, 0, 0, 0]]} : tensor<2x4x4xf32>
  %y = toy.reverse(%c) : tensor<2x4x4xf32>
  output "y" = %y
}
"""


@pytest.fixture
def reverse() -> Iterator[type[Moves]]:
    """The op `toy.reverse`."""
    toys = register(Dialect("toy", "an op for a test", "Head.\n\nText."))

    @toys.op
    class Reverse(Moves, KeepsShape):
        """The channels in reverse order."""

        name = "toy.reverse"
        levels = up_to(QUANTIZED)
        x = Operand(MOVABLE)
        result = Result(MOVABLE)

        def evaluate(self, inputs: list[Array], tensors: Lookup) -> Array:
            """Moved."""
            return inputs[0][:, ::-1]

    @float_form(Reverse)
    def float_reverse(op: Reverse, graph: FloatGraph) -> None:
        """Gather."""
        name = graph.names[op.output]
        order = np.arange(op.output.type.shape[0])[::-1].copy()
        numbers = graph.constant(f"{name}/order", order)
        graph.node("Gather", [graph.input_of(op), numbers], name, axis=1)

    @integer_form(Reverse)
    def integer_reverse(op: Reverse, quantized: Quantized) -> Iterator[Claim]:
        """Gather."""
        name, order = op.output.name, Tensor(op.output.name, "order")
        yield constant(order, np.arange(op.output.type.shape[0])[::-1])
        yield Node(Tensor(name), "Gather", (Tensor(op.x.name), order), {"axis": 1})

    yield Reverse
    for table in (float_form, integer_form):
        table.forget(Reverse)
    unregister(toys)


@pytest.mark.usefixtures("reverse")
def test_it_is_text_and_on_the_page() -> None:
    module = parse_module(MODULE)
    assert "toy.reverse(%c)" in print_module(module)
    assert "### toy.reverse\n\nThe channels in reverse order." in ir_document()


@pytest.mark.usefixtures("reverse")
def test_the_float_model_is_what_it_computes() -> None:
    module = parse_module(MODULE)
    inputs = {"x": np.random.default_rng(2).normal(size=(3, 3, 4, 4)).astype(np.float32)}
    (ours,) = interpret(module, inputs).values()
    (theirs,) = run_onnx(export_floats(module).SerializeToString(), inputs, LEVELS[0]).values()
    np.testing.assert_allclose(theirs, ours, rtol=1e-5, atol=1e-5)


@pytest.mark.usefixtures("reverse")
def test_its_integers_are_those_of_onnxruntime() -> None:
    module = lower(parse_module(MODULE), "calibrate,quantize")
    assert [op.name for op in module.ops] == [
        "epi.quantize",
        "toy.reverse",
        "epi.conv",
        "epi.requantize",
        "toy.reverse",
        "epi.dequantize",
    ]
    inputs = {"x": np.random.default_rng(3).normal(size=(5, 3, 4, 4)).astype(np.float32)}
    assert disagreements(module, inputs) == []


@pytest.mark.usefixtures("reverse")
def test_what_no_crossbar_op_stands_for_is_named() -> None:
    module = parse_module(MODULE)
    module.attributes["target"] = load_target("tiny").to_dict()
    with pytest.raises(EpimcError) as caught:
        lower(module, "calibrate,quantize,map")
    assert "Op toy.reverse has no form on crossbars." in str(caught.value)


def test_it_is_forgotten() -> None:
    with pytest.raises(EpimcError) as caught:
        parse_module(MODULE)
    assert "toy.reverse" in str(caught.value)
