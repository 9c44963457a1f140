"""What is checked of a model as a whole, before anything of it is used."""

from __future__ import annotations

import onnx

from epimc.frontend.model.external import external_tensors
from epimc.frontend.model.inputs import refuse_open_sizes, refuse_unknown_types
from epimc.frontend.model.standard import check_versions, short
from epimc.support.diagnostics import error


def check_model(model: onnx.ModelProto, newest_opset: int | None = None) -> None:
    """Check versions and inputs, and let the ONNX checker judge the rest.

    External data is not looked at.

    Args:
        model: As parsed.
        newest_opset: The newest opset of the default domain to accept, where that is not the newest
            which onnxruntime runs.

    Raises:
        EpimcError: Of the first that is wrong.
    """
    check_versions(model, newest_opset)
    # The checker refuses some of the same inputs, in words that name neither input nor remedy.
    refuse_unknown_types(model.graph)
    refuse_open_sizes(model.graph)
    try:
        onnx.checker.check_model(_for_checker(model))
    except onnx.checker.ValidationError as problem:
        raise error(
            "The model is not valid ONNX.",
            notes=[short(str(problem))],
            hint="Export the model again; onnx.checker.check_model says the same.",
        ) from None


def _for_checker(model: onnx.ModelProto) -> onnx.ModelProto:
    """The model, or a copy without what the checker minds and we do not.

    That is external data, for which it would open files, and outputs without a shape.
    """
    shapeless = any(not _has_shape(output) for output in model.graph.output)
    if not shapeless and not any(external_tensors(model)):
        return model
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    for tensor in list(external_tensors(copy)):
        tensor.ClearField("data_location")
        tensor.ClearField("external_data")
        tensor.dims[:] = [0]
    for output in copy.graph.output:
        if not _has_shape(output):
            output.type.tensor_type.shape.SetInParent()
    return copy


def _has_shape(output: onnx.ValueInfoProto) -> bool:
    tensor = output.type.HasField("tensor_type")
    return not tensor or output.type.tensor_type.HasField("shape")
