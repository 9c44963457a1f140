"""The pages that are made from the code: `python -m epimc.pages` writes them all anew.

Each is written by a function beside what it documents; a test compares all of them with the files.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

from epimc.backends.base import Pages
from epimc.backends.registry import BUILT_IN, load_backend
from epimc.compiler.pass_document import pass_document
from epimc.compiler.passes import passes_of
from epimc.ir.text.document import ir_document


def pages() -> Pages:
    """What makes the text of each page, by its path in the repository."""
    backends = [load_backend(name) for name in BUILT_IN]
    for backend in backends:
        backend.load_dialect()
    own = {path: text_of for backend in backends for path, text_of in backend.pages.items()}
    passes = partial(pass_document, passes_of(*backends))
    return {"docs/ir.md": ir_document, "docs/passes.md": passes, **own}


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
