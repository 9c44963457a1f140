"""How a module at level `quantized` names what its host calls take, as programs and proofs do."""

from __future__ import annotations

from collections.abc import Mapping

from epimc.backends.forms import HostValue
from epimc.ir.core.op import Op, Value
from epimc.ir.core.traits import Border, FromHost, PicksResult

Makers = Mapping[Value, Op]
"""The op of each value that is no input."""


def host_value(value: Value, makers: Makers, ports: Mapping[Value, str]) -> HostValue:
    """A value of the host: a result of a call, or an input of the module by its ONNX name."""
    maker = makers.get(value)
    if isinstance(maker, PicksResult):
        return HostValue(maker.operands[0].name, maker.index)
    if isinstance(maker, FromHost):
        return host_value(maker.operands[0], makers, ports)
    return HostValue(ports[value])


def host_operands(
    op: Op, makers: Makers, ports: Mapping[Value, str]
) -> tuple[str | HostValue, ...]:
    """What a call takes: activations by name, or values of the host."""
    operands: list[str | HostValue] = []
    for operand in op.operands:
        maker = makers.get(operand)
        if isinstance(maker, Border) and not maker.inward:
            operands.append(maker.operands[0].name)
        else:
            operands.append(host_value(operand, makers, ports))
    return tuple(operands)
