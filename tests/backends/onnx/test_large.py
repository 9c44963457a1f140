"""Models whose large tensors lie beside their messages."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from epimc.backends.onnx.large import (
    LARGE,
    LargeModel,
    external_name,
    is_beside,
    read_external,
    serialized,
)
from epimc.runtime.guard import GuardedSession
from epimc.support.diagnostics import EpimcError
from epimc.support.limits import DEFAULT_BYTES

T = TensorProto

ROWS, COLUMNS = 160, 150
WEIGHTS = np.random.default_rng(0).standard_normal((ROWS, COLUMNS)).astype(np.float32)
X = np.random.default_rng(1).standard_normal((2, ROWS)).astype(np.float32)


def model_with(*tensors: TensorProto) -> onnx.ModelProto:
    """A product with the first tensor; of the others nothing is read."""
    first = tensors[0]
    kind = first.data_type
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", first.name], ["y"], "m")],
        "g",
        [helper.make_tensor_value_info("x", kind, ["N", ROWS])],
        [helper.make_tensor_value_info("y", kind, ["N", COLUMNS])],
        tensors,
        doc_string="behind the tensors",
        value_info=[helper.make_tensor_value_info("y", kind, ["N", COLUMNS])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    helper.set_model_props(model, {"key": "value"})
    return model


def bytes_of(model: LargeModel) -> bytes:
    """What a file of the model has."""
    return b"".join(model.pieces())


def small() -> TensorProto:
    """One that stays in the message."""
    return numpy_helper.from_array(np.arange(3), "small")


def documented() -> TensorProto:
    """One with fields before and behind its bytes."""
    tensor = numpy_helper.from_array(WEIGHTS, "w")
    tensor.doc_string = "behind the bytes"
    tensor.metadata_props.add(key="key", value="value")
    return tensor


def of_type(element: int) -> TensorProto:
    """A large tensor of a type."""
    kind = helper.tensor_dtype_to_np_dtype(element)
    return numpy_helper.from_array((np.arange(LARGE).reshape(2, -1) % 100).astype(kind), "t")


PLAIN = [T.FLOAT, T.FLOAT16, T.DOUBLE, T.INT8, T.UINT8, T.INT64, T.BOOL, T.BFLOAT16, T.FLOAT8E5M2]


@pytest.mark.parametrize("element", PLAIN)
def test_the_bytes_are_those_of_one_message(element: int) -> None:
    message = model_with(documented(), small(), of_type(element))
    model = LargeModel.of(message)
    assert model.tensors.keys() == {"w", "t"}
    assert bytes_of(model) == message.SerializeToString(deterministic=True)
    assert model.message() == message
    assert model.proto.ByteSize() < LARGE
    assert model.size >= WEIGHTS.nbytes + LARGE


def test_the_model_is_left_as_it_is() -> None:
    message = model_with(documented())
    before = message.SerializeToString(deterministic=True)
    model = LargeModel.of(message)
    assert message.SerializeToString(deterministic=True) == before
    (tensor,) = model.proto.graph.initializer
    assert is_beside(tensor)
    assert not tensor.raw_data
    np.testing.assert_array_equal(model.array(tensor), WEIGHTS)
    # A view of the bytes.
    assert np.shares_memory(model.array(tensor), model.tensors["w"])


def packed() -> TensorProto:
    """Two elements a byte."""
    return numpy_helper.from_array(of_int4(np.zeros(2 * LARGE, np.int8)), "t")


def of_int4(values: NDArray[Any]) -> NDArray[Any]:
    """As integers of four bits."""
    return values.astype(helper.tensor_dtype_to_np_dtype(T.INT4))


def shorter() -> TensorProto:
    """One of fewer bytes than it says."""
    tensor = numpy_helper.from_array(WEIGHTS, "t")
    tensor.dims[0] += 1
    return tensor


def listed() -> TensorProto:
    """One whose numbers stand in a list of their own."""
    return helper.make_tensor("t", T.FLOAT, [LARGE], [0.0] * LARGE)


def unknown() -> TensorProto:
    """One of a type that ONNX does not know."""
    tensor = numpy_helper.from_array(WEIGHTS, "t")
    tensor.data_type = 1000
    return tensor


@pytest.mark.parametrize("tensor", [small(), packed(), shorter(), listed(), unknown()])
def test_what_stays_in_the_message(tensor: TensorProto) -> None:
    tensor.name = "t"
    message = model_with(tensor)
    assert LargeModel.of(message).proto is message


def test_fields_that_nobody_knows_are_kept() -> None:
    message = model_with(documented())
    # Field 500, a number.
    data = message.SerializeToString(deterministic=True) + b"\xa0\x1f\x01"
    message = onnx.ModelProto.FromString(data)
    assert bytes_of(LargeModel.of(message)) == data


def test_two_of_one_name() -> None:
    """They are wrong, and stay so: the second one is in the message."""
    first, second = documented(), numpy_helper.from_array(-WEIGHTS, "w")
    message = model_with(first, second)
    model = LargeModel.of(message)
    assert bytes_of(model) == message.SerializeToString(deterministic=True)


@pytest.mark.parametrize("element", [T.FLOAT, T.FLOAT16, T.DOUBLE])
def test_onnxruntime_takes_them(element: int) -> None:
    kind = helper.tensor_dtype_to_np_dtype(element)
    message = model_with(numpy_helper.from_array(WEIGHTS.astype(kind), "w"))
    model = LargeModel.of(message)
    session = GuardedSession(model, "it", limit_bytes=DEFAULT_BYTES)
    (actual,) = session.run(["y"], {"x": X.astype(kind)})
    np.testing.assert_allclose(actual, X.astype(kind) @ WEIGHTS.astype(kind), rtol=0.1, atol=0.1)


def branches(outer: str) -> onnx.ModelProto:
    """An If, a branch of which reads the model's weights; the other has a constant of this name."""
    own = numpy_helper.from_array(np.ones((1, COLUMNS), np.float32), outer)
    then, otherwise = (
        helper.make_graph([node], name, [], [helper.make_tensor_value_info("z", 1, None)], tensors)
        for name, node, tensors in (
            ("then", helper.make_node("MatMul", ["x", "w"], ["z"]), []),
            ("else", helper.make_node("Identity", [outer], ["z"]), [own]),
        )
    )
    model = model_with(documented())
    del model.graph.node[:], model.graph.value_info[:]
    model.graph.node.extend(
        [
            helper.make_node("ReduceMax", ["x"], ["m"], "max", keepdims=0),
            helper.make_node("Cast", ["m"], ["c"], "cast", to=T.BOOL),
            helper.make_node("If", ["c"], ["y"], "if", then_branch=then, else_branch=otherwise),
        ]
    )
    return model


