"""Small ONNX models, and their comparison with onnxruntime."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from epimc.backends.onnx.fragments import fragments_of
from epimc.frontend import ImportedModel
from epimc.ir.core.module import Module
from epimc.ir.interpreter import interpret
from epimc.ir.verifier import verify
from epimc.runtime.guard import run_model
from epimc.runtime.host import OnnxHost
from tests.helpers.strict import import_strictly

Array = NDArray[Any]
Shapes = Mapping[str, Sequence[int | str | None] | None]

# The IR version that came with an opset.
IR_VERSIONS = {7: 3, 8: 3, 9: 4, 10: 5, 11: 6, 12: 7, 13: 7, 14: 7, 15: 8, 18: 8, 20: 9, 26: 13}


def build_model(
    nodes: Sequence[onnx.NodeProto],
    inputs: Shapes | None = None,
    constants: Mapping[str, Array] | None = None,
    outputs: Sequence[str] = ("y",),
    opset: int = 13,
) -> onnx.ModelProto:
    """A model over input 'x' of shape [N, 3, 9, 8] (unless told) with output 'y'."""
    inputs = {"x": ("N", 3, 9, 8)} if inputs is None else inputs
    entries = [helper.make_tensor_value_info(k, 1, s) for k, s in inputs.items()]
    initializers = [numpy_helper.from_array(v, k) for k, v in (constants or {}).items()]
    ir_version = IR_VERSIONS[opset]
    if ir_version < 4:
        entries += [
            helper.make_tensor_value_info(t.name, t.data_type, t.dims) for t in initializers
        ]
    results = [helper.make_tensor_value_info(name, 1, None) for name in outputs]
    graph = helper.make_graph(list(nodes), "graph", entries, results, initializers)
    opsets = [helper.make_opsetid("", opset)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=ir_version)


def evaluate(module: Module, inputs: Mapping[str, Array]) -> list[Array]:
    """The outputs of a module, op by op; arrays carry a batch."""
    samples = len(next(iter(inputs.values())))
    results = interpret(module, inputs, run=run_model).values()
    # A constant is one sample that stands for all.
    return [np.broadcast_to(result, (samples, *result.shape[1:])) for result in results]


def run_reference(model: onnx.ModelProto, inputs: Mapping[str, Array]) -> list[Array]:
    """The outputs of onnxruntime, as many samples at a time as the model is fixed to, else one."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    names = [entry.name for entry in session.get_outputs()]
    count, stated = len(next(iter(inputs.values()))), session.get_inputs()[0].shape[0]
    size = stated if isinstance(stated, int) else 1
    samples = [{k: v[i : i + size] for k, v in inputs.items()} for i in range(0, count, size)]
    results = [session.run(names, sample) for sample in samples]
    return [np.concatenate(parts) for parts in zip(*results, strict=True)]


def compare_model(model: onnx.ModelProto) -> ImportedModel:
    """Import a model and check that it computes what onnxruntime computes on random inputs."""
    imported = import_strictly(model, "model")
    verify(imported.module)
    draw = np.random.default_rng(1)
    inputs = {
        port.name: draw.standard_normal((2, *(port.shape or ()))).astype(np.float32)
        for port in imported.inputs
    }
    results = evaluate(imported.module, inputs)
    expected = run_reference(model, inputs)
    assert len(results) == len(expected)
    for ours, theirs in zip(results, expected, strict=True):
        assert ours.shape == theirs.shape
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-5)
    return imported


def compare_whole_model(model: onnx.ModelProto) -> ImportedModel:
    """The same for a model of which one sample is all that it takes."""
    imported = import_strictly(model, "model")
    verify(imported.module)
    draw = np.random.default_rng(1)
    inputs = {}
    for port in imported.inputs:
        assert port.shape is not None
        assert not port.port_type.samples_first
        inputs[port.name] = draw.standard_normal((1, *port.shape)).astype(np.float32)
    host = OnnxHost(fragments_of(imported.module))
    results = interpret(imported.module, inputs, host=host)
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    names = [output.name for output in model.graph.output]
    sample = {name: array[0] for name, array in inputs.items()}
    for name, theirs in zip(names, session.run(names, sample), strict=True):
        # An axis of 1 in front may be that of the one sample.
        ours = results[name].reshape(theirs.shape)
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-5)
    return imported


@pytest.fixture
def build() -> Callable[..., onnx.ModelProto]:
    """`build_model`."""
    return build_model


@pytest.fixture
def compare() -> Callable[[onnx.ModelProto], ImportedModel]:
    """`compare_model`."""
    return compare_model


@pytest.fixture
def compare_whole() -> Callable[[onnx.ModelProto], ImportedModel]:
    """`compare_whole_model`."""
    return compare_whole_model


@pytest.fixture
def run() -> Callable[[Module, Mapping[str, Array]], list[Array]]:
    """`evaluate`."""
    return evaluate


@pytest.fixture
def reference() -> Callable[[onnx.ModelProto, Mapping[str, Array]], list[Array]]:
    """`run_reference`."""
    return run_reference
