"""The pages that are made from the code: `python -m epimc.pages` writes them all anew.

Each is written by a function beside what it documents; a test compares all of them with the files.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from epimc.backends.base import Backend, Pages
from epimc.backends.registry import BUILT_IN, load_backend
from epimc.compiler.planning import PlanResult
from epimc.ir.text.document import ir_document
from epimc.results.commands import CheckResult, RunResult, StageResult, TargetList, TargetResult
from epimc.results.document import json_document
from epimc.results.summaries import BundleSummary, CompileResult, ModelSummary
from epimc.support.results import Result
from epimc.verification.results import VerifyResult

RESULTS: tuple[type[Result], ...] = (
    CompileResult,
    PlanResult,
    RunResult,
    VerifyResult,
    ModelSummary,
    BundleSummary,
    StageResult,
    CheckResult,
    TargetList,
    TargetResult,
)
"""What the commands of the driver come to, in the order of the page about them."""


def pages() -> Pages:
    """What makes the text of each page, by its path in the repository."""
    backends = [load_backend(name) for name in BUILT_IN]
    for backend in backends:
        backend.load_dialect()
    own = {path: text_of for backend in backends for path, text_of in backend.pages.items()}
    return {"docs/ir.md": ir_document, "docs/json.md": partial(json_page, backends), **own}


def json_page(backends: Sequence[Backend]) -> str:
    """The page about JSON documents: the driver's, and what backends add."""
    return json_document(RESULTS, {backend.name: backend.results for backend in backends})


def write_pages(root: Path) -> list[str]:
    """Write the pages below a checkout of the project; the paths of those that changed."""
    changed = []
    for name, text_of in pages().items():
        path, text = root / name, text_of()
        if not path.is_file() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")
            changed.append(name)
    return changed


if __name__ == "__main__":
    for written in write_pages(Path.cwd()):
        print(f"written: {written}")
