"""Whole models: names, constants, inputs and outputs, and exactly what is said of the rest."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper
from onnx.helper import make_node

from epimc.frontend import ImportedModel, import_model, import_proto
from epimc.frontend.core.draft import identifier
from epimc.ir.core.module import Module
from epimc.ir.core.types import Location
from epimc.ir.verifier import verify
from epimc.support.diagnostics import EpimcError
from tests.helpers.ports import shapes
from tests.helpers.strict import import_strictly

pytestmark = pytest.mark.smoke

Array = NDArray[Any]
Build = Callable[..., onnx.ModelProto]
Compare = Callable[[onnx.ModelProto], ImportedModel]
Run = Callable[[Module, Mapping[str, Array]], list[Array]]
Reference = Callable[[onnx.ModelProto, Mapping[str, Array]], list[Array]]

EXAMPLES = Path(__file__).parents[2] / "examples"
ONES = np.ones((4, 3, 1, 1), np.float32)
HINT = "  hint: Compile without --strict, or end the model before these operators."


def error_of(model: onnx.ModelProto) -> str:
    """The rendered error of an import that fails."""
    with pytest.raises(EpimcError) as caught:
        import_strictly(model, "model")
    assert caught.value.exit_code == 2
    return str(caught.value)


def unsupported(*notes: str, count: int = 1) -> str:
    """The rendered error for nodes that the chip cannot compute."""
    nodes = "1 node" if count == 1 else f"{count} nodes"
    head = f"error: The host would run {nodes}, which --strict forbids."
    return "\n".join([head, *(f"  note: {note}" for note in notes), HINT])


# --- the example models ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "data", "count"), [("mnist-conv", "mnist", 11), ("fashion-resnet8", "fashion", 22)]
)
def test_examples(run: Run, reference: Reference, name: str, data: str, count: int) -> None:
    imported = import_model(EXAMPLES / f"{name}.onnx")
    module = imported.module
    verify(module)
    assert (module.name, module.level, len(module.ops)) == (name, "nn", count)
    assert imported.outputs[0].shape == (10,)
    ((key, shape),) = shapes(imported.inputs)
    assert shape == (1, 28, 28)
    with np.load(EXAMPLES / f"{data}-test.npz") as test:
        inputs = {key: test[key][:20]}
    (actual,), (expected,) = run(module, inputs), reference(imported.model.message(), inputs)
    np.testing.assert_allclose(actual, expected, rtol=1e-4, atol=1e-4)


def test_locations_and_names() -> None:
    module = import_model(EXAMPLES / "fashion-resnet8.onnx").module
    op = module.ops[0]
    assert op.output.name == "st_st_0_Conv_output_0"
    assert op.location == Location((("Conv", "/st/st.0/Conv"),))
    assert [ref.name for _, ref in op.tensor_refs()] == ["onnx_Conv_89", "onnx_Conv_90"]


# --- names -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "expected"),
    [("a", "a"), ("/x/conv:0", "x_conv_0"), ("__a..b-c__", "a_b-c"), ("é", "v"), ("", "v")],
)
def test_identifier(name: str, expected: str) -> None:
    assert identifier(name) == expected


def test_names_are_unique(build: Build, compare: Compare) -> None:
    nodes = [
        make_node("Relu", ["a/b"], ["a:b"]),
        make_node("Add", ["a:b", "w/1"], ["a b"]),
        make_node("Add", ["a b", "w:1"], ["…"]),
        make_node("Add", ["…", "w/1"], ["y!"]),
    ]
    constants = {"w/1": np.array([1, 2, 3], np.float32), "w:1": np.array([4, 5, 6], np.float32)}
    model = build(nodes, {"a/b": ("N", 3)}, constants, ["y!"])
    module = compare(model).module
    assert [name for name, _ in module.inputs] == ["a/b"]
    assert [name for name, _ in module.outputs] == ["y!"]
    assert [value.name for value in module.values()] == ["a_b", "a_b.1", "a_b.2", "v", "y"]
    assert list(module.tensors) == ["w_1", "w_1.1"]
    assert str(module.ops[0].location) == "node 'a:b' (Relu)"


def test_a_shared_constant_is_stored_once(build: Build, compare: Compare) -> None:
    nodes = [make_node("Conv", ["x", "w"], ["t"]), make_node("Conv", ["t", "w"], ["y"])]
    model = build(nodes, constants={"w": np.ones((3, 3, 2, 2), np.float32)})
    assert list(compare(model).module.tensors) == ["w"]


# --- constants ---------------------------------------------------------------------------------


def test_shape_chains_fold(build: Build, compare: Compare) -> None:
    """What PyTorch exports for x.view(x.size(0), -1)."""
    nodes = [
        make_node("Shape", ["x"], ["shape"]),
        make_node("Constant", [], ["zero"], value_int=0),
        make_node("Gather", ["shape", "zero"], ["batch"]),
        make_node("Unsqueeze", ["batch", "axes"], ["b"]),
        make_node("Constant", [], ["rest"], value_ints=[-1]),
        make_node("Concat", ["b", "rest"], ["target"], axis=0),
        make_node("Reshape", ["x", "target"], ["y"]),
    ]
    module = compare(build(nodes, constants={"axes": np.array([0])})).module
    assert [op.name for op in module.ops] == ["nn.rearrange"]


@pytest.mark.parametrize("opset", [7, 13, 26])
def test_constant_arithmetic_folds(build: Build, compare: Compare, opset: int) -> None:
    value = helper.make_tensor("c", TensorProto.FLOAT, [3, 1], [1.0, 2.0, 3.0])
    nodes = [
        make_node("Constant", [], ["c"], value=value),
        make_node("Mul", ["c", "c"], ["square"]),
        make_node("Reshape", ["square", "s"], ["r"]),
        make_node("Add", ["x", "r"], ["y"]),
    ]
    model = build(nodes, constants={"s": np.array([3, 1, 1])}, opset=opset)
    module = compare(model).module
    assert [op.name for op in module.ops] == ["nn.affine"]
    np.testing.assert_array_equal(module.tensors["r"].array, [1, 4, 9])


def test_weights_may_be_cast_and_dequantized(build: Build, compare: Compare) -> None:
    nodes = [
        make_node("Cast", ["half"], ["w"], to=TensorProto.FLOAT),
        make_node("DequantizeLinear", ["small", "scale"], ["b"]),
        make_node("Conv", ["x", "w", "b"], ["y"]),
    ]
    constants = {
        "half": ONES.astype(np.float16) * 0.5,
        "small": np.array([1, -2, 3, -4], np.int8),
        "scale": np.array(0.25, np.float32),
    }
    module = compare(build(nodes, constants=constants)).module
    np.testing.assert_array_equal(module.tensors["b"].array, [0.25, -0.5, 0.75, -1])


def test_initializers_may_be_listed_as_inputs(build: Build, compare: Compare) -> None:
    model = build([make_node("Conv", ["x", "w"], ["y"])], constants={"w": ONES}, opset=7)
    assert [entry.name for entry in model.graph.input] == ["x", "w"]
    assert shapes(compare(model).inputs) == [("x", (3, 9, 8))]


def test_what_no_output_needs_is_left_out(build: Build, compare: Compare) -> None:
    nodes = [make_node("Softmax", ["x"], ["unused"]), make_node("Relu", ["x"], ["y"])]
    constants = {"w": np.full((2, 2), np.nan, np.float32)}
    module = compare(build(nodes, constants=constants)).module
    assert len(module.ops) == 1
    assert not module.tensors


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_weights_are_finite(build: Build, value: float) -> None:
    weights = ONES.copy()
    weights[1, 2] = value
    model = build([make_node("Conv", ["x", "w"], ["y"], name="c")], constants={"w": weights})
    assert error_of(model) == unsupported("node 'c' (Conv): input 'w' holds NaN or infinity.")


def test_enormous_constants_are_not_made(build: Build) -> None:
    nodes = [
        make_node("ConstantOfShape", ["s"], ["c"]),
        make_node("Add", ["x", "c"], ["y"]),
    ]
    model = build(nodes, {"x": (1, 10**6)}, constants={"s": np.array([10**6, 10**6])})
    message = error_of(model)
    assert message.startswith("error: Model 'model' needs more memory than the limit of ")
    assert "  --> node 'c' (ConstantOfShape)\n" in message


def test_constants_that_cannot_be_evaluated(build: Build) -> None:
    nodes = [
        make_node("Gather", ["s", "i"], ["g"], name="g"),
        make_node("Reshape", ["x", "g"], ["y"]),
    ]
    model = build(nodes, constants={"s": np.array([1, -1]), "i": np.array([7])})
    assert error_of(model).startswith(
        "error: The host would run 2 nodes, which --strict forbids.\n"
        "  note: node 'g' (Gather): its constant inputs cannot be evaluated ("
    )


# --- inputs and outputs ------------------------------------------------------------------------


def test_an_empty_batch(build: Build) -> None:
    model = build([make_node("Flatten", ["x"], ["y"])], {"x": (1, 2, 3, 4)})
    model.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 0
    imported = import_proto(model, "model")
    assert [op.name for op in imported.module.ops] == ["host.call", "host.result"]
    assert imported.nodes == ()


@pytest.mark.parametrize("batch", ["N", None, -1, 1])
def test_a_free_batch(build: Build, compare: Compare, batch: int | str | None) -> None:
    model = build([make_node("Flatten", ["x"], ["y"])], {"x": (batch, 2, 3, 4)})
    if isinstance(batch, int):
        model.graph.input[0].type.tensor_type.shape.dim[0].dim_value = batch
    assert shapes(import_strictly(model, "m").outputs) == [("y", (24,))]


def test_a_fixed_batch(build: Build, compare_whole: Compare) -> None:
    nodes = [make_node("Relu", ["x"], ["r"]), make_node("Reshape", ["r", "s"], ["y"])]
    model = build(nodes, {"x": (4, 2, 3, 4)}, {"s": np.array([4, 24])})
    assert shapes(import_strictly(model, "m").outputs) == [("y", (24,))]
    nodes = [make_node("Add", ["x", "c"], ["y"])]
    constant = np.arange(4, dtype=np.float32).reshape(4, 1, 1, 1)
    # One that differs from sample to sample: all of them are one.
    imported = compare_whole(build(nodes, {"x": (4, 2, 3, 4)}, {"c": constant}))
    assert shapes(imported.outputs) == [("y", (4, 2, 3, 4))]


def test_several_inputs_and_outputs(build: Build, compare: Compare) -> None:
    nodes = [
        make_node("Add", ["a", "b"], ["s"]),
        make_node("Relu", ["s"], ["y"]),
        make_node("Identity", ["s"], ["z"]),
    ]
    inputs = {"a": ("N", 3), "b": (1, 3)}
    imported = compare(build(nodes, inputs, outputs=["z", "y", "s"]))
    assert shapes(imported.outputs) == [("z", (3,)), ("y", (3,)), ("s", (3,))]


FIX = (
    "  hint: Set it by --shape 'x={}' with the sizes of your data; calibration samples say it too."
)


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        (None, "error: Input 'x' has no shape.\n" + FIX.format("1xCxHxW")),
        (
            ("N", 3, "height", None),
            "error: Input 'x' has no fixed shape: [N, 3, height, ?].\n"
            + FIX.format("1,3,height,W"),
        ),
    ],
)
def test_input_shapes(build: Build, shape: tuple[int | str, ...] | None, expected: str) -> None:
    assert error_of(build([make_node("Relu", ["x"], ["y"])], {"x": shape})) == expected


def test_inputs_of_other_types_are_those_of_the_host(build: Build) -> None:
    model = build([make_node("Relu", ["x"], ["y"])])
    model.graph.input[0].type.tensor_type.elem_type = TensorProto.FLOAT16
    imported = import_proto(model, "model")
    assert str(imported.inputs[0].port_type) == "tensor(float16)[N, 3, 9, 8]"
    assert [str(value.type) for _, value in imported.module.inputs] == [
        'host<"tensor(float16)[N, 3, 9, 8]">'
    ]
    # The chip computes it all the same: the host casts its input and its output.
    assert [node.on_chip for node in imported.nodes if node.op == "Relu"] == [True]


def test_inputs_of_different_batches_are_one_sample(build: Build) -> None:
    nodes = [make_node("MatMul", ["a", "b"], ["y"])]
    imported = import_proto(build(nodes, {"a": (2, 3), "b": (3, 4)}), "model")
    assert [str(port.port_type) for port in imported.inputs] == [
        "tensor(float)[2, 3]",
        "tensor(float)[3, 4]",
    ]
    assert [str(port.port_type) for port in imported.outputs] == ["tensor(float)[2, 4]"]


def test_no_outputs(build: Build) -> None:
    model = build([make_node("Relu", ["x"], ["y"])], outputs=[])
    assert error_of(model) == (
        "error: The model has no outputs.\n  hint: Name the tensors that it is to give."
    )


def test_a_model_without_inputs_runs_on_the_host(build: Build) -> None:
    imported = import_proto(build([make_node("Relu", ["w"], ["y"])], {}, {"w": ONES}), "model")
    assert imported.inputs == []
    assert [op.name for op in imported.module.ops] == ["host.call", "host.result"]


def test_outputs_that_nothing_computes_are_copied_by_the_host(build: Build) -> None:
    for name, constants in (("x", {}), ("w", {"w": ONES})):
        nodes = [make_node("Relu", ["x"], ["y"]), make_node("Identity", [name], ["z"])]
        imported = import_proto(build(nodes, constants=constants, outputs=["y", "z"]), "model")
        kinds = [value.type.is_host for _, value in imported.module.outputs]
        assert kinds[1], name


def test_an_output_may_lack_a_shape(build: Build, compare: Compare) -> None:
    model = build([make_node("Relu", ["x"], ["y"])])
    assert not model.graph.output[0].type.tensor_type.HasField("shape")
    compare(model)
    assert not model.graph.output[0].type.tensor_type.HasField("shape")


def test_shapes_that_do_not_fit(build: Build) -> None:
    node = make_node("MatMul", ["x", "w"], ["y"], name="m")
    model = build([node], {"x": ("N", 3)}, {"w": np.ones((4, 5), np.float32)})
    assert error_of(model) == (
        "error: The shapes or types in the model do not fit together.\n"
        "  --> node 'm' (MatMul)\n"
        "  note: Incompatible dimensions for matrix multiplication\n"
        "  hint: Where the model declares an input wrongly, set its shape (--shape); else export "
        "it again."
    )


# --- what is not supported -----------------------------------------------------------------------


def test_all_unsupported_operators_are_named(build: Build) -> None:
    nodes = [
        make_node("Hardmax", ["x"], ["a"], name="hard"),
        make_node("Conv", ["a", "w"], ["b"], name="conv", auto_pad="SAME"),
        make_node("Foo", ["b"], ["c"], domain="com.example"),
        make_node("Conv", ["c", "w"], ["d"], name="behind the unknown", auto_pad="SAME"),
        make_node("Hardmax", ["d"], ["e"]),
    ]
    constants = {"w": np.ones((4, 4, 1, 1), np.float32)}
    model = build(nodes, {"x": ("N", 4, 5, 5)}, constants, ["e"])
    model.opset_import.append(helper.make_opsetid("com.example", 1))
    assert error_of(model) == unsupported(
        # It is known to multiply.
        "node 'conv' (Conv): auto_pad = SAME is not supported.",
        "Hardmax: 2 nodes, first 'hard': it has no form on the chip.",
        "node 'c' (com.example.Foo): onnxruntime does not have it.",
        "node 'behind the unknown' (Conv): its input 'c' is no tensor of known type.",
        count=5,
    )


def test_nodes_of_the_host_are_counted_by_reasons(build: Build) -> None:
    names = ["x", *(f"t{number}" for number in range(39)), "y"]
    nodes = [make_node("Hardmax", [a], [b]) for a, b in pairwise(names)]
    assert error_of(build(nodes)) == unsupported(
        "Hardmax: 40 nodes, first 't0': it has no form on the chip.", count=40
    )


def floats(*shape: int) -> Array:
    """Ones."""
    return np.ones(shape, np.float32)


def case(reason: str, op_type: str, *constants: Array, **attributes: Any) -> Any:
    """A node over x and constants, and why it is not supported."""
    return pytest.param(reason, op_type, constants, attributes, id=f"{op_type}: {reason[:40]}")


@pytest.mark.parametrize(
    ("reason", "op_type", "constants", "attributes"),
    [
        case("there must be at least one group", "Conv", floats(3, 3, 1, 1), group=0),
        case("the weights take 2 input channels", "Conv", floats(4, 1, 1, 1), group=2),
        case(
            "4 outputs are not divisible into 3 groups", "Conv", floats(4, 1, 1, 1), group=3
        ),
        case(
            "kernel_shape is not that of the weights, [1, 1]",
            "Conv", floats(4, 3, 1, 1), kernel_shape=[2, 2],
        ),
        case(
            "auto_pad = SAME_UPPER with dilations is not supported",
            "Conv", floats(4, 3, 2, 2), auto_pad="SAME_UPPER", dilations=[2, 1],
        ),
        case("a window of [3, 12] does not fit into [3, 9, 8]", "Conv", floats(4, 3, 3, 12)),
        case(
            "a constant of shape [2, 1, 1, 1] on an activation of shape [1, 3, 9, 8] "
            "is not supported",
            "Mul", floats(2, 1, 1, 1),
        ),
        case(
            "a variance plus epsilon that is not positive is not supported",
            "BatchNormalization", *[floats(3)] * 3, -floats(3),
        ),
        case("storage_order = 1 is not supported", "MaxPool", kernel_shape=[1, 1], storage_order=1),
        case(
            "auto_pad = SAME_LOWER with such large strides is not supported",
            "MaxPool", kernel_shape=[2, 2], strides=[3, 3], auto_pad="SAME_LOWER",
        ),
        case(
            "a pad as large as the window would make a window of nothing but padding",
            "MaxPool", kernel_shape=[2, 2], pads=[2, 0, 0, 0],
        ),
        case("padding the batch is not supported", "Pad", np.array([1, 0, 0, 0, 0, 0, 0, 0])),
        case(
            "slopes that differ along several axes are not supported",
            "PRelu", np.arange(72, dtype=np.float32).reshape(9, 8),
        ),
    ],
)  # fmt: skip
def test_unsupported_settings(
    build: Build,
    reason: str,
    op_type: str,
    constants: tuple[Array, ...],
    attributes: dict[str, Any],
) -> None:
    named = {f"c{index}": array for index, array in enumerate(constants)}
    node = make_node(op_type, ["x", *named], ["y"], name="n", **attributes)
    model = build([node], constants=named)
    assert error_of(model) == unsupported(f"node 'n' ({op_type}): {reason}.")


@pytest.mark.parametrize(
    ("opset", "reason"),
    [
        (8, "training (more than one output) is not supported"),
        (18, "training_mode = 1 is not supported"),
    ],
)
def test_batch_normalization_in_training(build: Build, opset: int, reason: str) -> None:
    """Before opset 14 naming more outputs is what asks for it, even if nobody reads them."""
    attributes: dict[str, Any] = {"training_mode": 1} if opset >= 14 else {}
    outputs = ["y", "m", "v"] if opset >= 14 else ["y", "m", "v", "sm", "sv"]
    constants = {f"c{index}": floats(3) for index in range(4)}
    node = make_node("BatchNormalization", ["x", *constants], outputs, name="n", **attributes)
    model = build([node], constants=constants, opset=opset)
    assert error_of(model) == unsupported(f"node 'n' (BatchNormalization): {reason}.")


def test_outputs_beyond_the_first(build: Build) -> None:
    nodes = [
        make_node("MaxPool", ["x"], ["p", "indices"], name="pool", kernel_shape=[2, 2]),
        make_node("Cast", ["indices"], ["i"], name="cast", to=TensorProto.FLOAT),
        make_node("Add", ["p", "i"], ["y"], name="add"),
    ]
    message = error_of(build(nodes))
    assert "node 'pool' (MaxPool): its output 'indices' is used." in message
    assert (
        "node 'cast' (Cast): its input 'indices' holds int64 values, and the chip reals." in message
    )


def test_weights_must_be_constant(build: Build) -> None:
    inputs = {"x": ("N", 3, 9, 8), "w": (1, 3, 1, 1)}
    assert error_of(build([make_node("Conv", ["x", "w"], ["y"])], inputs)) == unsupported(
        "node 'y' (Conv): input 'w' must be a constant."
    )
    assert error_of(build([make_node("Div", ["x", "x"], ["y"])])) == unsupported(
        "node 'y' (Div): dividing by an activation is not supported."
    )


def test_external_data_is_not_loaded_from_memory(build: Build) -> None:
    model = build([make_node("Conv", ["x", "w"], ["y"])], constants={"w": ONES})
    model.graph.initializer[0].data_location = TensorProto.EXTERNAL
    assert error_of(model) == (
        "error: Tensor 'w' has external data, which is not loaded.\n"
        "  hint: Import the model from its file."
    )


def test_the_package_is_lazy() -> None:
    code = "import sys, epimc.frontend; sys.exit('onnx' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=EXAMPLES.parent)


def test_dropout_in_training(build: Build) -> None:
    node = make_node("Dropout", ["x", "", "t"], ["y"])
    model = build([node], constants={"t": np.array(True)})
    assert error_of(model) == unsupported("node 'y' (Dropout): training_mode is not supported.")


def test_parts_of_shapes_fold(build: Build, compare: Compare) -> None:
    nodes = [
        make_node("Shape", ["x"], ["first"], end=1),
        make_node("Size", ["x"], ["size"]),
        make_node("Unsqueeze", ["size", "axes"], ["rest"]),
        make_node("Concat", ["first", "rest"], ["shape"], axis=0),
        make_node("Reshape", ["x", "shape"], ["y"]),
    ]
    imported = compare(build(nodes, constants={"axes": np.array([0])}, opset=18))
    assert shapes(imported.outputs) == [("y", (216,))]
