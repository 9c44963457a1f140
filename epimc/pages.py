"""The pages that are made from the code: `python -m epimc.pages` writes them all anew.

Each is written by a function beside what it documents; a test compares all of them with the files.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from epimc.backends.crossbar import dialect  # noqa: F401  (it registers its ops)
from epimc.backends.crossbar.isa.document import isa_document
from epimc.backends.crossbar.target.document import target_document
from epimc.ir.text.document import ir_document

PAGES: Mapping[str, Callable[[], str]] = {
    "docs/ir.md": ir_document,
    "docs/isa.md": isa_document,
    "docs/targets.md": target_document,
}
"""What makes the text of each page, by its path in the repository."""


def write_pages(root: Path) -> list[str]:
    """Write the pages below a checkout of the project; the paths of those that changed."""
    changed = []
    for name, text_of in PAGES.items():
        path, text = root / name, text_of()
        if not path.is_file() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")
            changed.append(name)
    return changed


if __name__ == "__main__":
    print("\n".join(f"written: {name}" for name in write_pages(Path.cwd())))
