"""Moves and host calls from ONNX to verified programs, and everything that must be refused."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import numpy_helper
from onnx.helper import make_node

import epimc
from epimc.backends.crossbar.instructions.moves import Rearrange
from epimc.backends.crossbar.instructions.mvm import Mvm
from epimc.backends.crossbar.isa.assembly import parse_program
from epimc.backends.crossbar.isa.listing import list_program
from epimc.backends.crossbar.sim.simulator import Simulator
from epimc.backends.crossbar.target.schema import load_target
from epimc.backends.onnx.export import export_integers
from epimc.bundle.bundle import Bundle, read_bundle, write_bundle
from epimc.cli.main import main
from epimc.compiler.compiler import compile_model
from epimc.compiler.options import Request
from epimc.ir.core.module import Module
from epimc.ir.interpreter import interpret
from epimc.runtime.host import OnnxHost
from epimc.runtime.reference import Reference
from epimc.support.diagnostics import EpimcError
from epimc.verification.integer_reference import types_of
from epimc.verification.verify import verify
from tests.crossbars import program_in, with_program
from tests.end_to_end.host_models import Array, compiled, model_of, random
from tests.helpers.bundles import change_manifest, rechecksum
from tests.helpers.observed import Observed

TARGETS = ("epim-256", "tiny")


def channels_last() -> onnx.ModelProto:
    """As tf2onnx writes it: transpositions around every convolution and pool, two heads."""
    first, last = [0, 3, 1, 2], [0, 2, 3, 1]
    nodes = [
        make_node("Transpose", ["x"], ["xt"], "in", perm=first),
        make_node("Conv", ["xt", "w1", "b1"], ["c1"], "conv1", pads=[1, 1, 1, 1]),
        make_node("Transpose", ["c1"], ["c1t"], "t1", perm=last),
        make_node("Relu", ["c1t"], ["r1"], "relu1"),
        make_node("Transpose", ["r1"], ["r1t"], "t2", perm=first),
        make_node("Conv", ["r1t", "w2"], ["c2"], "conv2", pads=[1, 1, 1, 1]),
        make_node("Transpose", ["c2"], ["c2t"], "t3", perm=last),
        make_node("Add", ["c2t", "r1"], ["a"], "add"),
        make_node("Relu", ["a"], ["r2"], "relu2"),
        make_node("Transpose", ["r2"], ["r2t"], "t4", perm=first),
        make_node("MaxPool", ["r2t"], ["p"], "pool", kernel_shape=[2, 2], strides=[2, 2]),
        make_node("Transpose", ["p"], ["pt"], "t5", perm=last),
        make_node("Reshape", ["pt", "flat"], ["f"], "flatten"),
        make_node("Gemm", ["f", "w3"], ["g"], "fc", transB=1),
        make_node("Softmax", ["g"], ["y"], "probabilities", axis=-1),
        make_node("Reshape", ["pt", "rows"], ["z"], "anchors"),
    ]
    constants = {
        "w1": random(4, 3, 3, 3),
        "b1": random(4),
        "w2": random(4, 4, 3, 3, seed=1),
        "w3": random(5, 48),
        "flat": np.array([-1, 48]),
        "rows": np.array([-1, 24, 2]),
    }
    return model_of(nodes, (8, 6, 3), ["y", "z"], constants)


def mixed() -> onnx.ModelProto:
    """Channels last, with all that stands between layers, and a softmax that is concatenated."""
    first, last = [0, 3, 1, 2], [0, 2, 3, 1]
    nodes = [
        make_node("Transpose", ["x"], ["xt"], "in", perm=first),
        make_node("Conv", ["xt", "w1", "b1"], ["c1"], "conv1", pads=[1, 1, 1, 1]),
        make_node("Transpose", ["c1"], ["c1t"], "t1", perm=last),
        make_node("LeakyRelu", ["c1t"], ["l"], "leaky", alpha=0.25),
        make_node("Transpose", ["l"], ["lt"], "t2", perm=first),
        make_node("Conv", ["lt", "w2"], ["c2"], "depthwise", pads=[1, 1, 1, 1], group=4),
        make_node("Transpose", ["c2"], ["c2t"], "t3", perm=last),
        make_node("Sub", ["c2t", "l"], ["d"], "sub"),
        make_node("Mul", ["d", "l"], ["m"], "product"),
        make_node("Clip", ["m", "low", "high"], ["k"], "clip"),
        make_node("Pad", ["k", "pads"], ["q"], "pad"),
        make_node("Transpose", ["q"], ["qt"], "t4", perm=first),
        make_node("Softmax", ["qt"], ["s"], "attention", axis=1),
        make_node("Concat", ["s", "qt"], ["j"], "join", axis=1),
        make_node("Conv", ["j", "w3"], ["y"], "conv3"),
        make_node("Transpose", ["s"], ["z"], "t5", perm=last),
    ]
    constants = {
        "w1": random(4, 3, 3, 3),
        "b1": random(4),
        "w2": random(4, 1, 3, 3, seed=1),
        "w3": random(3, 8, 1, 1),
        "low": np.array(-3, np.float32),
        "high": np.array(6, np.float32),
        "pads": np.array([0, 1, 0, 0, 0, 0, 2, 0]),
    }
    return model_of(nodes, (8, 6, 3), ["y", "z"], constants)


def attention() -> onnx.ModelProto:
    """Softmax in the middle, on the input and at the end, read by several, over every axis."""
    nodes = [
        make_node("Conv", ["x", "w1"], ["c1"], "conv1", pads=[1, 1, 1, 1]),
        make_node("Softmax", ["c1"], ["s"], "attention", axis=1),
        make_node("Conv", ["s", "w2"], ["c2"], "conv2", pads=[1, 1, 1, 1]),
        make_node("Add", ["c2", "s"], ["a"], "add"),
        make_node("Relu", ["a"], ["y"], "relu"),
        make_node("Softmax", ["y"], ["z"], "last", axis=3),
        make_node("Softmax", ["x"], ["v"], "first", axis=2),
    ]
    constants = {"w1": random(4, 3, 3, 3), "w2": random(4, 4, 3, 3, seed=1)}
    return model_of(nodes, (3, 6, 5), ["y", "z", "v", "s"], constants)


MODELS: dict[str, Callable[[], onnx.ModelProto]] = {
    "channels last": channels_last,
    "attention": attention,
}


def moves_of(bundle: Bundle) -> list[str]:
    """What is rearranged."""
    maps, tables = program_in(bundle).maps, program_in(bundle).tables
    return [maps[t.destination].name for t in tables if isinstance(t, Rearrange)]


# --- end to end ----------------------------------------------------------------------------------


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("bits", [8, 5, 13])
@pytest.mark.parametrize("name", MODELS)
def test_programs_are_exact(tmp_path: Path, name: str, target: str, bits: int) -> None:
    bundle = compiled(MODELS[name](), tmp_path, target=target, activation_bits=bits)
    report = verify(bundle)
    assert report.exact
    assert all(layer.elements for layer in report.layers)


def test_transpositions_are_left_at_the_borders_only(tmp_path: Path) -> None:
    assert moves_of(compiled(channels_last(), tmp_path)) == ["xt", "f", "z"]


def test_outputs_have_the_shapes_of_the_model(tmp_path: Path) -> None:
    session = epimc.Session(compiled(channels_last(), tmp_path))
    y, z = session.run(None, {"x": random(3, 8, 6, 3)})
    assert (y.shape, z.shape) == ((3, 5), (3, 24, 2))
    np.testing.assert_allclose(y.sum(axis=1), 1, atol=0.02)


@pytest.mark.parametrize("crossbars", [1, 2])
def test_host_calls_between_tiles(tmp_path: Path, crossbars: int) -> None:
    """Each layer on a tile of its own: the host's operand and its result cross tiles."""
    data = load_target("tiny").to_dict()
    data["tile"]["crossbars"] = crossbars
    target = tmp_path / "few.toml"
    target.write_text(type(load_target("tiny")).from_dict(data).to_toml())
    bundle = compiled(attention(), tmp_path, target=str(target))
    opcodes = [
        instruction.opcode for stream in program_in(bundle).streams for instruction in stream
    ]
    assert len(program_in(bundle).streams) > 1
    assert {"host", "signal", "wait"} <= set(opcodes)
    assert verify(bundle).exact


