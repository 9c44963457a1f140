"""Reading a model file, which may come from anyone: every check comes before the data is used."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import onnx
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]

from epimc.backends.onnx.large import LargeModel
from epimc.frontend.model import external
from epimc.frontend.model.checks import check_model
from epimc.frontend.model.constants import fix_inputs
from epimc.frontend.model.inputs import set_wanted
from epimc.frontend.model.shapes import AS_DECLARED, WantedInputs
from epimc.frontend.model.weightless import fill_weights, mark_weights
from epimc.support.diagnostics import EpimcError, error, nearest
from epimc.support.files import read_bytes, refused
from epimc.support.limits import LIMIT_HINT, Budget

EXPORT_HINT = "Export the model to ONNX, for example with torch.onnx.export."
TENSORFLOW_HINT = "Convert the model to ONNX, for example with tf2onnx."

# How files look that are taken for ONNX models now and then: what they have where, what they are,
# and what to do.
SIGNATURES = (
    (
        0,
        b"PK\x03\x04",
        "a zip archive, as PyTorch checkpoints and NumPy's .npz files are",
        EXPORT_HINT,
    ),
    (0, b"\x80\x02", "a Python pickle, as older PyTorch checkpoints are", EXPORT_HINT),
    (0, b"\x89HDF", "an HDF5 file, as Keras writes", TENSORFLOW_HINT),
    (4, b"TFL3", "a model of TensorFlow Lite", TENSORFLOW_HINT),
    (
        4,
        b"ORTM",
        "a model in onnxruntime's own format",
        "Compile the ONNX file that it was made of.",
    ),
    (0, b"\x93NUMPY", "a NumPy array", EXPORT_HINT),
    (0, b"\x1f\x8b", "a gzip archive", "Unpack it first."),
    (
        0,
        b"version https://git-lfs",
        "a Git LFS pointer: the model itself was not downloaded",
        "Download it: git lfs pull.",
    ),
    (0, b"GGUF", "a model of llama.cpp", EXPORT_HINT),
    (8, b"{", "a file of safetensors: weights without a model", EXPORT_HINT),
    (0, b"{", "JSON text", EXPORT_HINT),
    (0, b"<", "HTML or XML text", EXPORT_HINT),
)
LARGEST_MESSAGE = 2**31 - 1
# So many files of a folder are looked at for one that may be meant.
MOST_LISTED = 1000


@dataclass(frozen=True)
class LoadedModel:
    """A model as its file says it, complete and checked.

    Attributes:
        model: With its external data loaded.
        sha256: Of the model file followed by its external data files in the order of their
            locations, in hexadecimal.
    """

    model: LargeModel
    sha256: str


def load_model(
    path: Path,
    limit_bytes: int,
    newest_opset: int | None = None,
    wanted: WantedInputs = AS_DECLARED,
) -> LoadedModel:
    """Read and check a model file and its external data.

    Args:
        path: Of the model file; external data must lie in its folder.
        limit_bytes: The most that the model file and its external data may take together.
        newest_opset: The newest opset of the default domain to accept, where that is not the newest
            which onnxruntime runs.
        wanted: Shapes that its inputs get.

    Raises:
        EpimcError: No file, too large, no ONNX, damaged, of an unsupported version, against the
            standard, or with external data that is missing or outside the model's folder.
    """
    data = _read(path, limit_bytes)
    hashed, left = hashlib.sha256(data), limit_bytes - len(data)
    message = parse_model(data, str(path))
    # A large model is there once, before and behind this.
    del data
    fix_inputs(message, wanted.constants, limit_bytes)
    model = LargeModel.of(message)
    del message
    weights = mark_weights(model.proto, path.parent) if wanted.only else []
    set_wanted(model.proto, wanted)
    check_model(model.proto, newest_opset)
    fill_weights(weights, Budget(left, f"Model file '{path}'"))
    pieces = external.locate(model, path.parent, left)
    model = external.load(model, pieces)
    add_files(hashed, {piece.path for piece in pieces})
    return LoadedModel(model, hashed.hexdigest())


def parse_model(data: bytes, file: str) -> onnx.ModelProto:
    """The model in the bytes of a file; it has an IR version, a graph and opsets.

    Raises:
        EpimcError: The bytes are no ONNX model, or only a part of one; `file` names them.
    """
    model = onnx.ModelProto()
    try:
        model.ParseFromString(data)
    except DecodeError:
        # A model begins with its IR version, a small number in field 1.
        begins_well = len(data) > 1 and data[0] == 0x08 and data[1] < 0x80
        raise _damaged(file) if begins_well else _not_onnx(data, file) from None
    if not model.HasField("ir_version"):
        raise _not_onnx(data, file)
    complete = model.HasField("graph") and (model.opset_import or model.ir_version < 3)
    if not complete or _has_broken_text(model):
        raise _damaged(file)
    return model


def _has_broken_text(message: Any) -> bool:
    """Whether a name or another text in a message is no UTF-8; protobuf returns bytes for it."""
    if isinstance(message, onnx.TensorProto):
        return not isinstance(message.name, str)
    for field, value in message.ListFields():
        items = (
            [value] if hasattr(value, "ListFields") or isinstance(value, (str, bytes)) else value
        )
        if field.type == field.TYPE_STRING and not all(isinstance(item, str) for item in items):
            return True
        if field.type == field.TYPE_MESSAGE and any(map(_has_broken_text, items)):
            return True
    return False


def _read(path: Path, limit_bytes: int) -> bytes:
    try:
        if not path.exists():
            near = nearest(path.name, models_in(path.parent))
            hint = f"Did you mean '{path.parent / near}'?" if near else ""
            raise error(f"Model file '{path}' does not exist.", hint=hint)
        if not path.is_file():
            raise error(f"'{path}' is not a file.", hint=_hint_in(path))
        size = path.stat().st_size
        if size > LARGEST_MESSAGE:
            raise error(
                f"'{path}' is not an ONNX model: it has {size} bytes, and protobuf reads no more "
                f"than {LARGEST_MESSAGE}.",
                hint="Export a large model with external data.",
            )
        if size > limit_bytes:
            said = f"Model file '{path}' has {size} bytes; the limit is {limit_bytes}."
            raise error(said, hint=LIMIT_HINT)
    # Its name is longer than the system allows, or a folder above is closed.
    except OSError as caught:
        raise refused(f"Model file '{path}'", "read", caught) from None
    return read_bytes(path, "Model", limit_bytes)


def models_in(folder: Path) -> list[str]:
    """The names of ONNX files in a folder, in order; of a large folder of some of its files."""
    try:
        with os.scandir(folder) as entries:
            listed = [entry.name for entry in islice(entries, MOST_LISTED)]
    except OSError:
        return []
    return sorted(name for name in listed if name.endswith(".onnx"))


def _hint_in(folder: Path) -> str:
    """What to do where a folder stands for a model."""
    if (folder / "manifest.json").is_file():
        return "It is a bundle, which is compiled: run, verify or inspect it."
    names = models_in(folder)
    return f"Name the file in it: '{folder / names[0]}'." if names else "Name an ONNX file."


def _not_onnx(data: bytes, file: str) -> EpimcError:
    if not data:
        return error(
            f"'{file}' is not an ONNX model: the file is empty.",
            hint="Download or export it again.",
        )
    start = data.lstrip()[:32]
    for place, mark, kind, hint in SIGNATURES:
        if start[place:].startswith(mark):
            notes = [f"It looks like {kind}."]
            return error(f"'{file}' is not an ONNX model.", notes=notes, hint=hint)
    return error(f"'{file}' is not an ONNX model.", hint=EXPORT_HINT)


def _damaged(file: str) -> EpimcError:
    return error(
        f"Model file '{file}' is damaged or incomplete.", hint="Download or export it again."
    )


def add_files(hashed: hashlib._Hash, files: Iterable[Path]) -> None:
    """Add the contents of files to a digest, in the order of their paths."""
    for path in sorted(files):
        with path.open("rb") as file:
            while block := file.read(2**20):
                hashed.update(block)
