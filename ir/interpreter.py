"""Run a module of any level on a batch, op by op: the meaning of the IR, made executable."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from epimc.ir.core.module import Array, Module, Op, Value
from epimc.ir.core.tensors import Tensor
from epimc.ir.dialects import moves
from epimc.ir.dialects.epi import HostCall
from epimc.ir.text.printer import refused

Observer = Callable[[Value, Array], None]


Host = Callable[[str, list[Array]], Array]
"""Runs a host call: its name, the operands, the result."""


def interpret(
    module: Module,
    inputs: Mapping[str, Array],
    observe: Observer | None = None,
    host: Host | None = None,
) -> dict[str, Array]:
    """Evaluate all ops.

    Args:
        module: Verified IR.
        inputs: One array per module input under its ONNX name, samples first.
        observe: Called with every value, inputs included, as it becomes known.
        host: Runs the module's host calls; not needed where there are none.

    Returns:
        One array per module output under its ONNX name.

    Raises:
        EpimcError: There is a host call, but no host.
    """
    known: dict[Value, Array] = {}
    last = {operand: op for op in module.ops for operand in op.operands}
    kept = {value for _, value in module.outputs}
    samples = len(next(iter(inputs.values())))
    for name, value in module.inputs:
        array = np.asarray(inputs[name])
        known[value] = array.astype(np.float64) if value.type.element == "f32" else array
        if observe:
            observe(value, known[value])
    for op in module.ops:
        operands = [known[operand] for operand in op.operands]
        known[op.output] = evaluate(op, operands, module, host, samples)
        if observe:
            observe(op.output, known[op.output])
        for operand in {*op.operands} - kept:
            if last[operand] is op:
                del known[operand]
    return {name: known[value] for name, value in module.outputs}


def evaluate(
    op: Op, operands: list[Array], module: Module, host: Host | None, samples: int
) -> Array:
    """The result of one op, for so many samples."""
    if isinstance(op, moves.Constant):
        return np.broadcast_to(op.evaluate([], module.tensor), (samples, *op.output.type.shape))
    if not isinstance(op, HostCall):
        return op.evaluate(operands, module.tensor)
    if host is None:
        raise refused(op, "Only a host can run this call.")
    return host(op.output.name, operands).reshape(len(operands[0]), *op.output.type.shape)


def batches(count: int, module: Module, budget: int = 2**24) -> list[slice]:
    """Slices of samples small enough that a layer's windows stay near `budget` elements."""
    largest = max((_work(module, op) for op in module.ops), default=1)
    size = max(1, min(64, budget // largest))
    return [slice(first, min(first + size, count)) for first in range(0, count, size)]


def _work(module: Module, op: Op) -> int:
    """Elements of the windows that an op gathers for one sample, and of its result."""
    tensors: list[Tensor] = [module.tensors[ref.name] for _, ref in op.tensor_refs()]
    fan_in = max((t.type.size // t.type.shape[0] for t in tensors), default=1)
    result = op.output.type
    positions = result.size // result.shape[0]
    groups = int(op.attributes.get("groups", 1))
    return positions * fan_in * groups + result.size
