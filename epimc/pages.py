"""The pages that are made from the code: `python -m epimc.pages` writes them all anew.

Each is written by a function beside what it documents; a test compares all of them with the files.
Of a page that is otherwise written by hand, a region between two comments is made.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

from epimc.backends.base import Backend, Pages
from epimc.backends.registry import BUILT_IN, load_backend
from epimc.compiler.pass_document import pass_document
from epimc.compiler.passes import passes_of
from epimc.compiler.planning import PlanResult
from epimc.evaluation.results import EvaluateResult
from epimc.frontend.document import OperatorList, OperatorResult, operator_list
from epimc.ir.text.document import ir_document
from epimc.module_map import module_map
from epimc.report.results import LayerReport, QuantizationReport
from epimc.results.commands import CheckResult, RunResult, StageResult, TargetList, TargetResult
from epimc.results.document import json_document
from epimc.results.summaries import BundleSummary, CompileResult, ModelSummary
from epimc.support.results import Result
from epimc.support.writing import write_file
from epimc.verification.results import VerifyResult

REGIONS: Mapping[tuple[str, str], Callable[[], str]] = {
    ("README.md", "operators"): operator_list,
}
"""What makes the text of a region, by its page's path and its name."""

RESULTS: tuple[type[Result], ...] = (
    CompileResult,
    PlanResult,
    RunResult,
    VerifyResult,
    EvaluateResult,
    ModelSummary,
    BundleSummary,
    StageResult,
    QuantizationReport,
    LayerReport,
    CheckResult,
    TargetList,
    TargetResult,
    OperatorList,
    OperatorResult,
)
"""What the commands of the driver come to, in the order of the page about them."""


def with_region(page: str, name: str, text: str) -> str:
    """A page in which a region has the text, and all else is as before.

    Raises:
        ValueError: The page lacks the comments that enclose the region.
    """
    begin, end = f"<!-- begin {name}: python -m epimc.pages -->", f"<!-- end {name} -->"
    before, begins, rest = page.partition(begin)
    _, ends, after = rest.partition(end)
    if not begins or not ends:
        raise ValueError(f"a page has no region '{name}': '{begin}', '{end}'")
    return f"{before}{begin}\n\n{text}\n\n{end}{after}"


def own_pages() -> Pages:
    """What makes the text of each page that is made as a whole, by its path."""
    backends = [load_backend(name) for name in BUILT_IN]
    for backend in backends:
        backend.load_dialect()
    theirs = {path: text_of for backend in backends for path, text_of in backend.pages.items()}
    passes = partial(pass_document, passes_of(*backends))
    return {
        "docs/ir.md": ir_document,
        "docs/json.md": partial(json_page, backends),
        "docs/modules.md": module_map,
        "docs/passes.md": passes,
        **theirs,
    }


def pages(root: Path) -> dict[str, str]:
    """The text that each page below a checkout of the project should have, by its path."""
    texts = {name: text_of() for name, text_of in own_pages().items()}
    for (name, region), text_of in REGIONS.items():
        page = texts[name] if name in texts else (root / name).read_text(encoding="utf-8")
        texts[name] = with_region(page, region, text_of())
    return texts


def json_page(backends: Sequence[Backend]) -> str:
    """The page about JSON documents: the driver's, and what backends add."""
    return json_document(RESULTS, {backend.name: backend.results for backend in backends})


def write_pages(root: Path) -> list[str]:
    """Write the pages below a checkout of the project; the paths of those that changed."""
    changed = []
    for name, text in pages(root).items():
        path = root / name
        if not path.is_file() or path.read_text(encoding="utf-8") != text:
            write_file(path, text.encode())
            changed.append(name)
    return changed


if __name__ == "__main__":
    print("\n".join(f"written: {name}" for name in write_pages(Path.cwd())))
