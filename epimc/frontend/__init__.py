"""The frontend: ONNX files to the IR's level `nn`.

From the bottom to the top: `model` reads and checks a file, `core` is what importers are written
with, `operators` are the importers with their records, and the modules here put them to work.

The package is lazy: `onnx` is loaded when something of it is used, not before.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from epimc.frontend.api import (
        AS_DECLARED,
        Emitter,
        ImportedModel,
        ModelPort,
        ModelSource,
        NamedModel,
        OnnxOperator,
        UnsupportedError,
        WantedInputs,
        at_opset,
        import_model,
        import_proto,
        import_source,
        operator,
        refuse_host_nodes,
        refuse_unknown_operators,
        register,
        unregister,
        with_foreign,
        with_hosted,
    )

__all__ = [
    "AS_DECLARED",
    "Emitter",
    "ImportedModel",
    "ModelPort",
    "ModelSource",
    "NamedModel",
    "OnnxOperator",
    "UnsupportedError",
    "WantedInputs",
    "at_opset",
    "import_model",
    "import_proto",
    "import_source",
    "operator",
    "refuse_host_nodes",
    "refuse_unknown_operators",
    "register",
    "unregister",
    "with_foreign",
    "with_hosted",
]


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module 'epimc.frontend' has no attribute '{name}'")
    from epimc.frontend import api

    return getattr(api, name)
