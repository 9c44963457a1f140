"""Which part of a model runs on the chip: in nodes, multiplications and bytes."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from epimc.support.diagnostics import counted
from epimc.support.origins import elided, place_of

# So many lines and operators are told at once; JSON has every node.
MOST_KINDS, MOST_OPERATORS = 12, 6

# The chip could compute such a node.
CHEAPER_SO = "the chip could, but fewer bytes cross to the host and back so"

# What stands between quotes is the name of a tensor.
NAMED = re.compile("'([^']*)'")

# A shape, or a number that is no version.
NUMBERS = re.compile(r"\[[^\]]*\]|\b\d+\b")


@dataclass(frozen=True)
class PlacedNode:
    """Where a node of a model runs.

    Attributes:
        op: Its operator.
        name: Its own name, or that of its first result.
        on_chip: Whether the chip computes it.
        reason: Why the chip does not, a clause; empty where it does.
        macs: Multiplications by numbers of a convolution or product of matrices, for one sample.
        size: Bytes of its results as float32, for one sample.
    """

    op: str
    name: str
    on_chip: bool
    reason: str
    macs: int
    size: int


@dataclass(frozen=True)
class Placement:
    """How much of a model runs on the chip, for one sample.

    Attributes:
        nodes: Nodes of the model that are no constants.
        nodes_on_chip: Those on the chip.
        macs: Multiplications of convolutions and products of matrices.
        macs_on_chip: Those on the chip.
        result_bytes: Bytes of what all nodes compute, as float32.
        result_bytes_on_chip: Those that the chip computes.
        crossing_bytes: Bytes that go from the chip to the host and back, as float32.
    """

    nodes: int
    nodes_on_chip: int
    macs: int
    macs_on_chip: int
    result_bytes: int
    result_bytes_on_chip: int
    crossing_bytes: int

    @staticmethod
    def of(nodes: Sequence[PlacedNode], crossing_bytes: int) -> Placement:
        """Counted over the nodes of a model."""
        chip = [node for node in nodes if node.on_chip]
        return Placement(
            nodes=len(nodes),
            nodes_on_chip=len(chip),
            macs=sum(node.macs for node in nodes),
            macs_on_chip=sum(node.macs for node in chip),
            result_bytes=sum(node.size for node in nodes),
            result_bytes_on_chip=sum(node.size for node in chip),
            crossing_bytes=crossing_bytes,
        )

    def __str__(self) -> str:
        """One line: shares of multiplications, nodes and bytes."""
        macs = f"{share(self.macs_on_chip, self.macs)} of {counted(self.macs, 'MAC')}, "
        line = (
            f"on the chip: {macs if self.macs else ''}"
            f"{self.nodes_on_chip} of {counted(self.nodes, 'node')}, "
            f"{share(self.result_bytes_on_chip, self.result_bytes)} of the bytes"
        )
        if self.nodes_on_chip == self.nodes:
            return line
        return f"{line}; {self.crossing_bytes} bytes cross to the host and back"


def share(part: int, total: int) -> str:
    """A part in per cent; of nothing all of it."""
    return f"{100 * part / total:.1f} %" if total else "100.0 %"


@dataclass(frozen=True)
class Kind:
    """Nodes that run on the host for one reason.

    Attributes:
        nodes: In the order of the model, at least one.
    """

    nodes: Sequence[PlacedNode]

    @property
    def weight(self) -> tuple[bool, int, int]:
        """What is told first has more: reasons of its own, multiplications, nodes."""
        own = self.nodes[0].reason != CHEAPER_SO
        return own, sum(node.macs for node in self.nodes), len(self.nodes)

    @property
    def operators(self) -> str:
        """Their operators, in the order of the model, with counts where they are several."""
        counts = Counter(node.op for node in self.nodes)
        if len(counts) == 1:
            return next(iter(counts))
        words = [op if count == 1 else f"{op} ({count})" for op, count in counts.items()]
        if len(words) > MOST_OPERATORS:
            words[MOST_OPERATORS - 1 :] = [f"{len(words) - MOST_OPERATORS + 1} others"]
        return ", ".join(words)

    @property
    def sentence(self) -> str:
        """What is told of them, without a full stop; the reason is that of the first one."""
        first = self.nodes[0]
        reason = NAMED.sub(lambda match: f"'{elided(match[1])}'", first.reason)
        if len(self.nodes) == 1:
            return f"{place_of(((first.op, elided(first.name)),))}: {reason}"
        count = counted(len(self.nodes), "node")
        return f"{self.operators}: {count}, first '{elided(first.name)}': {reason}"


def kinds_of(nodes: Iterable[PlacedNode]) -> list[Kind]:
    """The nodes that run on the host by their reasons, the weightiest first."""
    kinds: dict[str, list[PlacedNode]] = {}
    for node in nodes:
        if not node.on_chip:
            kinds.setdefault(general(node.reason), []).append(node)
    return sorted(map(Kind, kinds.values()), key=lambda kind: kind.weight, reverse=True)


def reasons(nodes: Iterable[PlacedNode]) -> list[str]:
    """Why nodes run on the host, a line for each reason: `LRN: 2 nodes, first 'norm1': …`."""
    kinds = kinds_of(nodes)
    most = len(kinds) if len(kinds) <= MOST_KINDS else MOST_KINDS - 1
    lines = [kind.sentence for kind in kinds[:most]]
    if others := kinds[most:]:
        count = sum(len(kind.nodes) for kind in others)
        lines.append(f"{len(others)} other reasons: {counted(count, 'node')}")
    return lines


def general(reason: str) -> str:
    """A reason as it is of many nodes: without the names, shapes and sizes of their tensors."""
    return NUMBERS.sub("…", NAMED.sub("…", reason))
