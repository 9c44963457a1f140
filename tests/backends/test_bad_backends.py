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
    with pytest.raises(EpimcError, match="is no name for a file of a program"):
        compile_toy()
    assert not any(tmp_path.iterdir())


def test_a_bundle_that_could_not_be_read_is_not_written(
    toychip: Any, compile_toy: Compile, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(toychip.Program, "files", lambda self: {"other": b""})
    with pytest.raises(EpimcError, match=r"the program has no file 'module\.epi'"):
        compile_toy()
    monkeypatch.setattr(toychip.Program, "backend", "crossbar")
    with pytest.raises(EpimcError, match="'toychip' made a program of backend 'crossbar'"):
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


def test_an_output_that_is_not_there_is_named(
    toychip: Any, compile_toy: Compile, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = compile_toy()
    monkeypatch.setattr(toychip.Interpreter, "run", lambda *_: {})
    with pytest.raises(EpimcError) as caught:
        session.run(None, {"Input3": X})
    assert str(caught.value) == "error: The program does not give the output 'Plus214_Output_0'."


FAILING = """
from toychip import *

def fail(*arguments, **keywords):
    raise KINDS[0]("no luck")

KINDS = [ValueError]

class Steps(Program):
    def claims(self):
        yield from super().claims()
        fail()

class Runs(Interpreter):
    run_collect = fail

class Bad(ToyChip):
    name = "bad"
    def emit(self, module):
        program = PROGRAM[0](module)
        program.backend = "bad"
        return program

class Emits(Bad):
    emit = fail

class Aims(Bad):
    load_target = fail

class Lists(Bad):
    passes = property(fail)

class Keeps(Program):
    files = fail

class Prepares(Program):
    executor = fail

class RunsBadly(Program):
    def executor(self, host=None, **options):
        return Runs(self.module, host)

PROGRAM = [Program]
BACKEND = Bad()
"""


@pytest.fixture
def bad(toychip: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The module of a backend of another package, every part of which can be made to fail."""
    metadata = tmp_path / "site" / "bad-1.0.dist-info"
    metadata.mkdir(parents=True)
    (metadata / "METADATA").write_text("Name: bad\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text("[epimc.backends]\nbad = badchip:BACKEND\n")
    (tmp_path / "site" / "badchip.py").write_text(FAILING)
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    monkeypatch.delitem(sys.modules, "badchip", raising=False)
    registry.load_backend.cache_clear()
    load_backend("bad")
    return sys.modules["badchip"]


@pytest.mark.parametrize("kind", [ValueError, SystemExit, KeyError])
@pytest.mark.parametrize("place", ["Emits.emit", "Aims.load_target", "Lists.passes"])
def test_a_backend_that_fails_is_named(
    place: str, kind: type[BaseException], bad: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bad.KINDS[0] = kind
    monkeypatch.setattr(bad, "BACKEND", getattr(bad, place.split(".")[0])())
    registry.load_backend.cache_clear()
    with pytest.raises(EpimcError) as caught:
        epimc.compile(MODEL, tmp_path / "out", calibration=X, backend="bad")
    assert str(caught.value) == failure(place, kind)
    assert isinstance(caught.value.__cause__, kind)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "place", ["Keeps.files", "Prepares.executor", "Runs.run_collect", "Steps.claims"]
)
def test_a_program_that_fails_is_named(place: str, bad: Any, tmp_path: Path) -> None:
    kind = place.split(".")[0]
    bad.PROGRAM[0] = bad.RunsBadly if kind == "Runs" else getattr(bad, kind)
    with pytest.raises(EpimcError) as caught:
        epimc.verify(epimc.compile(MODEL, tmp_path / "out", calibration=X, backend="bad"))
    assert str(caught.value) == failure(place, ValueError)


def failure(place: str, kind: type[BaseException]) -> str:
    """What is said of a backend that fails."""
    said = repr("no luck") if kind is KeyError else "no luck"
    return (
        f"error: The backend in the module 'badchip' has failed in {place}.\n"
        f"  note: {kind.__name__}: {said}\n"
        "  hint: Report it to the authors of that package; --debug shows where it is."
    )


def test_a_package_that_ends_the_process_does_not(
    bad: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "site" / "badchip.py").write_text("raise SystemExit(7)")
    monkeypatch.delitem(sys.modules, "badchip")
    registry.load_backend.cache_clear()
    with pytest.raises(EpimcError) as caught:
        load_backend("bad")
    assert "note: SystemExit: 7" in str(caught.value)


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
