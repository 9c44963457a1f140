"""`quantize` of everything between convolutions: one rounding, common types, tables, bounds."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import helper

from epimc.ir.core.attributes import Ref
from epimc.ir.core.module import Module
from epimc.ir.core.op import Value
from epimc.ir.core.types import Location, TensorType
from epimc.ir.dialects import elementwise, epi
from epimc.ir.text.parser import parse_module
from epimc.ir.verifier import verify
from epimc.quantization.lookup import lookup_table
from epimc.quantization.quantize import Quantize

pytestmark = pytest.mark.smoke

HEAD = """epimc.module 2 "m" level calibrated {
  tensor @w : tensor<3x3x1x1xf32> = normal(seed = 1, scale = 1.0)
  tensor @three : tensor<3xf32> = [0.5, 1.0, -2.0]
  input "x" %x : tensor<3x4x4xf32> range [-1.0, 1.0]
"""
MAP = "tensor<3x4x4xf32>"
CONV = "epi.conv({}) {{epitome = @w, shape = [3, 3, 1, 1], plan = [[0, 3, 0, 3, 0, 0, 0, 0]]}}"


def quantized(*lines: str, outputs: tuple[str, ...] = ("y",)) -> Module:
    """The integer module of some ops `name = op : range low high`."""
    body = []
    for line in lines:
        text, _, span = line.partition(" range ")
        body.append(f"  {text} range [{span}]\n")
    ends = [f'  output "{name}" = %{name}\n' for name in outputs]
    module = Quantize().run(parse_module(HEAD + "".join(body) + "".join(ends) + "}\n"))
    verify(module)
    return module


def names(module: Module) -> list[str]:
    """The ops without the border."""
    return [op.name for op in module.ops if op.name not in ("epi.quantize", "epi.dequantize")]


def scales(module: Module) -> dict[str, float | None]:
    """The scale of every activation."""
    kinds = {value.name: value.type for value in module.values()}
    return {name: kind.scale for name, kind in kinds.items() if kind.element[0] == "u"}


def test_sums_of_all_kinds_round_once() -> None:
    module = quantized(
        f"%c = {CONV.format('%x')} : {MAP} range -3.0, 3.0",
        f"%m = nn.multiply(%x, %x) : {MAP} range 0.0, 1.0",
        f"%s = nn.sub(%c, %m) : {MAP} range -4.0, 3.0",
        f"%a = nn.affine(%s) {{scale = @three, offset = @three}} : {MAP} range -6.0, 8.0",
        f"%d = nn.sub(%x, %a) : {MAP} range -7.0, 7.0",
        f"%y = nn.clip(%d) {{low = -0.5, high = 2.0}} : {MAP} range -0.5, 1.5",
    )
    assert names(module) == ["epi.conv", "epi.multiply", "epi.requantize"]
    (rounding,) = (op for op in module.ops if isinstance(op, epi.Requantize))
    assert [value.name for value in rounding.operands] == ["x.q", "c.acc", "m.acc"]
    signs = np.sign(module.tensor(rounding.multipliers)).tolist()
    assert signs == [[1, 1, 1], [-1, -1, 1], [1, 1, -1]]
    assert np.sign(rounding.added(module.tensor)).tolist() == [-1, -1, 1]
    kind = rounding.output.type
    assert (rounding.low, rounding.high) == (0, 255)
    assert kind.zero_point == 64
    assert "Sub" not in str(rounding.location)


def test_bounds_of_a_clip() -> None:
    (rounding,) = (
        op
        for op in quantized(
            f"%y = nn.clip(%x) {{low = 0.25, high = 0.75}} : {MAP} range 0.25, 1.0"
        ).ops
        if isinstance(op, epi.Requantize)
    )
    assert (rounding.low, rounding.high) == (64, 191)


def test_what_is_concatenated_has_one_type() -> None:
    module = quantized(
        f"%c = {CONV.format('%x')} : {MAP} range -3.0, 3.0",
        "%p = nn.max_pool(%c) {kernel = [1, 1]} : tensor<3x4x4xf32> range -3.0, 3.0",
        f'%t = nn.activation(%x) {{function = "tanh"}} : {MAP} range -1.0, 1.0',
        "%i = nn.concat(%p, %t) : tensor<6x4x4xf32> range -3.0, 3.0",
        "%y = nn.concat(%i, %x) : tensor<9x4x4xf32> range -4.0, 6.0",
    )
    # x has two readers and keeps its own; it is rescaled for the result.
    assert names(module) == [
        *("epi.conv", "epi.requantize", "nn.max_pool", "epi.lookup", "nn.concat"),
        *("epi.requantize", "nn.concat"),
    ]
    actual = scales(module)
    common = actual["y"]
    assert {actual[k] for k in ("c", "p", "t", "i", "x.rescaled")} == {common}
    assert actual["x.q"] != common


def test_an_input_takes_the_type_of_a_concatenation() -> None:
    module = quantized(
        "%z = nn.pad(%x) {channels = [0, 2]} : tensor<5x4x4xf32> range -1.0, 1.0",
        "%y = nn.concat(%z) : tensor<5x4x4xf32> range -1.0, 3.0",
    )
    assert names(module) == ["nn.pad", "nn.concat"]
    assert len(set(scales(module).values())) == 1


def test_an_operand_that_others_read_is_rescaled_once_an_operand() -> None:
    module = quantized(
        f"%r = nn.relu(%x) : {MAP} range 0.0, 1.0",
        "%y = nn.concat(%r, %x, %r) : tensor<9x4x4xf32> range -1.0, 1.0",
    )
    assert names(module) == ["epi.requantize"] * 3 + ["nn.concat"]
    rescaled = [v.name for v in module.ops[-2].operands]
    assert rescaled == ["r.rescaled", "x.q", "r.rescaled.1"]


def activation(**attributes: object) -> elementwise.Activation:
    """An op over a vector of two channels."""
    kind = TensorType((2,))
    return elementwise.Activation([Value("x", kind)], Value("y", kind), Location(), attributes)


def test_tables_round_half_to_even_and_clip() -> None:
    x = TensorType((2,), "u3", 0.5, 2)
    y = TensorType((2,), "u4", 1.0, 3)
    table = lookup_table(activation(function="abs"), x, y, lambda ref: np.zeros(0))
    # |q - 2| / 2 + 3, with 0.5 -> 0, 1.5 -> 2, 2.5 -> 2.
    assert table.tolist() == [[4, 3, 3, 3, 4, 5, 5, 5]]
    y = TensorType((2,), "u4", 0.25, 0)
    op = activation(function="leaky_relu", alphas=Ref("alphas"))
    table = lookup_table(op, x, y, lambda ref: np.array([0.5, -1.0], np.float32))
    assert table.tolist() == [[0, 0, 0, 2, 4, 6, 8, 10], [4, 2, 0, 2, 4, 6, 8, 10]]
    tiny = TensorType((2,), "u4", 1e-300, 0)
    table = lookup_table(activation(function="exp"), x, tiny, lambda ref: np.zeros(0))
    assert table.tolist() == [[15] * 8]


def test_tables_outside_of_the_domain() -> None:
    x = TensorType((2,), "u3", 0.5, 2)
    y = TensorType((2,), "u4", 0.25, 6)
    graph = helper.make_graph(
        [helper.make_node("Log", ["x"], ["y"])],
        "log",
        [helper.make_tensor_value_info("x", 1, ["N"])],
        [helper.make_tensor_value_info("y", 1, ["N"])],
    )
    opsets = [helper.make_opsetid("", 20)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=9).SerializeToString()
    op = elementwise.Function([Value("x", x)], Value("y", y), Location(), {"model": Ref("model")})
    table = lookup_table(op, x, y, lambda ref: np.frombuffer(model, np.uint8))
    # No number becomes 0, minus infinity the least; log(0.5) is -2.77 steps, log(2.5) 3.67.
    assert table.tolist() == [[6, 6, 0, 3, 6, 8, 9, 10]]
