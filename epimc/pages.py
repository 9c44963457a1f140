"""The pages that are made from the code: `python -m epimc.pages` writes them all anew.

Each is written by a function beside what it documents; a test compares all of them with the files.
"""

from __future__ import annotations

from pathlib import Path

from epimc.backends.base import Pages
from epimc.backends.registry import BUILT_IN, load_backend
from epimc.ir.text.document import ir_document
from epimc.support.files import write_file


def pages() -> Pages:
    """What makes the text of each page, by its path in the repository."""
    backends = [load_backend(name) for name in BUILT_IN]
    for backend in backends:
        backend.load_dialect()
    own = {path: text_of for backend in backends for path, text_of in backend.pages.items()}
    return {"docs/ir.md": ir_document, **own}


def write_pages(root: Path) -> list[str]:
    """Write the pages below a checkout of the project; the paths of those that changed."""
    changed = []
    for name, text_of in pages().items():
        path, text = root / name, text_of()
        if not path.is_file() or path.read_text(encoding="utf-8") != text:
            write_file(path, text.encode())
            changed.append(name)
    return changed


if __name__ == "__main__":
    for written in write_pages(Path.cwd()):
        print(f"written: {written}")
