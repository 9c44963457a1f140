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
from epimc.frontend.core.operator import imported_names
from epimc.ir.core.module import Module
from epimc.ir.core.types import Location
from epimc.ir.verifier import verify
from epimc.support.diagnostics import EpimcError

pytestmark = pytest.mark.smoke

Array = NDArray[Any]
Build = Callable[..., onnx.ModelProto]
Compare = Callable[[onnx.ModelProto], ImportedModel]
Run = Callable[[Module, Mapping[str, Array]], list[Array]]
Reference = Callable[[onnx.ModelProto, Mapping[str, Array]], list[Array]]

EXAMPLES = Path(__file__).parents[2] / "examples"
ONES = np.ones((4, 3, 1, 1), np.float32)
SUPPORTED = f"  hint: Supported operators: {', '.join(imported_names())}."


def error_of(model: onnx.ModelProto) -> str:
    """The rendered error of an import that fails."""
    with pytest.raises(EpimcError) as caught:
        import_proto(model, "model")
    assert caught.value.exit_code == 2
    return str(caught.value)


def unsupported(*notes: str) -> str:
    """The rendered error for unsupported operators."""
    count = "1 operator" if len(notes) == 1 else f"{len(notes)} operators"
    head = f"error: The model has {count} that epimc does not support."
    return "\n".join([head, *(f"  note: {note}" for note in notes), SUPPORTED])


# --- the example models ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "data", "count"), [("mnist-conv", "mnist", 11), ("fashion-resnet8", "fashion", 22)]
)
def test_examples(run: Run, reference: Reference, name: str, data: str, count: int) -> None:
    imported = import_model(EXAMPLES / f"{name}.onnx")
    module = imported.module
    verify(module)
    assert (module.name, module.level, len(module.ops)) == (name, "nn", count)
    assert imported.outputs[0][1] == (10,)
    ((key, shape),) = imported.inputs
    assert shape == (1, 28, 28)
    with np.load(EXAMPLES / f"{data}-test.npz") as test:
        inputs = {key: test[key][:20]}
    (actual,), (expected,) = run(module, inputs), reference(imported.model, inputs)
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
    assert compare(model).inputs == [("x", (3, 9, 8))]


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
    assert error_of(model) == (
        "error: Tensor 'w' holds NaN or infinity.\n"
        "  --> node 'c' (Conv)\n"
        "  hint: Train or export the model again."
    )


def test_enormous_constants_are_not_made(build: Build) -> None:
    nodes = [
        make_node("ConstantOfShape", ["s"], ["c"]),
        make_node("Add", ["x", "c"], ["y"]),
    ]
    model = build(nodes, constants={"s": np.array([10**6, 10**6])})
    assert "note: Constant 'c' of 1000000000000 elements takes " in error_of(model)


def test_constants_that_cannot_be_evaluated(build: Build) -> None:
    nodes = [
        make_node("Gather", ["s", "i"], ["g"], name="g"),
        make_node("Reshape", ["x", "g"], ["y"]),
    ]
    model = build(nodes, constants={"s": np.array([1, -1]), "i": np.array([7])})
    assert error_of(model).startswith(
        "error: The model has 1 operator that epimc does not support.\n"
        "  note: node 'g' (Gather): its constant inputs cannot be evaluated ("
    )


# --- inputs and outputs ------------------------------------------------------------------------


def test_an_empty_batch(build: Build) -> None:
    model = build([make_node("Flatten", ["x"], ["y"])], {"x": (1, 2, 3, 4)})
    model.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 0
    assert error_of(model) == (
        "error: Input 'x' has shape [0, 2, 3, 4]: its batch size is not positive."
    )


@pytest.mark.parametrize("batch", ["N", None, -1, 1])
def test_a_free_batch(build: Build, compare: Compare, batch: int | str | None) -> None:
    model = build([make_node("Flatten", ["x"], ["y"])], {"x": (batch, 2, 3, 4)})
    if isinstance(batch, int):
        model.graph.input[0].type.tensor_type.shape.dim[0].dim_value = batch
    assert import_proto(model, "m").outputs == [("y", (24,))]


def test_a_fixed_batch(build: Build) -> None:
    nodes = [make_node("Relu", ["x"], ["r"]), make_node("Reshape", ["r", "s"], ["y"])]
    model = build(nodes, {"x": (4, 2, 3, 4)}, {"s": np.array([4, 24])})
    assert import_proto(model, "m").outputs == [("y", (24,))]
    nodes = [make_node("Add", ["x", "c"], ["y"])]
    constant = np.arange(4, dtype=np.float32).reshape(4, 1, 1, 1)
    assert error_of(build(nodes, {"x": (4, 2, 3, 4)}, {"c": constant})) == unsupported(
        "node 'y' (Add): a constant that differs from sample to sample is not supported."
    )


