"""The plainest forms of what the driver asks a program for, and how to read them off a module.

For a backend whose programs are modules of the IR, or that has no forms of its own.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from epimc.backends.base import HostCall
from epimc.support.origins import Nodes

if TYPE_CHECKING:
    from epimc.ir.core.module import Module
    from epimc.ir.core.op import Op, Value


@dataclass(frozen=True)
class PlainTarget:
    """A chip of which there is nothing to say but its name."""

    name: str
    description: str

    def to_dict(self) -> dict[str, Any]:
        """The one key `name`, as modules carry it."""
        return {"name": self.name}

    def to_toml(self) -> str:
        """A file of one line, the name."""
        return f"name = {json.dumps(self.name, ensure_ascii=False)}\n"


@dataclass(frozen=True)
class PlainPort:
    """An input or output: its ONNX name, and its shape without the samples."""

    name: str
    shape: tuple[int, ...]


@dataclass(frozen=True)
class PlainMap:
    """A value of the integers; see `base.FeatureMap`."""

    name: str
    nodes: Nodes
    dims: tuple[int, int, int]
    bits: int = 0
    scale: float = 0.0
    zero_point: int = 0

    @property
    def is_activation(self) -> bool:
        """Whether it holds activations, and not accumulators."""
        return self.bits > 0


def ports_of(pairs: Iterable[tuple[str, Value]]) -> list[PlainPort]:
    """The inputs or outputs of a module."""
    return [PlainPort(name, value.type.shape) for name, value in pairs]


def map_of(op: Op) -> PlainMap:
    """The result of an op at level `quantized`."""
    from epimc.ir.core.types import as_map

    kind, dims = op.output.type, as_map(op.output.type.shape)
    if not kind.is_activation:
        return PlainMap(op.output.name, op.location.nodes, dims)
    quantization = kind.bits, kind.step, kind.zero_point
    return PlainMap(op.output.name, op.location.nodes, dims, *quantization)


def maps_of(module: Module) -> list[PlainMap]:
    """All integers of a module at level `quantized`, those of its inputs first."""
    from epimc.ir.core.traits import Border

    inward = [op for op in module.ops if isinstance(op, Border) and op.inward]
    return [*map(map_of, inward), *computed_maps_of(module)]


def computed_maps_of(module: Module) -> list[PlainMap]:
    """Those of them that are computed: the inputs' are given."""
    from epimc.ir.core.traits import Border

    return [map_of(op) for op in module.ops if not isinstance(op, Border)]


def host_calls_of(module: Module) -> list[HostCall]:
    """The parts of a module that the host runs."""
    from epimc.ir.core.traits import CallsHost

    calls = [op for op in module.ops if isinstance(op, CallsHost)]
    return [
        HostCall(op.output.name, tuple(value.name for value in op.operands), map_of(op))
        for op in calls
    ]
