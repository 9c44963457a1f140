"""Imports that must put every node on the chip."""

from __future__ import annotations

import onnx

from epimc.frontend import ImportedModel, import_proto, refuse_host_nodes


def import_strictly(model: onnx.ModelProto, name: str = "model") -> ImportedModel:
    """The model, none of whose nodes the host may run; EpimcError names those that it would."""
    imported = import_proto(model, name)
    refuse_host_nodes(imported)
    return imported
