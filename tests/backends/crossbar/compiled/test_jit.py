from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

from epimc.backends.crossbar.compiled import jit

SOURCE = """
from {name}_part import part
from epimc.backends.crossbar.compiled.jit import compiled

@compiled
def kernel(x):
    return part(x)
"""
PART = """
from epimc.backends.crossbar.compiled.jit import inlined

@inlined
def part(x):
    return x + {number}
"""


def imported(path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """A file as a module, anew."""
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, name, module)
    spec.loader.exec_module(module)
    return module


def test_code_is_kept_until_any_source_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    outer, inner = tmp_path / "kept.py", tmp_path / "kept_part.py"
    outer.write_text(SOURCE.format(name="kept"), encoding="utf-8")
    hits = []
    for number, digest in ((1, "a"), (1, "a"), (2, "b")):
        inner.write_text(PART.format(number=number), encoding="utf-8")
        monkeypatch.setattr(jit, "sources", lambda digest=digest: digest)
        imported(inner, "kept_part", monkeypatch)
        module = imported(outer, "kept", monkeypatch)
        assert module.kernel(1) == 1 + number
        hits.append(sum(module.kernel.stats.cache_hits.values()))
    assert hits == [0, 1, 0]


def test_any_module_counts(tmp_path: Path) -> None:
    digests = []
    for number, text in enumerate(("x = 1", "x = 2", "x = 2")):
        folder = tmp_path / str(number)
        folder.mkdir()
        (folder / "a.py").write_text("y = 0", encoding="utf-8")
        (folder / "b.py").write_text(text, encoding="utf-8")
        digests.append(jit.sources(folder))
    assert digests[0] != digests[1] == digests[2]
    assert jit.sources() == jit.sources(Path(jit.__file__).parent)
