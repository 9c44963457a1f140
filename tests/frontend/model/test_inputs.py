"""The inputs of a model: types, open sizes, and whether axis 0 is the samples'."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import onnx
import pytest
from onnx import TensorProto, helper

from epimc.frontend.model.inputs import (
    has_samples_first,
    refuse_unknown_types,
    set_wanted,
    type_text,
)
from epimc.frontend.model.samples_axis import keeps_samples, remarks_on_samples
from epimc.frontend.model.shapes import WantedInputs, set_shapes
from epimc.frontend.ports import Entries, entries_of, port_type
from epimc.support.diagnostics import EpimcError
from epimc.support.port_types import PortType

Shape = Sequence[int | str | None] | None


def model_of(
    inputs: Mapping[str, Shape], outputs: Mapping[str, Shape] | None = None
) -> onnx.ModelProto:
    """A model of float32 inputs and outputs, and nodes that need not fit them."""
    ins, outs = (
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, dims) for name, dims in of.items()]
        for of in (inputs, outputs or {"y": None})
    )
    node = helper.make_node("Relu", [next(iter(inputs))], ["y"])
    return helper.make_model(helper.make_graph([node], "g", ins, outs))


def message_of(model: onnx.ModelProto, wanted: WantedInputs | None = None) -> str:
    """What is said of a model that is refused."""

    def read() -> None:
        set_wanted(model, wanted or WantedInputs())
        entries_of(model.graph)

    with pytest.raises(EpimcError) as caught:
        read()
    return str(caught.value)


@pytest.mark.parametrize(
    ("inputs", "batch"),
    [
        ({"a": ("N", 3)}, 1),
        ({"a": (None, 3, 4, 5, 6)}, 1),
        ({"a": (-1, 3)}, 1),
        ({"a": (1, 3, 8, 8)}, 1),
        ({"a": (4, 3), "b": (4, 7, 7)}, 4),
        ({"a": (4, 3), "b": ("N", 7)}, 4),
        ({"a": ("N", 3), "b": ("N", 7)}, 1),
        # Exporters name what is free in each tensor by itself.
        ({"a": ("unk__1", 3), "b": ("unk__2", 7)}, 1),
    ],
)
def test_axis_0_is_the_samples(inputs: Mapping[str, Shape], batch: int) -> None:
    graph = model_of(inputs).graph
    assert has_samples_first(graph)
    entries = entries_of(graph)
    assert entries.batch == batch
    assert types_of(entries) == [
        PortType("tensor(float)", tuple(map(int, tuple(shape or ())[1:])), True)  # type: ignore[arg-type]
        for shape in inputs.values()
    ]


@pytest.mark.parametrize(
    ("inputs", "outputs", "shapes"),
    [
        ({"a": (3, 4), "b": (4, 5)}, None, [(3, 4), (4, 5)]),
        ({"a": ()}, None, [()]),
        ({"a": (7,)}, None, [(7,)]),
        ({"a": (2, 3), "b": (2,)}, None, [(2, 3), (2,)]),
        ({"a": (0, 3)}, None, [(0, 3)]),
        # The number of samples of one is the width of another, or of the result.
        ({"a": ("N", 3), "b": (5, "N")}, {"y": (1, 2)}, None),
        ({"a": ("N", 3), "b": ("M", 3)}, {"y": ("N", "M")}, [(1, 3), (1, 3)]),
        ({"a": ("N", 3), "b": ("N",)}, None, [(1, 3), (1,)]),
    ],
)
def test_all_is_one_sample(
    inputs: Mapping[str, Shape],
    outputs: Mapping[str, Shape] | None,
    shapes: list[tuple[int, ...]] | None,
) -> None:
    model = model_of(inputs, outputs)
    if shapes is None:
        assert message_of(model).startswith("error: Input 'b' has no fixed shape: [5, N].\n")
        return
    assert not has_samples_first(model.graph)
    entries = entries_of(model.graph)
    assert entries.batch == 1
    assert types_of(entries) == [PortType("tensor(float)", shape, False) for shape in shapes]


def test_all_is_one_sample_where_that_is_asked_for() -> None:
    graph = model_of({"a": (4, 3), "b": ("N", 4)}).graph
    assert types_of(entries_of(graph, apart=True)) == [
        PortType("tensor(float)", (4, 3), False),
        PortType("tensor(float)", (4, 4), False),
    ]


def types_of(entries: Entries) -> list[PortType]:
    """The types of all inputs."""
    first = entries.samples_first
    return [port_type(kind, entries.batch, samples_first=first) for kind in entries.kinds.values()]


def test_inputs_of_every_type() -> None:
    tensor = helper.make_tensor_type_proto(TensorProto.BFLOAT16, (2, 3))
    kinds = {
        "t": tensor,
        "s": helper.make_sequence_type_proto(tensor),
        "o": helper.make_optional_type_proto(helper.make_sequence_type_proto(tensor)),
        "p": helper.make_sparse_tensor_type_proto(TensorProto.DOUBLE, (2, 3)),
        "m": helper.make_map_type_proto(
            TensorProto.INT64, helper.make_tensor_type_proto(TensorProto.STRING, None)
        ),
        "none": onnx.TypeProto(),
    }
    graph = onnx.GraphProto()
    graph.input.extend(helper.make_value_info(name, kind) for name, kind in kinds.items())
    assert types_of(entries_of(graph)) == [
        PortType("tensor(bfloat16)", (2, 3), False),
        PortType("seq(tensor(bfloat16))", None, False),
        PortType("optional(seq(tensor(bfloat16)))", None, False),
        PortType("sparse_tensor(double)", None, False),
        PortType("map(int64,tensor(string))", None, False),
        PortType("tensor(undefined)", None, False),
    ]
    assert type_text(helper.make_tensor_type_proto(TensorProto.UINT8, None)) == "tensor(uint8)"


# --- open sizes -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("inputs", "fact", "options"),
    [
        ({"x": ("N", 3, None, None)}, "fixed shape: [N, 3, ?, ?]", "--shape 'x=1x3xHxW'"),
        ({"x": ("N", 3, "h", "w")}, "fixed shape: [N, 3, h, w]", "--shape 'x=1x3xhxw'"),
        ({"x": (2, "length")}, "fixed shape: [2, length]", "--shape 'x=2,length'"),
        ({"x": ("T",)}, "fixed shape: [T]", "--shape 'x=T'"),
        ({"x": None}, "shape", "--shape 'x=1xCxHxW'"),
        (
            {"x": ("N", "T"), "f": ("N", 8), "z": ("N", "T", 4)},
            "fixed shape: [N, T]",
            "--shape 'x=1xT' --shape 'z=1xTx4'",
        ),
    ],
)
def test_open_sizes(inputs: Mapping[str, Shape], fact: str, options: str) -> None:
    assert message_of(model_of(inputs)) == (
        f"error: Input 'x' has no {fact}.\n  hint: Set it by {options} with the sizes of your "
        "data; calibration samples say it too."
    )


def test_the_hint_with_sizes_in_the_place_of_words_is_good() -> None:
    model = model_of({"x": ("N", "T"), "z": ("N", "T", 4)})
    assert set_shapes(model, {"x": (1, 9), "z": (1, 9, 4)})
    assert [kind.dims for kind in types_of(entries_of(model.graph))] == [(9,), (9, 4)]


def shapes_in(model: onnx.ModelProto) -> list[list[int | str]]:
    """The declared shapes of all inputs."""
    return [
        [dim.dim_value if dim.HasField("dim_value") else dim.dim_param for dim in dims]
        for dims in (entry.type.tensor_type.shape.dim for entry in model.graph.input)
    ]


@pytest.mark.parametrize(
    ("inputs", "arrays", "shapes"),
    [
        ({"x": ("N", 3, "H", "W")}, {"x": (9, 3, 5, 6)}, [["N", 3, 5, 6]]),
        ({"x": ("N", "T"), "z": ("N", "T")}, {"x": (9, 5), "z": (9, 5)}, [["N", 5], ["N", 5]]),
        # A size that is declared stays: samples of another one are refused later.
        ({"x": ("N", 3, "H")}, {"x": (9, 4, 5)}, [["N", 3, 5]]),
        ({"x": ("T",)}, {"x": (8, 5)}, [[5]]),
        ({"x": ("T",)}, {"x": (5,)}, [[5]]),
        ({"x": None}, {"x": (9, 3, 5)}, [["", 3, 5]]),
        ({"x": ("N", "T")}, {"other": (9, 5)}, [["N", "T"]]),
        ({"x": ("N", "T")}, {"x": (9,)}, [["N", "T"]]),
    ],
)
def test_samples_say_sizes_that_are_open(
    inputs: Mapping[str, Shape],
    arrays: Mapping[str, Sequence[int]],
    shapes: list[list[int | str]],
) -> None:
    model = model_of(inputs)
    asked: list[Sequence[tuple[str, str]]] = []

    def of_samples(named: Sequence[tuple[str, str]]) -> Mapping[str, Sequence[int]]:
        asked.append(named)
        return arrays

    changed = set_wanted(model, WantedInputs({}, of_samples))
    assert shapes_in(model) == shapes
    assert changed == (shapes_in(model_of(inputs)) != shapes)
    assert asked == [[(name, "tensor(float)") for name in inputs]]


def test_samples_are_not_read_where_no_size_is_open() -> None:
    def fail(_: Sequence[tuple[str, str]]) -> Mapping[str, Sequence[int]]:
        raise AssertionError

    assert not set_wanted(model_of({"x": ("N", 3)}), WantedInputs({}, fail))
    assert set_wanted(model_of({"x": ("N", "T")}), WantedInputs({"x": (1, 3)}, fail))


# --- shapes that are set --------------------------------------------------------------------------


def test_a_shared_symbol_is_set_everywhere() -> None:
    model = model_of({"a": ("N", 3, "H"), "b": ("N", "H"), "c": ("M", "K")})
    assert set_shapes(model, {"a": (2, 3, 7)})
    assert shapes_in(model) == [[2, 3, 7], [2, 7], ["M", "K"]]


def test_a_wrong_declaration_is_corrected() -> None:
    model = model_of({"a": (1, 3, 8, 8), "b": ("N", "H")})
    assert set_shapes(model, {"a": (1, 3, 16), "b": (5,)})
    assert shapes_in(model) == [[1, 3, 16], [5]]
    model.graph.input[0].type.tensor_type.ClearField("shape")
    assert set_shapes(model, {"a": ()})
    assert shapes_in(model) == [[], [5]]
    assert model.graph.input[0].type.tensor_type.HasField("shape")


def test_a_shape_that_is_declared_changes_nothing() -> None:
    model = model_of({"a": (1, 3), "b": ("N",)}, {"y": (1, 3)})
    before = model.SerializeToString(deterministic=True)
    assert not set_shapes(model, {"a": (1, 3)})
    assert model.SerializeToString(deterministic=True) == before


def test_shapes_behind_the_inputs_are_forgotten() -> None:
    model = model_of({"a": ("N", 3)}, {"y": ("N", 3)})
    info = helper.make_tensor_value_info("z", TensorProto.FLOAT, (1, 3))
    model.graph.value_info.append(info)
    inner = helper.make_graph([], "inner", [info], [info], value_info=[info])
    model.graph.node.append(helper.make_node("Loop", ["", ""], ["z"], body=inner))
    function = helper.make_function("d", "f", [], ["o"], model.graph.node, [], value_info=[info])
    model.functions.append(function)
    sequence = helper.make_value_info("s", helper.make_sequence_type_proto(info.type))
    model.graph.output.append(sequence)
    assert set_shapes(model, {"a": (4, 5)})
    text = str(model)
    assert "dim_param" not in text
    # Those of the one input.
    assert text.count("dim_value") == 2
    assert model.graph.output[0].type.tensor_type.elem_type == TensorProto.FLOAT


@pytest.mark.parametrize(
    ("shapes", "message"),
    [
        ({"imput": (1,)}, "error: The model has no input 'imput'.\n  hint: Did you mean 'input'?"),
        ({"w": (1,)}, "error: The model has no input 'w'.\n  hint: Known: b, input, s."),
        ({"s": (1,)}, "error: Input 's' is no tensor, and has no shape to be set."),
        (
            {"input": (1, 8, 9), "b": (1, 7)},
            "error: The size 'H' of the inputs is set twice: to 8 by 'input', and to 7 by 'b'.\n"
            "  hint: The model declares it as one size.",
        ),
    ],
)
def test_shapes_that_do_not_fit(shapes: Mapping[str, Sequence[int]], message: str) -> None:
    model = model_of({"input": ("N", "H", "W"), "b": ("N", "H"), "w": (3,)})
    model.graph.initializer.append(helper.make_tensor("w", TensorProto.FLOAT, (3,), [1, 2, 3]))
    kind = helper.make_sequence_type_proto(helper.make_tensor_type_proto(TensorProto.FLOAT, None))
    model.graph.input.append(helper.make_value_info("s", kind))
    assert message_of(model, WantedInputs(shapes)) == message


@pytest.mark.parametrize("element", [0, 99])
def test_elements_of_no_type(element: int) -> None:
    model = model_of({"x": (1, 3)})
    model.graph.input[0].type.tensor_type.elem_type = element
    with pytest.raises(EpimcError) as caught:
        refuse_unknown_types(model.graph)
    assert str(caught.value) == (
        f"error: Input 'x' has elements of a type that ONNX has not: {element}."
    )


@pytest.mark.parametrize(
    ("nodes", "keeps", "said"),
    [
        ([("Relu", {})], True, 0),
        ([("ReduceSum", {"axes": [1]})], True, 0),
        ([("ReduceSum", {"axes": [0]})], False, 1),
        ([("ReduceSum", {"axes": [0], "keepdims": 0})], False, 1),
        ([("Flatten", {"axis": 0})], False, 1),
        ([("Transpose", {"perm": [1, 0, 2]})], False, 1),
        # ONNX knows no size there.
        ([("Slice", {"axes": [0], "starts": [0], "ends": [2]})], False, 0),
    ],
)
def test_whether_samples_are_computed_apart(
    nodes: list[tuple[str, dict[str, Any]]], keeps: bool, said: int
) -> None:
    made = [
        helper.make_node(op_type, [f"t{k}"], [f"t{k + 1}"], **attributes)
        for k, (op_type, attributes) in enumerate(nodes)
    ]
    entry = helper.make_tensor_value_info("t0", TensorProto.FLOAT, ("N", 3, 4))
    result = helper.make_tensor_value_info(f"t{len(nodes)}", TensorProto.FLOAT, None)
    graph = helper.make_graph(made, "g", [entry], [result])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 9)], ir_version=8)
    assert keeps_samples(model) == keeps
    remarks = [*remarks_on_samples(model)]
    assert len(remarks) == said
    if said:
        assert remarks[0].startswith("output 't1' has no axis of the samples, whose number")


def test_inputs_of_fixed_sizes_say_nothing_of_samples() -> None:
    model = model_of({"a": (4, 3)})
    assert not keeps_samples(model)
    assert [*remarks_on_samples(model)] == []
    assert not keeps_samples(model_of({"a": ("N", 3), "b": ("M", 3)}))
    assert keeps_samples(model_of({"a": ("N", 3), "b": ("M", 3)}), {"b"})
