"""Numbers of any size in a model: a module, or one error, before anything is allocated."""

from __future__ import annotations

import contextlib
import re
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import helper, numpy_helper

from epimc.frontend import import_proto
from epimc.frontend.folding import GROWTH
from epimc.frontend.importer import refuse_many
from epimc.frontend.work import MOST_STEPS
from epimc.support.diagnostics import EpimcError
from epimc.support.limits import MADE_FACTOR

EDGES = [0, -1, 2**31 - 1, -(2**31), 2**31, 2**32, 2**62, 2**63 - 1, -(2**63)]
integers = st.sampled_from(EDGES) | st.integers(-9, 9) | st.integers(-(2**63), 2**63 - 1)
WEIGHTS = np.ones((4, 3, 3, 3), np.float32)


def model_of(
    *nodes: onnx.NodeProto,
    opset: int = 17,
    shape: tuple[int | str, ...] = ("N", 3, 6, 5),
    **constants: Any,
) -> onnx.ModelProto:
    """A model with the input x, the output y and constants: lists are integers."""
    tensors = [
        numpy_helper.from_array(
            value if isinstance(value, np.ndarray) else np.array(value, np.int64), name
        )
        for name, value in constants.items()
    ]
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", 1, shape)],
        [helper.make_tensor_value_info("y", 1, None)],
        tensors,
    )
    opsets = [helper.make_opsetid("", opset)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=8)


def refusal(model: onnx.ModelProto, limit_bytes: int = 2**32) -> str:
    """What is said about a model."""
    with pytest.raises(EpimcError) as caught:
        import_proto(model, "m", limit_bytes=limit_bytes)
    assert caught.value.exit_code == 2
    return str(caught.value)


def node(op_type: str, *inputs: str, **attributes: Any) -> onnx.NodeProto:
    """A node with the output y."""
    return helper.make_node(op_type, [*inputs], ["y"], "n", **attributes)


@pytest.mark.parametrize(
    ("wrong", "number"),
    [
        (node("Conv", "x", "w", strides=[2**62, 1]), 2**62),
        (node("Conv", "x", "w", dilations=[1, 2**31]), 2**31),
        (node("Conv", "x", "w", pads=[0, 0, 2**63 - 1, 0]), 2**63 - 1),
        (node("Conv", "x", "w", group=-(2**63)), -(2**63)),
        (node("MaxPool", "x", kernel_shape=[2**40, 1]), 2**40),
        (node("AveragePool", "x", kernel_shape=[2, 2], pads=[0, 0, 0, 2**62]), 2**62),
        (node("DepthToSpace", "x", blocksize=2**33), 2**33),
        (node("Concat", "x", "x", axis=2**63 - 1), 2**63 - 1),
        (node("Transpose", "x", perm=[0, 1, 2, 2**35]), 2**35),
    ],
)
def test_numbers_of_attributes_are_limited(wrong: onnx.NodeProto, number: int) -> None:
    key = next(item.name for item in wrong.attribute if item.i == number or number in item.ints)
    assert refusal(model_of(wrong, w=WEIGHTS)) == (
        f"error: {key[0].upper()}{key[1:]} holds {number}; the limit is 2147483647.\n"
        f"  --> node 'n' ({wrong.op_type})\n"
        "  hint: Export the model again."
    )


@pytest.mark.parametrize(
    ("wrong", "sizes"),
    [
        (node("Tile", "x", "s"), [1, 1, 2**31, 1]),
        (node("Expand", "x", "s"), [1, 3, 2**62, 5]),
        (node("Pad", "x", "s"), [0, 0, 0, 0, 0, 0, 2**40, 0]),
        (node("Reshape", "x", "s"), [0, 2**63 - 1]),
        (node("Resize", "x", "", "", "s", mode="nearest"), [1, 3, 2**62, 5]),
    ],
)
def test_numbers_of_constants_are_limited(wrong: onnx.NodeProto, sizes: list[int]) -> None:
    assert refusal(model_of(wrong, s=sizes)) == (
        f"error: Input 's' holds {max(sizes)}; the limit is 2147483647.\n"
        f"  --> node 'n' ({wrong.op_type})\n"
        "  hint: Export the model again."
    )


