"""Design policies: which epitome and which sampling plan a layer gets.

A policy is a text: `none`, or `uniform:RxC` (the paper's, EPIM arXiv 2311.07620 section 5).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace

from epimc.ir.core.types import IrError
from epimc.ir.epitome.plan import Patch, Plan, Shape, identity

UNIFORM = re.compile(r"uniform:([1-9][0-9]{0,8})x([1-9][0-9]{0,8})")
POLICIES = ("none", "uniform:RxC")

MOST_PATCHES = 2**18
"""Of a plan that a policy makes: each becomes instructions and entries of tables."""


@dataclass(frozen=True)
class Layer:
    """What a policy knows of a layer.

    Attributes:
        weights: [Cout, Cin / groups, Kh, Kw].
        array_rows: Word lines of the target's crossbar.
        is_classifier: Whether it feeds a graph output: no two outputs may get equal weights.
        groups: Of a convolution in groups.
        names: By which a user may call it: its ONNX nodes first, its own value last.
    """

    weights: Shape
    array_rows: int
    is_classifier: bool = False
    groups: int = 1
    names: tuple[str, ...] = ()

    @property
    def value(self) -> str:
        """The name of its value."""
        return self.names[-1] if self.names else ""

    @property
    def array_channels(self) -> int:
        """Whole input channels that fit into an array; 0 when not even one does."""
        _, _, kh, kw = self.weights
        return self.array_rows // (kh * kw)


def choose(policy: str, layer: Layer) -> tuple[Shape, Plan]:
    """The epitome's shape and the plan of a layer; in groups, all groups get the same plan.

    Raises:
        IrError: There is no such policy.
    """
    if policy == "none":
        return layer.weights, identity(layer.weights)
    match = UNIFORM.fullmatch(policy)
    if not match:
        raise IrError(f"there is no policy '{policy}' (known: {', '.join(POLICIES)})")
    cout, cin, kh, kw = layer.weights
    # Each group is designed as a layer by itself: they share no inputs.
    single = replace(layer, weights=(cout // layer.groups, cin, kh, kw), groups=1)
    (eo, ei, eh, ew), plan = uniform(single, int(match[1]), int(match[2]))
    if (eo, ei, eh, ew) == single.weights:
        return layer.weights, identity(layer.weights)
    return (layer.groups * eo, ei, eh, ew), repeated(plan, layer.groups, cout // layer.groups, eo)


def repeated(plan: Plan, groups: int, outputs: int, columns: int) -> Plan:
    """The plan of one group, of so many outputs and epitome columns, for each of the groups."""
    return tuple(
        patch._replace(o0=patch.o0 + g * outputs, eo=patch.eo + g * columns)
        for g in range(groups)
        for patch in plan
    )


def uniform(layer: Layer, rows: int, columns: int) -> tuple[Shape, Plan]:
    """Epitomes of at most `rows` x `columns` crossbar cells, before bit slicing.

    Eo = min(Cout, columns); Ei = as many input channels as `rows` hold, in whole crossbars where
    one holds a channel; blocks in order, a remainder uses the first channels.  A layer that this
    would not make smaller keeps the identity, and so does a classifier whose outputs it could not
    keep apart.
    """
    cout, cin, kh, kw = layer.weights
    eo, ei = min(cout, columns), rows // (kh * kw)
    if ei > layer.array_channels > 0:
        ei -= ei % layer.array_channels
    ei = min(cin, ei)
    if ei < 1 or (eo, ei) == (cout, cin):
        return layer.weights, identity(layer.weights)
    width = ei
    # Outputs beyond Eo repeat columns: of the same windows they would be the same.
    if layer.is_classifier and cout > eo:
        width = rotating_width(layer, ei, -(-cout // eo))
        if not width:
            return layer.weights, identity(layer.weights)
    count = -(-cout // eo) * -(-cin // width)
    if count > MOST_PATCHES:
        raise IrError(
            f"the policy cuts weights {list(layer.weights)} into {count} patches, "
            f"more than {MOST_PATCHES}"
        )
    patches = list(blocks(layer.weights, (eo, ei), width))
    return (eo, ei, kh, kw), tuple(patches)


def rotating_width(layer: Layer, ei: int, turns: int) -> int:
    """Channels of an input block such that `turns` output blocks see different windows; or 0.

    Whole crossbars where that is enough.
    """
    step = layer.array_channels
    for width in (step * k for k in range(ei // step if step else 0, 0, -1)):
        if ei // width >= turns:
            return width
    return ei // turns


def blocks(weights: Shape, epitome: tuple[int, int], width: int) -> Iterator[Patch]:
    """The patches of a uniform plan: output blocks of Eo, input blocks of `width` channels.

    Where blocks are narrower than the epitome, output block k takes its windows k places further.
    """
    cout, cin, _, _ = weights
    eo, ei = epitome
    windows = ei // width
    for turn, o0 in enumerate(range(0, cout, eo)):
        for index, i0 in enumerate(range(0, cin, width)):
            window = (index + turn) % windows
            on, in_ = min(eo, cout - o0), min(width, cin - i0)
            yield Patch(o0, on, i0, in_, 0, window * width, 0, 0)
