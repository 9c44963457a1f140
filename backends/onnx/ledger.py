"""An exported integer graph against what is claimed of it, to the last node and number.

The account is closed: every claim must be in the graph just so, and whatever is in the graph must
be claimed.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from epimc.backends.forms import Claim, Constant, Tensor
from epimc.backends.onnx.fragments import Inlined, opsets_of
from epimc.backends.onnx.graph import OPSET, annotation, port, proto_of
from epimc.backends.onnx.reading import Exported, as_bytes, first_output
from epimc.support.port_types import PortType

Array = NDArray[Any]

Border = tuple[str, PortType]
"""Name and type of an input or output."""

# What is wrong beside a tensor itself is noted behind its name.
ANNOTATION, ROLE, BORDER, OPSETS = "annotation", "role", "border", "opsets"


class Ledger:
    """What was claimed of an exported graph, and what of it was wrong."""

    def __init__(self, exported: Exported) -> None:
        """Begin with nothing claimed."""
        self.exported, self.prefix = exported, exported.prefix
        self.wrong: dict[str, int] = {}
        self.claimed_constants: set[str] = set()
        self.claimed_nodes: set[str] = set()
        self.opsets = {"": OPSET}

    def take(self, claim: Claim) -> None:
        """Compare a constant or a node with what the graph has under its name."""
        if not isinstance(claim, Constant):
            self.take_node(proto_of(claim, self.prefix))
            return
        name = self.declared(claim.tensor)
        count = differing(claim, self.exported.constants.get(name))
        self.note(name, count)

    def take_node(self, node: onnx.NodeProto) -> None:
        """Compare a node, with all that it states."""
        # A forged fragment may have other nodes; the reference has none such.
        name = first_output(node) or node.name
        self.claimed_nodes.add(name)
        self.note(name, int(self.exported.nodes.get(name) != as_bytes(node)))

    def take_fragment(self, part: Inlined) -> None:
        """Compare a host call, node by node."""
        for claim in part.claims:
            self.take(claim)
        self.opsets |= part.opsets
        for node in part.nodes:
            self.take_node(node)
        for tensor, constant in part.constants.items():
            self.take_constant(tensor, constant)

    def take_constant(self, tensor: Tensor, constant: onnx.TensorProto) -> None:
        """Compare an initializer of a fragment."""
        name = self.declared(tensor)
        own = self.exported.initializers.get(name)
        same = own is not None and as_bytes(self.exported.large.complete(own)) == as_bytes(constant)
        self.note(name, int(not same))

    def declared(self, tensor: Tensor) -> str:
        """The name of a claimed initializer, which must be declared as what it is claimed."""
        name = tensor.name(self.prefix)
        self.claimed_constants.add(name)
        self.note(f"{name}/{ROLE}", int(self.exported.roles.get(name) != tensor))
        return name

    def take_borders(self, inputs: Iterable[Border], outputs: Iterable[Border]) -> None:
        """Compare the inputs and outputs, in the order of the program."""
        graph = self.exported.model.graph
        for ports, stated in ((list(inputs), graph.input), (list(outputs), graph.output)):
            expected = [as_bytes(port(name, kind)) for name, kind in ports]
            if expected != [as_bytes(entry) for entry in stated]:
                self.wrong |= {f"{name}/{BORDER}": 1 for name, _ in ports}

    def take_annotations(self, activations: Iterable[str]) -> None:
        """Compare which constants are said to hold the scales and zero points of values."""
        notes = [annotation(value, self.prefix) for value in activations]
        claimed = {note.tensor_name: as_bytes(note) for note in notes}
        stated: dict[str, bytes] = {}
        for note in self.exported.model.graph.quantization_annotation:
            stated[note.tensor_name] = stated.get(note.tensor_name, b"") + as_bytes(note)
        for name in claimed.keys() | stated.keys():
            self.note(f"{name}/{ANNOTATION}", int(claimed.get(name) != stated.get(name)))

    def close(self) -> None:
        """Note all that nobody has claimed."""
        self.note(OPSETS, int(opsets_of(self.exported.model) != self.opsets))
        # An initializer without elements is there all the same, and counts as one.
        for name, array in self.exported.constants.items():
            self.note(name, (name not in self.claimed_constants) * max(array.size, 1))
        for name in self.exported.nodes:
            self.note(name, int(name not in self.claimed_nodes))
        for name in self.exported.roles:
            self.note(f"{name}/{ROLE}", int(name not in self.exported.constants))

    def note(self, name: str, count: int) -> None:
        """Add to what is wrong with a tensor."""
        if count:
            self.wrong[name] = self.wrong.get(name, 0) + count


def differing(claim: Constant, expected: Array | None) -> int:
    """How many elements differ: all of them where there is nothing of that type and shape."""
    array = claim.array
    if expected is None or expected.dtype != np.dtype(claim.element):
        return max(array.size, 1)
    if expected.shape != array.shape:
        return max(array.size, 1)
    return int(np.count_nonzero(expected != array))
