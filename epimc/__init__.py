"""epimc: a compiler from ONNX models to programs for processing-in-memory crossbar chips.

The package is lazy (PEP 562): importing it, or one of its parts, loads nothing else.
"""

from __future__ import annotations

from epimc.support.version import VERSION

# As `typing` has it, which takes longer than all that is imported here.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from epimc.api import compile, evaluate, inspect, load, plan, verify
    from epimc.ir.observers import CompileObserver
    from epimc.onnx_backend import EpimcBackend as backend  # noqa: N813  (named as onnxruntime's is)
    from epimc.runtime.session import Session
    from epimc.samples.image_options import Images
    from epimc.support.diagnostics import EpimcError


__version__ = VERSION

__all__ = [
    "CompileObserver",
    "EpimcError",
    "Images",
    "Session",
    "__version__",
    "backend",
    "compile",
    "evaluate",
    "inspect",
    "load",
    "plan",
    "verify",
]


HOMES = {
    "CompileObserver": "epimc.ir.observers",
    "Images": "epimc.samples.image_options",
    "Session": "epimc.runtime.session",
    "EpimcError": "epimc.support.diagnostics",
    "backend": "epimc.backend",
    "compile": "epimc.api",
    "evaluate": "epimc.api",
    "inspect": "epimc.api",
    "load": "epimc.api",
    "plan": "epimc.api",
    "verify": "epimc.api",
}
"""Where each public name is defined."""


def __getattr__(name: str) -> object:
    if name not in HOMES:
        raise AttributeError(f"module 'epimc' has no attribute '{name}'")
    from importlib import import_module

    home = import_module(HOMES[name])
    # The backend is its own home: its class stands in the place of a module.
    return home if HOMES[name] == f"{__name__}.{name}" else getattr(home, name)
