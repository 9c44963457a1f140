"""Run a module of any level on a batch, op by op: the meaning of the IR, made executable."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from epimc.ir.core.levels import COMMON
from epimc.ir.core.liveness import most_alive
from epimc.ir.core.module import Module
from epimc.ir.core.op import Array, Lookup, Op, Value
from epimc.ir.core.tensors import Tensor
from epimc.ir.core.traits import CallsHost, StatesModel
from epimc.ir.core.types import IrError, TensorType
from epimc.ir.meanings import NUMPY, meaning_of
from epimc.ir.text.printer import refused
from epimc.support.port_types import PortType, apart, joined

Observer = Callable[[Value, Array], None]


# Bytes of the values of a batch, by their types: in float64 they take up to twice as many.
LARGEST_ALIVE = 2**28

Host = Callable[[str, list[Any], int], list[Any]]
"""Runs a host call: its name, the operands, and for how many samples.

An operand is reals [samples, *shape], or a sequence with a value of any ONNX type for each sample;
a result is always such a sequence.
"""

Run = Callable[[bytes, Mapping[str, Array]], list[Array]]
"""Runs an ONNX model: the serialized model, its inputs by name, all outputs in order."""


def interpret(
    module: Module,
    inputs: Mapping[str, Array],
    observe: Observer | None = None,
    host: Host | None = None,
    meaning: str = NUMPY,
    run: Run | None = None,
) -> dict[str, Array]:
    """Evaluate all ops.

    Args:
        module: Verified IR.
        inputs: One array per module input under its ONNX name, samples first; for an input of the
            host any sequence of samples.  Without inputs there is one sample.
        observe: Called with every value, inputs included, as it becomes known.
        host: Runs the module's host calls; not needed where there are none.
        meaning: What the ops compute, and on what (`meanings.py`).
        run: Runs the ONNX models that ops state; not needed where there are none.

    Returns:
        One array per module output under its ONNX name; of the host a list with a value for each
        sample.  Behind the common levels that is a list of all results of the call.

    Raises:
        EpimcError: There is a host call or a model, but nobody to run it, or what the host gives is
            something else; or the meaning knows nothing of an op, or is unknown itself.
    """
    evaluate, known = Evaluation(module, meaning, host, inputs, run), dict[Value, Array]()
    # The last reader stands: later entries replace earlier ones.
    last = {operand: op for op in module.ops for operand in op.operands}
    kept = {value for _, value in module.outputs}
    for name, value in module.inputs:
        stated = inputs[name]
        known[value] = evaluate.load(stated, value.type)
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
    if module.level not in COMMON:
        return {name: known[value] for name, value in module.outputs}
    return {name: as_output(known[value], value.type) for name, value in module.outputs}


def as_output(result: Any, kind: TensorType) -> Any:
    """An output as users have it."""
    return joined(PortType.parse(kind.host), result) if kind.is_host else result


class Evaluation:
    """Evaluates the ops of a module on one batch."""

    def __init__(
        self,
        module: Module,
        meaning: str,
        host: Host | None,
        inputs: Mapping[str, Array],
        run: Run | None = None,
    ) -> None:
        """Prepare; the arguments are those of `interpret`."""
        self.module, self.host, self.meaning = module, host, meaning_of(meaning)
        self.run = run
        self.samples = len(next(iter(inputs.values()), [None]))

    def __call__(self, op: Op, operands: list[Any]) -> Any:
        """The result of one op."""
        try:
            return self.result(op, operands)
        except IrError as problem:
            raise refused(op, f"{op.name} cannot be evaluated: {problem}.") from None

    def result(self, op: Op, operands: list[Any]) -> Any:
        """The same; IrError where the host gives something else than the op takes."""
        if isinstance(op, CallsHost):
            return self.call(op, operands)
        if isinstance(op, StatesModel):
            return modelled(op, operands[0], self.module.tensor, self.run)
        result: Array = self.meaning.table.apply(op, operands, self.module.tensor)
        if operands:
            return result
        # One sample stands for all.
        return np.broadcast_to(result, (self.samples, *op.output.type.shape))

    def load(self, stated: Any, kind: TensorType) -> Any:
        """An input as the ops take it."""
        if not kind.is_host:
            return self.meaning.load(stated, kind)
        # Behind the common levels it is the one result of what stands for it.
        samples = apart(PortType.parse(kind.host), stated)
        return samples if self.module.level in COMMON else [samples]

    def call(self, op: CallsHost, operands: list[Any]) -> Any:
        """The results of a host call."""
        if self.host is None:
            raise refused(op, "Only a host can run this call.")
        return self.host(op.output.name, op.host_operands(operands), self.samples)


def modelled(op: StatesModel, x: Array, tensors: Lookup, run: Run | None) -> Array:
    """What the model of an op makes of each element, float64 of the shape of x.

    Args:
        op: That states the model.
        x: Numbers of any shape.
        tensors: Gives the contents of stored tensors.
        run: Runs the model.

    Raises:
        EpimcError: Nobody runs models, or this one fails.
    """
    if run is None:
        raise refused(op, "Only with onnxruntime can this function be evaluated.")
    # An infinity, if it is too large: the model computes in float32.
    with np.errstate(over="ignore"):
        numbers = x.astype(np.float32).ravel()
    results = run(tensors(op.model).tobytes(), {"x": numbers})
    if len(results) != 1 or np.shape(results[0]) != numbers.shape:
        raise refused(op, "Its model does not give one number for each element.")
    return results[0].reshape(x.shape).astype(np.float64)


def batches(count: int, module: Module, budget: int = 2**24) -> list[slice]:
    """Slices of samples small enough that a layer's windows stay near `budget` elements."""
    largest = max((op_elements(module, op) for op in module.ops), default=1)
    # Many maps may be alive at once, none of which is large.
    alive, _ = most_alive(module)
    # One sample is run whatever it takes.
    size = max(1, min(64, budget // largest, LARGEST_ALIVE // max(alive, 1)))
    return [slice(first, min(first + size, count)) for first in range(0, count, size)]


def op_elements(module: Module, op: Op) -> int:
    """Elements of the windows that an op gathers for one sample, and of its result."""
    tensors: list[Tensor] = [module.tensors[ref.name] for _, ref in op.tensor_refs()]
    fan_in = max((t.type.size // t.type.shape[0] for t in tensors), default=1)
    result = op.output.type
    if result.is_host:
        return 1
    positions = result.size // result.shape[0]
    groups = int(op.attributes.get("groups", 1))
    return positions * fan_in * groups + result.size
