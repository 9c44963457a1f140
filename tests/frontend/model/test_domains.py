"""Operators of other domains: what they are is told, and those that nothing runs are refused."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnx.helper import make_node

from epimc.compiler.compiler import compile_model
from epimc.compiler.memory import InMemory
from epimc.compiler.options import Request
from epimc.frontend.importer import import_proto
from epimc.frontend.model.domains import KNOWN, domain_of, refuse_unknown_operators
from epimc.frontend.model.installed import knows_operator
from epimc.support.diagnostics import EpimcError

QONNX = "qonnx.custom_op.general"
MATRIX = np.ones((4, 3), np.float32)


def model_of(
    nodes: Sequence[onnx.NodeProto], functions: Sequence[onnx.FunctionProto] = ()
) -> onnx.ModelProto:
    """A model of x [N, 4] and y, with weights and a scale, zero point and bits."""
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 4])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, None)
    constants = {"w": MATRIX, "s": np.float32(0.1), "z": np.float32(0), "b": np.float32(4)}
    stored = [numpy_helper.from_array(np.asarray(a), name) for name, a in constants.items()]
    graph = helper.make_graph(nodes, "g", [x], [y], stored)
    domains = sorted({node.domain for node in nodes if node.domain})
    opsets = [helper.make_opsetid("", 17), *(helper.make_opsetid(name, 1) for name in domains)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=8, functions=functions)


def quantized(domain: str) -> onnx.ModelProto:
    """A layer with quantized weights and results."""
    return model_of(
        [
            make_node("Quant", ["w", "s", "z", "b"], ["q"], "weights", domain=domain, signed=1),
            make_node("MatMul", ["x", "q"], ["m"], "m"),
            make_node("Quant", ["m", "s", "z", "b"], ["y"], "results", domain=domain, signed=1),
        ]
    )


def refusal(model: onnx.ModelProto) -> list[str]:
    """The lines of the error of a compile."""
    with pytest.raises(EpimcError) as caught:
        compile_model(Request(None), memory=InMemory(model=model))
    assert caught.value.exit_code == 2
    return str(caught.value).splitlines()


@pytest.mark.parametrize("domain", [QONNX, "onnx.brevitas"])
def test_qonnx_is_named(domain: str) -> None:
    assert refusal(quantized(domain)) == [
        "error: Nothing runs 2 nodes of the model, of operators that onnxruntime does not have.",
        f"  note: {domain}.Quant: 2 nodes, first 'weights': it is an operator of QONNX, as "
        "Brevitas, FINN and QKeras write it, and onnxruntime does not have it.",
        "  hint: Convert the model to QuantizeLinear and DequantizeLinear with QONNX's own tool: "
        "`qonnx-convert`, of the package qonnx.",
    ]


def test_the_import_tells_the_same() -> None:
    reasons = {node.name: node.reason for node in import_proto(quantized(QONNX), "m").nodes}
    assert reasons["weights"] == reasons["results"]
    assert reasons["weights"].startswith("it is an operator of QONNX")


def test_unknown_domains_are_named() -> None:
    assert refusal(model_of([make_node("Foo", ["x"], ["y"], "foo", domain="com.example")])) == [
        "error: Nothing runs 1 node of the model, of operators that onnxruntime does not have.",
        "  note: node 'foo' (com.example.Foo): onnxruntime does not have it.",
        "  hint: Export the model with operators of ONNX, or of onnxruntime, alone.",
    ]


def test_several_domains_have_their_hints() -> None:
    nodes = [
        make_node("Quant", ["x", "s", "z", "b"], ["q"], "q", domain=QONNX),
        make_node("BipolarQuant", ["q", "s"], ["r"], "r", domain=QONNX),
        make_node("Foo", ["r"], ["y"], "t", domain="com.example"),
    ]
    *_, hint = refusal(model_of(nodes))
    assert hint.count("qonnx-convert") == 1
    assert hint.endswith("Export the model with operators of ONNX, or of onnxruntime, alone.")


def test_onnxruntimes_own_operators_run_on_the_host() -> None:
    model = model_of([make_node("FusedMatMul", ["x", "w"], ["y"], "f", domain="com.microsoft")])
    refuse_unknown_operators(model)
    (node,) = import_proto(model, "m").nodes
    assert node.reason == "it is an operator of onnxruntime's own, with no form on the chip"
    bundle = compile_model(Request(None), memory=InMemory(model=model))
    assert len(bundle.fragments) == 1


def test_operators_for_one_machine_are_named_where_onnxruntime_refuses_them() -> None:
    node = make_node("Conv", ["x", "w"], ["y"], "c", domain="com.ms.internal.nhwc")
    model = model_of([node])
    model.opset_import[1].version = 17
    lines = refusal(model)
    assert any("it is an operator that onnxruntime makes for one kind of" in line for line in lines)
    assert lines[-1].endswith("as it was before onnxruntime optimized and saved it.")


def test_functions_of_the_model_are_its_own() -> None:
    body = [make_node("Relu", ["a"], ["b"])]
    opsets = [helper.make_opsetid("", 17)]
    function = helper.make_function("com.example", "Own", ["a"], ["b"], body, opsets)
    model = model_of([make_node("Own", ["x"], ["y"], domain="com.example")], [function])
    refuse_unknown_operators(model)
    assert all(node.on_chip for node in import_proto(model, "m").nodes)


def test_what_onnxruntime_has() -> None:
    assert knows_operator("com.microsoft", "FusedMatMul", 1)
    assert knows_operator("ai.onnx.ml", "Scaler", 3)
    assert not knows_operator("com.microsoft", "NoSuchOperator", 1)
    assert not knows_operator("com.example", "Foo", 1)


@pytest.mark.smoke
def test_every_domain_is_reached() -> None:
    reached = {domain_of(make_node("Op", [], ["y"], domain=each.prefix)) for each in KNOWN}
    assert reached == {*KNOWN}
