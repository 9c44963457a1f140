"""What the package offers: the import of models, and the declaration of operators.

epimc's own operators are registered when this is imported, so that another package's operator of
the same name is refused where it is declared.
"""

from __future__ import annotations

from epimc.frontend.core.emitter import Emitter
from epimc.frontend.core.node import UnsupportedError
from epimc.frontend.core.operator import OnnxOperator, operator, register, unregister
from epimc.frontend.importer import (
    ImportedModel,
    import_model,
    import_proto,
    refuse_host_nodes,
    with_hosted,
)
from epimc.frontend.model.domains import refuse_unknown_operators, with_foreign
from epimc.frontend.model.opsets import at_opset
from epimc.frontend.model.shapes import AS_DECLARED, WantedInputs
from epimc.frontend.ports import ModelPort
from epimc.frontend.sources import ModelSource, NamedModel, import_source

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
