"""External data: tensors whose contents lie in files beside the model.

The model names these files, and models come from anyone: a location must not lead out of the
model's folder, and nothing is read before all locations are checked.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

import onnx

from epimc.support.diagnostics import EpimcError, error


@dataclass(frozen=True)
class Piece:
    """Where the contents of a tensor lie: `length` bytes of a file, from `offset`."""

    tensor: onnx.TensorProto
    path: Path
    offset: int
    length: int


def tensors(message: Any) -> Iterator[onnx.TensorProto]:
    """All tensors in a protobuf message, wherever they are nested."""
    for field, value in message.ListFields():
        if field.message_type is None:
            continue
        for item in [value] if hasattr(value, "ListFields") else value:
            if isinstance(item, onnx.TensorProto):
                yield item
            else:
                yield from tensors(item)


def external_tensors(message: Any) -> Iterator[onnx.TensorProto]:
    """The tensors in a message whose contents lie in another file."""
    for tensor in tensors(message):
        if tensor.data_location == onnx.TensorProto.EXTERNAL or tensor.external_data:
            yield tensor


def locate(model: onnx.ModelProto, folder: Path, limit_bytes: int) -> list[Piece]:
    """Check where all external data of a model lies; reads none of it.

    Args:
        model: As parsed.
        folder: Of the model file; locations are relative to it.
        limit_bytes: The most that all pieces, and all files, may take together.

    Raises:
        EpimcError: A location leads out of the folder, a file is missing, no regular file or too
            short, an offset or length is no number, or the limit is passed.
    """
    pieces = [_piece(tensor, folder) for tensor in external_tensors(model)]
    used = sum(piece.length for piece in pieces)
    stored = sum(path.stat().st_size for path in {piece.path for piece in pieces})
    if max(used, stored) > limit_bytes:
        raise error(
            f"The external data of the model has {max(used, stored)} bytes; "
            f"{limit_bytes} are left of the limit."
        )
    return sorted(pieces, key=lambda piece: (piece.path, piece.offset))


def load(pieces: list[Piece]) -> None:
    """Read the contents of the tensors into them."""
    for piece in pieces:
        with piece.path.open("rb") as file:
            file.seek(piece.offset)
            piece.tensor.raw_data = file.read(piece.length)
        piece.tensor.ClearField("data_location")
        piece.tensor.ClearField("external_data")


def _piece(tensor: onnx.TensorProto, folder: Path) -> Piece:
    entries = {entry.key: entry.value for entry in tensor.external_data}
    location = entries.get("location", "")
    path = _path(tensor, location, folder)
    size = path.stat().st_size
    offset = _number(tensor, entries, "offset", 0)
    length = _number(tensor, entries, "length", max(size - offset, 0))
    if offset + length > size:
        raise error(
            f"Tensor '{tensor.name}' lies outside its external data file '{location}'.",
            notes=[f"It ends at byte {offset + length}; the file has {size} bytes."],
            hint="Download or export the model again.",
        )
    return Piece(tensor, path, offset, length)


def _path(tensor: onnx.TensorProto, location: str, folder: Path) -> Path:
    absolute = PurePosixPath(location).is_absolute() or PureWindowsPath(location).anchor
    parts = re.split(r"[/\\]", location)
    if absolute or ".." in parts or "\0" in location or not location:
        raise _leaves(tensor, location)
    try:
        return _regular_file(tensor, location, folder)
    except OSError as problem:
        raise error(
            f"External data file of tensor '{tensor.name}' cannot be read: {problem.strerror}."
        ) from None


def _regular_file(tensor: onnx.TensorProto, location: str, folder: Path) -> Path:
    path = folder / location
    if not path.exists():
        raise error(
            f"External data file '{location}' of tensor '{tensor.name}' does not exist.",
            hint=f"Put it beside the model file, into '{folder}'.",
        )
    resolved = path.resolve()
    if not resolved.is_relative_to(folder.resolve()):
        raise _leaves(tensor, location)
    if not resolved.is_file():
        raise error(f"External data '{location}' of tensor '{tensor.name}' is not a file.")
    return resolved


def _leaves(tensor: onnx.TensorProto, location: str) -> EpimcError:
    return error(
        f"The external data of tensor '{tensor.name}' is not in the model's folder.",
        notes=[f"Its location is {location!r}."],
        hint="Use models from sources that you trust; external data must lie beside the model.",
    )


def _number(tensor: onnx.TensorProto, entries: dict[str, str], key: str, default: int) -> int:
    text = entries.get(key, str(default))
    if not re.fullmatch(r"[0-9]{1,18}", text):
        raise error(f"The external data of tensor '{tensor.name}' has {key} {text!r}.")
    return int(text)
