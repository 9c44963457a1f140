"""The example models, compiled once a session for each target and bits; and cases drawn anew."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest
from hypothesis.internal.conjecture import providers
from hypothesis.internal.conjecture.engine import ConjectureRunner
from hypothesis.internal.constants_ast import Constants

import epimc
from epimc.cli.main import main

EXAMPLES = Path(__file__).parents[2] / "examples"
MODELS = {
    "mnist": "mnist-conv.onnx",
    "fashion": "fashion-resnet8.onnx",
    "blazeface": "blazeface-front-128.onnx",
}


@dataclass(frozen=True)
class Compiled:
    """A compiled example; nobody may change the folders.

    Attributes:
        bundle: The bundle's folder.
        dumps: The folder of `--dump-ir`.
        test: Test samples; those of classifiers with labels.
    """

    bundle: Path
    dumps: Path
    test: Path


Compile = Callable[..., Compiled]


@pytest.fixture(scope="session")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Compile:
    """Compile one of MODELS for a target, with bits of weights and activations, epitomes."""

    @cache
    def make(
        data: str,
        target: str = "epim-256",
        weights: int = 8,
        activations: int = 8,
        epitome: str = "none",
    ) -> Compiled:
        folder = tmp_path_factory.mktemp(f"{data}-{target}")
        epimc.compile(
            EXAMPLES / MODELS[data],
            folder / "bundle",
            target=target,
            weight_bits=weights,
            activation_bits=activations,
            epitome=epitome,
            calibration=EXAMPLES / f"{data}-calibration.npz",
            dump_ir=folder / "dumps",
        )
        test = EXAMPLES / f"{data}-test.npz"
        return Compiled(folder / "bundle", folder / "dumps", test)

    return make


@pytest.fixture
def new_cases(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every case is a new one, and depends on nothing but the seed.

    By itself hypothesis varies each one five times before the next, and draws numbers that stand
    in whatever modules other tests have imported before.
    """
    monkeypatch.setattr(ConjectureRunner, "generate_mutations_from", lambda runner, data: None)
    monkeypatch.setattr(providers, "_get_local_constants", Constants)


@pytest.fixture
def bundle(original: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy to be changed, in the current folder."""
    monkeypatch.chdir(tmp_path)
    shutil.copy(original.parent / "x.npz", "x.npz")
    shutil.copytree(original, "out")
    return Path("out")


@pytest.fixture
def outcome(bundle: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str]]:
    """Exit code and error of a command."""

    def of(command: str, *options: str) -> tuple[int, str]:
        more = ["--input", "x.npz", "--output", "y.npz"] if command == "run" else []
        code = main([command, str(bundle), *more, *options])
        return code, capsys.readouterr().err

    return of
