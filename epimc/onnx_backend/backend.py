"""epimc as a backend of ONNX: models run through the standard's interface, on the simulator.

import epimc

outputs = epimc.backend.prepare(model, calibration=samples).run([image])
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import onnx
from onnx.backend.base import Backend

from epimc.api import inspect
from epimc.frontend.single_node import model_of_node
from epimc.onnx_backend.prepared import PreparedModel, as_feeds
from epimc.support.diagnostics import EpimcError, error
from epimc.support.limits import DEFAULT_BYTES

if TYPE_CHECKING:
    from epimc.frontend import ModelSource

DEVICE = "CPU"


class EpimcBackend(Backend):
    """Compiles models, and runs the programs on the simulator.

    Everywhere, options are those of `epimc.compile` by their names: `calibration`, `target`,
    `epitome` and the others.  Without calibration samples, figures mean little.
    """

    @classmethod
    def is_compatible(cls, model: ModelSource, device: str = DEVICE, **options: Any) -> bool:
        """Whether the model is compiled at all; its weights are not looked at."""
        if not cls.supports_device(device):
            return False
        try:
            inspect(model, limit_bytes=options.get("limit_bytes", DEFAULT_BYTES))
        except EpimcError:
            return False
        return True

    @classmethod
    def prepare(cls, model: ModelSource, device: str = DEVICE, **options: Any) -> PreparedModel:
        """Take in a model, which is compiled for the first values that it is run on.

        Args:
            model: As `epimc.compile` takes it.
            device: `CPU`, on which the simulator runs.
            options: Those of `epimc.compile`.

        Raises:
            EpimcError: Anything wrong with the model, or there is no such device.
        """
        if not cls.supports_device(device):
            raise error(f"There is no device '{device}'.", hint=f"The simulator runs on {DEVICE}.")
        return PreparedModel(model, options)

    @classmethod
    def run_model(
        cls, model: ModelSource, inputs: Any, device: str = DEVICE, **options: Any
    ) -> tuple[Any, ...]:
        """Compile a model and run it once; arguments as of `prepare` and `PreparedModel.run`."""
        return cls.prepare(model, device, **options).run(inputs)

    @classmethod
    def run_node(
        cls,
        node: onnx.NodeProto,
        inputs: Any,
        device: str = DEVICE,
        outputs_info: Sequence[tuple[Any, tuple[int, ...]]] | None = None,
        **options: Any,
    ) -> tuple[Any, ...]:
        """Compile a model of one node and run it once.

        Args:
            node: All of its inputs are inputs of the model.
            inputs: One array for each of them, in their order.
            device: As of `prepare`.
            outputs_info: The numpy type and the shape of each result; else they are inferred.
            options: Those of `epimc.compile`, and `opset_version`; else the newest one.

        Raises:
            EpimcError: Of what `prepare` and `run` raise, or the types of results are unknown.
        """
        opset = options.pop("opset_version", None)
        arrays = as_feeds(inputs, [*dict.fromkeys(filter(None, node.input))])
        model = model_of_node(node, arrays, outputs_info, opset)
        return cls.prepare(model, device, **options).run(arrays)

    @classmethod
    def supports_device(cls, device: str) -> bool:
        """Whether there is the device: the simulator runs on the CPU alone."""
        return device.partition(":")[0] == DEVICE
