"""The examples of docs/python.md run, one after the other."""

from __future__ import annotations

import importlib.util
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "python.md"
FILES = ("mnist-conv.onnx", "mnist-calibration.npz", "mnist-test.npz")
NEEDS_TORCH = "<!-- needs torch -->\n"


def examples() -> Iterator[tuple[str, bool]]:
    """Each example, and whether it needs PyTorch."""
    text = PAGE.read_text(encoding="utf-8")
    for match in re.finditer(rf"({NEEDS_TORCH})?```python\n(.*?)```", text, re.DOTALL):
        yield match[2], match[1] is not None


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the files that the page names."""
    for name in FILES:
        shutil.copy(ROOT / "examples" / name, tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.usefixtures("here")
def test_the_examples_run(capsys: pytest.CaptureFixture[str]) -> None:
    names: dict[str, Any] = {}
    plain = [code for code, needs_torch in examples() if not needs_torch]
    assert len(plain) >= 8
    for code in plain:
        exec(compile(code, str(PAGE), "exec"), names)
    printed = capsys.readouterr().out
    assert "0.992 0.992" in printed
    assert "quantize: 11 ops" in printed
    assert "error: Wrong option: weight_bits = 17" in printed


@pytest.mark.skipif(importlib.util.find_spec("torch") is None, reason="PyTorch is not installed")
@pytest.mark.usefixtures("here")
def test_the_examples_with_torch_run() -> None:
    names: dict[str, Any] = {}
    for code, _ in examples():
        exec(compile(code, str(PAGE), "exec"), names)
    assert names["net"].training