def test_several_inputs_and_outputs(build: Build, compare: Compare) -> None:
    nodes = [
        make_node("Add", ["a", "b"], ["s"]),
        make_node("Relu", ["s"], ["y"]),
        make_node("Identity", ["s"], ["z"]),
    ]
    inputs = {"a": ("N", 3), "b": (1, 3)}
    imported = compare(build(nodes, inputs, outputs=["z", "y", "s"]))
    assert imported.outputs == [("z", (3,)), ("y", (3,)), ("s", (3,))]


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
        (
            ("N", 3, 10, 9, 8),
            "error: Input 'x' has shape [N, 3, 10, 9, 8]; "
            "epimc takes vectors [N, K], matrices [N, A, B] and feature maps [N, C, H, W].",
        ),
        (
            (),
            "error: Input 'x' has shape []; "
            "epimc takes vectors [N, K], matrices [N, A, B] and feature maps [N, C, H, W].",
        ),
    ],
)
def test_input_shapes(build: Build, shape: tuple[int | str, ...] | None, expected: str) -> None:
    assert error_of(build([make_node("Relu", ["x"], ["y"])], {"x": shape})) == expected


def test_input_types(build: Build) -> None:
    model = build([make_node("Relu", ["x"], ["y"])])
    model.graph.input[0].type.tensor_type.elem_type = TensorProto.FLOAT16
    assert error_of(model) == (
        "error: Input 'x' has elements of type float16; epimc compiles float32 models."
    )
    sequence = helper.make_sequence_type_proto(helper.make_tensor_type_proto(1, [1]))
    model.graph.input[0].type.CopyFrom(sequence)
    assert error_of(model) == "error: Input 'x' is not a tensor."


def test_input_batches_agree(build: Build) -> None:
    model = build([make_node("Add", ["a", "b"], ["y"])], {"a": (2, 3), "b": (4, 3), "c": ("N", 3)})
    assert error_of(model) == "error: The inputs have different batch sizes: 'a' 2, 'b' 4."


def test_no_inputs_or_outputs(build: Build) -> None:
    nodes = [make_node("Relu", ["w"], ["y"])]
    assert error_of(build(nodes, {}, {"w": ONES})) == "error: The model has no inputs."
    model = build([make_node("Relu", ["x"], ["y"])], outputs=[])
    assert error_of(model) == "error: The model has no outputs."


def test_outputs_that_are_not_computed(build: Build) -> None:
    nodes = [make_node("Relu", ["x"], ["y"]), make_node("Identity", ["x"], ["z"])]
    assert error_of(build(nodes, outputs=["y", "z"])) == (
        "error: Output 'z' is input 'x' itself: there is nothing to compute."
    )
    nodes[1] = make_node("Identity", ["w"], ["z"])
    assert error_of(build(nodes, constants={"w": ONES}, outputs=["y", "z"])) == (
        "error: Output 'z' does not depend on any input."
    )


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
        "  note: Incompatible dimensions for matrix multiplication"
    )


# --- what is not supported -----------------------------------------------------------------------


def test_all_unsupported_operators_are_named(build: Build) -> None:
    nodes = [
        make_node("Hardmax", ["x"], ["a"], name="hard"),
        make_node("Conv", ["a", "w"], ["b"], name="conv", auto_pad="SAME"),
        make_node("Foo", ["b"], ["c"], domain="com.example"),
        make_node("Conv", ["c", "w"], ["d"], name="behind the unknown", auto_pad="SAME"),
        make_node("Shape", ["c"], ["s"]),
        make_node("Concat", ["s", "s"], ["ss"], axis=0),
        make_node("Reshape", ["x", "ss"], ["y"]),
        make_node("Hardmax", ["d"], ["e"]),
        make_node("MatMul", ["a", "v"], ["z"]),
    ]
    constants = {"w": np.ones((4, 4, 1, 1), np.float32), "v": np.ones((7, 7), np.float32)}
    model = build(nodes, {"x": ("N", 4, 5, 5)}, constants, ["y", "e", "z"])
    model.opset_import.append(helper.make_opsetid("com.example", 1))
    assert error_of(model) == unsupported(
        "node 'hard' (Hardmax): not supported.",
        "node 'conv' (Conv): auto_pad = SAME is not supported.",
        "node 'c' (com.example.Foo): not supported.",
        "node 'e' (Hardmax): not supported.",
    )


def test_all_unsupported_operators_are_listed(build: Build) -> None:
    names = ["x", *(f"t{number}" for number in range(39)), "y"]
    nodes = [make_node("Sin", [a], [b]) for a, b in pairwise(names)]
    lines = error_of(build(nodes)).splitlines()
    assert lines[0] == "error: The model has 40 operators that epimc does not support."
    names = [f"  note: node '{name}' (Sin): not supported." for name in names[1:]]
    assert lines[1:41] == names
    assert lines[41] == SUPPORTED


