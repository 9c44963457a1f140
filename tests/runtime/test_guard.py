"""onnxruntime is asked about nothing that would read files, run for ever or take all memory."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

import epimc
from epimc.backends.onnx.safety import refuse_unsafe
from epimc.runtime import guard
from epimc.runtime.guard import GuardedSession
from epimc.runtime.reference import Reference
from epimc.support.diagnostics import EpimcError
from epimc.support.limits import DEFAULT_BYTES

ROOT = Path(epimc.__file__).parents[1]
ONE = {"x": np.ones((1, 1), np.float32)}


def model_of(
    nodes: list[onnx.NodeProto], constants: list[onnx.TensorProto], opset: int = 18
) -> onnx.ModelProto:
    """A model of x [N, 1] and y."""
    x = helper.make_tensor_value_info("x", 1, ["N", 1])
    y = helper.make_tensor_value_info("y", 1, None)
    graph = helper.make_graph(nodes, "g", [x], [y], constants)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)


def large(kind: str, size: int) -> onnx.ModelProto:
    """A few bytes that have onnxruntime make a tensor of `size` floats, and add up x with it."""
    sizes = numpy_helper.from_array(np.array([size]), "sizes")
    one = numpy_helper.from_array(np.ones(1, np.float32), "one")
    made = {
        "ConstantOfShape": helper.make_node(kind, ["sizes"], ["large"], "make"),
        "Expand": helper.make_node(kind, ["one", "sizes"], ["large"], "make"),
        "Tile": helper.make_node(kind, ["one", "sizes"], ["large"], "make"),
    }[kind]
    nodes = [
        made,
        helper.make_node("ReduceMax", ["large"], ["most"], "most", keepdims=0),
        helper.make_node("Add", ["x", "most"], ["y"], "add"),
    ]
    return model_of(nodes, [sizes, one])


@pytest.mark.parametrize("size", [2**29, 2**40, 2**61])
@pytest.mark.parametrize("kind", ["ConstantOfShape", "Expand", "Tile"])
def test_tensors_take_no_more_than_a_share_of_the_limit(kind: str, size: int) -> None:
    with pytest.raises(EpimcError) as caught:
        Reference(large(kind, size).SerializeToString(), "it").run(["y"], ONE)
    message = str(caught.value).split("\n")
    assert message[:2] == [
        "error: onnxruntime cannot run it.",
        f"  --> node 'make' ({kind})",
    ]
    assert caught.value.exit_code == 2


PEAK = """
import resource, sys
from tests.runtime.test_guard import ONE, EpimcError, Reference, large

model = large(sys.argv[1], int(sys.argv[2])).SerializeToString()
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
try:
    Reference(model, "it").run(["y"], ONE)
except EpimcError:
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


@pytest.mark.parametrize("kind", ["ConstantOfShape", "Expand", "Tile"])
def test_what_is_refused_is_not_made(kind: str) -> None:
    """In a process of its own: this one may have taken more before."""
    done = subprocess.run(
        [sys.executable, "-c", PEAK, kind, str(2**29)],
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
    )
    # Kilobytes, on Linux: 2 GiB would be eight times as many.
    assert int(done.stdout) < 2**18


def test_tensors_within_the_share_are_made() -> None:
    data = large("Tile", 2**20).SerializeToString()
    (y,) = Reference(data, "it").run(["y"], ONE)
    assert y.tolist() == [[2.0]]


def test_too_much_memory_is_called_so() -> None:
    with pytest.raises(EpimcError) as caught:
        Reference(large("ConstantOfShape", 2**40).SerializeToString(), "it").run(["y"], ONE)
    assert str(caught.value).endswith(
        "\n  hint: It needs too much memory: raise the limit (--limit-bytes), or check the shapes."
    )


def outside(message: Any) -> None:
    """Have a tensor lie in another file."""
    message.data_location = TensorProto.EXTERNAL
    message.external_data.add(key="location", value="w.bin")


def with_external(place: str) -> onnx.ModelProto:
    """A model with a tensor in another file, wherever tensors may lie."""
    tensor = numpy_helper.from_array(np.ones(1, np.float32), "w")
    outside(tensor)
    add = helper.make_node("Add", ["x", "w"], ["y"], "add")
    if place == "initializer":
        return model_of([add], [tensor])
    constant = helper.make_node("Constant", [], ["w"], "c", value=tensor)
    if place == "attribute":
        return model_of([constant, add], [])
    if place == "branch":
        result = helper.make_tensor_value_info("w", 1, None)
        branch = helper.make_graph([constant], "b", [], [result])
        node = helper.make_node("If", ["c"], ["w"], "if", then_branch=branch, else_branch=branch)
        return model_of([node, add], [numpy_helper.from_array(np.array(True), "c")])
    call = helper.make_node("F", ["x"], ["y"], "call", domain="own")
    model = model_of([call], [])
    opsets = [helper.make_opsetid("", 18)]
    model.functions.append(helper.make_function("own", "F", ["x"], ["y"], [constant, add], opsets))
    return model


