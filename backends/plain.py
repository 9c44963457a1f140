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
from epimc.support.port_types import PortType

if TYPE_CHECKING:
    from epimc.ir.core.module import Module
    from epimc.ir.core.op import Op, Value
    from epimc.ir.core.types import TensorType


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
    """An input or output: its ONNX name, and its type."""

    name: str
    port_type: PortType

    @property
    def shape(self) -> tuple[int, ...] | None:
        """Without the samples; None where it depends on the data."""
        return self.port_type.shape


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
    return [PlainPort(name, port_type_of(value.type)) for name, value in pairs]


def port_type_of(kind: TensorType) -> PortType:
    """What an input or output is."""
    return PortType.parse(kind.host) if kind.is_host else PortType(dims=kind.shape)


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

    inputs = {value for _, value in module.inputs}
    inward = [op for op in module.ops if isinstance(op, Border) and op.operands[0] in inputs]
    return [*map(map_of, inward), *computed_maps_of(module)]


def computed_maps_of(module: Module) -> list[PlainMap]:
    """Those of them that are computed: the inputs' are there."""
    from epimc.ir.core.traits import Border

    inputs = {value for _, value in module.inputs}

    return [
        map_of(op)
        for op in module.ops
        if op.output.type.is_activation or op.output.type.element == "i64"
        if not (isinstance(op, Border) and op.operands[0] in inputs)
    ]


def host_calls_of(module: Module) -> list[HostCall]:
    """The parts of a module that the host runs."""
    from epimc.backends.host_values import host_operands
    from epimc.ir.core.traits import CallsHost

    calls = [op for op in module.ops if isinstance(op, CallsHost)]
    makers, ports = module.producers(), {value: name for name, value in module.inputs}
    return [
        HostCall(op.output.name, host_operands(op, makers, ports), op.location.nodes)
        for op in calls
    ]
