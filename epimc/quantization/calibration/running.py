"""The values of a float module on samples, batch by batch.

A large network runs in onnxruntime: one session of the exported float model, which gives what it
computes on the way.  A small one, and one whose chip needs the host, runs in the interpreter: its
float64 sums differ between machines so far behind the bits that ranges keep that one program comes
out everywhere.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from epimc.backends.onnx.fragments import fragments_of
from epimc.backends.onnx.functions import float_model
from epimc.backends.onnx.ops import float_form
from epimc.backends.onnx.reading import prefix_of, with_outputs
from epimc.ir.core.module import Builder, Module
from epimc.ir.core.op import Array, Value
from epimc.ir.interpreter import batches, interpret
from epimc.ir.observers import report
from epimc.ir.semantics.arrays import grouped
from epimc.runtime.finite import run_finite
from epimc.runtime.guard import GuardedSession
from epimc.runtime.host import OnnxHost
from epimc.support.limits import DEFAULT_BYTES

Observe = Callable[[Value, Array], None]

# Products that the interpreter computes in some seconds.
FEW_PRODUCTS = 2**31

# Bytes of the values that one run of onnxruntime gives at once.
FETCHED = 2**27

MOST_AT_ONCE = 64

# One, so that no sum depends on the number of cores.
THREADS = 1


def run_values(
    module: Module, samples: Mapping[str, Any], observe: Observe, *, exactly: bool = False
) -> None:
    """Compute all values of a float module that the chip has, on all samples.

    Args:
        module: At level `epi` or `calibrated`.
        samples: By input name, samples first; a list for an input of the host.
        observe: Called with each value and its elements for some samples: batch by batch, in the
            order of the module, always in the same way for the same module and samples.  Values of
            the host come only where the host runs.
        exactly: Whether the interpreter computes them, however large the module is: functions that
            ONNX models state then have finite results.

    Raises:
        EpimcError: onnxruntime refuses the model, or what the host gives is something else.
    """
    count = len(next(iter(samples.values()), [None]))
    alone = None
    if not exactly and count * products(module) > FEW_PRODUCTS:
        alone = without_host(module)
    if alone is None:
        run_interpreter(module, samples, observe, count)
    else:
        own = {value.name: value for value in module.values()}
        run_session(alone, samples, lambda value, array: observe(own[value.name], array), count)


def spread(samples: Mapping[str, Any], most: int) -> dict[str, Any]:
    """At most so many of the samples, from all over them."""
    count = len(next(iter(samples.values()), [None]))
    every = max(1, -(-count // most))
    return {name: array[::every] for name, array in samples.items()}


def without_host(module: Module) -> Module | None:
    """What the chip computes, if that needs nothing of the host's and has a float form.

    A classifier's last nodes may be the host's: no range depends on them.
    """
    builder = Builder(module)
    for name, value in module.inputs:
        if not value.type.is_host:
            builder.input(name, value)
    for op in module.ops:
        if op.output.type.is_host:
            continue
        is_known = all(operand in builder.mapped for operand in op.operands)
        if not is_known or not float_form.covers(type(op)):
            return None
        builder.copy(op)
    mapped = builder.mapped
    builder.module.outputs = [(n, mapped[value]) for n, value in module.outputs if value in mapped]
    return builder.finish() if builder.module.inputs else None


def products(module: Module) -> int:
    """About how many products one sample takes."""
    total = 0
    for op in module.ops:
        shapes = (module.tensors[ref.name].type.shape for _, ref in op.tensor_refs())
        total += op.output.type.size * max((math.prod(shape[1:]) for shape in shapes), default=1)
    return total


# --- in onnxruntime


def run_session(module: Module, samples: Mapping[str, Any], observe: Observe, count: int) -> None:
    """The same of a module without host calls, in one session of onnxruntime."""
    large = float_model(module)
    prefix = prefix_of(large.proto)
    names = {op.output: prefix + op.output.name for op in module.ops}
    model = large.with_proto(with_outputs(large.proto, names.values()))
    session = GuardedSession(model, "the float model", limit_bytes=DEFAULT_BYTES, threads=THREADS)
    parts, groups = fetched(module, count)
    for done, part in enumerate(parts):
        feeds = {name: np.asarray(samples[name][part], np.float32) for name, _ in module.inputs}
        for name, value in module.inputs:
            observe(value, feeds[name])
        for group in groups:
            results = session.run([names[value] for value in group], feeds)
            for value in group:
                # Dropped one by one: what observes them takes memory of its own.
                observe(value, results.pop(0))
        report(done + 1, len(parts))


def fetched(module: Module, count: int) -> tuple[list[slice], list[list[Value]]]:
    """The samples that are run at once, and the values that a run gives at once.

    A run computes all of the network, however little it gives: so there are several runs for a
    batch only where the values of one sample are too many.
    """
    sizes = {op.output: 4 * op.output.type.size for op in module.ops}
    batch = max(1, min(MOST_AT_ONCE, FETCHED // max(sum(sizes.values()), 1)))
    parts = [slice(first, min(first + batch, count)) for first in range(0, count, batch)]
    return parts, [*grouped(sizes, FETCHED // batch)]


# --- in the interpreter


def run_interpreter(
    module: Module, samples: Mapping[str, Any], observe: Observe, count: int
) -> None:
    """The same, op by op in float64."""
    fragments = fragments_of(module)
    host = OnnxHost(fragments) if fragments else None
    parts = batches(count, module)
    # `observe` tells of what is not finite, and numpy need not.
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        for done, part in enumerate(parts):
            inputs = {name: array[part] for name, array in samples.items()}
            interpret(module, inputs, observe, host, run=run_finite)
            report(done + 1, len(parts))
