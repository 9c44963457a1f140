"""One table names every pass; a pass's module is imported when the pass is used."""

from __future__ import annotations

from epimc.backends.base import Backend
from epimc.support.diagnostics import error

PASSES: dict[str, str] = {
    "layout": "epimc.ir.passes.layout:Layout",
    "fold": "epimc.ir.passes.fold:Fold",
    "equalize": "epimc.quantization.equalization.equalize:Equalize",
    "epitomize": "epimc.ir.passes.epitomize:Epitomize",
    "calibrate": "epimc.quantization.calibrate:Calibrate",
    "allocate_bits": "epimc.quantization.allocation.allocate:AllocateBits",
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
        for name, place in backend.passes.items():
            if name in passes:
                raise error(
                    f"Backend '{backend.name}' has a pass '{name}', which is there already.",
                    hint="Remove the package of that backend, or of another, from the environment.",
                )
            passes[name] = place
    return passes
