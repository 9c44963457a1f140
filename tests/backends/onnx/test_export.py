"""The integer ONNX export: its graph, its names, and what it refuses."""

from __future__ import annotations

import numpy as np
import onnx
import pytest

from epimc.backends.forms import Claim, Constant, Tensor
from epimc.backends.forms.sums import MAXIMUM_PARTIAL_SUM
from epimc.backends.onnx.export import claims_of, export_integers, parts_of
from epimc.backends.onnx.fragments import Inlined
from epimc.backends.onnx.graph import integer_prefix
from epimc.backends.onnx.large import LargeModel
from epimc.backends.onnx.ledger import Ledger
from epimc.backends.onnx.ops import integer_form
from epimc.backends.onnx.reading import (
    parameters,
    prefix_of,
    read_exported,
    read_model,
    tensor_names,
    with_outputs,
)
from epimc.frontend import import_proto
from epimc.ir.core import tensors
from epimc.ir.core.levels import QUANTIZED
from epimc.ir.core.module import Builder, Module
from epimc.ir.core.op import ACTIVATION, Operand, Result, Value
from epimc.ir.core.registry import OPS
from epimc.ir.core.traits import Moves
from epimc.ir.core.types import Location
from epimc.ir.dialects import epi, nn
from epimc.ir.semantics.convolution import accumulator_bound
from epimc.support.diagnostics import EpimcError
from epimc.support.port_types import PortType
from tests.backends.onnx.agreement import disagreements
from tests.helpers.modules import Net, lower, quantized
from tests.helpers.onnx_networks import Network

pytestmark = pytest.mark.smoke


def network() -> tuple[Net, Module]:
    """A small network, quantized."""
    net = Net(3)
    x = net.input(3, 6, 6)
    y = net.op(nn.MaxPool, net.relu(net.conv(x, 4)), kernel=(2, 2))
    return net, quantized(net.module(net.gemm(net.flat(y), 5)))


def test_the_graph_is_a_valid_model_with_the_users_borders() -> None:
    model = export_integers(network()[1])
    onnx.checker.check_model(model, full_check=True)
    (given,), (made,) = model.graph.input, model.graph.output
    assert (given.name, made.name) == ("in0", "out0")
    assert [d.dim_param or d.dim_value for d in given.type.tensor_type.shape.dim] == ["N", 3, 6, 6]
    assert given.type.tensor_type.elem_type == onnx.TensorProto.FLOAT


def test_the_same_module_gives_the_same_bytes() -> None:
    first, second = (
        export_integers(network()[1]).SerializeToString(deterministic=True) for _ in range(2)
    )
    assert first == second
    assert read_model(first).SerializeToString(deterministic=True) == first


def test_tensors_are_named_after_the_values() -> None:
    _, module = network()
    model = export_integers(module)
    assert prefix_of(model) == "%"
    names = tensor_names(model)
    kept = {"%" + op.output.name for op in module.ops[:-1]}
    assert kept <= names
    assert [o.name for o in with_outputs(model, ["%conv0.acc"]).graph.output] == [
        "out0",
        "%conv0.acc",
    ]
    (conv,) = [op for op in module.ops if op.output.name == "conv0.acc"]
    weights = parameters(LargeModel.of(model))["%conv0.acc/weight/0"]
    assert np.array_equal(weights, conv.weights(module.tensor))  # type: ignore[attr-defined]


def test_the_prefix_meets_no_name_of_the_users() -> None:
    assert integer_prefix(["x", "y"]) == "%"
    assert integer_prefix(["%x", "y"]) == "%%"
    assert integer_prefix(["%%x", "%y"]) == "%%%"


def test_sums_beyond_int32_are_cut_into_blocks_of_channels() -> None:
    # 70,000 weights of 127 times 255 exceed 2^31.
    net = Net(0)
    flat = net.input(70_000)
    weight = net.store("w", np.ones((2, 70_000)))
    module = quantized(net.module(net.op(nn.Gemm, flat, weight=weight)))
    model = export_integers(module)
    exported = read_exported(model.SerializeToString(), "it")
    weights = [exported.constants[name] for name, t in exported.roles.items() if t.role == "weight"]
    assert len(weights) > 2
    for part in weights:
        zero = np.zeros(len(part), np.int64)
        assert accumulator_bound(part.astype(np.int64), zero, 8) <= MAXIMUM_PARTIAL_SUM
    assert sum(part.shape[1] for part in weights) == 70_000
    inputs = net.samples(2)
    inputs["in0"][:] = 1000.0
    inputs["in0"][1] = -1000.0
    assert disagreements(module, inputs) == []


