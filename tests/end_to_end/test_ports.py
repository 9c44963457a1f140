"""Models whose inputs and outputs are of any type and shape: compiled, run, and exact."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto as T
from onnx import helper, numpy_helper

import epimc
from epimc.cli.main import main
from epimc.support.diagnostics import EpimcError

RANDOM = np.random.default_rng(0)
WEIGHTS = (RANDOM.standard_normal((4, 3, 3, 3)) * 0.3).astype(np.float32)
MATRIX = RANDOM.standard_normal((8, 5)).astype(np.float32)
TABLE = RANDOM.standard_normal((10, 8)).astype(np.float32)
Entry = tuple[int, Sequence[int | str] | None]


def model_of(
    nodes: Sequence[onnx.NodeProto],
    inputs: Mapping[str, Entry],
    constants: Mapping[str, NDArray[Any]] | None = None,
    output: int = T.FLOAT,
) -> onnx.ModelProto:
    """A model whose output is called y."""
    graph = helper.make_graph(
        list(nodes),
        "net",
        [helper.make_tensor_value_info(name, *entry) for name, entry in inputs.items()],
        [helper.make_tensor_value_info("y", output, None)],
        [numpy_helper.from_array(array, name) for name, array in (constants or {}).items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def node(op: str, inputs: str, output: str, **attributes: Any) -> onnx.NodeProto:
    """A node whose inputs are named in one text."""
    return helper.make_node(op, inputs.split(), [output], output, **attributes)


def pixels(*shape: int, kind: str = "uint8") -> NDArray[Any]:
    """Images of bytes."""
    return RANDOM.integers(0, 128, shape).astype(kind)


def reals(*shape: int) -> NDArray[Any]:
    """Numbers of the normal distribution."""
    return RANDOM.standard_normal(shape).astype(np.float32)


IMAGE = model_of(
    [node("Cast", "x", "c", to=1), node("Div", "c s", "d"), node("Conv", "d w", "y")],
    {"x": (T.UINT8, ("N", 3, 8, 8))},
    {"w": WEIGHTS, "s": np.array(255, np.float32)},
)
SIGNED = model_of(
    [
        node("Cast", "x", "c", to=1),
        node("Transpose", "c", "d", perm=[0, 3, 1, 2]),
        node("Conv", "d w", "y"),
    ],
    {"x": (T.INT8, ("N", 8, 8, 3))},
    {"w": WEIGHTS},
)
TOKENS = model_of(
    [node("Gather", "e x", "g"), node("MatMul", "g m", "y")],
    {"x": (T.INT64, ("N", 6))},
    {"e": TABLE, "m": MATRIX},
)
MASKED = model_of(
    [node("Where", "m x z", "c"), node("MatMul", "c w", "y")],
    {"x": (T.FLOAT, ("N", 8)), "m": (T.BOOL, ("N", 8))},
    {"w": MATRIX, "z": np.zeros((), np.float32)},
)
WHOLE = model_of(
    [node("MatMul", "a b", "c"), node("Relu", "c", "y")],
    {"a": (T.FLOAT, (3, 4)), "b": (T.FLOAT, (4, 5))},
)
SCALED = model_of([node("Mul", "a b", "y")], {"a": (T.FLOAT, (2, 3)), "b": (T.FLOAT, ())})
CHOSEN = model_of(
    [node("Conv", "x w", "c"), node("Flatten", "c", "f"), node("ArgMax", "f", "y", axis=1)],
    {"x": (T.FLOAT, ("N", 3, 6, 6))},
    {"w": WEIGHTS},
    output=T.INT64,
)
NAN = model_of([node("IsNaN", "x", "y")], {"x": (T.FLOAT, ("N", 3))}, output=T.BOOL)
EMPTY = model_of([node("Relu", "x", "y")], {"x": (T.FLOAT, (0, 3))})
NOTHING = model_of([node("Relu", "c", "y")], {}, {"c": np.array([1, -1], np.float32)})
TEXT = model_of([node("Identity", "x", "y")], {"x": (T.STRING, ("N", 2))}, output=T.STRING)

CASES: dict[str, tuple[onnx.ModelProto, dict[str, Any], str, tuple[int, ...]]] = {
    "image": (IMAGE, {"x": pixels(4, 3, 8, 8)}, "float32", (4, 4, 6, 6)),
    "signed": (SIGNED, {"x": pixels(4, 8, 8, 3, kind="float32")}, "float32", (4, 4, 6, 6)),
    "tokens": (TOKENS, {"x": pixels(4, 6) % 10}, "float32", (4, 6, 5)),
    "masked": (MASKED, {"x": reals(4, 8), "m": pixels(4, 8) > 64}, "float32", (4, 5)),
    "whole": (WHOLE, {"a": reals(2, 3, 4), "b": reals(2, 4, 5)}, "float32", (2, 3, 5)),
    "one": (WHOLE, {"a": reals(3, 4), "b": reals(4, 5)}, "float32", (3, 5)),
    "scaled": (SCALED, {"a": reals(5, 2, 3), "b": reals(5)}, "float32", (5, 2, 3)),
    "chosen": (CHOSEN, {"x": reals(4, 3, 6, 6)}, "int64", (4, 1)),
    "nan": (NAN, {"x": np.array([[1, np.nan, np.inf]], np.float32)}, "bool", (1, 3)),
    "empty": (EMPTY, {"x": np.zeros((0, 3), np.float32)}, "float32", (0, 3)),
    "nothing": (NOTHING, {}, "float32", (2,)),
    "text": (TEXT, {"x": np.array([["a", "b"], ["c", "d"]])}, "object", (2, 2)),
}


@pytest.mark.parametrize("case", CASES)
def test_ports_of_every_type(case: str, tmp_path: Path) -> None:
    model, samples, dtype, shape = CASES[case]
    session = epimc.compile(model, tmp_path / "out", target="tiny", calibration=samples)
    assert epimc.verify(session, samples).exact
    # Those that the bundle keeps.
    assert epimc.verify(tmp_path / "out").exact
    (result,) = epimc.load(tmp_path / "out").run(None, samples)
    assert (result.dtype, result.shape) == (dtype, shape)


@pytest.mark.parametrize("case", CASES)
def test_without_samples_some_are_drawn(case: str, tmp_path: Path) -> None:
    session = epimc.compile(CASES[case][0], tmp_path / "out", target="tiny")
    result = epimc.verify(session)
    assert result.exact
    assert result.samples == (1 if case == "nothing" else 16)


def test_exact_values(tmp_path: Path) -> None:
    session = epimc.compile(NAN, tmp_path / "nan", target="tiny")
    values = np.array([[1, np.nan, -np.inf]], np.float32)
    assert session.run(None, {"x": values})[0].tolist() == [[False, True, False]]
    session = epimc.compile(TEXT, tmp_path / "text", target="tiny")
    assert session.run(None, {"x": [["a", "b"]]})[0].tolist() == [["a", "b"]]


@pytest.mark.parametrize(
    ("case", "feeds", "message"),
    [
        (
            "tokens",
            {"x": np.full((1, 6), 0.5)},
            "Input 'x' has the value 0.5, which int64 does not have.",
        ),
        ("image", {"x": pixels(1, 3, 8, 8) + 200}, "Input 'x' has the value"),
        ("tokens", {"x": np.zeros((1, 5), int)}, "Input 'x' has a wrong shape."),
        ("text", {"x": np.zeros((1, 2))}, "Input 'x' has the type float64, not text."),
        ("whole", {"a": reals(2, 3, 5), "b": reals(2, 4, 5)}, "Input 'a' has a wrong shape."),
    ],
)
def test_wrong_inputs_of_sessions(
    case: str, feeds: dict[str, Any], message: str, tmp_path: Path
) -> None:
    session = epimc.compile(CASES[case][0], tmp_path / "out", target="tiny")
    if case == "image":
        feeds = {"x": feeds["x"].astype(np.int32) + 200}
    with pytest.raises(EpimcError) as caught:
        session.run(None, feeds)
    assert caught.value.diagnostic.message.startswith(message)


def sequence() -> onnx.ModelProto:
    """The first tensor of a sequence, after which all are of another length."""
    model = model_of(
        [node("SequenceAt", "s i", "t"), node("Relu", "t", "y")], {}, {"i": np.array(0)}
    )
    model.graph.input.append(helper.make_tensor_sequence_value_info("s", T.FLOAT, None))
    return model


def test_sequences(tmp_path: Path) -> None:
    samples = {"s": [[np.ones((2, 3), np.float32)], [-np.ones(4, np.float32), reals(1)]]}
    session = epimc.compile(sequence(), tmp_path / "out", target="tiny", calibration=samples)
    assert epimc.verify(tmp_path / "out").samples == 2
    first, second = session.run(None, samples)[0]
    assert first.tolist() == [[1, 1, 1], [1, 1, 1]]
    assert second.tolist() == [0, 0, 0, 0]


@pytest.mark.parametrize("opset", [11, 13, 17])
@pytest.mark.parametrize("on_chip", [False, True])
def test_sequences_go_out_in_old_opsets(opset: int, on_chip: bool, tmp_path: Path) -> None:
    """Where a copy of one is no operator yet; one call of two gives it."""
    nodes = [
        node("Softmax", "x", "s", axis=1),
        node("SequenceConstruct", "s x", "y"),
        node("MatMul", "s w", "m"),
        node("Hardmax", "m", "z", axis=1),
    ]
    model = model_of(nodes if on_chip else nodes[:2], {"x": (T.FLOAT, ("N", 8))}, {"w": MATRIX})
    model.opset_import[0].version = opset
    model.graph.output[0].CopyFrom(helper.make_tensor_sequence_value_info("y", T.FLOAT, None))
    if on_chip:
        model.graph.output.append(helper.make_tensor_value_info("z", T.FLOAT, None))
    samples = {"x": reals(6, 8)}
    session = epimc.compile(model, tmp_path / "out", target="tiny", calibration=samples)
    assert len(session.bundle.program.host_calls) == 1 + on_chip
    assert epimc.verify(session).exact
    (lists,) = session.run(["y"], samples)
    assert np.array_equal(np.concatenate([second for _, second in lists]), samples["x"])


@pytest.mark.parametrize(
    ("model", "name", "kind"),
    [(TEXT, "x", "tensor(string)"), (sequence(), "s", "seq(tensor(float))")],
)
def test_the_command_line_knows_no_texts_and_lists(
    model: onnx.ModelProto,
    name: str,
    kind: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    onnx.save(model, tmp_path / "m.onnx")
    epimc.compile(model, tmp_path / "out", target="tiny")
    (tmp_path / "x.npz").touch()
    data = str(tmp_path / "x.npz")
    for source, arguments in (
        ("the command line", ["compile", str(tmp_path / "m.onnx"), "-o", str(tmp_path / "b")]),
        ("a file of samples", ["verify", str(tmp_path / "out"), "--input", data]),
    ):
        assert main(arguments) == 2
        assert capsys.readouterr().err == (
            f"error: '{name}' of the model is {kind}, of which {source} knows nothing.\n"
            "  hint: Use the Python interface, which takes and gives Python's lists and strings.\n"
        )
    output = str(tmp_path / "y.npz")
    assert main(["run", str(tmp_path / "out"), "--input", data, "--output", output]) == 2
    assert "knows nothing" in capsys.readouterr().err
    assert not Path(output).exists()
    assert main(["inspect", str(tmp_path / "m.onnx")]) == 0


@pytest.mark.parametrize("element", [T.FLOAT16, T.DOUBLE, T.BFLOAT16])
def test_graphs_of_other_floats(element: int, tmp_path: Path) -> None:
    dtype = helper.tensor_dtype_to_np_dtype(element)
    nodes = [
        node("Conv", "x k", "a"),
        node("GlobalAveragePool", "a", "p"),
        node("Flatten", "p", "f"),
        node("MatMul", "f w", "b"),
        node("Add", "b c", "y"),
    ]
    constants = {"k": WEIGHTS.astype(dtype), "w": MATRIX[:4].astype(dtype), "c": np.ones(5, dtype)}
    model = model_of(nodes, {"x": (element, ("N", 3, 5, 5))}, constants, output=element)
    model.opset_import[0].version, model.ir_version = 22, 10
    samples = reals(16, 3, 5, 5)
    session = epimc.compile(model, tmp_path / "out", target="tiny", calibration=samples)
    result = epimc.verify(session, samples)
    assert result.exact
    (output,) = result.outputs
    assert output.sqnr_db is not None
    assert output.sqnr_db > 35
    # Neither numpy nor onnxruntime's interface has bfloat16.
    expected = np.dtype("float32") if element == T.BFLOAT16 else dtype
    assert session.run(None, {"x": samples})[0].dtype == expected
    # The products are on crossbars.
    described: Any = session.describe()
    assert [layer.nodes[0].name for layer in described.layers] == ["a", "b"]


def test_casts_between_floats_are_nothing_on_the_chip(tmp_path: Path) -> None:
    nodes = [
        node("Cast", "x", "a", to=T.FLOAT16),
        node("MatMul", "a w", "b"),
        node("Cast", "b", "y", to=T.FLOAT),
    ]
    model = model_of(nodes, {"x": (T.FLOAT, ("N", 8))}, {"w": MATRIX.astype(np.float16)})
    session = epimc.compile(model, tmp_path / "out", target="tiny", calibration=reals(16, 8))
    assert not session.bundle.program.host_calls
    assert epimc.verify(session).exact


SHAPED = model_of(
    [node("Reshape", "x s", "y")], {"x": (T.FLOAT, (1, 6)), "s": (T.INT64, (1,))}, output=T.FLOAT
)


def test_drawn_integers_may_be_none_that_a_model_takes(tmp_path: Path) -> None:
    with pytest.raises(EpimcError) as caught:
        epimc.compile(SHAPED, tmp_path / "out", target="tiny")
    assert caught.value.diagnostic.hint == (
        "The sample was drawn at random, and the model may not take any integers: give it samples "
        "of its own (--calibration)."
    )
    samples = {"x": reals(2, 6), "s": np.array([[6], [-1]])}
    session = epimc.compile(SHAPED, tmp_path / "out", target="tiny", calibration=samples)
    assert epimc.verify(session, samples).exact


def test_results_of_different_shapes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = model_of([node("NonZero", "x", "y")], {"x": (T.FLOAT, ("N", 4))}, output=T.INT64)
    onnx.save(model, tmp_path / "m.onnx")
    out, data, results = (str(tmp_path / name) for name in ("out", "x.npz", "y.npz"))
    np.savez(data, x=np.array([[0, 1, 0, 1], [1, 0, 0, 0]], np.float32))
    assert main(["compile", str(tmp_path / "m.onnx"), "-o", out, "--calibration", data]) == 0
    assert main(["verify", out, "--input", data]) == 0
    assert main(["run", out, "--input", data, "--output", results]) == 0
    with np.load(results) as read:
        assert {name: read[name].tolist() for name in read.files} == {
            "y/0": [[0, 0], [1, 3]],
            "y/1": [[0], [0]],
        }
    assert capsys.readouterr().out.endswith(f"2 samples: y -> {results}\n")


def test_the_warning_says_what_was_drawn(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for model, kind in ((IMAGE, "random"), (WHOLE, "standard normal"), (NOTHING, "")):
        onnx.save(model, tmp_path / "m.onnx")
        assert main(["compile", str(tmp_path / "m.onnx"), "-o", str(tmp_path / "out")]) == 0
        warning = f"no --calibration: {kind} samples were used, and figures mean little"
        assert (warning in capsys.readouterr().err) == bool(kind)
