"""Which ONNX versions are read, and how messages name nodes and repeat what ONNX says."""

from __future__ import annotations

import re

import numpy as np
import onnx
from onnx import helper

from epimc.frontend.model.installed import newest_ir, newest_opset
from epimc.support.diagnostics import error
from epimc.support.origins import place_of

# What an operator means may change with the opset: the importers know the operators of these.  A
# model of an older opset is converted, and what a newer one has changed is none of theirs.
OLDEST_IR, OLDEST_OPSET, KNOWN_OPSET = 3, 7, 28
DEFAULT_DOMAINS = ("", "ai.onnx")

# What a text of an array takes, at least.
STRING_BYTES = 64


def opset_of(model: onnx.ModelProto) -> int | None:
    """The opset of the default domain, if the model names one."""
    versions = [entry.version for entry in model.opset_import if entry.domain in DEFAULT_DOMAINS]
    return max(versions, default=None)


def opsets_of(model: onnx.ModelProto) -> dict[str, int]:
    """The opsets of all domains that the model names; the default domain is ''."""
    opsets: dict[str, int] = {}
    for entry in model.opset_import:
        domain = "" if entry.domain in DEFAULT_DOMAINS else entry.domain
        opsets[domain] = max(entry.version, opsets.get(domain, 0))
    return opsets


def check_versions(model: onnx.ModelProto, newest: int | None = None) -> None:
    """Check the version of the file format and of the operators.

    Args:
        model: As parsed.
        newest: The newest opset of the default domain to accept, where it is not the newest that
            can be run.

    Raises:
        EpimcError: One is newer than what can be run, older than any, or missing.
    """
    last = newest_opset()
    last = last if newest is None else min(newest, last)
    if not OLDEST_IR <= model.ir_version <= newest_ir():
        raise error(
            f"The model has ONNX IR version {model.ir_version}; "
            f"epimc reads versions {OLDEST_IR} to {newest_ir()}.",
            hint=f"Export the model again, with opset {last} or older.",
        )
    opset = opset_of(model)
    if opset is None:
        if all(node.domain not in DEFAULT_DOMAINS for node in model.graph.node):
            return
        raise error(
            "The model does not say which opset of the ONNX operators it uses.",
            hint="Export the model again.",
        )
    if not 1 <= opset <= last:
        raise error(
            f"The model uses opset {opset}; epimc reads opsets 1 to {last}.",
            hint="Export the model again with a supported opset, or convert it with "
            "onnx.version_converter.",
        )


def short(text: str) -> str:
    """What a message of the ONNX library says, on one line, without its inner context."""
    said, *contexts = text.split("==> Context:")
    match = re.search(r"Name: (.*?) OpType: (\S+)", contexts[0]) if contexts else None
    node = f"{place_of(((match[2], match[1]),))}: " if match else ""
    said = re.sub(r"^\[\w+\] ", "", " ".join(said.split()))
    return node + (said[:297] + "..." if len(said) > 300 else said)


def operator_of(proto: onnx.NodeProto) -> str:
    """The op type, with its domain where that is not the default."""
    default = proto.domain in DEFAULT_DOMAINS
    return str(proto.op_type if default else f"{proto.domain}.{proto.op_type}")


def name_of(proto: onnx.NodeProto) -> str:
    """The node's name; that of its first output where it has none."""
    return str(proto.name or next(filter(None, proto.output), ""))


def where_of(proto: onnx.NodeProto) -> str:
    """How messages name a node."""
    return place_of(((operator_of(proto), name_of(proto)),))


def item_bytes(element: int) -> int:
    """Bytes of an element of an ONNX type; texts are objects."""
    if element == onnx.TensorProto.STRING:
        return STRING_BYTES
    return int(np.dtype(helper.tensor_dtype_to_np_dtype(element)).itemsize)