def test_functions_and_sparse_tensors(build: Build) -> None:
    nodes = [make_node("Twice", ["x"], ["t"], domain="local"), make_node("Add", ["t", "s"], ["y"])]
    model = build(nodes)
    opsets = [helper.make_opsetid("", 13)]
    body = [make_node("Add", ["a", "a"], ["b"])]
    model.functions.append(helper.make_function("local", "Twice", ["a"], ["b"], body, opsets))
    model.opset_import.append(helper.make_opsetid("local", 1))
    model.ir_version = 8
    values = helper.make_tensor("s", TensorProto.FLOAT, [1], [1.0])
    indices = helper.make_tensor("i", TensorProto.INT64, [1], [0])
    model.graph.sparse_initializer.append(helper.make_sparse_tensor(values, indices, [3]))
    assert error_of(model) == unsupported(
        "tensor 's': sparse tensors are not supported.",
        "node 't' (local.Twice): functions of the model are not supported.",
    )


def test_control_flow(build: Build) -> None:
    result = helper.make_tensor_value_info("b", TensorProto.FLOAT, None)
    branch = helper.make_graph([make_node("Relu", ["x"], ["b"])], "branch", [], [result])
    node = make_node("If", ["c"], ["y"], then_branch=branch, else_branch=branch)
    model = build([node], constants={"c": np.array(True)})
    assert error_of(model) == unsupported("node 'y' (If): not supported.")


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
        case("dividing by 0 is not supported", "Div", np.zeros(1, np.float32)),
        case("its constants exceed float32", "Div", np.full(1, 1e-45, np.float32)),
        case("input 'c0' is empty", "Conv", floats(0, 3, 1, 1)),
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
        case("a softmax over the samples is not supported", "Softmax", axis=0),
        case("reduction over axes [0, 1] is not supported", "ReduceMean", axes=[0, 1]),
        case(
            "keepdims = 0 with all axes is not supported", "ReduceMax", axes=[1, 2, 3], keepdims=0
        ),
        case("padding the batch is not supported", "Pad", np.array([1, 0, 0, 0, 0, 0, 0, 0])),
        case("min = nan is not supported", "Clip", np.array(np.nan, np.float32)),
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


def test_weights_of_other_types(build: Build) -> None:
    nodes = [
        make_node("Cast", ["x"], ["h"], name="cast", to=TensorProto.FLOAT16),
        make_node("Conv", ["h", "w"], ["y"], name="conv"),
    ]
    model = build(nodes, constants={"w": ONES.astype(np.float16)})
    assert error_of(model) == unsupported("node 'cast' (Cast): not supported.")


def test_outputs_beyond_the_first(build: Build) -> None:
    nodes = [
        make_node("MaxPool", ["x"], ["p", "indices"], name="pool", kernel_shape=[2, 2]),
        make_node("Cast", ["indices"], ["i"], name="cast", to=TensorProto.FLOAT),
        make_node("Add", ["p", "i"], ["y"], name="add"),
    ]
    assert error_of(build(nodes)) == unsupported(
        "node 'pool' (MaxPool): using its output 'indices' is not supported."
    )


def test_weights_must_be_constant(build: Build) -> None:
    inputs = {"x": ("N", 3, 9, 8), "w": (1, 3, 1, 1)}
    assert error_of(build([make_node("Conv", ["x", "w"], ["y"])], inputs)) == unsupported(
        "node 'y' (Conv): input 'w' must be a constant."
    )
    assert error_of(build([make_node("Div", ["x", "x"], ["y"])])) == unsupported(
        "node 'y' (Div): dividing by an activation is not supported."
    )
    for op_type in ("Add", "Sub"):
        model = build([make_node(op_type, ["w", "x"], ["y"])], {"x": (1, 3, 9, 8), "w": (1, 8)})
        assert error_of(model) == unsupported(
            f"node 'y' ({op_type}): activations of shapes [8] and [3, 9, 8] are not supported."
        )
    model = build([make_node("Div", ["c", "x"], ["y"])], constants={"c": floats(1)})
    assert error_of(model) == unsupported(
        "node 'y' (Div): dividing by an activation is not supported."
    )


def test_more_than_three_dims(build: Build) -> None:
    constants = {"s": np.array([1, 3, 3, 3, 8])}
    nodes = [make_node("Reshape", ["x", "s"], ["y"])]
    assert error_of(build(nodes, constants=constants)) == (
        "error: Output 'y' of shape [1, 3, 3, 3, 8] has too many axes."
    )
    nodes = [make_node("Reshape", ["x", "s"], ["r"]), make_node("Softmax", ["r"], ["y"])]
    assert error_of(build(nodes, constants=constants)) == unsupported(
        "node 'y' (Softmax): its input 'r' of shape [1, 3, 3, 3, 8] has too many axes."
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
    assert imported.outputs == [("y", (216,))]


def test_constants_of_other_kinds(build: Build) -> None:
    nodes = [
        make_node("Constant", [], ["c"], value_string="text"),
        make_node("Add", ["x", "c"], ["y"]),
    ]
    assert error_of(build(nodes)) == unsupported(
        "node 'c' (Constant): value_string is not supported."
    )
