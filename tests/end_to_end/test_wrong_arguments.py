"""Whatever Python users pass that is wrong is one exception, which says what."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import epimc
from epimc.support.diagnostics import EpimcError

pytestmark = pytest.mark.smoke

MODEL = Path(__file__).parents[2] / "examples" / "mnist-conv.onnx"
X = np.zeros((2, 1, 28, 28), np.float32)
LONG = "x" * 5000


def first_line(call: Callable[[], object]) -> str:
    """What a call is refused with."""
    with pytest.raises(EpimcError) as caught:
        call()
    return str(caught.value).splitlines()[0]


@pytest.mark.parametrize("call", [epimc.plan, epimc.inspect, epimc.compile])
@pytest.mark.parametrize(
    ("model", "message"),
    [
        (b"", "error: 'the model's bytes' is not an ONNX model: the file is empty."),
        (None, "error: A model cannot be of the type NoneType."),
        ([], "error: A model cannot be of the type list."),
    ],
)
def test_what_is_no_model(call: Any, model: Any, message: str, tmp_path: Path) -> None:
    output = (tmp_path / "out",) if call is epimc.compile else ()
    assert first_line(lambda: call(model, *output)) == message


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        (None, "cannot be of the type NoneType."),
        (3, "cannot be of the type int."),
        (b"out", "cannot be of the type bytes."),
        ("a\0b", "is no path that can be used: it has a null character."),
        (LONG, "is no path that can be used: File name too long."),
    ],
)
def test_what_is_no_path(path: Any, reason: str, tmp_path: Path) -> None:
    calls: list[tuple[str, Callable[[], object]]] = [
        ("output", lambda: epimc.compile(MODEL, path)),
        ("folder", lambda: epimc.load(path)),
        ("bundle", lambda: epimc.verify(path)),
    ]
    if path is not None:
        calls.append(("dump_ir", lambda: epimc.compile(MODEL, tmp_path / "out", dump_ir=path)))
    for name, call in calls:
        assert first_line(call) == f"error: Argument '{name}' {reason}"


def test_a_path_that_cannot_be_used_is_named() -> None:
    with pytest.raises(epimc.EpimcError) as caught:
        epimc.load(LONG)
    assert str(caught.value).endswith(f"File name too long.\n  note: It is '{LONG}'.")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"target": 3}, "Wrong option: target = 3 is not text or none."),
        ({"target": ""}, "There is no target ''."),
        ({"epitome": None}, "Wrong option: epitome = None is not text."),
        ({"epitome": "a\0.toml"}, "Plan file 'a\0.toml' cannot be read: embedded null byte."),
        (
            {"pass_options": "quantize"},
            "Wrong option: pass_options = 'quantize' is not a list, each item text.",
        ),
        (
            {"pass_options": None},
            "Wrong option: pass_options = None is not a list, each item text.",
        ),
        ({"observers": None}, "An observer cannot be of the type NoneType."),
        ({"observers": [epimc.CompileObserver]}, "An observer cannot be of the type type."),
        ({"calibration": b"x.npz"}, "Samples cannot be of the type bytes."),
    ],
)
def test_wrong_options(options: dict[str, Any], message: str, tmp_path: Path) -> None:
    arguments = {"calibration": X, **options}
    call = lambda: epimc.compile(MODEL, tmp_path / "out", **arguments)  # noqa: E731
    assert first_line(call) == f"error: {message}"
    assert not (tmp_path / "out").exists()


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> epimc.Session:
    return epimc.compile(MODEL, tmp_path_factory.mktemp("mnist") / "out", calibration=X)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"nonsense": 1}, "The simulator has no option 'nonsense'."),
        ({"batch": "1"}, "Option 'batch' of the simulator cannot be of the type str."),
        ({"batch": True}, "Option 'batch' of the simulator cannot be of the type bool."),
        ({"path": [1]}, "Option 'path' of the simulator cannot be of the type list."),
    ],
)
def test_wrong_options_of_the_simulator(
    options: dict[str, Any], message: str, session: epimc.Session
) -> None:
    folder = session.bundle.folder
    assert folder is not None
    assert first_line(lambda: epimc.load(folder, **options)) == f"error: {message}"


@pytest.mark.parametrize(
    ("names", "feeds", "message"),
    [
        (None, None, "Inputs must be passed as a mapping of arrays by their names."),
        (None, {3: X}, "Inputs must be passed as a mapping of arrays by their names."),
        (None, {"Input3": X.astype(complex)}, "Input 'Input3' is an array of complex numbers."),
        (None, {"Input3": [[1], [1, 2]]}, "Input 'Input3' is no array of numbers."),
        ("Plus214_Output_0", {"Input3": X}, "The outputs' names must be a list, or None for all"),
        (3, {"Input3": X}, "The outputs' names must be a list, or None for all"),
        ([3], {"Input3": X}, "There is no output '3'."),
    ],
)
def test_wrong_runs(names: Any, feeds: Any, message: str, session: epimc.Session) -> None:
    assert first_line(lambda: session.run(names, feeds)).startswith(f"error: {message}")


@pytest.mark.parametrize("limit", ["x", None, 0])
def test_a_wrong_limit_of_verify(limit: Any, session: epimc.Session) -> None:
    message = first_line(lambda: epimc.verify(session, X, limit_bytes=limit))
    assert message.startswith(f"error: Wrong option: limit_bytes = {limit!r} is not")


def test_verify_does_not_speak_of_calibration(session: epimc.Session) -> None:
    message = first_line(lambda: epimc.verify(session, []))
    assert message == "error: There are no samples in the sample data: the iterable is empty."


def test_a_session_is_verified_from_any_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    sessions = [epimc.compile(MODEL, "out", calibration=X), epimc.load("out")]
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert all(epimc.verify(session).exact for session in sessions)
