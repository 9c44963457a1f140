"""docs/modules.md: every module with the first line of its docstring, package by package."""

from __future__ import annotations

import ast
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

PACKAGES = (
    "support",
    "ir.semantics",
    "ir.core",
    "ir",
    "ir.epitome",
    "ir.dialects",
    "ir.passes",
    "ir.text",
    "backends.crossbar.core",
    "backends.crossbar.kernels",
    "backends.crossbar.compiled",
    "backends.crossbar.target",
    "backends",
    "backends.crossbar.instructions",
    "backends.crossbar.isa",
    "backends.crossbar.bundle",
    "backends.crossbar.check",
    "backends.crossbar.lower",
    "backends.crossbar.sim",
    "backends.crossbar",
    "backends.onnx",
    "bundle",
    "frontend",
    "results",
    "runtime",
    "quantization",
    "samples",
    "compiler",
    "verification",
    "evaluation",
    "report",
    "cli",
    "onnx_backend",
    "",
)
"""The packages of the table in docs/architecture.md, in its order: what is below comes first."""

# These packages lie beside the folder epimc/, in which they are links.
BESIDE = ("ir", "backends")

HEAD = """# Modules

This page is generated from the first lines of the modules' docstrings, package by package.  The
packages stand in the order of the table in [architecture.md](architecture.md#imports), which says
exactly what each may import: what others build on comes first.
"""


def module_map() -> str:
    """The page as Markdown; ends in a newline.

    Raises:
        ValueError: A package has no place in PACKAGES.
    """
    files = sources(Path(__file__).parent)
    packages = sorted({package_of(path) for path in files}, key=place_of)
    sections = (section(package, files) for package in packages)
    return HEAD + "".join(line + "\n" for lines in sections for line in lines)


def sources(folder: Path) -> dict[Path, str]:
    """The text of every module below the package, by its path in there, sorted."""
    paths = sorted(
        Path(here, name).relative_to(folder)
        for here, _, names in os.walk(folder, followlinks=True)
        for name in names
        if name.endswith(".py")
    )
    return {path: (folder / path).read_text(encoding="utf-8") for path in paths}


def package_of(path: Path) -> str:
    """The dotted name of the package of a module, without `epimc`."""
    return ".".join(path.parent.parts)


def place_of(package: str) -> tuple[int, str]:
    """Where a package stands on the page: at its own place, or behind the one that it is in.

    Raises:
        ValueError: Neither it nor a package around it is in PACKAGES.
    """
    outer = package
    while outer not in PACKAGES:
        outer = outer.rpartition(".")[0]
        if not outer:
            raise ValueError(f"package '{package}' has no place in {__name__}.PACKAGES")
    return PACKAGES.index(outer), package


def section(package: str, files: dict[Path, str]) -> Iterator[str]:
    """The lines about one package; its own docstring comes first."""
    texts = {path: text for path, text in files.items() if package_of(path) == package}
    folder = shown(package.split(".") if package else [])
    yield from ("", f"## {folder}/", "")
    own = [text for path, text in texts.items() if path.name == "__init__.py"]
    yield from (f"{summary(text)}\n" for text in own)
    modules = [(path, text) for path, text in texts.items() if path.name != "__init__.py"]
    yield from (f"- `{path.name}`: {summary(text)}" for path, text in modules)


def shown(parts: Sequence[str]) -> str:
    """A folder, as it lies in the repository."""
    beside = bool(parts) and parts[0] in BESIDE
    return "/".join(parts if beside else ["epimc", *parts])


def summary(text: str) -> str:
    """The first line of a module's docstring."""
    return (ast.get_docstring(ast.parse(text)) or "").partition("\n")[0]
