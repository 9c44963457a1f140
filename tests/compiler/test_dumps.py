"""Dumps in files: nothing is half-written, and a text never comes before its tensors."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from epimc.compiler.dumps import Dumps
from epimc.ir.observers import Step
from epimc.ir.text.parser import parse_module, read_module
from epimc.ir.text.printer import print_module
from epimc.support.diagnostics import EpimcError

pytestmark = pytest.mark.smoke

NET = """
epimc.module 2 "net" level nn {
  tensor @w : tensor<40x2xf32> = normal(seed = 1, scale = 1.0)
  input "x" %x : tensor<2xf32>
  %a = nn.gemm(%x) {weight = @w} : tensor<40xf32>
  output "y" = %a
}
"""


def dumps() -> Dumps:
    """Two stages of one network, whose weights are stored in a file."""
    module = parse_module(NET)
    weights = module.tensors["w"]
    module.tensors["w"] = type(weights).of(weights.array, "f32")
    collected = Dumps()
    collected.stage_finished(Step(0, "import", module))
    collected.stage_finished(Step(1, "fold", module))
    return collected


def test_every_text_can_be_read_with_its_tensors(tmp_path: Path) -> None:
    collected = dumps()
    for _ in range(2):
        collected.write(tmp_path / "new" / "dumps")
        texts = sorted((tmp_path / "new" / "dumps").glob("*.epi"))
        assert [path.name for path in texts] == ["00-import.epi", "01-fold.epi"]
        assert [print_module(read_module(path)) for path in texts] == [*collected.texts.values()]


@pytest.mark.parametrize("step", [0, 1, 2])
def test_what_is_there_after_an_interruption_can_be_read(
    step: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    replace = os.replace
    done: list[str] = []

    def interrupted(source: str, target: Path) -> None:
        if len(done) == step:
            raise KeyboardInterrupt
        done.append(target.name)
        replace(source, target)

    monkeypatch.setattr(os, "replace", interrupted)
    with pytest.raises(KeyboardInterrupt):
        dumps().write(tmp_path)
    files = sorted(path.name for path in tmp_path.rglob("*") if path.is_file())
    assert files == sorted(done)
    assert [name.endswith(".safetensors") for name in done] == [True, False][:step]
    for path in tmp_path.glob("*.epi"):
        read_module(path)


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(EpimcError, match=r"Folder '.*file/dumps' cannot be made: Not a directory"):
        dumps().write(tmp_path / "file" / "dumps")
