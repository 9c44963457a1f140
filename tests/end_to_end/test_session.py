"""`epimc.compile`, `epimc.load` and the session, beside onnxruntime's own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from numpy.typing import NDArray
from onnx import helper, numpy_helper

import epimc
from epimc.bundle.bundle import read_bundle
from epimc.samples.samples import write_samples
from epimc.support.diagnostics import EpimcError
from epimc.verification.verify import verify
from tests.crossbars import program_in
from tests.end_to_end.conftest import EXAMPLES, MODELS, Compile

Array = NDArray[Any]


def two_ports(batch: int | str) -> onnx.ModelProto:
    """Two inputs; a vector and a map as outputs; the batch of every border as given."""
    draw = np.random.default_rng(3)
    constants = {
        "w": draw.standard_normal((4, 2, 3, 3)),
        "v": draw.standard_normal((4, 1, 1, 1)),
        "m": draw.standard_normal((5, 4)),
    }
    nodes = [
        helper.make_node("Conv", ["a", "w"], ["c"], pads=[1, 1, 1, 1]),
        helper.make_node("Conv", ["b", "v"], ["d"]),
        helper.make_node("Add", ["c", "d"], ["sum"]),
        helper.make_node("Relu", ["sum"], ["map"]),
        helper.make_node("GlobalAveragePool", ["map"], ["pooled"]),
        helper.make_node("Flatten", ["pooled"], ["flat"]),
        helper.make_node("Gemm", ["flat", "m"], ["vector"], transB=1),
    ]
    shapes = {"a": [2, 6, 7], "b": [1, 6, 7], "vector": [5], "map": [4, 6, 7]}
    ports = {
        name: helper.make_tensor_value_info(name, 1, [batch, *shape])
        for name, shape in shapes.items()
    }
    stored = [numpy_helper.from_array(v.astype(np.float32), k) for k, v in constants.items()]
    inputs, outputs = [ports["a"], ports["b"]], [ports["vector"], ports["map"]]
    graph = helper.make_graph(nodes, "two", inputs, outputs, stored)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)


def samples(count: int) -> dict[str, Array]:
    """Inputs of `two_ports`."""
    draw = np.random.default_rng(4)
    return {
        "a": draw.standard_normal((count, 2, 6, 7)).astype(np.float32),
        "b": draw.standard_normal((count, 1, 6, 7)).astype(np.float32),
    }


@pytest.fixture(scope="module")
def sessions(tmp_path_factory: pytest.TempPathFactory) -> dict[int | str, epimc.Session]:
    """The model with a symbolic batch and with fixed ones, compiled."""
    folder = tmp_path_factory.mktemp("two")
    write_samples(folder / "samples.npz", samples(9))
    made: dict[int | str, epimc.Session] = {}
    for batch in ("N", 1, 4):
        onnx.save(two_ports(batch), folder / f"{batch}.onnx")
        made[batch] = epimc.compile(
            folder / f"{batch}.onnx",
            folder / f"bundle-{batch}",
            target="tiny",
            calibration=folder / "samples.npz",
        )
    return made


@pytest.mark.parametrize("data", ["mnist", "fashion"])
def test_a_session_looks_like_onnxruntimes(data: str, compiled: Compile) -> None:
    theirs = onnxruntime.InferenceSession(
        (EXAMPLES / MODELS[data]).read_bytes(), providers=["CPUExecutionProvider"]
    )
    ours = epimc.load(compiled(data).bundle)
    for mine, other in (
        (ours.get_inputs(), theirs.get_inputs()),
        (ours.get_outputs(), theirs.get_outputs()),
    ):
        assert [(x.name, x.type) for x in mine] == [(x.name, x.type) for x in other]
        assert [list(x.shape[1:]) for x in mine] == [list(x.shape[1:]) for x in other]
    with np.load(EXAMPLES / f"{data}-test.npz") as file:
        name = ours.get_inputs()[0].name
        image = file[name][:1]
    (mine_run,), (other_run,) = ours.run(None, {name: image}), theirs.run(None, {name: image})
    assert isinstance(ours.run(None, {name: image}), list)
    assert (mine_run.shape, mine_run.dtype) == (other_run.shape, other_run.dtype)
    assert mine_run.argmax() == other_run.argmax()


def test_outputs_come_by_name_in_the_order_asked_for(
    sessions: dict[int | str, epimc.Session],
) -> None:
    session = sessions["N"]
    assert [port.name for port in session.get_inputs()] == ["a", "b"]
    assert [port.shape for port in session.get_outputs()] == [("N", 5), ("N", 4, 6, 7)]
    vector, feature_map = session.run(None, samples(3))
    assert (vector.shape, feature_map.shape) == ((3, 5), (3, 4, 6, 7))
    assert vector.dtype == feature_map.dtype == np.float32
    swapped = session.run(["map", "vector"], samples(3))
    np.testing.assert_array_equal(swapped[0], feature_map)
    np.testing.assert_array_equal(swapped[1], vector)
    (only,) = session.run(["vector"], samples(3))
    np.testing.assert_array_equal(only, vector)


def test_results_do_not_depend_on_the_batch(
    sessions: dict[int | str, epimc.Session], compiled: Compile
) -> None:
    inputs = samples(70)
    at_once = sessions["N"].run(None, inputs)
    for size in (1, 7, 64):
        for first in range(0, 70, size):
            part = {name: array[first : first + size] for name, array in inputs.items()}
            for all_of_it, some in zip(at_once, sessions["N"].run(None, part), strict=True):
                np.testing.assert_array_equal(all_of_it[first : first + size], some)


def test_a_fixed_batch_is_only_how_the_model_is_written(
    sessions: dict[int | str, epimc.Session],
) -> None:
    inputs = samples(6)
    expected = sessions["N"].run(None, inputs)
    for batch in (1, 4):
        assert sessions[batch].get_inputs() == sessions["N"].get_inputs()
        for ours, theirs in zip(sessions[batch].run(None, inputs), expected, strict=True):
            np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("batch", ["N", 1, 4])
def test_verify_takes_any_batch(batch: int | str, sessions: dict[int | str, epimc.Session]) -> None:
    """Nine samples are no multiple of four: the last batch is filled up, and cut again."""
    report = verify(sessions[batch].bundle)
    assert report.samples == 9
    assert report.exact
    assert [output.name for output in report.outputs] == ["vector", "map"]
    assert all(output.cosine is not None and output.cosine > 0.999 for output in report.outputs)


def test_the_compiled_and_the_loaded_session_agree(
    sessions: dict[int | str, epimc.Session],
) -> None:
    folder = sessions["N"].bundle.folder
    assert folder is not None
    for path in ("auto", "fused", "bit-serial"):
        loaded = epimc.load(folder, path=path)
        both = (session.run(None, samples(2)) for session in (sessions["N"], loaded))
        for ours, theirs in zip(*both, strict=True):
            np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize(
    ("names", "feeds", "message"),
    [
        (["vectr"], {}, "error: There is no output 'vectr'.\n  hint: Did you mean 'vector'?"),
        (None, {"b": None}, "error: Input 'b' is missing."),
        (
            None,
            {"c": np.zeros((2, 1))},
            "error: The program has no input 'c'.\n  hint: Known: a, b.",
        ),
        (
            None,
            {"b": np.zeros((2, 6, 7))},
            "error: Input 'b' has shape (2, 6, 7), not (samples, 1, 6, 7).",
        ),
        (
            None,
            {"b": np.zeros((3, 1, 6, 7))},
            "error: Input 'b' has 3 samples, another has 2.",
        ),
    ],
)
def test_wrong_calls_are_refused(
    names: list[str] | None,
    feeds: dict[str, Array | None],
    message: str,
    sessions: dict[int | str, epimc.Session],
) -> None:
    changed = {**samples(2), **feeds}
    given = {name: array for name, array in changed.items() if array is not None}
    with pytest.raises(EpimcError) as caught:
        sessions["N"].run(names, given)
    assert str(caught.value) == message


def test_a_failed_compile_leaves_the_old_bundle(
    sessions: dict[int | str, epimc.Session], tmp_path: Path
) -> None:
    folder = sessions["N"].bundle.folder
    assert folder is not None
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    with pytest.raises(EpimcError):
        epimc.compile(tmp_path / "missing.onnx", folder)
    assert {p: p.read_bytes() for p in folder.rglob("*") if p.is_file()} == before
    assert program_in(read_bundle(folder)).outputs == program_in(sessions["N"].bundle).outputs


def test_paths_and_engines_go_by_name(sessions: dict[int | str, epimc.Session]) -> None:
    folder = sessions["N"].bundle.folder
    assert folder is not None
    expected = sessions["N"].run(None, samples(2))
    outputs = epimc.load(folder, engine="bytes").run(None, samples(2))
    assert all(np.array_equal(a, b) for a, b in zip(outputs, expected, strict=True))
    with pytest.raises(EpimcError, match="Unknown simulation engine 'bites'"):
        epimc.load(folder, engine="bites")
    with pytest.raises(EpimcError, match="Unknown simulation path 'fussed'"):
        epimc.load(folder, path="fussed")
