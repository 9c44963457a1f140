"""epimc as a backend of ONNX: models run through the standard's interface, on the simulator.

import epimc

outputs = epimc.backend.prepare(model, calibration=samples).run([image])
"""

from __future__ import annotations

import os
import shutil
import tempfile
import weakref
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
from onnx.backend.base import Backend, BackendRep, namedtupledict

from epimc.api import compile, inspect
from epimc.frontend.single_node import model_of_node
from epimc.support.diagnostics import EpimcError, counted, error
from epimc.support.limits import DEFAULT_BYTES
from epimc.support.port_types import PortType

if TYPE_CHECKING:
    from epimc.frontend import ModelSource
    from epimc.runtime.session import Session

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
        """Compile a model.

        Its bundle lies in a temporary folder, which goes with what is returned.

        Args:
            model: As `epimc.compile` takes it.
            device: `CPU`, on which the simulator runs.
            options: Those of `epimc.compile`.

        Raises:
            EpimcError: Anything wrong with the model or the options, or there is no such device.
        """
        if not cls.supports_device(device):
            raise error(f"There is no device '{device}'.", hint=f"The simulator runs on {DEVICE}.")
        folder = Path(tempfile.mkdtemp(prefix="epimc-"))
        try:
            session = compile(model, folder / "bundle", **options)
        except BaseException:
            shutil.rmtree(folder)
            raise
        return PreparedModel(session, folder, output_types(model))

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
        arrays = as_feeds(inputs, [name for name in node.input if name])
        model = model_of_node(node, arrays, outputs_info, opset)
        return cls.prepare(model, device, **options).run(arrays)

    @classmethod
    def supports_device(cls, device: str) -> bool:
        """Whether there is the device: the simulator runs on the CPU alone."""
        return device.partition(":")[0] == DEVICE


class PreparedModel(BackendRep):
    """A compiled model, ready to run.

    Attributes:
        session: The same with the interface of onnxruntime's session.
        types: Of the outputs that are tensors, by name, as the model declares them: a session has
            values of some types in wider ones.
    """

    def __init__(self, session: Session, folder: Path, types: Mapping[str, np.dtype[Any]]) -> None:
        """A session, the folder that goes with it, and the types of its outputs."""
        self.session, self.types = session, types
        weakref.finalize(self, shutil.rmtree, folder, ignore_errors=True)

    def run(self, inputs: Any, **kwargs: Any) -> tuple[Any, ...]:
        """Run the program once.

        Args:
            inputs: Values of the model's inputs as the model declares them: a sequence in their
                order, a mapping by their names, or the one array of a model with one input.  A
                sequence of ONNX is a list, an empty optional None.
            kwargs: As `onnx.backend.base` has it; there are none.

        Returns:
            The outputs in the order of the model, which also their names give.

        Raises:
            EpimcError: Inputs are missing or unknown, or do not fit.
        """
        if kwargs:
            raise error(f"There is no option '{next(iter(kwargs))}' of a run.")
        program = self.session.bundle.program
        kinds = {port.name: port.port_type for port in program.inputs}
        feeds = {
            name: as_samples(kinds[name], value) if name in kinds else value
            for name, value in as_feeds(inputs, [*kinds]).items()
        }
        names = [port.name for port in program.outputs]
        results = self.session.run(names, feeds)
        if not feeds:
            # Nothing says how many samples there are: a session gives the one there is.
            results = [[result] for result in results]
        values = zip(program.outputs, results, strict=True)
        return namedtupledict("Outputs", names)(
            *(as_value(port.port_type, value, self.types.get(port.name)) for port, value in values)
        )


def output_types(model: ModelSource) -> dict[str, np.dtype[Any]]:
    """The types of a model's outputs that are tensors, by name; none of a model of PyTorch."""
    if isinstance(model, bytes):
        model = onnx.ModelProto.FromString(model)
    elif isinstance(model, str | os.PathLike):
        model = onnx.load(model, load_external_data=False)
    if not isinstance(model, onnx.ModelProto):
        return {}
    return {
        port.name: onnx.helper.tensor_dtype_to_np_dtype(port.type.tensor_type.elem_type)
        for port in model.graph.output
        if port.type.tensor_type.elem_type
    }


def as_samples(kind: PortType, value: Any) -> Any:
    """What a session takes for an input: the one value that there is, or the samples in it."""
    if not kind.is_tensor:
        return [value]
    array = np.asarray(value)
    return array if kind.samples_first else array[np.newaxis]


def as_value(kind: PortType, samples: Any, dtype: np.dtype[Any] | None) -> Any:
    """The inverse, for an output of the type."""
    value = samples if kind.samples_first else samples[0]
    return np.asarray(value, dtype) if kind.is_tensor else value


def as_feeds(inputs: Any, names: Sequence[str]) -> dict[str, Any]:
    """Values of inputs by name.

    Raises:
        EpimcError: There are more or fewer than names.
    """
    if isinstance(inputs, Mapping):
        return dict(inputs)
    values: Sequence[Any] = inputs if isinstance(inputs, list | tuple) else [inputs]
    if len(values) != len(names):
        raise error(
            f"The model has {counted(len(names), 'input')}, and {len(values)} were passed.",
            hint=f"Pass a list in this order: {', '.join(names)}.",
        )
    return dict(zip(names, values, strict=True))