def test_floats_have_no_integer_form() -> None:
    net = Net()
    module = lower(net.module(net.relu(net.conv(net.input(1, 3, 3), 1))), "fold,epitomize")
    with pytest.raises(EpimcError) as caught:
        export_integers(module)
    assert str(caught.value) == (
        "error: The integer ONNX export takes IR at level quantized, "
        "module 'net' is at level epi.\n"
        "  hint: Run the passes that lie between."
    )


def test_every_op_of_the_level_has_an_integer_form() -> None:
    legal = [op for op in OPS.values() if QUANTIZED in op.levels]
    assert len(legal) > 10
    assert [op.name for op in legal if not integer_form.covers(op)] == []


class Unknown(Moves):
    """An op that nobody has told the export of."""

    name = "toy.unknown"
    levels = frozenset({QUANTIZED})
    x = Operand(ACTIVATION)
    result = Result(ACTIVATION)


def test_an_op_without_a_form_is_named() -> None:
    _, module = network()
    x = module.ops[0].output
    module.ops.append(Unknown([x], Value("y", x.type), Location((("Toy", "t"),))))
    with pytest.raises(EpimcError) as caught:
        export_integers(module)
    assert str(caught.value) == (
        "error: Op toy.unknown has no integer form in ONNX.\n"
        "  --> node 't' (Toy)\n"
        "  hint: Register one for the class Unknown."
    )


def account(module: Module, claimed: Module) -> dict[str, int]:
    """What of the integer graph of one module is not what another one claims."""
    exported = read_exported(export_integers(module).SerializeToString(), "The graph")
    ledger = Ledger(exported)
    for claim in claims_of(claimed):
        ledger.take(claim)
    ledger.take_annotations(v.name for v in claimed.values() if v.type.is_activation)
    inputs, outputs = (
        [(n, PortType(dims=v.type.shape)) for n, v in p] for p in (claimed.inputs, claimed.outputs)
    )
    ledger.take_borders(inputs, outputs)
    ledger.close()
    return ledger.wrong


def test_a_module_claims_its_whole_graph() -> None:
    _, module = network()
    assert account(module, module) == {}


def test_what_a_module_claims_is_compared_to_the_last_number() -> None:
    (_, module), (_, other) = network(), network()
    (conv,) = (op for op in other.ops if isinstance(op, epi.Conv) and len(op.x.type.shape) == 3)
    array = other.tensor(conv.epitome).copy()
    array[0, 0, 0, 0] ^= 1
    other.tensors[conv.epitome.name] = tensors.Tensor.of(array, other.stored(conv.epitome).element)
    assert account(module, other) == {f"%{conv.output.name}/weight/0": 1}


def test_host_calls_are_parts_but_no_claims() -> None:
    net = Network({"x": (3, 4, 4)})
    model = net.model(net.node("Softmax", net.conv("x", 3, 4), axis=1))
    start = import_proto(model, "m").module
    module = lowered_with_samples(start)
    (call,) = (op for op in module.ops if op.name == "host.call")
    (part,) = (part for part in parts_of(module) if isinstance(part, Inlined))
    assert [node.op_type for node in part.nodes] == ["Softmax"]
    assert {subject(claim).value for claim in part.claims} == {call.output.name}
    claimed = [subject(claim) for claim in claims_of(module)]
    assert {tensor.role for tensor in claimed if tensor.value == call.output.name} == {"real"}


def lowered_with_samples(module: Module) -> Module:
    """An imported module at level `quantized`, calibrated on random samples."""
    builder = Builder(module)
    builder.module.inputs, builder.module.ops = module.inputs, module.ops
    builder.module.outputs = module.outputs
    samples = np.random.default_rng(0).standard_normal((4, 3, 4, 4)).astype(np.float32)
    ref = builder.store("samples", samples, "f32")
    builder.module.attributes |= {"calibration": (ref,), "passes": ()}
    return lower(builder.module, "fold,epitomize,calibrate,quantize")


def subject(claim: Claim) -> Tensor:
    """The tensor that a claim is of."""
    return claim.tensor if isinstance(claim, Constant) else claim.result


def test_what_is_no_model() -> None:
    with pytest.raises(EpimcError) as caught:
        read_model(b"\x0b\xad")
    assert str(caught.value) == "error: The integer reference of the bundle is no ONNX model."