SHAPES = ((8, 6, 2), (2, 8, 6), (96,), (12, 8), (6, 16), (4, 4, 6))


@st.composite
def move_chains(draw: st.DrawFn) -> onnx.ModelProto:
    """A convolution, then random moves with a matmul, a relu or a softmax between them."""
    nodes = [make_node("Conv", ["x", "w"], ["v0"], pads=[1, 1, 1, 1])]
    constants: dict[str, Array] = {"w": random(2, 2, 3, 3), "m": random(96, 96)}
    shape: tuple[int, ...] = (2, 8, 6)
    for k in range(draw(st.integers(2, 6))):
        x, y = f"v{k}", f"v{k + 1}"
        kinds = ["Transpose", "Reshape", "Reshape", "Relu", "Softmax"]
        kind = draw(st.sampled_from([*kinds, "MatMul"] if len(shape) == 1 else kinds))
        if kind == "Transpose":
            perm = draw(st.permutations(range(len(shape))))
            shape = tuple(shape[axis] for axis in perm)
            order = [0, *(axis + 1 for axis in perm)]
            nodes.append(make_node(kind, [x], [y], perm=order))
        elif kind == "Reshape":
            shape = draw(st.sampled_from(SHAPES))
            constants[f"s{k}"] = np.array([-1, *shape])
            nodes.append(make_node(kind, [x, f"s{k}"], [y]))
        elif kind == "Softmax":
            nodes.append(make_node(kind, [x], [y], axis=draw(st.integers(1, len(shape)))))
        else:
            nodes.append(make_node(kind, [x, "m"] if kind == "MatMul" else [x], [y]))
    return model_of(nodes, (2, 8, 6), [nodes[-1].output[0]], constants)


