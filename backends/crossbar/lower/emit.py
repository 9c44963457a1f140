"""Emit: a module at level `allocated` to a program."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from epimc.backends.crossbar import dialect as xbar
from epimc.backends.crossbar.core.program import AnyPort, HostPort, Port, Program
from epimc.backends.crossbar.levels import ALLOCATED, HOST_OUTPUTS, INPUT_ADDRESSES, TILES
from epimc.backends.crossbar.lower.converters import with_steps
from epimc.backends.crossbar.lower.lowering import ModuleLowering, feature_map, instruction_of
from epimc.backends.crossbar.lower.map import target_of
from epimc.backends.crossbar.lower.projection import project
from epimc.backends.crossbar.lower.roll import roll
from epimc.ir.core.module import Module
from epimc.ir.core.op import Value
from epimc.ir.verifier import expect_level


def emit(module: Module) -> Program:
    """The program of a module at level `allocated`.

    Raises:
        EpimcError: It is at another level.
    """
    expect_level(module, "A program", ALLOCATED)
    ops = [op for op in module.ops if isinstance(op, xbar.XbarOp)]
    addresses = module.attributes[INPUT_ADDRESSES]
    lowering = ModuleLowering(module)
    numbers = lowering.numbers
    inputs = [v for _, v in module.inputs]
    # In the order of the lowering's numbers: the inputs, then the results.
    maps = [feature_map(v, a) for v, a in zip(inputs, addresses, strict=True)]
    maps += [feature_map(op.output, op.off_chip, op.location.nodes) for op in ops]
    tiles, target = int(module.attributes[TILES]), target_of(module)
    opcodes = [instruction_of(op).name for op in ops]
    streams = project(ops, opcodes, maps, numbers, tiles)
    program = Program(
        chip=target.sized(tiles),
        maps=tuple(maps),
        tables=tuple(lowering.table(op) for op in ops),
        inputs=tuple(
            port(name, value, numbers, (0, value.type.host)) for name, value in module.inputs
        ),
        outputs=tuple(
            port(name, value, numbers, result)
            for (name, value), result in zip(module.outputs, host_outputs(module), strict=True)
        ),
        # Last: all that was decided about rows is in the streams, and folding changes none of it.
        streams=roll(streams),
    )
    return with_steps(program, target)


def host_outputs(module: Module) -> Sequence[tuple[int, str]]:
    """For each output which result of a host call it is, and its type."""
    stated: Sequence[tuple[int, str]] = module.attributes.get(HOST_OUTPUTS, ())
    return stated or [(0, "")] * len(module.outputs)


def port(name: str, value: Value, numbers: Mapping[Value, int], result: tuple[int, str]) -> AnyPort:
    """A graph input or output; of the host a result of a call, and its type."""
    if value.type.is_host:
        number, kind = result
        return HostPort(name, kind, numbers[value], number)
    return Port(name, value.type.shape, numbers[value], value.type.step)
