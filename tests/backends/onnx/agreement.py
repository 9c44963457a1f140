"""A quantized module in onnxruntime beside the interpreter: every tensor, element for element."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from epimc.backends.onnx.export import export_integers
from epimc.backends.onnx.reading import prefix_of, with_outputs
from epimc.ir.core.module import Module
from epimc.ir.core.op import Value
from epimc.ir.core.types import as_map
from epimc.ir.interpreter import interpret

Array = NDArray[Any]

LEVELS = (
    onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL,
    onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL,
)


def run_onnx(
    model: bytes, inputs: dict[str, Array], level: onnxruntime.GraphOptimizationLevel
) -> dict[str, Array]:
    """All outputs of a model by name."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.graph_optimization_level = level
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, inputs), strict=True))


def interpreted(module: Module, inputs: dict[str, Array]) -> dict[str, Array]:
    """Every value that the interpreter computes, by the value's name."""
    seen: dict[str, Array] = {}

    def observe(value: Value, array: Array) -> None:
        seen[value.name] = array

    interpret(module, inputs, observe)
    return seen


def disagreements(module: Module, inputs: dict[str, Array]) -> list[str]:
    """The values whose integers differ from onnxruntime's, at any level of its optimizations."""
    model = export_integers(module)
    prefix, outputs = prefix_of(model), {value: name for name, value in module.outputs}
    names = {op.output: outputs.get(op.output, prefix + op.output.name) for op in module.ops}
    ours = interpreted(module, inputs)
    watched = with_outputs(model, names.values()).SerializeToString()
    wrong: list[str] = []
    for level, graph in ((LEVELS[0], watched), (LEVELS[1], watched),
                         (LEVELS[1], model.SerializeToString())):  # fmt: skip
        theirs = run_onnx(graph, inputs, level)
        for value, name in names.items():
            if name in theirs and not same(ours[value.name], theirs[name]):
                wrong.append(f"{value.name} at {level.name}")
    return wrong


def same(ours: Array, theirs: Array) -> bool:
    """Equal elements, and equal shapes where the value is an output: all others are maps."""
    shape = ours.shape if theirs.dtype.kind == "f" else (len(ours), *as_map(ours.shape[1:]))
    return shape == theirs.shape and bool(np.array_equal(ours.ravel(), theirs.ravel()))
