"""One table names every pass; a pass's module is imported when the pass is used."""

from __future__ import annotations

from collections.abc import Iterable

from epimc.backends.base import Backend
from epimc.support.diagnostics import error

PASSES: dict[str, str] = {
    "layout": "epimc.ir.passes.layout:Layout",
    "fold": "epimc.ir.passes.fold:Fold",
    "equalize": "epimc.ir.passes.equalize:Equalize",
    "epitomize": "epimc.ir.passes.epitomize:Epitomize",
    "calibrate": "epimc.quantization.calibrate:Calibrate",
    "quantize": "epimc.quantization.quantize:Quantize",
}
"""Those that all backends have in common; a backend has its own besides."""


def passes_of(*backends: Backend) -> dict[str, str]:
    """The common passes, and those of backends.

    Raises:
        EpimcError: Two passes have one name: the packages of two backends do not go together.
    """
    passes = dict(PASSES)
    for backend in backends:
        add(passes, backend.passes.items(), backend.name)
    return passes


def add(passes: dict[str, str], more: Iterable[tuple[str, str]], backend: str) -> None:
    """Add a backend's passes to a table, where no other may have their names."""
    for name, place in more:
        if name in passes:
            raise error(
                f"Backend '{backend}' has a pass '{name}', which is there already.",
                hint="Remove the package of that backend, or of another, from the environment.",
            )
        passes[name] = place
