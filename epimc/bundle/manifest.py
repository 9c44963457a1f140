"""The manifest of a bundle: what it is, made how, and a checksum of every other file.

Its own text is sealed: the key `checksum`, which is the last, has the SHA-256 of the text without
it.  What stands there freely, such as the model's name, is so as it was written, or refused.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

from pydantic import FailFast, Field, TypeAdapter

from epimc.backends.base import CompiledProgram, Port
from epimc.bundle.folder import changed_file, contents, subject_in
from epimc.support.diagnostics import error, other_version
from epimc.support.documents import Record, lay_out, read_document, refuse_many_values
from epimc.support.files import sha256
from epimc.support.placement import Placement

# Of the folder and its manifest: to be raised with the format of any file that a program needs, so
# that the manifest, which is read first, tells another version before any other file can.
FORMAT = 7
MANIFEST = "manifest.json"
# A line for each file, of which there are some dozens, and never more than MOST_FILES.
MAXIMUM_MANIFEST_BYTES = 2**24
MOST_MANIFEST_VALUES = 2**18

# The last line but one: the SHA-256 of the text without it and the comma before it.
SEAL = re.compile(rb',\n  "checksum": "([0-9a-f]{64})"\n}\n\Z')
END = b"\n}\n"

Number = Annotated[int, Field(ge=0, lt=2**63)]

Bits = Annotated[int, Field(ge=1, le=16)]

Digest = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]


class Model(Record):
    """The ONNX model.

    Attributes:
        name: Of its file.
        sha256: Of its file.
    """

    name: str
    sha256: Digest


class Options(Record):
    """What the user asked for.

    Attributes:
        weight_bits: Bits of a weight, where `layer_bits` names no layer.
        weight_granularity: What has a scale of its own: a column of an epitome, or a tensor.
        layer_bits: Those of all layers' weights, by the names of their results, where not all have
            `weight_bits`; else none.
        activation_bits: Bits of an activation.
        activations: Whether zero points fit the ranges of values.
        calibration: The SHA-256 of the samples, or words such as `seeded normal, seed 0`.
        passes: The pipeline, as text.
    """

    weight_bits: Bits
    weight_granularity: str
    layer_bits: Mapping[str, int]
    activation_bits: Bits
    activations: str
    calibration: str
    passes: str

    @property
    def widths(self) -> tuple[int, ...]:
        """All bits that weights have, in order."""
        return tuple(sorted({*self.layer_bits.values()} or {self.weight_bits}))


class Border(Record):
    """An input or output of the model.

    Attributes:
        name: The ONNX name.
        shape: That of one sample; null where it depends on the data, or it is no tensor.
        type: What it is, as `tensor(float)[N, 3, 224, 224]`; N counts samples.
    """

    name: str
    shape: Annotated[tuple[Annotated[int, Field(ge=0, lt=2**31)], ...] | None, FailFast()]
    type: Annotated[str, Field(max_length=1000)]


class OnChip(Record):
    """How much of the model runs on the chip, for one sample.

    Attributes:
        nodes: Nodes of the model that are no constants.
        nodes_on_chip: Those on the chip.
        macs: Multiplications of convolutions and products of matrices.
        macs_on_chip: Those on the chip.
        result_bytes: Bytes of what all nodes compute, as float32.
        result_bytes_on_chip: Those that the chip computes.
        crossing_bytes: Bytes that go from the chip to the host and back, as float32.
    """

    nodes: Number
    nodes_on_chip: Number
    macs: Number
    macs_on_chip: Number
    result_bytes: Number
    result_bytes_on_chip: Number
    crossing_bytes: Number

    @property
    def placement(self) -> Placement:
        """The same, with words for it."""
        return Placement(**self.model_dump())


class Origin(Record):
    """What a bundle is, and what it was made from.

    Attributes:
        format: Version of the bundle's format.
        tool: Name and version of what wrote it, such as `epimc 0.1.0`.
        model: The ONNX model.
        backend: What made the program, and runs it.
        target: The name of the target.
        options: What the user asked for.
        inputs: The model's inputs.
        outputs: The model's outputs.
        on_chip: How much of the model runs on the chip.
    """

    format: Annotated[int, Field(ge=FORMAT, le=FORMAT)]
    tool: str
    model: Model
    backend: str
    target: str
    options: Options
    # A mistake takes a hundred times the memory of what is mistaken.
    inputs: Annotated[tuple[Border, ...], FailFast()]
    outputs: Annotated[tuple[Border, ...], FailFast()]
    on_chip: OnChip

    def to_dict(self) -> dict[str, Any]:
        """These keys and no others, as results have them."""
        return self.model_dump(include=set(Origin.model_fields))


class Manifest(Origin):
    """What `manifest.json` holds.

    Attributes:
        files: The SHA-256 of every other file by its path, sorted.
    """

    files: dict[str, Digest]


def new_manifest(
    tool: str, model: Model, options: Options, program: CompiledProgram, placement: Placement
) -> Manifest:
    """The manifest of a program that is to be written; `tool` is such as `epimc 0.1.0`."""
    return Manifest(
        format=FORMAT,
        tool=tool,
        model=model,
        backend=program.backend,
        target=program.target.name,
        options=options,
        inputs=borders(program.inputs),
        outputs=borders(program.outputs),
        on_chip=OnChip(**asdict(placement)),
        files={},
    )


def borders(ports: Iterable[Port]) -> tuple[Border, ...]:
    """What the manifest says of the inputs or outputs of a program."""
    return tuple(
        Border(name=port.name, shape=port.shape, type=str(port.port_type)) for port in ports
    )


def contradictions(manifest: Manifest, program: CompiledProgram) -> str:
    """In what the manifest does not describe the program; empty when it does."""
    if manifest.target != program.target.name:
        stated = f"the manifest names the target '{manifest.target}'"
        return f"{stated}, its file '{program.target.name}'"
    for side in ("inputs", "outputs"):
        if getattr(manifest, side) != borders(getattr(program, side)):
            return f"the manifest and the program have different {side}"
    return ""


def sealed(document: Mapping[str, object]) -> bytes:
    """The text of a manifest with its checksum."""
    text = lay_out(document).encode()
    body = text.removesuffix(END)
    return body + f',\n  "checksum": "{sha256(text)}"'.encode() + END


# --- reading ------------------------------------------------------------------------------------


BUNDLE_HINT = "A bundle is the folder that `epimc compile MODEL -o DIR` writes."


def manifest_bytes(folder: Path) -> bytes:
    """The text of the manifest of a folder.

    Raises:
        EpimcError: There is none, or it cannot be read.
    """
    if not folder.is_dir():
        state = "is not a folder" if folder.exists() else "does not exist"
        raise error(f"Bundle '{folder}' {state}.", hint=BUNDLE_HINT if folder.exists() else "")
    try:
        return contents(folder, MANIFEST, MAXIMUM_MANIFEST_BYTES)
    except FileNotFoundError:
        raise error(
            f"'{folder}' is not a bundle: it has no {MANIFEST}.", hint=BUNDLE_HINT
        ) from None


def stated_manifest(folder: Path) -> dict[str, object]:
    """The JSON object in the manifest of a folder, whatever it says."""
    return object_in(manifest_bytes(folder), subject_in(folder, MANIFEST))


def object_in(data: bytes, subject: str) -> dict[str, object]:
    """The JSON object in a text, whatever it says."""
    refuse_many_values(data, subject, MOST_MANIFEST_VALUES)
    try:
        stated = json.loads(data)
    except (ValueError, RecursionError) as caught:
        raise error(f"{subject} is not JSON.", notes=[str(caught)]) from None
    if not isinstance(stated, dict):
        raise error(f"{subject} is not a JSON object.")
    return stated


def read_manifest(folder: Path) -> Manifest:
    """The manifest of a bundle, of this version of the format.

    Raises:
        OtherVersionError: The bundle is of another version of the format.
        EpimcError: There is none, or it is wrong, or not as it was written.
    """
    data = manifest_bytes(folder)
    subject = subject_in(folder, MANIFEST)
    version = object_in(data, subject).get("format")
    if version != FORMAT or isinstance(version, (bool, float)):
        raise other_version(f"Bundle '{folder}'", version, FORMAT)
    seal = SEAL.search(data)
    text = data[: seal.start()] + END if seal else data
    manifest = read_document(text, TypeAdapter(Manifest), subject)
    if seal is None or sha256(text) != seal[1].decode():
        raise changed_file(folder, MANIFEST)
    return manifest
