"""Domains of operators that are not ONNX's own: what such operators are, and who runs them."""

from __future__ import annotations

from dataclasses import dataclass

import onnx

from epimc.frontend.model.installed import knows_operator
from epimc.frontend.model.scopes import nested_nodes
from epimc.frontend.model.standard import DEFAULT_DOMAINS, name_of, operator_of
from epimc.support.diagnostics import EpimcError, counted, error
from epimc.support.placement import PlacedNode, reasons


@dataclass(frozen=True)
class Domain:
    """A domain that models are known to have.

    Attributes:
        prefix: What its name begins with.
        what: An operator of it, in words.
        hint: What to do where nothing runs it.
    """

    prefix: str
    what: str
    hint: str = ""


_QONNX = (
    "an operator of QONNX, as Brevitas, FINN and QKeras write it",
    "Convert the model to QuantizeLinear and DequantizeLinear with QONNX's own tool: "
    "`qonnx-convert`, of the package qonnx.",
)
_ONE_MACHINE = (
    "an operator that onnxruntime makes for one kind of machine as it optimizes a model",
    "Compile the model as it was before onnxruntime optimized and saved it.",
)
_TRAINING = "an operator of training", "Export the model for inference."
_EXTENSIONS = (
    "an operator of onnxruntime-extensions",
    "Leave what prepares the data, such as tokenizers and decoders of images, out of the model.",
)
_PYTORCH = (
    "an operator of PyTorch for which its exporter had no ONNX form",
    "Export the model with operators of ONNX alone: torch.onnx.export with dynamo=True.",
)

KNOWN = (
    Domain("qonnx.", *_QONNX),
    Domain("onnx.brevitas", *_QONNX),
    Domain(
        "finn.",
        "an operator of FINN",
        "Compile the model as it was before FINN transformed it, converted by `qonnx-convert`, of "
        "the package qonnx.",
    ),
    Domain("com.ms.internal.", *_ONE_MACHINE),
    Domain("com.microsoft.nchwc", *_ONE_MACHINE),
    Domain("com.microsoft.extensions", *_EXTENSIONS),
    Domain("ai.onnx.contrib", *_EXTENSIONS),
    Domain("com.microsoft", "an operator of onnxruntime's own"),
    Domain("ai.onnx.ml", "an operator of classical machine learning"),
    Domain("ai.onnx.training", *_TRAINING),
    Domain("ai.onnx.preview.training", *_TRAINING),
    Domain("ai.onnx.preview", "an operator that ONNX tries out"),
    Domain("org.pytorch", *_PYTORCH),
    Domain("aten", *_PYTORCH),
    Domain("trt", "a plugin of TensorRT", "Export the model without plugins of TensorRT."),
    Domain("mmdeploy", "an operator of MMDeploy", "Export the model with onnxruntime as backend."),
    Domain("com.vai.", "an operator of Vitis AI", "Export the model in the form QDQ."),
    Domain("com.amd.quark", "an operator of AMD Quark", "Export the model in the form QDQ."),
    Domain("org.openvinotoolkit", "an operator of OpenVINO", "Export the model to ONNX alone."),
)
"""The first whose prefix fits counts."""

OTHER = Domain("", "", "Export the model with operators of ONNX, or of onnxruntime, alone.")


def domain_of(proto: onnx.NodeProto) -> Domain:
    """What is known of the domain of a node that is not ONNX's own."""
    return next((domain for domain in KNOWN if proto.domain.startswith(domain.prefix)), OTHER)


def is_foreign(proto: onnx.NodeProto) -> bool:
    """Whether a node's operator is none of ONNX's own."""
    return proto.domain not in DEFAULT_DOMAINS


def no_form(proto: onnx.NodeProto) -> str:
    """Why the chip does not compute a node that has no importer, a clause."""
    what = domain_of(proto).what if is_foreign(proto) else ""
    return f"it is {what}, with no form on the chip" if what else "it has no form on the chip"


def why_unknown(proto: onnx.NodeProto, version: int) -> str:
    """Why nothing runs a node, a clause; empty where onnxruntime knows its operator.

    Args:
        proto: Of a model without functions.
        version: Of its domain, in the model.
    """
    if not is_foreign(proto) or knows_operator(proto.domain, proto.op_type, version):
        return ""
    what = domain_of(proto).what
    return (
        f"it is {what}, and onnxruntime does not have it"
        if what
        else "onnxruntime does not have it"
    )


def refuse_unknown_operators(model: onnx.ModelProto) -> None:
    """Raise EpimcError, naming them, where onnxruntime does not have operators of a model."""
    versions = {entry.domain: entry.version for entry in model.opset_import}
    own = {(function.domain, function.name) for function in model.functions}
    nodes = [*model.graph.node, *(node for function in model.functions for node in function.node)]
    unknown = [
        (node, why)
        for node in nested_nodes(nodes)
        if (node.domain, node.op_type) not in own
        and (why := why_unknown(node, versions.get(node.domain, 1)))
    ]
    if not unknown:
        return
    placed = (PlacedNode(operator_of(n), name_of(n), False, why, 0, 0) for n, why in unknown)
    hints = (domain_of(node).hint or OTHER.hint for node, _ in unknown)
    raise error(
        f"Nothing runs {counted(len(unknown), 'node')} of the model, of operators that "
        "onnxruntime does not have.",
        notes=[f"{line}." for line in reasons(placed)],
        hint=" ".join(dict.fromkeys(hints)),
    )


def with_foreign(problem: EpimcError, model: onnx.ModelProto) -> EpimcError:
    """What onnxruntime has against a model, with what its operators of other domains are.

    Args:
        problem: It may lie in them, or not.
        model: The user's.
    """
    own = {(function.domain, function.name) for function in model.functions}
    nodes = [
        node
        for node in nested_nodes(model.graph.node)
        if is_foreign(node) and (node.domain, node.op_type) not in own and domain_of(node).what
    ]
    placed = (
        PlacedNode(operator_of(n), name_of(n), False, f"it is {domain_of(n).what}", 0, 0)
        for n in nodes
    )
    hints = dict.fromkeys(domain_of(node).hint for node in nodes if domain_of(node).hint)
    return problem.with_notes(*(f"{line}." for line in reasons(placed))).with_hint(" ".join(hints))
