"""Models, however Python users have them: a file, its bytes, an onnx model, a PyTorch module."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeAlias

import onnx

from epimc.backends.onnx.large import LargeModel
from epimc.frontend.importer import ImportedModel, import_large, import_model
from epimc.frontend.model.loader import parse_model
from epimc.frontend.model.scopes import refuse_deep
from epimc.frontend.model.shapes import AS_DECLARED, WantedInputs
from epimc.frontend.torch_export import export_torch, is_torch_module
from epimc.support.diagnostics import error
from epimc.support.files import as_path, as_text
from epimc.support.limits import DEFAULT_BYTES, LIMIT_HINT

if TYPE_CHECKING:
    import torch

ModelSource: TypeAlias = "str | os.PathLike[str] | bytes | onnx.ModelProto | torch.nn.Module"
"""What a model may be passed as."""


@dataclass(frozen=True)
class NamedModel:
    """A model, and the name under which bundles and messages speak of it.

    Attributes:
        name: Of the file; for a model from memory, that of its graph or class with `.onnx`.
        imported: The model.
    """

    name: str
    imported: ImportedModel


def import_source(
    source: ModelSource | None,
    *,
    example: Any = None,
    limit_bytes: int = DEFAULT_BYTES,
    wanted: WantedInputs = AS_DECLARED,
) -> NamedModel:
    """Import a model, whatever it is passed as.

    Args:
        source: The path of an ONNX file; the bytes of one, or an onnx.ModelProto, without external
            data; or a torch.nn.Module, which PyTorch exports (extra `torch`).  None is refused.
        example: Inputs to call a torch.nn.Module with: a tensor or a tuple of tensors.
        limit_bytes: The most that the model may take.
        wanted: Shapes that its inputs get.

    Raises:
        EpimcError: It is no good ONNX model, is not supported, or is too large.
    """
    if is_torch_module(source):
        proto = export_torch(source, example)
        return imported_proto(proto, type(source).__name__, limit_bytes, wanted)
    if example is not None:
        raise error("An example is for a torch.nn.Module, and the model is none.")
    if isinstance(source, onnx.ModelProto):
        return imported_proto(source, source.graph.name or "model", limit_bytes, wanted)
    if isinstance(source, bytes):
        refuse_larger(len(source), limit_bytes)
        proto = parse_model(source, "the model's bytes")
        named = imported_proto(proto, proto.graph.name or "model", limit_bytes, wanted)
        # That of the file which has these bytes; protobuf might order its fields otherwise.
        digest = hashlib.sha256(source).hexdigest()
        return replace(named, imported=replace(named.imported, sha256=digest))
    if not isinstance(source, (str, os.PathLike)):
        raise error(
            f"A model cannot be of the type {type(source).__name__}.",
            hint="Pass a path, bytes, an onnx.ModelProto or a torch.nn.Module.",
        )
    path = as_path(source, "model")
    imported = import_model(path, limit_bytes=limit_bytes, wanted=wanted)
    return NamedModel(as_text(path.name), imported)


def imported_proto(
    model: onnx.ModelProto, name: str, limit_bytes: int, wanted: WantedInputs = AS_DECLARED
) -> NamedModel:
    """A model from memory, which is left as it is.

    Raises:
        EpimcError: It is no good ONNX model, is not supported, or is too large.
    """
    # Before anything that follows graphs within nodes.
    refuse_deep(model.graph)
    large = LargeModel.of(model)
    refuse_larger(large.size, limit_bytes)
    hashed = hashlib.sha256()
    for piece in large.pieces():
        hashed.update(piece)
    imported = import_large(large, name, limit_bytes=limit_bytes, wanted=wanted)
    return NamedModel(f"{name}.onnx", replace(imported, sha256=hashed.hexdigest()))


def refuse_larger(size: int, limit_bytes: int) -> None:
    """Raise EpimcError for a model of more bytes than are allowed."""
    if size > limit_bytes:
        said = f"The model has {size} bytes; the limit is {limit_bytes}."
        raise error(said, hint=LIMIT_HINT)
