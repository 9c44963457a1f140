"""The epitomized float model as ONNX functions, against the interpreter, in onnxruntime."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from epimc.backends.crossbar.target.schema import load_target
from epimc.backends.onnx.functions import export_floats, has_identity_plans
from epimc.backends.onnx.ops import float_form
from epimc.frontend import import_model
from epimc.ir.core.levels import CALIBRATED, EPI
from epimc.ir.core.module import Builder, Module
from epimc.ir.core.op import Value
from epimc.ir.core.registry import OPS
from epimc.ir.core.types import Location, TensorType
from epimc.ir.dialects import epi
from epimc.ir.epitome.plan import Patch, Plan, Shape, identity
from epimc.ir.interpreter import interpret
from epimc.ir.pipeline import Runner, parse_pipeline
from epimc.ir.text.parser import parse_module
from epimc.ir.verifier import verify
from epimc.support.diagnostics import EpimcError
from tests.crossbars import PASSES
from tests.helpers.hand_plans import hand_plans

EXAMPLES = Path(__file__).parents[3] / "examples"
TOLERANCE = 1e-4

Array = NDArray[Any]


def run(model: onnx.ModelProto, inputs: dict[str, Array]) -> list[Array]:
    """The outputs of onnxruntime."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    results: list[Array] = session.run(None, inputs)
    return results


def compare(module: Module, inputs: dict[str, Array]) -> onnx.ModelProto:
    """Export a module, hold it to the interpreter, and return the export."""
    model = export_floats(module)
    onnx.checker.check_model(model, full_check=True)
    expected = interpret(module, inputs)
    for ours, theirs in zip(run(model, inputs), expected.values(), strict=True):
        assert ours.shape == theirs.shape
        scale = np.abs(theirs).max() or 1.0
        assert np.abs(ours - theirs).max() <= TOLERANCE * scale
    return model


def epitomized(model: str, policy: str) -> Module:
    """An example model with epitomes by a policy."""
    module = import_model(EXAMPLES / f"{model}.onnx").module
    module.attributes["target"] = load_target("epim-256").to_dict()
    module.attributes["array_rows"] = load_target("epim-256").crossbar.rows
    passes = parse_pipeline(f"fold,epitomize{{policy={policy}}}", PASSES)
    return Runner(PASSES).run(module, passes)


@pytest.mark.parametrize("policy", ["none", "uniform:256x32", "uniform:72x8"])
@pytest.mark.parametrize(
    ("model", "data"), [("mnist-conv", "mnist"), ("fashion-resnet8", "fashion")]
)
def test_examples_agree_with_the_interpreter(model: str, data: str, policy: str) -> None:
    with np.load(EXAMPLES / f"{data}-test.npz") as file:
        inputs = {name: array[:20] for name, array in file.items() if name != "labels"}
    module = epitomized(model, policy)
    exported = compare(module, inputs)
    layers = [op for op in module.ops if isinstance(op, epi.Conv)]
    calls = [node for node in exported.graph.node if node.domain == "epimc"]
    assert len(calls) == len(layers)
    assert {node.op_type for node in calls} == {f.name for f in exported.functions}
    # Weights are stored once: as many elements as all epitomes and biases have.
    stored = sum(int(np.prod(i.dims)) for i in exported.graph.initializer)
    refs = {ref for op in layers for ref in (op.epitome, op.bias) if ref}
    assert stored == sum(module.tensors[ref.name].type.size for ref in refs)
    assert has_identity_plans({p.key: p.value for p in exported.metadata_props}) == all(
        op.plan == identity(op.weights_shape) for op in layers
    )


