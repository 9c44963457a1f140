"""Run a module of any level on a batch, op by op: the meaning of the IR, made executable."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from epimc.ir.core.liveness import most_alive
from epimc.ir.core.module import Module
from epimc.ir.core.op import Array, Op, Value
from epimc.ir.core.tensors import Tensor
from epimc.ir.core.traits import CallsHost
from epimc.ir.meanings import NUMPY, meaning_of
from epimc.ir.text.printer import refused

Observer = Callable[[Value, Array], None]


# Bytes of the values of a batch, by their types: in float64 they take up to twice as many.
LARGEST_ALIVE = 2**28

Host = Callable[[str, list[Array]], Array]
"""Runs a host call: its name, the operands, the result."""


def interpret(
    module: Module,
    inputs: Mapping[str, Array],
    observe: Observer | None = None,
    host: Host | None = None,
    meaning: str = NUMPY,
) -> dict[str, Array]:
    """Evaluate all ops.

    Args:
        module: Verified IR.
        inputs: One array per module input under its ONNX name, samples first.
        observe: Called with every value, inputs included, as it becomes known.
        host: Runs the module's host calls; not needed where there are none.
        meaning: What the ops compute, and on what (`meanings.py`).

    Returns:
        One array per module output under its ONNX name.

    Raises:
        EpimcError: There is a host call, but no host; or the meaning knows nothing of an op, or is
            unknown itself.
    """
    evaluate, known = Evaluation(module, meaning, host, inputs), dict[Value, Array]()
    # The last reader stands: later entries replace earlier ones.
    last = {operand: op for op in module.ops for operand in op.operands}
    kept = {value for _, value in module.outputs}
    for name, value in module.inputs:
        known[value] = evaluate.meaning.load(inputs[name], value.type)
        if observe:
            observe(value, known[value])
    for op in module.ops:
        known[op.output] = evaluate(op, [known[operand] for operand in op.operands])
        if observe:
            observe(op.output, known[op.output])
        # Values are dropped behind their last reader: all those of a large network would not fit.
        for operand in {*op.operands} - kept:
            if last[operand] is op:
                del known[operand]
    return {name: known[value] for name, value in module.outputs}


class Evaluation:
    """Evaluates the ops of a module on one batch."""

    def __init__(
        self, module: Module, meaning: str, host: Host | None, inputs: Mapping[str, Array]
    ) -> None:
        """Prepare; the arguments are those of `interpret`."""
        self.module, self.host, self.meaning = module, host, meaning_of(meaning)
        self.samples = len(next(iter(inputs.values())))

    def __call__(self, op: Op, operands: list[Array]) -> Array:
        """The result of one op."""
        if isinstance(op, CallsHost):
            return self.call(op, operands)
        result: Array = self.meaning.table.apply(op, operands, self.module.tensor)
        if operands:
            return result
        # One sample stands for all.
        return np.broadcast_to(result, (self.samples, *op.output.type.shape))

    def call(self, op: Op, operands: list[Array]) -> Array:
        """The result of a host call."""
        if self.host is None:
            raise refused(op, "Only a host can run this call.")
        result = self.host(op.output.name, operands)
        return result.reshape(len(operands[0]), *op.output.type.shape)


def batches(count: int, module: Module, budget: int = 2**24) -> list[slice]:
    """Slices of samples small enough that a layer's windows stay near `budget` elements."""
    largest = max((_work(module, op) for op in module.ops), default=1)
    # Many maps may be alive at once, none of which is large.
    alive, _ = most_alive(module)
    # One sample is run whatever it takes.
    size = max(1, min(64, budget // largest, LARGEST_ALIVE // max(alive, 1)))
    return [slice(first, min(first + size, count)) for first in range(0, count, size)]


def _work(module: Module, op: Op) -> int:
    """Elements of the windows that an op gathers for one sample, and of its result."""
    tensors: list[Tensor] = [module.tensors[ref.name] for _, ref in op.tensor_refs()]
    fan_in = max((t.type.size // t.type.shape[0] for t in tensors), default=1)
    result = op.output.type
    positions = result.size // result.shape[0]
    groups = int(op.attributes.get("groups", 1))
    return positions * fan_in * groups + result.size