@pytest.mark.parametrize(
    ("large", "constants"),
    [
        (node("Tile", "x", "s"), {"s": [1, 1, 2**20, 2**20]}),
        (node("Expand", "x", "s"), {"s": [1, 3, 6, 5]}),
        (node("Pad", "x", "s"), {"s": [0, 0, 0, 0, 0, 0, 2**30, 0]}),
        (node("Pad", "x", "s", mode="edge"), {"s": [0, 0, 0, 0, 0, 0, 2**30, 0]}),
        (node("Resize", "x", "", "", "s", mode="nearest"), {"s": [1, 3, 2**31 - 1, 5]}),
        (node("Resize", "x", "", "f"), {"f": np.array([1, 1, 2**28, 1], np.float32)}),
        (node("AveragePool", "x", kernel_shape=[1, 1], pads=[0, 0, 2**30, 0]), {}),
    ],
)
def test_large_values_are_refused_before_they_are_made(
    large: onnx.NodeProto, constants: dict[str, Any]
) -> None:
    shape: tuple[int | str, ...] = ("N", 3, 6, 5)
    if large.op_type == "Expand":
        constants, shape = {"s": [1, 2**14, 2**14, 5]}, ("N", 1, 1, 5)
    message = refusal(model_of(large, shape=shape, **constants))
    lines = message.splitlines()
    assert lines[0] == "error: Model 'm' needs more memory than the limit of 4294967296 bytes."
    assert lines[1] == f"  --> node 'n' ({large.op_type})"
    assert lines[2].startswith("  note: A value of ")
    assert lines[3] == "  hint: Raise the limit (--limit-bytes), or check the shapes."


@pytest.mark.parametrize(
    "slow",
    [
        node("MaxPool", "x", kernel_shape=[2000, 2000]),
        node("AveragePool", "x", kernel_shape=[2000, 2000]),
    ],
)
def test_windows_that_take_hours_are_refused(slow: onnx.NodeProto) -> None:
    message = refusal(model_of(slow, shape=("N", 3, 4000, 4000), w=WEIGHTS))
    steps = 3 * 2001 * 2001 * 2000 * 2000
    assert message == (
        f"error: It takes {steps} steps for one sample; the limit is 17179869184.\n"
        f"  --> node 'n' ({slow.op_type})\n"
        "  hint: Use a smaller input (--shape) or kernel."
    )


def test_a_padded_map_that_is_too_large_is_refused() -> None:
    message = refusal(model_of(node("Conv", "x", "w", pads=[2**30, 1, 1, 1]), w=WEIGHTS))
    assert message.startswith("error: It takes 579820587660 steps for one sample; the limit is ")
    assert "  --> node 'n' (Conv)\n" in message


@pytest.mark.parametrize("shape", [("N", 10**9, 1, 1), (2**30, 3), ("N", 2**31 - 1)])
def test_large_inputs_are_refused(shape: tuple[int | str, ...]) -> None:
    lines = refusal(model_of(node("Relu", "x"), shape=shape)).splitlines()
    assert lines[0] == "error: Model 'm' needs more memory than the limit of 4294967296 bytes."
    assert lines[1] == "  --> input 'x'"


def test_the_limit_of_values_can_be_raised_and_lowered() -> None:
    model = model_of(node("Relu", "x"), shape=("N", 2**20))
    import_proto(model, "m")
    assert "the limit of 60000000 bytes" in refusal(model, 60_000_000)


