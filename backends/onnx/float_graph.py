"""An ONNX graph on reals in the making: what the float forms of ops are written into."""

from __future__ import annotations

from onnx import FunctionProto, ModelProto, NodeProto, helper

from epimc.backends.onnx.graph import Graph
from epimc.backends.onnx.rebuilding import WINDOW
from epimc.ir.core.attributes import Ref
from epimc.ir.core.module import Module
from epimc.ir.core.op import Op

DOMAIN = "epimc"
# The oldest that has an operator for every function that `nn.activation` knows.
FLOAT_OPSET = 20


class FloatGraph(Graph):
    """Collects nodes, initializers and functions.

    Attributes:
        functions: Those of the model, by their bodies.
        has_identity_plans: Whether every epitome so far is the weights themselves.
        fragments: What the host runs, by the names of the calls, as the graph has it.
    """

    def __init__(self, module: Module) -> None:
        """Start an empty graph for a module."""
        super().__init__(module)
        self.functions: dict[bytes, FunctionProto] = {}
        self.stored: dict[Ref, str] = {}
        self.has_identity_plans = True
        self.fragments: dict[str, ModelProto] = {}

    def require(self, domain: str, version: int) -> None:
        """Have operators of a domain as they are from a version on."""
        self.opsets[domain] = max(self.opsets.get(domain, 1), version)

    def tensor(self, op: Op, key: str, ref: Ref) -> str:
        """The initializer of a stored tensor, which all ops that reference it share."""
        if ref not in self.stored:
            name = f"{self.names[op.output]}/{key}"
            self.stored[ref] = self.constant(name, self.module.tensor(ref))
        return self.stored[ref]

    def function(self, kind: str, inputs: list[str], nodes: list[NodeProto]) -> str:
        """The name of a function with this body; equal bodies are one function."""
        body = helper.make_function(
            DOMAIN,
            kind,
            inputs,
            ["y"],
            nodes,
            [helper.make_opsetid("", FLOAT_OPSET)],
            (*WINDOW, "group") if kind == "EpitomeConv" else (),
        )
        known = self.functions.setdefault(body.SerializeToString(deterministic=True), body)
        if known is body:
            body.name = f"{kind}_{len(self.functions)}"
        return str(known.name)
