"""Samples of every type: converted exactly or refused, drawn, and told apart."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest

from epimc.compiler.drawing import drawn_samples
from epimc.frontend import ModelPort
from epimc.samples.sample_arrays import SampleData, samples_of
from epimc.samples.samples import encode_samples, samples_in, write_samples
from epimc.support.diagnostics import EpimcError
from epimc.support.port_types import PortType
from epimc.support.sample_types import Shaped, storable

pytestmark = pytest.mark.smoke

INTEGERS = ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")


def read(values: Any, kind: str, shape: tuple[int, ...] = (2,), **more: Any) -> Any:
    """The samples of one input of some type."""
    return samples_of({"x": values}, [Shaped("x", shape, kind, **more)]).inputs["x"]


def refusal(values: Any, kind: str, shape: tuple[int, ...] = (2,), **more: Any) -> str:
    """What is said about values of an input of some type."""
    with pytest.raises(EpimcError) as caught:
        read(values, kind, shape, **more)
    return str(caught.value).removeprefix("error: Array 'x' of the calibration data ")


@pytest.mark.parametrize("kind", INTEGERS)
@pytest.mark.parametrize("source", [*INTEGERS, "float16", "float32", "float64", "bool"])
def test_integers_from_numbers_that_are_equal(kind: str, source: str) -> None:
    values = np.array([[0, 1], [1, 0]]).astype(source)
    result = read(values, f"tensor({kind})")
    assert result.dtype == kind
    np.testing.assert_array_equal(result, [[0, 1], [1, 0]])


@pytest.mark.parametrize(
    ("values", "kind", "value", "named"),
    [
        (np.array([[0, 1], [2.5, 0]]), "int32", 2.5, "int32"),
        (np.array([[0, 1], [np.nan, 0]]), "int64", np.nan, "int64"),
        (np.array([[0, 1], [np.inf, 0]]), "uint8", np.inf, "uint8"),
        (np.array([[0, 1], [256, 0]]), "uint8", 256, "uint8"),
        (np.array([[0, 1], [-1, 0]]), "uint8", -1, "uint8"),
        (np.array([[0, 1], [-1, 0]]), "uint64", -1, "uint64"),
        (np.array([[0, 1], [2**63, 0]], np.uint64), "int64", 2**63, "int64"),
        (np.array([[0, 1], [2.0**63, 0]]), "int64", 2.0**63, "int64"),
        (np.array([[0, 1], [2.0**64, 0]]), "uint64", 2.0**64, "uint64"),
        (np.array([[0, 1], [2, 0]]), "bool", 2, "bool"),
        (np.array([[0, 1], [8, 0]]), "int4", 8, "int8"),
        (np.array([[0, 1], [16, 0]]), "uint4", 16, "uint8"),
        (np.array([[0, 1], [-3, 0]]), "int2", -3, "int8"),
    ],
)
def test_what_a_type_does_not_have(values: Any, kind: str, value: Any, named: str) -> None:
    assert refusal(values, f"tensor({kind})") == (
        f"has the value {values.dtype.type(value)}, which {named} does not have.\n"
        "  note: The first is in sample 1, counted from 0."
    )


@pytest.mark.parametrize("edge", [-(2**63), 2**63 - 1, 2**53 + 1])
def test_large_integers_stay_what_they_are(edge: int) -> None:
    assert read(np.array([[edge, 0]]), "tensor(int64)").tolist() == [[edge, 0]]


def test_booleans() -> None:
    result = read(np.array([[0, 1], [1.0, 0]]), "tensor(bool)")
    assert result.dtype == bool
    assert result.tolist() == [[False, True], [True, False]]


@pytest.mark.parametrize(
    ("kind", "dtype"),
    [
        ("float", "float32"),
        ("double", "float64"),
        ("float16", "float16"),
        ("bfloat16", "float32"),
        ("float8e4m3fn", "float32"),
    ],
)
@pytest.mark.parametrize("source", ["float16", "float32", "float64", "bfloat16", "float8_e5m2"])
def test_floats(kind: str, dtype: str, source: str) -> None:
    values = np.array([[0.5, -1.75], [3, 0]])
    own = getattr(ml_dtypes, source, source)
    result = read(values.astype(own), f"tensor({kind})")
    assert result.dtype == dtype
    np.testing.assert_array_equal(result, values.astype(own).astype(np.float64))


def test_floats_that_leave_their_range() -> None:
    expected = "has values that are not finite in float16.\n" + (
        "  note: The first is in sample 1, counted from 0."
    )
    for finite in (True, False):
        wide = np.array([[0, 1], [70000.0, 0]])
        assert refusal(wide, "tensor(float16)", finite=finite) == expected
    wild = np.array([[0, np.inf], [np.nan, 0]], np.float32)
    np.testing.assert_array_equal(read(wild, "tensor(double)", finite=False), wild)
    assert "are not finite in float64" in refusal(wild, "tensor(double)")


@pytest.mark.parametrize(
    ("values", "kind", "expected"),
    [
        (
            np.zeros((1, 2), np.int64),
            "double",
            "has the type int64, not float64.\n"
            "  hint: Convert it by astype('float64'), and scale it as the model expects.",
        ),
        (
            np.zeros((1, 2), np.complex64),
            "int64",
            "has the type complex64, not int64.\n  hint: Convert it by astype('int64').",
        ),
        (np.zeros((1, 2)), "string", "has the type float64, not text."),
        (np.array([["a", None]], object), "string", "holds objects that are no texts."),
    ],
)
def test_arrays_of_another_kind(values: Any, kind: str, expected: str) -> None:
    assert refusal(values, f"tensor({kind})") == expected


def test_complex_numbers() -> None:
    result = read(np.array([[1, 2j]]), "tensor(complex64)")
    assert result.dtype == np.complex64
    assert result.tolist() == [[1, 2j]]


def test_a_type_without_samples() -> None:
    with pytest.raises(EpimcError) as caught:
        read(np.zeros((1, 2)), "tensor(unknown)")
    assert caught.value.diagnostic.message == (
        "Input 'x' has the type tensor(unknown), of which there are no samples."
    )


# --- all of a model's inputs as one sample --------------------------------------------------------


@pytest.mark.parametrize(
    ("shape", "array", "result"),
    [
        ((2, 3), (5, 2, 3), (5, 2, 3)),
        ((2, 3), (2, 3), (1, 2, 3)),
        ((2, 2), (2, 2), (1, 2, 2)),
        ((1, 3), (1, 3), (1, 1, 3)),
        ((1, 3), (5, 3), (5, 1, 3)),
        ((1, 3), (5, 1, 3), (5, 1, 3)),
        ((1,), (5,), (5, 1)),
        ((), (), (1,)),
        ((), (5,), (5,)),
        ((0, 3), (0, 3), (1, 0, 3)),
        ((0, 3), (5, 0, 3), (5, 0, 3)),
    ],
)
def test_where_axis_0_is_no_batch(
    shape: tuple[int, ...], array: tuple[int, ...], result: tuple[int, ...]
) -> None:
    values = np.arange(int(np.prod(array)), dtype=np.float32).reshape(array)
    samples = read(values, "tensor(float)", shape, samples_first=False)
    assert samples.shape == result
    np.testing.assert_array_equal(samples.ravel(), values.ravel())


@pytest.mark.parametrize("array", [(3,), (3, 2), (5, 3, 2), (0, 2, 3)])
def test_arrays_that_are_no_samples_of_the_whole(array: tuple[int, ...]) -> None:
    values = np.zeros(array, np.float32)
    expected = "no samples" if array[0] == 0 else "Expected (n, 2, 3), found"
    assert expected in refusal(values, "tensor(float)", (2, 3), samples_first=False)


# --- texts and lists ------------------------------------------------------------------------------


def test_texts() -> None:
    for values in ([["a", "bc"]], np.array([["a", "bc"]]), np.array([["a", "bc"]], object)):
        result = read(values, "tensor(string)")
        assert result.dtype == object
        assert result.tolist() == [["a", "bc"]]


def test_lists_of_one_object_a_sample() -> None:
    one, two = [np.zeros(2), np.ones((1, 3))], [np.zeros(5)]
    result = read([one, two], "seq(tensor(double))", ())
    assert len(result) == 2
    assert result[0] is one
    assert result[1] is two
    result = read([None, one], "optional(seq(tensor(double)))", ())
    assert result[0] is None
    assert read([{"a": 1.0}], "map(string,tensor(float))", ()).tolist() == [{"a": 1.0}]


def test_what_is_no_list() -> None:
    with pytest.raises(EpimcError) as caught:
        read(np.zeros((2, 3)), "seq(tensor(double))", ())
    assert str(caught.value) == (
        "error: Samples of the input 'x' are no list.\n"
        "  hint: It takes seq(tensor(double)): pass a list with one such value for each sample."
    )


@pytest.mark.parametrize("kind", ["tensor(string)", "seq(tensor(float))", "map(int64,float)"])
def test_files_do_not_hold_them(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "x.npz"
    write_samples(path, {"x": np.zeros(3)})
    with pytest.raises(EpimcError) as caught:
        samples_of(path, [Shaped("x", (), kind)])
    assert str(caught.value) == (
        f"error: 'x' of the model is {kind}, of which a file of samples knows nothing.\n"
        "  hint: Use the Python interface, which takes and gives Python's lists and strings."
    )


def test_bundles_hold_texts(tmp_path: Path) -> None:
    ports = [Shaped("x", (2,), "tensor(string)")]
    samples = samples_of({"x": [["a", "bc"]]}, ports)
    data = encode_samples(storable(samples.inputs))
    assert samples_in(data, tmp_path / "x.npz", ports).inputs["x"].tolist() == [["a", "bc"]]
    with pytest.raises(EpimcError, match="holds no numbers"):
        samples_in(data, tmp_path / "x.npz", [Shaped("x", (2,))])


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ([[np.zeros(2)]], [[np.zeros(2), np.zeros(2)]]),
        ([[np.zeros(2)]], [[np.ones(2)]]),
        ([[]], [[], []]),
        ([None], [np.zeros(2)]),
        ([{"a": 1.0}], [{"b": 1.0}]),
    ],
)
def test_samples_of_objects_are_told_apart(one: Any, other: Any) -> None:
    port = [Shaped("x", (), "seq(tensor(double))")]
    first, second, again = (samples_of({"x": values}, port).sha256 for values in (one, other, one))
    assert first == again
    assert first != second


# --- drawn ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        ("uint8", range(256)),
        ("int8", range(-128, 128)),
        ("bool", range(2)),
        ("int64", range(2)),
        ("uint16", range(2)),
        ("int4", range(2)),
    ],
)
def test_drawn_integers(kind: str, values: range) -> None:
    drawn = drawn_samples([Shaped("x", (100, 100), f"tensor({kind})")], 4, 0)
    assert set(np.unique(drawn.inputs["x"]).tolist()) == {*values}
    assert drawn.inputs["x"].dtype == Shaped("x", (), f"tensor({kind})").dtype
    assert drawn.origin == "random, seed 0"


def test_drawn_numbers_of_every_width() -> None:
    ports = [Shaped(kind, (1000,), f"tensor({kind})") for kind in ("float16", "double", "bfloat16")]
    drawn = drawn_samples([*ports, Shaped("c", (1000,), "tensor(complex64)")], 3, 0)
    for port in ports:
        assert drawn.inputs[port.name].dtype == port.dtype
        assert abs(float(drawn.inputs[port.name].std()) - 1) < 0.05
    assert drawn.inputs["c"].shape == (3, 1000)
    assert drawn.inputs["c"].dtype == np.complex64
    assert drawn_samples(ports, 3, 0).origin == "standard normal, seed 0"


def test_drawn_objects() -> None:
    kinds = {
        "t": "tensor(string)",
        "s": "seq(tensor(float))",
        "o": "optional(seq(tensor(int64)))",
        "m": "map(string,tensor(float))",
        "n": "map(int64,tensor(double))",
        "q": "seq(map(int64,tensor(float)))",
    }
    drawn = drawn_samples([Shaped(name, (), kind) for name, kind in kinds.items()], 2, 0).inputs
    assert drawn["t"].tolist() == ["a", "a"]
    assert [array.shape for array in drawn["s"][1]] == [(1,)]
    assert drawn["o"][0][0].dtype == np.int64
    assert list(drawn["m"][0]) == ["a"]
    assert list(drawn["n"][0]) == [0]
    assert list(drawn["q"][0][0]) == [0]
    # What is drawn can be passed.
    ports = [Shaped(name, (), kind) for name, kind in kinds.items()]
    assert samples_of({name: list(array) for name, array in drawn.items()}, ports).count == 2


def test_ports_of_models_and_programs() -> None:
    port = ModelPort("x", PortType("tensor(int64)", (1, 3), False))
    assert Shaped.of(port, finite=False) == Shaped("x", (1, 3), "tensor(int64)", False, False)
    texts = ModelPort("x", PortType("seq(tensor(string))", None, False))
    assert Shaped.of(texts) == Shaped("x", (), "seq(tensor(string))", False)


def test_shapes_may_be_asked_for_first() -> None:
    batches = iter([np.zeros((2, 3), np.float32), np.ones((1, 3), np.float32)])
    data = SampleData(batches)
    assert data.shapes([("x", "tensor(float)")]) == {"x": (3, 3)}
    assert data.samples([Shaped("x", (3,))]).count == 3


def test_a_scalar_of_a_type_that_numpy_lacks() -> None:
    value = np.array(2, ml_dtypes.bfloat16)
    samples = read(value, "tensor(bfloat16)", (), samples_first=False)
    assert (samples.dtype, samples.tolist()) == (np.float32, [2.0])