def test_constants_are_paid_together_before_they_are_made() -> None:
    made = [
        helper.make_node("ConstantOfShape", ["s"], [f"c{number}"], f"c{number}")
        for number in range(9)
    ]
    used = [helper.make_node("ReduceMax", [f"c{number}"], [f"m{number}"]) for number in range(9)]
    added = helper.make_node("Sum", ["x", *(f"m{number}" for number in range(9))], ["y"])
    model = model_of(*made, *used, added, shape=("N", 1), s=[1, 2**23])
    # Eight fit, but for what the model itself takes and for what may follow from its weights.
    size = model.ByteSize()
    left = 2**32 - 8 * 2**29 - size + (MADE_FACTOR - 1) * GROWTH * size
    message = refusal(model)
    assert "  --> node 'c8' (ConstantOfShape)\n" in message
    # What follows from the weights is spent by the constants, and the host has none of it.
    assert 0 < int(re.search(r"; (\d+) are left", message)[1]) <= left  # type: ignore[index]


def test_a_long_product_of_constants() -> None:
    nodes = [
        helper.make_node("ConstantOfShape", ["s"], ["a"], "a"),
        helper.make_node("MatMul", ["a", "a"], ["b"], "b"),
        helper.make_node("Add", ["x", "b"], ["y"], "add"),
    ]
    imported = import_proto(model_of(*nodes, shape=("N", 2500), s=[2500, 2500]), "m")
    steps = 2500**3 + 2 * 2500**2
    (reason,) = (node.reason for node in imported.nodes if node.op == "MatMul")
    assert reason == f"its constant result takes {steps} steps, too many"
    assert steps > MOST_STEPS


def test_references_to_attributes_of_a_function() -> None:
    wrong = node("Conv", "x", "w")
    wrong.attribute.append(onnx.AttributeProto(name="strides", ref_attr_name="s", type="INTS"))
    assert refusal(model_of(wrong, w=WEIGHTS)) == (
        "error: Attribute 'strides' refers to an attribute of a function, and the node is in "
        "none.\n"
        "  --> node 'n' (Conv)\n"
        "  hint: Export the model again, or inline its functions with onnx.inliner."
    )


@pytest.mark.parametrize(
    ("op_type", "axis", "rank"), [("Concat", 4, 4), ("Flatten", -5, 4), ("Softmax", 9, 4)]
)
def test_axes_that_are_not_there(op_type: str, axis: int, rank: int) -> None:
    assert refusal(model_of(node(op_type, "x", axis=axis))) == (
        f"error: Axis = {axis} is no axis of its input, which has {rank} axes.\n"
        f"  --> node 'n' ({op_type})\n"
        "  hint: Export the model again."
    )


@pytest.mark.parametrize(
    ("opset", "parts", "constants"),
    [
        (18, {"num_outputs": 1}, {}),
        (18, {"num_outputs": 7}, {}),
        (11, {"split": [1, 1, 1]}, {}),
        (13, {}, {"s": [3]}),
    ],
)
def test_a_split_has_as_many_outputs_as_parts(
    opset: int, parts: dict[str, Any], constants: dict[str, Any]
) -> None:
    inputs = ["x", *constants]
    wrong = helper.make_node("Split", inputs, ["y", "z"], "n", axis=1, **parts)
    assert " parts and has 2 outputs.\n  --> node 'n' (Split)" in refusal(
        model_of(wrong, opset=opset, **constants)
    )


def test_an_output_that_is_listed_twice_is_given_twice() -> None:
    model = model_of(node("Relu", "x"))
    model.graph.output.append(model.graph.output[0])
    before = model.SerializeToString()
    result = import_proto(model, "m")
    assert [port.name for port in result.outputs] == ["y", "y__1"]
    assert [output.name for output in result.model.proto.graph.output] == ["y", "y__1"]
    assert result.remarks == ("output 'y' is listed 2 times: each has a name of its own",)
    assert model.SerializeToString() == before