@pytest.mark.parametrize("place", ["initializer", "attribute", "branch", "function"])
def test_no_other_files_are_read(
    place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "w.bin").write_bytes(np.ones(1, np.float32).tobytes())
    monkeypatch.chdir(tmp_path)
    with pytest.raises(EpimcError) as caught:
        Reference(with_external(place).SerializeToString(), "the fragment 's'")
    assert str(caught.value) == (
        "error: The fragment 's' has the tensor 'w' in another file.\n"
        "  hint: A bundle's models hold all of their tensors: compile the model again."
    )


def endless() -> onnx.ModelProto:
    """A loop without a count, whose condition stays true."""
    inputs = [
        helper.make_tensor_value_info("k", TensorProto.INT64, []),
        helper.make_tensor_value_info("go", TensorProto.BOOL, []),
        value("a"),
    ]
    body = helper.make_graph(
        [
            helper.make_node("Identity", ["go"], ["on"]),
            helper.make_node("Neg", ["a"], ["b"], "neg"),
        ],
        "body",
        inputs,
        [helper.make_tensor_value_info("on", TensorProto.BOOL, []), value("b")],
    )
    return model_of([helper.make_node("Loop", ["", "", "x"], ["y"], "loop", body=body)], [])


def value(name: str) -> onnx.ValueInfoProto:
    """A tensor of floats of any shape."""
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, None)


def nested() -> onnx.ModelProto:
    """A scan over a million numbers, for each of which all of them are scanned again."""
    inner = helper.make_graph(
        [
            helper.make_node("Add", ["r", "q"], ["s"], "add"),
            helper.make_node("Identity", ["q"], ["u"]),
        ],
        "inner",
        [value("r"), value("q")],
        [value("s"), value("u")],
    )
    scan = helper.make_node(
        "Scan", ["a", "many"], ["b", "all"], "inner", body=inner, num_scan_inputs=1
    )
    outer = helper.make_graph([scan], "outer", [value("a"), value("p")], [value("b")])
    node = helper.make_node("Scan", ["x", "many"], ["y"], "outer", body=outer, num_scan_inputs=1)
    return model_of([node], [numpy_helper.from_array(np.ones(2**20, np.float32), "many")])