def called() -> onnx.ModelProto:
    """A function that does not read what it is given."""
    model = model_with(documented())
    cut = helper.make_node("Slice", ["a", "low", "high", "axes"], ["c"])
    numbers = [
        helper.make_node("Constant", [], [name], value_ints=[number])
        for name, number in (("low", 0), ("high", COLUMNS), ("axes", 1))
    ]
    opsets = [helper.make_opsetid("", 18)]
    model.functions.append(
        helper.make_function("own", "Cut", ["a", "b"], ["c"], [*numbers, cut], opsets)
    )
    model.opset_import.append(helper.make_opsetid("own", 1))
    del model.graph.node[:]
    model.graph.node.append(helper.make_node("Cut", ["x", "w"], ["y"], "n", domain="own"))
    return model


def listed_as_input() -> onnx.ModelProto:
    """Weights that a user of the model may replace."""
    model = model_with(documented())
    model.graph.input.append(helper.make_tensor_value_info("w", 1, [ROWS, COLUMNS]))
    return model


def given_as_output() -> onnx.ModelProto:
    """Weights that are a result."""
    model = model_with(documented())
    model.graph.output.append(helper.make_tensor_value_info("w", 1, [ROWS, COLUMNS]))
    return model


def beside_a_dead_node() -> onnx.ModelProto:
    """Weights of a node whose result nobody reads."""
    model = model_with(documented(), of_type(T.FLOAT))
    model.graph.node.append(helper.make_node("Relu", ["t"], ["r"], "dead"))
    return model


@pytest.mark.parametrize(
    "message",
    [
        model_with(documented(), of_type(T.FLOAT)),
        branches("w2"),
        branches("t"),
        called(),
        listed_as_input(),
        given_as_output(),
        beside_a_dead_node(),
    ],
    ids=["unread", "nested", "shadowed", "unread-in-a-function", "input", "output", "dead"],
)
def test_wherever_they_are_read(message: onnx.ModelProto) -> None:
    """onnxruntime computes what it does with all tensors in the message."""
    # One that nobody reads is there in all of them.
    if len(message.graph.initializer) < 2:
        message.graph.initializer.append(of_type(T.FLOAT))
    expected = GuardedSession(serialized(message), "it", limit_bytes=DEFAULT_BYTES)
    actual = GuardedSession(LargeModel.of(message), "it", limit_bytes=DEFAULT_BYTES)
    for sign in (1, -1):
        inputs = {"x": sign * np.abs(X[:1])}
        for one, other in zip(
            actual.run([*actual.outputs], inputs),
            expected.run([*expected.outputs], inputs),
            strict=True,
        ):
            np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-5)