def test_integers_of_data_are_no_sizes() -> None:
    tokens = helper.make_node(
        "TfIdfVectorizer",
        ["x"],
        ["y"],
        mode="TF",
        ngram_counts=[0],
        ngram_indexes=[0, 1],
        min_gram_length=1,
        max_gram_length=1,
        max_skip_count=0,
        pool_int64s=[2**40, 2**41],
    )
    model = model_of(tokens)
    model.graph.input[0].type.tensor_type.elem_type = onnx.TensorProto.INT64
    (placed,) = import_proto(model, "m").nodes
    assert not placed.on_chip


def refused_or_imported(model: onnx.ModelProto) -> None:
    """Import a model; EpimcError is all that may be raised."""
    with contextlib.suppress(EpimcError):
        assert import_proto(model, "m").module.outputs


@given(st.lists(integers, min_size=10, max_size=10), st.sampled_from(["MaxPool", "AveragePool"]))
def test_any_numbers_in_a_pool(numbers: list[int], op_type: str) -> None:
    kernel, strides, dilations, pads = numbers[:2], numbers[2:4], numbers[4:6], numbers[6:]
    extra: dict[str, Any] = {"count_include_pad": 0}
    if op_type == "MaxPool":
        extra = {"dilations": dilations}
    pool = node(op_type, "x", kernel_shape=kernel, strides=strides, pads=pads, **extra)
    refused_or_imported(model_of(pool))


@given(st.lists(integers, min_size=9, max_size=9))
def test_any_numbers_in_a_convolution(numbers: list[int]) -> None:
    strides, dilations, pads = numbers[:2], numbers[2:4], numbers[4:8]
    conv = node("Conv", "x", "w", strides=strides, dilations=dilations, pads=pads, group=numbers[8])
    refused_or_imported(model_of(conv, w=WEIGHTS))


@given(
    st.sampled_from(["Tile", "Expand", "Reshape", "Pad", "Slice", "Gather", "ReduceSum", "Split"]),
    st.lists(integers, min_size=1, max_size=8),
    integers,
)
def test_any_numbers_in_constants(op_type: str, numbers: list[int], axis: int) -> None:
    extra: dict[str, Any] = {"axis": axis} if op_type in ("Gather", "Split") else {}
    inputs = ["x", "s", "s"] if op_type == "Slice" else ["x", "s"]
    outputs = ["y", "z"] if op_type == "Split" else ["y"]
    moved = helper.make_node(op_type, inputs, outputs, "n", **extra)
    refused_or_imported(model_of(moved, s=numbers))


@given(st.floats(width=32), st.floats(width=32), st.sampled_from([9, 10, 11, 13, 19]))
def test_any_scales_of_a_resize(first: float, second: float, opset: int) -> None:
    scales = np.array([1, 1, first, second], np.float32)
    inputs = ["x", "s"] if opset < 11 else ["x", "", "s"]
    kind = "Upsample" if opset == 9 else "Resize"
    refused_or_imported(model_of(node(kind, *inputs), opset=opset, s=scales))


@pytest.mark.parametrize(
    ("most", "what"), [(2**15, "nodes"), (2**10, "inputs"), (2**10, "outputs")]
)
def test_a_model_of_many_parts(most: int, what: str) -> None:
    model = model_of(node("Relu", "x"))
    parts = {"nodes": model.graph.node, "inputs": model.graph.input, "outputs": model.graph.output}
    for number in range(most):
        parts[what].add(name=f"p{number}")
    with pytest.raises(EpimcError) as caught:
        refuse_many(model.graph)
    assert str(caught.value) == (
        f"error: The model has {most + 1} {what}; the limit is {most}.\n"
        "  hint: Compile it in parts, which onnx.utils.extract_model cuts out."
    )


def test_endless_names_of_inputs_and_outputs() -> None:
    model = model_of(node("Relu", "x"))
    model.graph.output[0].name = model.graph.node[0].output[0] = "y" * 4097
    assert refusal(model) == (
        f"error: The name '{'y' * 39}…' of an input or output has 4097 characters; "
        "the limit is 4096.\n"
        "  hint: Rename it, and export the model again."
    )