@pytest.mark.parametrize("model", [endless(), nested()], ids=["Loop", "Scan"])
def test_what_may_run_for_ever_is_ended(
    model: onnx.ModelProto, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(guard, "LONGEST_LOOPS", 0.5)
    reference = Reference(model.SerializeToString(), "the fragment 'host1'")
    for _ in range(2):
        with pytest.raises(EpimcError) as caught:
            reference.run(["y"], ONE)
        assert caught.value.diagnostic.message == "onnxruntime cannot run the fragment 'host1'."
        (note,) = caught.value.diagnostic.notes
        assert note == "Its loops have not come to an end within 0.5 seconds."


def test_a_model_whose_loop_has_no_end_is_not_compiled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(guard, "LONGEST_LOOPS", 0.5)
    with pytest.raises(EpimcError, match="have not come to an end within") as caught:
        epimc.compile(endless(), tmp_path / "out")
    assert caught.value.exit_code == 2
    assert not (tmp_path / "out").exists()


def test_loops_that_end_run() -> None:
    model = endless()
    model.graph.node[0].input[0] = "count"
    model.graph.initializer.append(numpy_helper.from_array(np.array(3), "count"))
    (result,) = Reference(model.SerializeToString(), "it").run(["y"], ONE)
    assert result.tolist() == [[-1]]


@pytest.mark.parametrize(("parts", "outputs"), [(1, 2), (3, 2), (0, 1), (2**62, 2)])
def test_what_ends_the_process_is_refused(parts: int, outputs: int) -> None:
    names = ["y", *(f"y{number}" for number in range(1, outputs))]
    node = helper.make_node("Split", ["x"], names, num_outputs=parts)
    with pytest.raises(EpimcError) as caught:
        refuse_unsafe(model_of([node], []).SerializeToString(), "it")
    assert str(caught.value) == (
        f"error: It splits into {parts} parts and has {outputs} outputs.\n  --> node 'y' (Split)"
    )


def test_what_onnxruntime_raises_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    data = model_of([helper.make_node("Relu", ["x"], ["y"], "r")], []).SerializeToString()
    session = GuardedSession(data, "it", limit_bytes=DEFAULT_BYTES)
    for inputs in ({}, {"x": 3}, {"x": np.ones((1, 1), object)}, {"x": np.ones((1, 2, 3))}):
        with pytest.raises(EpimcError, match=r"error: onnxruntime cannot run it\.\n  note: "):
            session.run(["y"], inputs)  # type: ignore[arg-type]
    with pytest.raises(EpimcError, match=r"onnxruntime cannot run it\."):
        session.run(["z"], ONE)

    def fails(*_: object, **__: object) -> None:
        raise MemoryError

    monkeypatch.setattr(guard, "load_session", fails)
    with pytest.raises(EpimcError) as caught:
        GuardedSession(data, "it", limit_bytes=DEFAULT_BYTES)
    assert str(caught.value) == (
        "error: onnxruntime refuses it.\n  note: MemoryError\n"
        "  hint: It needs too much memory: raise the limit (--limit-bytes), or check the shapes."
    )


def test_a_graph_runs_as_it_is_written() -> None:
    """Rewritten, the pad would be the pool's own, which is less than any number."""
    pads = numpy_helper.from_array(np.array([0, 0, 0, 0, 0, 0, 0, 2]), "p")
    model = helper.make_model(
        helper.make_graph(
            [
                helper.make_node("Pad", ["x", "p"], ["padded"], "pad"),
                helper.make_node("MaxPool", ["padded"], ["y"], "pool", kernel_shape=[1, 2]),
            ],
            "g",
            [helper.make_tensor_value_info("x", 1, ["N", 1, 1, 1])],
            [helper.make_tensor_value_info("y", 1, None)],
            [pads],
        ),
        opset_imports=[helper.make_opsetid("", 13)],
        ir_version=8,
    )
    x = np.full((1, 1, 1, 1), -3, np.float32)
    (y,) = Reference(model.SerializeToString(), "it").run(["y"], {"x": x})
    assert y.ravel().tolist() == [0.0, 0.0]


def test_names_that_are_no_text_are_refused() -> None:
    model = model_of([helper.make_node("Relu", ["x"], ["y"], "r")], [])
    model.metadata_props.add(key="key", value="1234")
    data = model.SerializeToString().replace(b"1234", b"\xff\xff\xff\xff")
    with pytest.raises(EpimcError, match=r"error: onnxruntime refuses it\.\n  note: 'utf-8' codec"):
        Reference(data, "it")


def test_a_model_without_inputs_is_refused() -> None:
    model = model_of([helper.make_node("Constant", [], ["y"], "c", value_float=1.0)], [])
    del model.graph.input[:]
    with pytest.raises(EpimcError) as caught:
        Reference(model.SerializeToString(), "it")
    assert str(caught.value) == "error: onnxruntime cannot run it.\n  note: It has no inputs."


@pytest.mark.parametrize("size", [2**30, 2**62, 2**63 - 1])
def test_a_batch_beyond_the_limit_is_refused(size: int) -> None:
    with pytest.raises(EpimcError) as caught:
        stating(size)
    assert str(caught.value) == (
        "error: onnxruntime cannot run it.\n"
        f"  note: It takes {size} samples at once, which do not fit into the limit.\n"
        "  hint: Raise the limit (--limit-bytes), or check the shapes."
    )


def stating(batch: int) -> Reference:
    """A model that states how many samples it takes."""
    model = model_of([helper.make_node("Relu", ["x"], ["y"], "r")], [])
    model.graph.input[0].type.tensor_type.shape.dim[0].dim_value = batch
    return Reference(model.SerializeToString(), "it")


@pytest.mark.parametrize("size", [-1, -(2**62)])
def test_a_batch_below_nothing_is_any(size: int) -> None:
    (y,) = stating(size).run(["y"], ONE)
    assert y.tolist() == [[1.0]]


def test_a_batch_of_nothing_does_not_run() -> None:
    with pytest.raises(EpimcError, match=r"onnxruntime cannot run it\."):
        stating(0).run(["y"], ONE)


PLACE = "/onnxruntime_src/onnxruntime/core/cpu/some.cc:88 void ort::Run(const Tensor&, Array<int>("


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("[ONNXRuntimeError] : 1 : FAIL : Load model failed", "Load model failed"),
        (
            "[ONNXRuntimeError] : 1 : FAIL : Non-zero status code returned while running Add node. "
            f"Name:'a' Status Message: {PLACE})) const [with T = float] size == 0 was false.",
            "size == 0 was false.",
        ),
        (
            f"Exception during initialization: {PLACE})) Empty.",
            "Exception during initialization: Empty.",
        ),
        (f"{PLACE}) never ends", f"{PLACE}) never ends"),
        ("some.cc:88 of no function", "some.cc:88 of no function"),
        ("a (b) c", "a (b) c"),
        ("x" * 600, "x" * 499 + "…"),
    ],
)
def test_what_is_for_developers_of_onnxruntime_is_left_out(said: str, shown: str) -> None:
    assert guard.first_line(Exception(said)) == shown


def test_what_says_nothing_has_a_name() -> None:
    assert guard.first_line(MemoryError()) == "MemoryError"
