"""A program runs on its own: without reference, dumps, compiler, ONNX and the rest of the IR."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from epimc.cli.main import main
from tests.end_to_end.conftest import Compile

BLOCKED = """
import importlib.abc, sys

# The command line reads the options of `compile`, whatever the command.
PARTS = ("allocation", "calibration", "equalization", "rounding")
FREE = ("epimc.ir", "epimc.ir.semantics", "epimc.quantization", "epimc.quantization.options",
        *(f"epimc.quantization.{part}" for part in PARTS),
        *(f"epimc.quantization.{part}.options" for part in PARTS))
BLOCKED = ("onnx", "onnxruntime", "lark", "networkx", "epimc.frontend", "epimc.quantization",
           "epimc.compiler.compiler", "epimc.ir", "epimc.verification", "epimc.runtime.reference")

def free(name):
    return name in FREE or name.startswith("epimc.ir.semantics.")

class Refuse(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        parents = [name[:i] for i, c in enumerate(name + ".") if c == "."]
        if not free(name) and any(parent in BLOCKED for parent in parents):
            raise ImportError(f"{name} is blocked")

sys.meta_path.insert(0, Refuse())
for name in (*BLOCKED, "epimc.ir.core.module", "epimc.quantization.quantize"):
    if name not in FREE:
        try:
            __import__(name)
        except ImportError as caught:
            assert "is blocked" in str(caught), name
        else:
            sys.exit(f"{name} could be imported")
"""
RUN = "from epimc.cli.main import main\nsys.exit(main(sys.argv[1:]))\n"


@pytest.mark.parametrize(("data", "target"), [("mnist", "epim-256"), ("fashion", "tiny")])
def test_run_needs_nothing_but_the_program(
    data: str,
    target: str,
    compiled: Compile,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    case = compiled(data, target)
    samples = case.bundle / "reference" / "samples.npz"
    complete, bare = tmp_path / "whole.npz", tmp_path / "bare.npz"
    assert main(["run", str(case.bundle), "--input", str(samples), "--output", str(complete)]) == 0
    assert capsys.readouterr().out.startswith("16 samples: ")
    folder = tmp_path / "bundle"
    shutil.copytree(case.bundle, folder)
    shutil.rmtree(folder / "reference")
    shutil.rmtree(folder / "ir")
    arguments = ["run", str(folder), "--input", str(samples), "--output", str(bare)]
    result = subprocess.run(
        [sys.executable, "-c", BLOCKED + RUN, *arguments],
        capture_output=True,
        text=True,
        check=False,
        cwd=Path(__file__).parents[2],
    )
    assert (result.returncode, result.stderr) == (0, "")
    assert bare.read_bytes() == complete.read_bytes()


def test_check_needs_nothing_but_the_program(compiled: Compile) -> None:
    result = subprocess.run(
        [sys.executable, "-c", BLOCKED + RUN, "check", str(compiled("mnist").bundle)],
        capture_output=True,
        text=True,
        check=False,
        cwd=Path(__file__).parents[2],
    )
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.startswith("good: ")