def layer(
    weights: Shape,
    epitome: Shape,
    plan: Plan,
    size: tuple[int, ...],
    *,
    bias: bool = True,
    **window: Any,
) -> Module:
    """One epitome op over an input of `size`, with random numbers."""
    builder = Builder(Module("layer", EPI))
    draw = np.random.default_rng(0)
    x = builder.input("x", Value("x", TensorType((weights[1], *size))))
    given = {"shape": weights, "plan": plan, **window}
    given["epitome"] = builder.store("e", draw.standard_normal(epitome), "f32")
    if bias:
        given["bias"] = builder.store("b", draw.standard_normal(weights[0]), "f32")
    result = Value("y", x.type)
    op = epi.Conv([x], result, Location((("Conv", "c"),)), given)
    result.type = TensorType(op.result_shape(lambda ref: builder.module.tensors[ref.name].type))
    builder.module.ops.append(op)
    builder.module.outputs.append(("out", result))
    module = builder.finish()
    verify(module)
    return module


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_random_plans_agree_with_the_interpreter(data: st.DataObject) -> None:
    sizes = st.tuples(st.integers(1, 9), st.integers(1, 9), st.integers(1, 3), st.integers(1, 3))
    weights = data.draw(sizes)
    epitome, plan = data.draw(hand_plans(weights))
    pads = data.draw(st.tuples(*[st.integers(0, 2)] * 4))
    strides = data.draw(st.sampled_from([(1, 1), (2, 2), (1, 3)]))
    dilations = data.draw(st.sampled_from([(1, 1), (2, 1)]))
    bias = data.draw(st.booleans())
    window = {"pads": pads, "strides": strides, "dilations": dilations}
    module = layer(weights, epitome, plan, (8, 7), bias=bias, **window)
    inputs = np.random.default_rng(1).standard_normal((2, weights[1], 8, 7)).astype(np.float32)
    exported = compare(module, {"x": inputs})
    expected = epitome == weights and plan == identity(weights)
    assert has_identity_plans({p.key: p.value for p in exported.metadata_props}) == expected


@settings(max_examples=30, deadline=None)
@given(st.data())
def test_random_plans_of_a_matmul(data: st.DataObject) -> None:
    weights = (data.draw(st.integers(1, 12)), data.draw(st.integers(1, 12)), 1, 1)
    epitome, plan = data.draw(hand_plans(weights).filter(lambda actual: actual[0][2:] == (1, 1)))
    module = layer(weights, epitome, plan, (), bias=data.draw(st.booleans()))
    inputs = np.random.default_rng(1).standard_normal((3, weights[1])).astype(np.float32)
    compare(module, {"x": inputs})


PINWHEEL = (
    Patch(0, 1, 0, 2, 0, 0, 0, 0),
    Patch(0, 2, 2, 1, 1, 1, 0, 0),
    Patch(2, 1, 1, 2, 1, 0, 0, 0),
    Patch(1, 2, 0, 1, 0, 1, 0, 0),
    Patch(1, 1, 1, 1, 2, 1, 0, 0),
)


def test_patches_that_no_border_parts_are_cut() -> None:
    module = layer((3, 3, 1, 1), (3, 2, 1, 1), PINWHEEL, (4, 4))
    inputs = np.random.default_rng(1).standard_normal((2, 3, 4, 4)).astype(np.float32)
    compare(module, {"x": inputs})


def test_outputs_that_wrap_share_their_weights() -> None:
    plan = tuple(Patch(2 * k, 2, 0, 3, 0, 0, 0, 0) for k in range(4))
    (function,) = export_floats(layer((8, 3, 3, 3), (2, 3, 3, 3), plan, (5, 5))).functions
    assert [node.op_type for node in function.node] == ["Concat", "Conv"]
    assert list(function.node[0].input) == ["epitome"] * 4
    assert list(function.attribute) == ["strides", "pads", "dilations", "group"]


