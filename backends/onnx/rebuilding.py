"""Weights rebuilt from an epitome, as the nodes of an ONNX function."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from typing import Any

import onnx
from onnx import NodeProto, helper

from epimc.ir.epitome.plan import Patch, Plan, Shape

WINDOW = ("strides", "pads", "dilations")
"""The attributes of a call that its convolution takes over, besides `group`."""

# The two places of a patch that an axis of the weights has: its first element, and how many.
PLACES = ((0, 1), (2, 3))


def described(patches: Plan, weights: Shape, epitome: Shape) -> str:
    """What a viewer shows of a call."""
    sizes = ["x".join(map(str, shape)) for shape in (weights, epitome)]
    count = f"{len(patches)} patch{'es' if len(patches) > 1 else ''}"
    return f"weights {sizes[0]} from an epitome {sizes[1]} by {count}"


class Rebuilding:
    """The nodes that rebuild weights from an epitome: windows of it, concatenated.

    Blocks of equal contents are one tensor: outputs that wrap are concatenations of it.
    """

    def __init__(self, epitome: Shape, kernel: tuple[int, int]) -> None:
        self.epitome, self.kernel = epitome, kernel
        self.nodes: list[NodeProto] = []
        self.known: dict[Plan, str] = {}
        self.constants: dict[tuple[int, ...], str] = {}

    def constant(self, values: list[int]) -> str:
        """A list of integers, the same one for equal lists."""
        key = tuple(values)
        if key not in self.constants:
            self.constants[key] = self.node("Constant", [], value_ints=values)
        return self.constants[key]

    def node(self, kind: str, inputs: list[str], **attributes: Any) -> str:
        """Append a node; its result."""
        result = f"{kind.lower()}{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, inputs, [result], **attributes))
        return result

    def block(self, patches: Plan) -> str:
        """The tensor of a block of the weights that the patches tile."""
        key = moved_to_origin(patches)
        if key not in self.known:
            self.known[key] = self.window(key[0]) if len(key) == 1 else self.joined(key)
        return self.known[key]

    def joined(self, patches: Plan) -> str:
        """Several patches: concatenated along the outputs or the inputs, piece by piece."""
        for axis in (0, 1):
            pieces = list(apart(patches, axis))
            if len(pieces) > 1:
                return self.node("Concat", [self.block(piece) for piece in pieces], axis=axis)
        # Patches around a corner: cut those that cross one border, which parts the rest.
        border = min(patch.o0 + patch.on for patch in patches)
        return self.block(tuple(chain.from_iterable(cut(patch, border) for patch in patches)))

    def window(self, patch: Patch) -> str:
        """One window of the epitome."""
        firsts = (patch.eo, patch.ei, patch.dy, patch.dx)
        counts = (patch.on, patch.in_, *self.kernel)
        axes = [k for k in range(4) if counts[k] != self.epitome[k]]
        if not axes:
            return "epitome"
        bounds = ([firsts[k] for k in axes], [firsts[k] + counts[k] for k in axes], axes)
        return self.node("Slice", ["epitome", *map(self.constant, bounds)])

    @staticmethod
    def convolution(operands: list[str]) -> NodeProto:
        """The convolution, whose attributes are those of the call."""
        node = helper.make_node("Conv", operands, ["y"])
        kind = onnx.AttributeProto.INTS
        node.attribute.extend(
            onnx.AttributeProto(name=key, ref_attr_name=key, type=kind) for key in WINDOW
        )
        kind = onnx.AttributeProto.INT
        node.attribute.add(name="group", ref_attr_name="group", type=kind)
        return node

    def matmul(self, operands: list[str]) -> NodeProto:
        """The product with a vector."""
        x, weights, *bias = operands
        matrix = self.node("Flatten", [weights], axis=1)
        return helper.make_node("Gemm", [x, matrix, *bias], ["y"], transB=1)


def moved_to_origin(patches: Plan) -> Plan:
    """The patches, sorted, as those of a block of weights that begins at (0, 0)."""
    o, i = min(patch.o0 for patch in patches), min(patch.i0 for patch in patches)
    return tuple(sorted(patch._replace(o0=patch.o0 - o, i0=patch.i0 - i) for patch in patches))


def apart(patches: Plan, axis: int) -> Iterator[Plan]:
    """The patches between borders that none of them crosses, along an axis, in order."""
    first, count = PLACES[axis]
    piece: list[Patch] = []
    end = 0
    for patch in sorted(patches, key=lambda patch: patch[first]):
        if piece and patch[first] >= end:
            yield tuple(piece)
            piece = []
        piece.append(patch)
        end = max(end, patch[first] + patch[count])
    yield tuple(piece)


def cut(patch: Patch, border: int) -> Iterator[Patch]:
    """The patch, in two where the border between two outputs crosses it."""
    above = border - patch.o0
    if not 0 < above < patch.on:
        yield patch
        return
    yield patch._replace(on=above)
    yield patch._replace(o0=border, on=patch.on - above, eo=patch.eo + above)