@settings(deadline=None, max_examples=25)
@given(model=move_chains(), target=st.sampled_from(TARGETS))
def test_random_moves_are_exact(
    model: onnx.ModelProto, target: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("moves")
    assert verify(compiled(model, folder, target=target)).exact


# --- the host ------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle with three host calls; not to be changed."""
    place = tmp_path_factory.mktemp("host")
    compiled(attention(), place, target="tiny")
    return place / "out"


@pytest.fixture
def bundle(folder: Path) -> Bundle:
    """The same, read."""
    return read_bundle(folder)


def integer_module(model: onnx.ModelProto, folder: Path) -> Module:
    """The quantized module of a model."""
    onnx.save(model, folder / "m.onnx")
    observed = Observed()
    compile_model(Request(folder / "m.onnx", target="tiny"), [observed])
    return observed.modules["quantize"]


def test_interpreter_simulator_and_reference_agree(tmp_path: Path) -> None:
    module = integer_module(attention(), tmp_path)
    bundle = compiled(attention(), tmp_path, target="tiny")
    host = OnnxHost(bundle.fragments)
    x = random(9, 3, 6, 5, seed=4)
    model = export_integers(module).SerializeToString()
    names = [name for name, _ in module.outputs]
    types = types_of(bundle.program)
    expected = Reference(model, "it", types=types).run(names, {"x": x})
    ours = interpret(module, {"x": x}, host=host)
    for path in ("fused", "bit-serial"):
        theirs = Simulator(program_in(bundle), path=path, host=host).run({"x": x})
        for name, array in zip(names, expected, strict=True):
            assert np.array_equal(ours[name], array)
            assert np.array_equal(theirs[name], array)


def test_the_interpreter_needs_a_host(tmp_path: Path) -> None:
    with pytest.raises(EpimcError) as caught:
        interpret(integer_module(attention(), tmp_path), {"x": random(1, 3, 6, 5)})
    assert str(caught.value).splitlines()[:2] == [
        "error: Only a host can run this call.",
        "  --> node 'attention' (Softmax), node 'first' (Softmax)",
    ]


def test_the_result_does_not_depend_on_the_batch(bundle: Bundle) -> None:
    x = random(70, 3, 6, 5, seed=2)
    host = OnnxHost(bundle.fragments)
    at_once = Simulator(program_in(bundle), host=host).run({"x": x})
    for batch in (1, 7, 70):
        part = Simulator(program_in(bundle), batch=batch, host=host).run({"x": x})
        assert all(np.array_equal(part[name], array) for name, array in at_once.items())


def test_equal_models_give_equal_fragments(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    first, second = (compiled(attention(), tmp_path / name) for name in ("a", "b"))
    assert dict(first.fragments) == dict(second.fragments)
    assert list(first.fragments) == ["host1", "host2"]


def test_a_fragment_is_a_plain_model(bundle: Bundle) -> None:
    model = onnx.load_model_from_string(bundle.fragments["host1"])
    assert [node.op_type for node in model.graph.node] == ["Softmax", "Softmax"]
    session = Reference(bundle.fragments["host1"], "it")
    assert session.inputs == {"c1": (4, 6, 5), "x": (3, 6, 5)}


def test_unknown_and_unfit_fragments(bundle: Bundle) -> None:
    host = OnnxHost(bundle.fragments)
    with pytest.raises(EpimcError, match=r"^error: The host has no fragment 'other'\.$"):
        host("other", [], 1)
    with pytest.raises(EpimcError, match=r"^error: The fragment 'host1' does not run\."):
        host("host1", [np.zeros((2, 7), np.float32)] * 2, 2)
    with pytest.raises(EpimcError, match=r"It takes 2 inputs, not 1\."):
        host("host1", [np.zeros((2, 7), np.float32)], 2)
    with pytest.raises(EpimcError, match=r"^error: onnxruntime refuses the fragment 'x'\."):
        OnnxHost({"x": b"no model"})


def with_node(data: bytes, node: onnx.NodeProto, element: int) -> bytes:
    """A fragment in which the constant `k` goes into one node, for its first result."""
    model = onnx.load_model_from_string(data)
    graph = model.graph
    (old,) = (each for each in graph.node if graph.output[0].name in each.output)
    old.output[0] = "unused"
    node.output[0] = graph.output[0].name
    graph.node.append(node)
    graph.initializer.append(numpy_helper.from_array(np.zeros((1, 2), np.float32), "k"))
    del element
    changed: bytes = model.SerializeToString()
    return changed


@pytest.mark.parametrize("kind", ["Identity", "Shape"])
def test_a_fragment_that_gives_something_else(bundle: Bundle, kind: str) -> None:
    node = make_node(kind, ["k"], ["y"])
    data = with_node(bundle.fragments["host1"], node, onnx.TensorProto.FLOAT)
    fragments = {**bundle.fragments, "host1": data}
    simulator = Simulator(program_in(bundle), host=OnnxHost(fragments))
    with pytest.raises(EpimcError, match=r"^error: The host gives no \[4, 6, 5\] reals for "):
        simulator.run({"x": random(1, 3, 6, 5)})


# --- what is refused -----------------------------------------------------------------------------


def copied(folder: Path, place: Path) -> Path:
    """A copy of a bundle that may be changed."""
    bundle = read_bundle(folder)
    files = [file for file in folder.rglob("*") if file.is_file()]
    for file in files:
        target = place / "out" / file.relative_to(folder)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(file.read_bytes())
    assert read_bundle(place / "out").manifest == bundle.manifest
    return place / "out"


def test_a_changed_fragment_does_not_match_its_checksum(folder: Path, tmp_path: Path) -> None:
    out = copied(folder, tmp_path)
    file = out / "host" / "host1.onnx"
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)
    with pytest.raises(EpimcError) as caught:
        read_bundle(out)
    assert str(caught.value) == (
        f"error: File 'host/host1.onnx' of bundle '{out}' does not match its checksum.\n"
        "  hint: Compile the model again."
    )


def test_a_missing_fragment(folder: Path, tmp_path: Path) -> None:
    out = copied(folder, tmp_path)
    (out / "host" / "host1.onnx").unlink()
    with pytest.raises(EpimcError) as caught:
        read_bundle(out)
    assert str(caught.value) == f"error: Bundle '{out}' lacks the file 'host/host1.onnx'."
    change_manifest(out, lambda m: m["files"].pop("host/host1.onnx"))
    with pytest.raises(EpimcError) as caught:
        read_bundle(out)
    message = f"error: File 'manifest.json' of bundle '{out}' does not list 'host/host1.onnx'."
    assert str(caught.value) == message


def test_a_bundle_is_not_written_without_its_fragments(bundle: Bundle, tmp_path: Path) -> None:
    with pytest.raises(EpimcError, match="not those that the program names"):
        write_bundle(tmp_path / "out", replace(bundle, fragments={}))


def change_axis(model: onnx.ModelProto) -> None:
    """Softmax over another dim."""
    (node,) = (node for node in model.graph.node if "c1" in node.input)
    node.attribute[0].i = 2


def test_verification_finds_another_fragment(folder: Path, tmp_path: Path) -> None:
    out = copied(folder, tmp_path)
    file = out / "host" / "host1.onnx"
    model = onnx.load(file)
    change_axis(model)
    onnx.save(model, file)
    rechecksum(out)
    report = verify(read_bundle(out))
    assert not report.exact
    (wrong,) = report.parameters
    assert wrong.startswith("%host1/result/")


def test_verification_finds_another_permutation(tmp_path: Path) -> None:
    """A permutation that reads fewer rows is a good program, of another model."""
    nodes = [
        make_node("Relu", ["x"], ["r"]),
        make_node("Transpose", ["r"], ["y"], perm=[0, 2, 3, 1]),
    ]
    bundle = compiled(model_of(nodes, (3, 3, 3), ["y"], {}), tmp_path)
    assert verify(bundle).exact
    tables = tuple(
        replace(table, perm=(2, 1, 0)) if isinstance(table, Rearrange) else table
        for table in program_in(bundle).tables
    )
    report = verify(with_program(bundle, replace(program_in(bundle), tables=tables)))
    assert report.parameters == {"%y/permuted": 1}
    assert not report.exact


# --- the command line ----------------------------------------------------------------------------


def test_strict(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    onnx.save(attention(), tmp_path / "m.onnx")
    arguments = ["compile", str(tmp_path / "m.onnx"), "-o", str(tmp_path / "out"), "--strict"]
    assert main(arguments) == 2
    assert capsys.readouterr().err.splitlines()[-3:] == [
        "error: The host would run 3 nodes, which --strict forbids.",
        "  note: Softmax: 3 nodes, first 'attention': it has no form on the chip.",
        "  hint: Compile without --strict, or end the model before these operators.",
    ]
    assert not (tmp_path / "out").exists()


def test_host_calls_are_shown(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["inspect", str(folder)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[-1] == "2 host calls: Softmax 'attention' and 1 node more, Softmax 'last'"
    assert lines[1].startswith("on the chip: 100.0 % of ")
    assert main(["inspect", str(folder), "--json"]) == 0
    summary = json.loads(capsys.readouterr().out)
    assert [call["name"] for call in summary["host_calls"]] == ["host1", "host2"]
    nodes = [node for call in summary["host_calls"] for node in call["nodes"]]
    assert sorted(node["name"] for node in nodes) == ["attention", "first", "last"]
    assert summary["spilled"] == []


def test_a_model_of_the_host_alone_compiles_with_a_warning(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    nodes = [make_node("Hardmax", ["x"], ["y"])]
    onnx.save(model_of(nodes, (5,), ["y"], {}), tmp_path / "m.onnx")
    assert main(["compile", str(tmp_path / "m.onnx"), "-o", str(tmp_path / "out")]) == 0
    warning = "nothing of the model runs on the chip: the host computes all of it"
    assert warning in capsys.readouterr().err
    assert verify(read_bundle(tmp_path / "out")).exact


def test_a_program_without_host_calls_runs_without_onnxruntime(tmp_path: Path) -> None:
    nodes = [make_node("Conv", ["x", "w"], ["c"]), make_node("Flatten", ["c"], ["y"])]
    compiled(model_of(nodes, (2, 3, 3), ["y"], {"w": random(2, 2, 2, 2)}), tmp_path)
    script = (
        "import sys; sys.modules['onnxruntime'] = None; sys.modules['onnx'] = None\n"
        "import epimc, numpy\n"
        f"session = epimc.load({str(tmp_path / 'out')!r})\n"
        "print(session.run(None, {'x': numpy.ones((1, 2, 3, 3), numpy.float32)})[0].shape)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout == "(1, 8)\n"


@pytest.mark.parametrize("target", TARGETS)
def test_everything_at_once(tmp_path: Path, target: str) -> None:
    """Groups, what stands between layers, moves and the host in one network."""
    bundle = compiled(mixed(), tmp_path, target=target)
    tables = [type(table).__name__ for table in program_in(bundle).tables]
    assert {"Multiply", "Lookup", "Pad", "Concat", "Host"} <= set(tables)
    # Transpositions are left at the borders alone: the input, and the second output.
    assert tables.count("Rearrange") == 2
    report = verify(bundle, layers=True)
    assert report.exact
    assert report.layer_errors is not None
    measured = {loss.name: loss.sqnr_alone_db for loss in report.layer_errors}
    assert {"j", "l", "y"} <= set(measured)
    assert all(value is None or value > 20 for value in measured.values())
    listing = list_program(program_in(bundle))
    assert parse_program(listing, "listing.asm") == program_in(bundle).streams
    assert "(Softmax)" in next(line for line in listing.splitlines() if " host " in line)


def test_plans_and_counts_see_layers_after_layout(tmp_path: Path) -> None:
    """A constant behind a transposition is folded into the layer before it, and names it."""
    nodes = [
        make_node("Conv", ["x", "w"], ["c"], "conv"),
        make_node("Transpose", ["c"], ["t"], "turn", perm=[0, 1, 3, 2]),
        make_node("Mul", ["t", "scale"], ["m"], "scaling"),
        make_node("Transpose", ["m"], ["y"], "back", perm=[0, 1, 3, 2]),
    ]
    constants = {"w": random(4, 3, 3, 3), "scale": random(4, 1, 1)}
    path, plans = tmp_path / "m.onnx", tmp_path / "plans.toml"
    onnx.save(model_of(nodes, (3, 8, 6), ["y"], constants), path)
    plans.write_text(
        '[[layer]]\nname = "scaling"\nepitome = [2, 3, 3, 3]\n'
        "patches = [[0, 2, 0, 3, 0, 0, 0, 0], [2, 2, 0, 3, 0, 0, 0, 0]]\n"
    )
    assert main(["plan", str(path), "--epitome", str(plans)]) == 0
    epimc.compile(path, tmp_path / "out", target="tiny", epitome=plans)
    bundle = read_bundle(tmp_path / "out")
    (table,) = (table for table in program_in(bundle).tables if isinstance(table, Mvm))
    assert table.weights.shape == (27, 2)
    assert verify(bundle).exact