OTHERS = """
epimc.module 2 "others" level epi {
  tensor @a : tensor<4x3x1x1xf32> = normal(seed = 1, scale = 1.0)
  tensor @b : tensor<4xf32> = normal(seed = 2, scale = 1.0)
  tensor @m : tensor<5x32x1x1xf32> = normal(seed = 3, scale = 1.0)
  input "%x" %x : tensor<3x9x8xf32>
  %a = epi.conv(%x) {epitome = @a, shape = [4, 3, 1, 1], plan = [[0, 4, 0, 3, 0, 0, 0, 0]]}
    : tensor<4x9x8xf32> loc(Conv "a")
  %b = epi.conv(%x) {epitome = @a, bias = @b, shape = [4, 3, 1, 1],
    plan = [[0, 4, 0, 3, 0, 0, 0, 0]]} : tensor<4x9x8xf32>
  %c = nn.add(%a, %b) : tensor<4x9x8xf32>
  %r = nn.relu(%c) : tensor<4x9x8xf32>
  %p = nn.average_pool(%r) {kernel = [3, 2], pads = [1, 1, 1, 0], strides = [2, 2]}
    : tensor<4x5x4xf32>
  %q = nn.average_pool(%p) {kernel = [2, 2], dilations = [3, 2], pads = [1, 0, 0, 1]}
    : tensor<4x3x3xf32>
  %s = nn.max_pool(%p) {kernel = [2, 2], dilations = [3, 1], strides = [1, 2]}
    : tensor<4x2x2xf32>
  %f = nn.rearrange(%s) {perm = [2, 0, 1], shape = [16]} : tensor<16xf32>
  %g = nn.rearrange(%q) {perm = [0, 1, 2], shape = [36]} : tensor<36xf32>
  %h = nn.relu(%q) : tensor<4x3x3xf32>
  output "h" = %h
  output "r" = %r
  output "r again" = %r
  output "f" = %f
  output "%g" = %g
  output "x" = %x
}
"""


def test_every_other_op_agrees_with_the_interpreter() -> None:
    module = parse_module(OTHERS)
    inputs = np.random.default_rng(1).standard_normal((3, 3, 9, 8)).astype(np.float32)
    exported = compare(module, {"%x": inputs})
    # Names begin with what no border's name begins with; both layers share one epitome.
    assert [node.output[0] for node in exported.graph.node][:2] == ["%%a", "%%b"]
    assert [i.name for i in exported.graph.initializer][:2] == ["%%a/epitome", "%%b/bias"]


@pytest.mark.parametrize("level", [EPI, CALIBRATED])
def test_every_op_of_the_level_has_a_float_form(level: str) -> None:
    legal = [op for op in OPS.values() if level in op.levels]
    assert len(legal) > 10
    assert [op.name for op in legal if not float_form.covers(op)] == []


def test_integers_have_no_float_form() -> None:
    module = parse_module(
        """
        epimc.module 2 "integers" level quantized {
          input "x" %x : tensor<3xf32>
          %q = epi.quantize(%x) : tensor<3xu8, scale = 0.5>
          %y = epi.dequantize(%q) : tensor<3xf32>
          output "y" = %y
        }
        """
    )
    with pytest.raises(EpimcError) as caught:
        export_floats(module)
    assert str(caught.value) == (
        "error: The float ONNX export takes IR at level epi or calibrated, "
        "module 'integers' is at level quantized.\n"
        "  hint: Start from IR at level calibrated."
    )


@pytest.mark.parametrize(
    ("attributes", "shape"),
    [
        ("kernel = [1, 2], strides = [1, 3], pads = [0, 1, 0, 0], counted = [0, 0, 0, 0]", "6x2"),
        ("kernel = [3, 2], strides = [2, 2], pads = [1, 1, 2, 1], counted = [1, 0, 0, 1]", "4x3"),
        ("kernel = [2, 2], dilations = [3, 2], pads = [1, 1, 1, 1], counted = [0, 0, 0, 0]", "5x5"),
    ],
)
def test_means_that_count_a_part_of_the_padding(attributes: str, shape: str) -> None:
    text = f"""epimc.module 2 "m" level epi {{
      input "x" %x : tensor<3x6x5xf32>
      %y = nn.average_pool(%x) {{{attributes}}} : tensor<3x{shape}xf32>
      output "y" = %y
    }}
    """
    x = np.random.default_rng(0).standard_normal((2, 3, 6, 5)).astype(np.float32)
    compare(parse_module(text), {"x": x})
