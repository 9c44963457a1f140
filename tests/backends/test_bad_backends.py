"""A backend of another package that misbehaves: it is named, and nothing is half-written."""

from __future__ import annotations

import sys
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import epimc
from epimc.backends import plain, registry
from epimc.backends.base import Backend
from epimc.backends.registry import load_backend, load_backends
from epimc.bundle.bundle import fragment_file
from epimc.compiler.passes import passes_of
from epimc.ir.core.levels import register_levels
from epimc.support.diagnostics import EpimcError

pytestmark = pytest.mark.smoke

ROOT = Path(__file__).parents[2]
MODEL = ROOT / "examples" / "mnist-conv.onnx"
X = np.zeros((2, 1, 28, 28), np.float32)

Compile = Callable[[], epimc.Session]


@pytest.fixture
def toychip(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The module of the toy backend, which is installed; what a test changes of it is undone."""
    monkeypatch.syspath_prepend(str(ROOT / "tests" / "data" / "toychip"))
    registry.load_backend.cache_clear()
    load_backend("toychip")
    yield sys.modules["toychip"]
    registry.load_backend.cache_clear()


@pytest.fixture
def compile_toy(tmp_path: Path) -> Compile:
    return lambda: epimc.compile(MODEL, tmp_path / "out", calibration=X, backend="toychip")


@pytest.mark.parametrize("level", ["quantized", "mapped"])
def test_levels_of_one_name(level: str, toychip: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        toychip.ToyChip, "load_dialect", lambda self: register_levels({level: "x"}), raising=False
    )
    with pytest.raises(EpimcError) as caught:
        load_backends()
    assert "The ops and levels of backend 'toychip' cannot be registered." in str(caught.value)
    assert f"note: ValueError: level '{level}' is registered twice" in str(caught.value)


def test_passes_of_one_name(toychip: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(toychip.ToyChip, "passes", {"map": "toychip:Map"}, raising=False)
    with pytest.raises(EpimcError, match="Backend 'toychip' has a pass 'map', which is there"):
        passes_of(*load_backends())


def test_a_backend_without_a_name_is_none(toychip: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    methods = dict.fromkeys(Backend.__abstractmethods__, lambda *_: None)
    monkeypatch.setattr(toychip, "BACKEND", type("Nameless", (Backend,), methods)())
    registry.load_backend.cache_clear()
    with pytest.raises(EpimcError, match="is not a backend named 'toychip'"):
        load_backend("toychip")


@pytest.mark.parametrize(
    "name",
    [
        *("../x", "/x", "a//b", "", "a\0b", "\udcff", "manifest.json"),
        *("ir", "ir/x", "host", "reference", "module.epi/x", "tensors"),
    ],
)
def test_no_file_of_a_program_lies_in_the_way_of_another(
    name: str, toychip: Any, compile_toy: Compile, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    own = toychip.Program.files
    monkeypatch.setattr(toychip.Program, "files", lambda self: {**own(self), name: b""})
    with pytest.raises(ValueError, match="is no name for a file of a program"):
        compile_toy()
    assert not any(tmp_path.iterdir())


def test_a_bundle_that_could_not_be_read_is_not_written(
    toychip: Any, compile_toy: Compile, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(toychip.Program, "files", lambda self: {"other": b""})
    with pytest.raises(ValueError, match=r"the program has no file 'module\.epi'"):
        compile_toy()
    monkeypatch.setattr(toychip.Program, "backend", "crossbar")
    with pytest.raises(ValueError, match="backend 'toychip' made one of 'crossbar'"):
        compile_toy()
    assert not any(tmp_path.iterdir())


def test_a_program_that_gives_no_outputs_is_refused(
    toychip: Any, compile_toy: Compile, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = compile_toy()
    monkeypatch.setattr(toychip.Interpreter, "run_collect", lambda *_: ({}, {}))
    with pytest.raises(EpimcError, match="does not give the output 'Plus214_Output_0'") as caught:
        epimc.verify(session)
    assert caught.value.exit_code == 1


def test_a_program_without_maps_is_not_exact(toychip: Any, compile_toy: Compile) -> None:
    session = compile_toy()
    session.bundle.program.maps = []
    assert not epimc.verify(session).exact


def test_a_plain_target_of_any_name_is_toml() -> None:
    for name in ("chip", 'a"b\\c\n', "日本"):
        assert tomllib.loads(plain.PlainTarget(name, "").to_toml()) == {"name": name}


def test_a_fragment_of_any_name_has_a_file() -> None:
    names = ["softmax", "n" * 150, "n" * 151, "n" * 300, "n" * 299 + "m", "日本" * 100]
    files = [fragment_file(name) for name in names]
    assert files[0] == "host/softmax.onnx"
    assert files[1] == f"host/{'n' * 150}.onnx"
    assert len({*files}) == len(names)
    assert all(len(file.removeprefix("host/").encode()) <= 255 for file in files)
