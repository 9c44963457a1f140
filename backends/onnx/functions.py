"""The epitomized float model as ONNX: every epitome op is a call of a function of the model itself.

The function (domain `epimc`) rebuilds the weights from the epitome, as the plan says, and
convolves.  So onnxruntime runs the epitomized float model, viewers show what it consists of, and
the file holds no weight twice.  Tensors have the names of the IR values behind a prefix, as in
the integer export; epitomes and biases are named behind the layer, as `%VALUE/epitome`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from onnx import ModelProto, helper

from epimc.backends.forms import copied
from epimc.backends.onnx.float_graph import DOMAIN, FLOAT_OPSET, FloatGraph
from epimc.backends.onnx.fragments import fragments_of, opsets_of, read_fragment
from epimc.backends.onnx.large import LargeModel
from epimc.backends.onnx.ops import float_form
from epimc.ir.core.levels import CALIBRATED, EPI
from epimc.ir.core.module import Module
from epimc.ir.verifier import expect_level
from epimc.support.port_types import FLOAT, PortType

IDENTITY_KEY = "epimc.identity_plans"
IR_VERSION = 9


Lift = Callable[[ModelProto, int], ModelProto | None]
"""A model in another opset of ONNX's own operators; None where it has no form there."""


def export_floats(module: Module, lift: Lift | None = None) -> ModelProto:
    """The graph of a module at level `epi` or `calibrated`, in one message; as `float_model`."""
    return float_model(module, lift).message()


def float_model(module: Module, lift: Lift | None = None) -> LargeModel:
    """The graph of a module at level `epi` or `calibrated`.

    Args:
        module: To export.
        lift: What brings the host's parts to the opset of the graph; needed where there are any.

    Raises:
        EpimcError: It is at another level, or an op has no float form.
    """
    expect_level(module, "The float ONNX export", EPI, CALIBRATED)
    graph = _ModelGraph(module)
    for name, data in fragments_of(module).items():
        own = read_fragment(data, name)
        opset = max(graph.oldest, opsets_of(own).get("", 1))
        # What cannot be lifted is left as it is: the graph then has the meaning of its operators.
        graph.fragments[name] = (lift(own, opset) if lift else None) or own
    for op in module.ops:
        float_form.apply(op, graph)
    for name, value in module.outputs:
        # One tensor is an input and an output: it has one name.
        if graph.names[value] != name:
            kind = PortType.parse(value.type.host).kind if value.type.is_host else FLOAT
            operator, attributes = copied(kind)
            graph.node(operator, [graph.names[value]], name, **attributes)
    return graph.model()


def has_identity_plans(properties: Mapping[str, str]) -> bool:
    """Whether every epitome of an exported float model with these metadata is the weights."""
    return properties.get(IDENTITY_KEY) == "true"


class _ModelGraph(FloatGraph):
    """The graph of a whole model.

    Attributes:
        oldest: The opset that it has at least: where all is the host's, what that has suffices.
    """

    def __init__(self, module: Module) -> None:
        super().__init__(module)
        on_chip = any(not op.output.type.is_host for op in module.ops)
        self.oldest = FLOAT_OPSET if on_chip else 1
        # Unlike integers, floats need no op at a border: outputs are copies of values.
        self.names = {value: self.prefix + value.name for value in module.values()}
        self.names |= {value: name for name, value in module.inputs}

    def model(self) -> LargeModel:
        """The finished model, with its functions and whether all plans are identities."""
        large = super().model()
        model = large.proto
        model.ir_version = IR_VERSION
        for entry in model.opset_import:
            if not entry.domain:
                entry.version = max(self.oldest, entry.version)
                for function in self.functions.values():
                    function.opset_import[0].version = entry.version
        model.opset_import.append(helper.make_opsetid(DOMAIN, 1))
        model.functions.extend(self.functions.values())
        state = "true" if self.has_identity_plans else "false"
        model.metadata_props.add(key=IDENTITY_KEY, value=state)
        return large
