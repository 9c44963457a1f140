"""Models that no ONNX file could hold: their bundles have files of external data.

The size from which on that is so is lowered here, so that small models are large.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import helper, numpy_helper

import epimc
from epimc.support.diagnostics import EpimcError
from tests.helpers.bundles import change_manifest, rechecksum

REFERENCES = ("float.onnx", "epi.onnx", "integer.onnx")
DATA = [f"reference/{name}.data" for name in REFERENCES]
# What does not state the name of a file or a graph.
ALIKE = (
    *("program.bin", "tables.json", "tables.safetensors", "weights.safetensors"),
    *("host/host1.onnx", "reference/float.onnx"),
)
COMMANDS = ("check", "inspect", "verify", "run")
SIZE = 160

Outcome = tuple[int, str]


def network() -> onnx.ModelProto:
    """Layers on the chip, around a table and a sum of the host's, whose constants are large too."""
    random = np.random.default_rng(0)
    arrays = {
        "w": random.standard_normal((SIZE, SIZE)) / SIZE**0.5,
        "v": random.standard_normal((SIZE, 150)) / SIZE**0.5,
        "b": random.standard_normal(SIZE),
        "table": random.standard_normal((SIZE, SIZE)),
    }
    tensors = [numpy_helper.from_array(v.astype(np.float32), k) for k, v in arrays.items()]
    tensors.append(numpy_helper.from_array(np.array(1), "axis"))
    nodes = [
        helper.make_node("Gemm", ["x", "w", "b"], ["g"], "first"),
        helper.make_node("Gather", ["table", "i"], ["t"], "gather"),
        helper.make_node("Add", ["g", "t"], ["a"], "add"),
        helper.make_node("CumSum", ["a", "axis"], ["s"], "sums"),
        helper.make_node("Tanh", ["s"], ["h"], "tanh"),
        helper.make_node("MatMul", ["h", "v"], ["y"], "last"),
    ]
    inputs = [
        helper.make_tensor_value_info("x", 1, ["N", SIZE]),
        helper.make_tensor_value_info("i", onnx.TensorProto.INT64, ["N"]),
    ]
    outputs = [helper.make_tensor_value_info("y", 1, ["N", 150])]
    graph = helper.make_graph(nodes, "g", inputs, outputs, tensors)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle of a model with external data, with samples and a usual bundle beside it."""
    folder = tmp_path_factory.mktemp("large")
    random = np.random.default_rng(1)
    x = random.standard_normal((5, SIZE)).astype(np.float32)
    np.savez(folder / "x.npz", x=x, i=random.integers(0, SIZE, 5))
    path = folder / "model.onnx"
    onnx.save(network(), path, save_as_external_data=True, location="weights", size_threshold=0)
    with pytest.MonkeyPatch.context() as patch:
        epimc.compile(path, folder / "usual", target="tiny", calibration=folder / "x.npz")
        patch.setattr("epimc.compiler.bundling.LARGEST_MODEL", 2**16)
        epimc.compile(path, folder / "out", target="tiny", calibration=folder / "x.npz")
    return folder / "out"


def files_below(folder: Path) -> set[str]:
    """The names of all files."""
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def test_however_a_model_is_passed(original: Path, tmp_path: Path) -> None:
    """With its weights in the file or beside it, as bytes, and as a message: the same bundle."""
    model = network()
    onnx.save(model, tmp_path / "model.onnx")
    before = model.SerializeToString(deterministic=True)
    assert (original.parent / "usual/reference/float.onnx").read_bytes() == before
    for number, source in enumerate((tmp_path / "model.onnx", before, model)):
        folder = tmp_path / str(number)
        epimc.compile(source, folder, target="tiny", calibration=original.parent / "x.npz")
        for name in ALIKE:
            usual = original.parent / "usual" / name
            assert (folder / name).read_bytes() == usual.read_bytes(), name
    assert model.SerializeToString(deterministic=True) == before


def test_the_rest_of_the_bundle_is_the_same(original: Path) -> None:
    usual = original.parent / "usual"
    assert files_below(original) - files_below(usual) == {*DATA}
    changed = {*DATA, "manifest.json", *(f"reference/{name}" for name in REFERENCES)}
    for name in files_below(original) - changed:
        assert (original / name).read_bytes() == (usual / name).read_bytes(), name
    first, second = (json.loads((f / "manifest.json").read_bytes()) for f in (original, usual))
    assert {*DATA} == first["files"].keys() - second["files"].keys()
    for key in first.keys() - {"files", "checksum"}:
        assert first[key] == second[key]


@pytest.mark.parametrize("name", REFERENCES)
def test_the_models_are_the_same(name: str, original: Path) -> None:
    """With external data as ONNX has them, for all who read such."""
    path = original / "reference" / name
    assert path.stat().st_size < 2**17
    onnx.checker.check_model(path)
    usual = onnx.load(original.parent / "usual" / "reference" / name)
    read = onnx.load(path)
    for tensor, other in zip(read.graph.initializer, usual.graph.initializer, strict=True):
        np.testing.assert_array_equal(
            numpy_helper.to_array(tensor), numpy_helper.to_array(other), strict=True
        )
    del read.graph.initializer[:], usual.graph.initializer[:]
    assert read == usual
    onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])


def test_all_commands_take_it(outcome: Callable[..., Outcome]) -> None:
    assert [outcome(command) for command in COMMANDS] == 4 * [(0, "")]
    assert outcome("verify", "--layers") == (0, "")


def test_it_is_verified_as_the_usual_one(original: Path) -> None:
    usual, large = (epimc.verify(original.parent / name) for name in ("usual", "out"))
    assert large.exact
    assert usual.exact
    # onnxruntime may sum up in another order where weights are not in the file.
    for ours, theirs in zip(large.outputs, usual.outputs, strict=True):
        assert ours.sqnr_db == pytest.approx(theirs.sqnr_db, abs=1e-3)


def test_it_runs_as_the_usual_one(original: Path) -> None:
    with np.load(original.parent / "x.npz") as samples:
        usual, large = (
            epimc.load(original.parent / name).run(None, dict(samples)) for name in ("usual", "out")
        )
    np.testing.assert_array_equal(large[0], usual[0])


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("name", DATA)
def test_a_changed_file(
    name: str, command: str, bundle: Path, outcome: Callable[..., Outcome]
) -> None:
    data = bytearray((bundle / name).read_bytes())
    data[5000] ^= 1
    (bundle / name).write_bytes(data)
    assert outcome(command) == (
        2,
        f"error: File '{name}' of bundle 'out' does not match its checksum.\n"
        "  hint: Compile the model again.\n",
    )


@pytest.mark.parametrize("name", DATA)
def test_a_missing_file(name: str, bundle: Path, outcome: Callable[..., Outcome]) -> None:
    (bundle / name).unlink()
    assert outcome("run") == (0, "")
    assert outcome("verify") == (
        2,
        f"error: Bundle 'out' has no '{name}': it cannot be verified.\n"
        "  hint: Compile the model again.\n",
    )


@pytest.mark.parametrize("name", DATA)
def test_a_file_that_is_not_listed(
    name: str, bundle: Path, outcome: Callable[..., Outcome]
) -> None:
    """It may be anything: its checksum is nowhere."""
    change_manifest(bundle, lambda manifest: manifest["files"].pop(name))
    code, said = outcome("verify")
    assert code == 2
    assert said.count("error: ") == 1
    assert "in another file." in said or "is not what epimc writes." in said


@pytest.mark.parametrize("name", DATA)
def test_a_file_that_is_too_short(name: str, bundle: Path, outcome: Callable[..., Outcome]) -> None:
    data = (bundle / name).read_bytes()
    (bundle / name).write_bytes(data[:-1])
    rechecksum(bundle)
    code, said = outcome("verify")
    model = name.removesuffix(".data")
    assert code == 2
    first, hint = said.splitlines()
    assert first.startswith(f"error: '{model}' of bundle 'out' has the tensor '")
    assert first.endswith(f"', which does not lie in '{Path(name).name}' as it says.")
    assert hint == "  hint: Compile the model again."


def test_more_constants_than_a_part_of_the_host_holds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("epimc.frontend.fragments.LARGEST_MODEL", 2**16)
    with pytest.raises(EpimcError) as caught:
        epimc.compile(network(), tmp_path / "out", target="tiny")
    assert str(caught.value) == (
        "error: What the host is to run has constants of more than 65536 bytes, among them "
        "'table'; no ONNX file holds them.\n"
        "  hint: Compile the model in parts."
    )
    assert not (tmp_path / "out").exists()


def test_a_larger_limit_is_proposed(original: Path, tmp_path: Path) -> None:
    """Of a model, and of its bundle, of which files that are only checked count for a share."""
    model = original.parent / "model.onnx"
    size = sum(path.stat().st_size for path in (model, model.parent / "weights"))
    with pytest.raises(EpimcError) as caught:
        epimc.compile(model, tmp_path / "out", target="tiny", limit_bytes=size - 1)
    assert caught.value.diagnostic.hint == "Raise the limit (--limit-bytes)."
    total = sum((original / name).stat().st_size for name in files_below(original))
    assert epimc.load(original, limit_bytes=total // 2)
    with pytest.raises(EpimcError) as caught:
        epimc.load(original, limit_bytes=total // 16)
    assert caught.value.diagnostic.hint.startswith("Raise the limit (--limit-bytes), if the bundle")


def test_other_numbers_in_the_integer_reference(
    bundle: Path, outcome: Callable[..., Outcome]
) -> None:
    """Checksums and all: the proof tells."""
    path = bundle / "reference/integer.onnx.data"
    data = bytearray(path.read_bytes())
    data[100] ^= 1
    path.write_bytes(data)
    rechecksum(bundle)
    assert outcome("verify")[0] == 1


def test_references_of_large_files(original: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Their weights are given to onnxruntime as those in files of their own."""
    usual = epimc.verify(original.parent / "usual", layers=True)
    monkeypatch.setattr("epimc.verification.verify.LARGE_FILE", 2**10)
    large = epimc.verify(original.parent / "usual", layers=True)
    assert large.exact
    assert usual.exact
    for ours, theirs in zip(large.outputs, usual.outputs, strict=True):
        assert ours.sqnr_db == pytest.approx(theirs.sqnr_db, abs=1e-3)