def test_a_tensor_within_a_node_is_no_initializer() -> None:
    """It has the name of one that lies beside the model, and says that it does so too."""
    model = LargeModel.of(model_with(documented()))
    inner = TensorProto()
    inner.CopyFrom(model.proto.graph.initializer[0])
    node = model.proto.graph.node.add(op_type="Constant", output=["c"], name="c")
    node.attribute.append(helper.make_attribute("value", inner))
    with pytest.raises(EpimcError) as caught:
        GuardedSession(model, "it", limit_bytes=DEFAULT_BYTES)
    assert caught.value.diagnostic.message == "It has the tensor 'w' in another file."


def test_a_tensor_of_another_size() -> None:
    model = LargeModel.of(model_with(documented()))
    other = LargeModel(model.proto, {"w": model.tensors["w"][4:]})
    with pytest.raises(EpimcError) as caught:
        GuardedSession(other, "it", limit_bytes=DEFAULT_BYTES)
    assert caught.value.diagnostic.message == (
        "It has the tensor 'w', whose data do not fit its shape [160, 150] and type."
    )


# --- files of external data -----------------------------------------------------------------------


def written(folder: Path, *tensors: TensorProto) -> tuple[Path, Path]:
    """The two files of a model, which onnx reads."""
    location = external_name("m.onnx")
    proto, pieces = LargeModel.of(model_with(*tensors)).external(location)
    path, data = folder / "m.onnx", folder / location
    path.write_bytes(serialized(proto))
    with data.open("wb") as file:
        file.writelines(pieces())
    return path, data


def read_back(path: Path, location: str, data: Path) -> LargeModel:
    """The model of two files, one of which is called this."""
    proto = onnx.load(path, load_external_data=False)
    return read_external(proto, location, data.read_bytes(), "It")


def test_external_data_are_those_of_onnx(tmp_path: Path) -> None:
    tensors = (documented(), small(), of_type(T.BFLOAT16), of_type(T.INT8))
    tensors[3].name = "u"
    path, data = written(tmp_path, *tensors)
    assert data.stat().st_size < 3 * 2**12 + sum(len(tensor.raw_data) for tensor in tensors)
    for actual, expected in zip(onnx.load(path).graph.initializer, tensors, strict=True):
        np.testing.assert_array_equal(
            numpy_helper.to_array(actual).view(np.uint8),
            numpy_helper.to_array(expected).view(np.uint8),
        )


def test_external_data_are_read_back(tmp_path: Path) -> None:
    message = model_with(documented(), small(), of_type(T.INT64))
    path, data = written(tmp_path, *message.graph.initializer)
    read = read_back(path, data.name, data)
    assert read.message() == message


def test_what_lies_in_messages_is_written_too(tmp_path: Path) -> None:
    """Also where a tensor of the model lies beside it already."""
    large = LargeModel.of(model_with(documented()))
    large.proto.graph.initializer.append(of_type(T.INT8))
    proto, pieces = large.external("d")
    assert serialized(proto).count(b"length") == 2
    data = b"".join(pieces())
    read = read_external(proto, "d", data, "It")
    assert read.tensors["t"].tobytes() == of_type(T.INT8).raw_data


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("offset", "4"),
        ("offset", "-4"),
        ("offset", "1" * 19),
        ("length", "95996"),
        ("length", "96004"),
        ("length", ""),
        ("checksum", "1"),
    ],
)
def test_external_data_elsewhere(tmp_path: Path, key: str, value: str) -> None:
    path, data = written(tmp_path, documented())
    proto = onnx.load(path, load_external_data=False)
    (tensor,) = proto.graph.initializer
    for entry in tensor.external_data:
        if entry.key == key:
            entry.value = value
    if key == "checksum":
        tensor.external_data.add(key=key, value=value)
    with pytest.raises(EpimcError) as caught:
        read_external(proto, data.name, data.read_bytes(), "It")
    assert str(caught.value) == (
        "error: It has the tensor 'w', which does not lie in 'm.onnx.data' as it says.\n"
        "  hint: Compile the model again."
    )


def test_other_files_are_left_to_others(tmp_path: Path) -> None:
    """What would read them is refused."""
    path, data = written(tmp_path, documented())
    model = read_back(path, "other", data)
    assert not model.tensors
    with pytest.raises(EpimcError, match="in another file"):
        GuardedSession(model, "it", limit_bytes=DEFAULT_BYTES)
