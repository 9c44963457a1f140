"""The bar: the suite through onnxruntime as it is.

onnxruntime passes tensors that numpy has no type for, as those of bfloat16, only as objects of its
own; they are made and read here, so that no test is left out because of how Python passes it.
"""

from __future__ import annotations

import ctypes
from collections.abc import Mapping
from typing import Any

import numpy as np
import onnx
import onnxruntime
from onnx import numpy_helper

from tests.conformance.suite import Value


class Baseline:
    """A model in onnxruntime, with its defaults.

    Attributes:
        outputs: Their names, in the order of the model.
    """

    def __init__(self, model: onnx.ModelProto) -> None:
        """Load it; onnxruntime raises what it likes."""
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 4
        self.session = onnxruntime.InferenceSession(
            model.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )
        self.outputs = [port.name for port in model.graph.output]
        self.plain = not any(
            is_special(port.type.tensor_type.elem_type)
            for port in (*model.graph.input, *model.graph.output)
        )

    def run(self, inputs: Mapping[str, Value]) -> dict[str, Value]:
        """The outputs by name."""
        if self.plain:
            values = self.session.run(self.outputs, dict(inputs))
        else:
            passed = {name: Passed(value) for name, value in inputs.items()}
            results = self.session.run_with_ort_values(
                self.outputs, {name: each.value for name, each in passed.items()}
            )
            values = list(map(taken, results))
        return dict(zip(self.outputs, values, strict=True))


def is_special(elements: int) -> bool:
    """Whether numpy itself has no such type."""
    if elements in (onnx.TensorProto.UNDEFINED, onnx.TensorProto.STRING):
        return False
    return onnx.helper.tensor_dtype_to_np_dtype(elements).isbuiltin != 1


class Passed:
    """An array as an object of onnxruntime.

    Attributes:
        value: The object, which has no copy of the array's bytes.
    """

    def __init__(self, array: Value) -> None:
        """Any array; elements of less than a byte are packed, as ONNX packs them."""
        tensor = numpy_helper.from_array(np.asarray(array))
        data = np.frombuffer(tensor.raw_data, np.uint8)
        # Its shape is what onnxruntime asks of the buffer; it may be longer than what is packed.
        itemsize = np.asarray(array).itemsize
        self.buffer = np.zeros(array.shape, np.dtype(f"u{itemsize}"))
        self.buffer.reshape(-1).view(np.uint8)[: data.size] = data
        self.value = onnxruntime.OrtValue.ortvalue_from_numpy_with_onnx_type(
            self.buffer, tensor.data_type
        )


def taken(value: onnxruntime.OrtValue) -> Any:
    """The array of an object of onnxruntime."""
    data = ctypes.string_at(value.data_ptr(), value.tensor_size_in_bytes())
    elements, shape = value.element_type(), value.shape()
    return numpy_helper.to_array(onnx.TensorProto(data_type=elements, dims=shape, raw_data=data))
