"""epimc: a compiler from ONNX models to programs for processing-in-memory crossbar chips.

The package is lazy (PEP 562): importing it, or one of its parts, loads nothing else.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from epimc.api import Session, compile, load

__version__ = "0.1.0"

__all__ = ["Session", "__version__", "compile", "load"]


def __getattr__(name: str) -> object:
    if name not in ("Session", "compile", "load"):
        raise AttributeError(f"module 'epimc' has no attribute '{name}'")
    from epimc import api

    return getattr(api, name)
