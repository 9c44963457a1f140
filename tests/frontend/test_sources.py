"""Models in every form that they may be passed in."""

from __future__ import annotations

import hashlib
import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

import epimc
from epimc.frontend import import_source
from epimc.ir.text.printer import print_module
from epimc.support.diagnostics import EpimcError

EXAMPLES = Path(__file__).parents[2] / "examples"
MODEL = EXAMPLES / "mnist-conv.onnx"
HAS_TORCH = importlib.util.find_spec("torch") is not None
needs_torch = pytest.mark.skipif(not HAS_TORCH, reason="PyTorch is not installed")


def forms() -> list[Any]:
    """The same model as a path, a text, bytes, and an object."""
    return [MODEL, str(MODEL), MODEL.read_bytes(), onnx.load(MODEL)]


def test_every_form_is_the_same_module() -> None:
    modules = [import_source(form).imported.module for form in forms()]
    for module in modules:
        module.name = "m"
    assert len({print_module(module) for module in modules}) == 1


def test_a_model_from_memory_is_left_as_it_is() -> None:
    model = onnx.load(MODEL)
    before = model.SerializeToString(deterministic=True)
    named = import_source(model)
    assert model.SerializeToString(deterministic=True) == before
    assert named.name == f"{model.graph.name}.onnx"
    assert len(named.imported.sha256) == 64


def test_bytes_have_the_digest_of_their_file(tmp_path: Path) -> None:
    # Its producer, field 2, stands behind the graph, field 7: good, but not as protobuf writes it.
    data = MODEL.read_bytes() + onnx.ModelProto(producer_name="someone").SerializeToString()
    (tmp_path / "m.onnx").write_bytes(data)
    digests = {import_source(form).imported.sha256 for form in (data, tmp_path / "m.onnx")}
    assert digests == {hashlib.sha256(data).hexdigest()}


def test_the_program_does_not_depend_on_the_form(tmp_path: Path) -> None:
    samples = EXAMPLES / "mnist-calibration.npz"
    for number, form in enumerate(forms()):
        epimc.compile(form, tmp_path / str(number), calibration=samples)
    for name in ("program.bin", "tables.json", "tables.safetensors", "weights.safetensors"):
        contents = {(tmp_path / str(number) / name).read_bytes() for number in range(len(forms()))}
        assert len(contents) == 1, name


@pytest.mark.parametrize(
    ("source", "example", "message"),
    [
        (3, None, "A model cannot be of the type int."),
        (b"\x08\x07", None, "Model file 'the model's bytes' is damaged or incomplete."),
        (b"", None, "'the model's bytes' is not an ONNX model: the file is empty."),
        (MODEL, 3, "An example is for a torch.nn.Module, and the model is none."),
        (MODEL.read_bytes(), None, "The model has 26454 bytes; the limit is 1000."),
        (onnx.load(MODEL), None, "The model has 26454 bytes; the limit is 1000."),
    ],
)
def test_what_is_no_model_is_told(source: Any, example: Any, message: str) -> None:
    with pytest.raises(EpimcError) as caught:
        import_source(source, example=example, limit_bytes=1000)
    assert str(caught.value).splitlines()[0] == f"error: {message}"


@needs_torch
def test_a_module_of_torch_is_exported_and_verified(tmp_path: Path) -> None:
    import torch

    torch.manual_seed(1)
    net = torch.nn.Sequential(
        torch.nn.Conv2d(2, 6, 3, padding=1),
        torch.nn.BatchNorm2d(6),
        torch.nn.ReLU(),
        torch.nn.Dropout(0.5),
        torch.nn.Flatten(),
        torch.nn.Linear(6 * 64, 5),
    )
    x = np.random.default_rng(2).standard_normal((16, 2, 8, 8)).astype(np.float32)
    session = epimc.compile(net, tmp_path / "out", example=torch.zeros(1, 2, 8, 8), calibration=x)
    assert net.training
    assert epimc.verify(session).exact
    with torch.no_grad():
        real = net.eval()(torch.from_numpy(x)).numpy()
    (computed,) = session.run(None, {session.get_inputs()[0].name: x})
    noise = np.square(computed - real).sum() / np.square(real).sum()
    assert noise < 1e-3


@needs_torch
def test_a_module_of_torch_needs_an_example(tmp_path: Path) -> None:
    import torch

    with pytest.raises(EpimcError, match="can only be exported with an example"):
        epimc.compile(torch.nn.Linear(3, 2), tmp_path / "out")

    class Odd(torch.nn.Module):  # type: ignore[misc]
        def forward(self, x: Any) -> Any:
            return x if x.sum() > 0 else -x

    with pytest.raises(EpimcError, match="PyTorch cannot export the Odd"):
        epimc.compile(Odd(), tmp_path / "out", example=torch.zeros(1, 3))
