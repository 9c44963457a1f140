"""Which part of a model runs on the chip: in nodes, multiplications and bytes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from epimc.support.diagnostics import counted
from epimc.support.origins import place_of


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

    @property
    def place(self) -> str:
        """How messages name it."""
        return place_of(((self.op, self.name),))


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


def reasons(nodes: Iterable[PlacedNode]) -> list[str]:
    """Why nodes run on the host, a line for each kind: `Hardmax: 2 nodes, first 'y': …`."""
    kinds: dict[tuple[str, str], list[str]] = {}
    for node in nodes:
        if not node.on_chip:
            kinds.setdefault((node.op, general(node.reason)), []).append(node.name)
    return [
        f"{op}: {counted(len(names), 'node')}, first '{names[0]}': {reason}"
        for (op, reason), names in kinds.items()
    ]


def general(reason: str) -> str:
    """A reason as it is of many nodes: without the names of their tensors."""
    parts = reason.split("'")
    # What stands between quotes is the name of a tensor.
    if len(parts) < 3:
        return reason
    return "…".join(parts[::2])
