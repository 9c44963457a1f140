"""Which ONNX versions are read, and how messages name nodes and repeat what ONNX says."""

from __future__ import annotations

import re

import onnx

from epimc.support.diagnostics import error
from epimc.support.origins import place_of

# What an operator means may change with the opset: the importers were tested with these.  No opset
# is read only because the installed onnxruntime, which runs the user's own model, loads it.
OLDEST_IR, OLDEST_OPSET = 3, 7
NEWEST_IR, NEWEST_OPSET = 13, 26
DEFAULT_DOMAINS = ("", "ai.onnx")


def opset_of(model: onnx.ModelProto) -> int | None:
    """The opset of the default domain, if the model names one."""
    versions = [entry.version for entry in model.opset_import if entry.domain in DEFAULT_DOMAINS]
    return max(versions, default=None)


def check_versions(model: onnx.ModelProto, newest_opset: int = NEWEST_OPSET) -> None:
    """Check the version of the file format and of the operators.

    Raises:
        EpimcError: One is older or newer than what is supported, or missing.
    """
    newest_ir = min(NEWEST_IR, int(onnx.IR_VERSION))
    newest = min(newest_opset, onnx.defs.onnx_opset_version())
    if not OLDEST_IR <= model.ir_version <= newest_ir:
        raise error(
            f"The model has ONNX IR version {model.ir_version}; "
            f"epimc reads versions {OLDEST_IR} to {newest_ir}.",
            hint=f"Export the model again, with opset {newest} or older.",
        )
    opset = opset_of(model)
    if opset is None:
        raise error(
            "The model does not say which opset of the ONNX operators it uses.",
            hint="Export the model again.",
        )
    if not OLDEST_OPSET <= opset <= newest:
        raise error(
            f"The model uses opset {opset}; epimc reads opsets {OLDEST_OPSET} to {newest}.",
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
