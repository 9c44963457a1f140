"""Models as a backend of ONNX runs them: compiled for the values of their parameters."""

from __future__ import annotations

import os
import shutil
import tempfile
import weakref
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from inspect import signature
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
from onnx.backend.base import BackendRep, namedtupledict

from epimc.api import compile
from epimc.compiler.options import CompileOptions
from epimc.frontend import WantedInputs, import_source
from epimc.frontend.model.constants import as_array
from epimc.frontend.model.samples_axis import keeps_samples, open_beyond
from epimc.frontend.model.shapes import real_inputs
from epimc.samples.sample_arrays import SampleData
from epimc.support.constants import checked_constants
from epimc.support.diagnostics import counted, error
from epimc.support.limits import DEFAULT_BYTES
from epimc.support.port_types import PortType
from epimc.support.shapes import shape_texts, shapes_from

if TYPE_CHECKING:
    from epimc.frontend import ImportedModel, ModelSource
    from epimc.runtime.session import Session


class PreparedModel(BackendRep):
    """A model, compiled and ready to run.

    The standard has weights and axes as inputs like any others, and a chip must know them as it is
    programmed: inputs that operators take as parameters alone are constants of the program, which
    is compiled anew when they change.  Without calibration samples, it is calibrated with the
    first values that it is run on.

    Attributes:
        model: As it was passed.
        options: Those of `epimc.compile`.
        constants: What inputs are fixed to in the program as it is, by name.
        shapes: What other inputs have as their shapes in it, where the model leaves sizes open.
        types: Of the outputs that are tensors, by name, as the model declares them: a session has
            values of some types in wider ones.
    """

    def __init__(self, model: ModelSource, options: Mapping[str, Any]) -> None:
        """Read a model.

        Raises:
            EpimcError: It is no good one, or an option of its import is wrong.
        """
        check_options(options)
        self.model, self.options = model, dict(options)
        samples = self.options.get("calibration")
        if isinstance(samples, Iterator):
            # They are read again for every program.
            samples = self.options["calibration"] = [*samples]
        self._imported: ImportedModel | None = None
        self._open: frozenset[str] = frozenset()
        self.constants: dict[str, Any] = {}
        self.shapes: dict[str, tuple[int, ...]] = {}
        self._session: Session | None = None
        if samples is not None and is_plain(model):
            # It need not be read twice.
            self._session = self.compiled(samples)
        else:
            # Where sizes are open, it is read with the first values that it is run on.
            with suppress(UnknownSizesError):
                self.read(samples)
        self.types = output_types(model)

    def read(self, samples: Any) -> ImportedModel:
        """Read the model, with open sizes as samples have them.

        Raises:
            EpimcError: It is no good one.
            UnknownSizesError: Sizes are open, and there are no samples.
        """
        shapes = shape_texts(self.options.get("shapes", ()))
        limit = self.options.get("limit_bytes", DEFAULT_BYTES)
        sizes = refuse_open if samples is None else SampleData(samples, limit).shapes
        fixed = checked_constants(self.options.get("constants"))
        wanted = WantedInputs(shapes_from(shapes), sizes, constants=fixed)
        example = self.options.get("example")
        named = import_source(self.model, example=example, limit_bytes=limit, wanted=wanted)
        self._imported = named.imported
        self._open = open_inputs(as_proto(self.model), as_parameters(named.imported))
        return named.imported

    @property
    def session(self) -> Session:
        """The program as it runs, with the interface of onnxruntime's session.

        Raises:
            EpimcError: It is compiled now, as nothing was run yet, and that fails.
        """
        if self._session is None:
            self._session = self.compiled(self.options.get("calibration"))
        return self._session

    def compiled(self, samples: Any) -> Session:
        """A program, whose bundle lies in a temporary folder that goes with it.

        Args:
            samples: To calibrate with.

        Raises:
            EpimcError: Anything wrong with the model or the options.
        """
        folder = Path(tempfile.mkdtemp(prefix="epimc-"))
        stated = shapes_from(shape_texts(self.options.get("shapes", ())))
        shapes = {**self.shapes, **stated}
        fixed = checked_constants(self.options.get("constants"))
        options = {
            **self.options,
            "constants": {**fixed, **self.constants},
            "shapes": {name: sizes for name, sizes in shapes.items() if name not in self.constants},
            "calibration": samples,
        }
        try:
            session = compile(self.model, folder / "bundle", **options)
        except BaseException:
            shutil.rmtree(folder)
            raise
        weakref.finalize(session, shutil.rmtree, folder, ignore_errors=True)
        return session

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
            EpimcError: Inputs are missing or unknown, or do not fit; or the model is compiled now,
                and that fails.
        """
        if kwargs:
            raise error(f"There is no option '{next(iter(kwargs))}' of a run.")
        self.fit(feeds := as_feeds(inputs, self.names()))
        program = self.session.bundle.program
        kinds = {port.name: port.port_type for port in program.inputs}
        samples = {
            name: as_samples(kinds[name], value) if name in kinds else value
            for name, value in feeds.items()
            if name not in self.constants
        }
        names = [port.name for port in program.outputs]
        results = self.session.run(names, samples)
        if not samples:
            # Nothing says how many samples there are: a session gives the one there is.
            results = [[result] for result in results]
        values = zip(program.outputs, results, strict=True)
        return namedtupledict("Outputs", names)(
            *(as_value(port.port_type, value, self.types.get(port.name)) for port, value in values)
        )

    def names(self) -> list[str]:
        """The names of what the model takes, in order."""
        if self._imported is not None:
            return [port.name for port in self._imported.inputs]
        fixed = checked_constants(self.options.get("constants"))
        return [name for name in input_names(self.model) if name not in fixed]

    def fit(self, feeds: Mapping[str, Any]) -> None:
        """Compile for what the model is run on, unless the program fits it as it is.

        Raises:
            EpimcError: A parameter is missing, or the compile fails.
        """
        if self._imported is None and self._session is not None:
            return
        imported = self._imported or self.read(dict(feeds))
        parameters = as_parameters(imported)
        for name in parameters:
            if name not in feeds:
                raise error(f"Input '{name}' is missing.")
        constants = {
            # A copy, as users may write new weights into the same array.
            name: as_array(feeds[name]).copy()
            for name in parameters
            if feeds[name] is not None
        }
        shapes = {name: np.shape(feeds[name]) for name in self._open if feeds.get(name) is not None}
        fits = shapes == self.shapes and same_arrays(constants, self.constants)
        if self._session is not None and fits:
            return
        samples = without(self.options.get("calibration"), constants)
        if samples is None:
            samples = {
                # Of what is no tensor, samples are a list.
                port.name: feeds[port.name] if port.port_type.is_tensor else [feeds[port.name]]
                for port in imported.inputs
                if port.name in feeds and port.name not in constants
            }
        self.constants, self.shapes, self._session = constants, shapes, None
        is_empty = isinstance(samples, (dict, list)) and not samples
        self._session = self.compiled(None if is_empty else samples)


class UnknownSizesError(Exception):
    """The sizes of inputs are open, and nothing says them yet."""


def refuse_open(inputs: Sequence[tuple[str, str]]) -> Mapping[str, Sequence[int]]:
    """Asked for the sizes of samples where there are none.

    Raises:
        UnknownSizesError: Always.
    """
    raise UnknownSizesError(f"of {len(inputs)} inputs")


def open_inputs(model: onnx.ModelProto, parameters: Sequence[str]) -> frozenset[str]:
    """The inputs whose shapes a program must know, as the model leaves sizes open.

    A number of samples may be open in the program too where each is computed by itself.

    Args:
        model: The model.
        parameters: Inputs that are none of the program.
    """
    entries = [entry for entry in real_inputs(model.graph) if entry.name not in parameters]
    if not any(open_beyond(entry, 0) for entry in entries):
        return frozenset()
    first = 1 if keeps_samples(model, parameters) else 0
    return frozenset(entry.name for entry in entries if open_beyond(entry, first))


def is_plain(model: ModelSource) -> bool:
    """Whether a model takes one input, of a shape that it states but for the number of samples."""
    try:
        proto = as_proto(model)
    except (OSError, DecodeError):
        # What is wrong with it, its import says.
        return False
    return len(real_inputs(proto.graph)) == 1 and not open_inputs(proto, ())


def check_options(options: Mapping[str, Any]) -> None:
    """Refuse wrong options before there is anything to compile for.

    Raises:
        EpimcError: A value is out of range.
        TypeError: There is no such option.
    """
    signature(compile).bind(None, "", **options)
    # The others are converted before they are such fields.
    plain = (
        *("limit_bytes", "backend", "strict"),
        *("weight_bits", "weight_granularity", "activation_bits", "activations"),
    )
    CompileOptions(**{name: options[name] for name in plain if name in options})


def as_parameters(imported: ImportedModel) -> tuple[str, ...]:
    """The inputs of a model that become constants; none where nothing else would be left."""
    tensors = {port.name for port in imported.inputs if port.port_type.is_tensor}
    names = tuple(name for name in imported.parameters if name in tensors)
    return names if len(names) < len(imported.inputs) else ()


def same_arrays(some: Mapping[str, Any], others: Mapping[str, Any]) -> bool:
    """Whether both have the same arrays, bit by bit, by the same names."""
    return some.keys() == others.keys() and all(
        array.dtype == others[name].dtype
        and array.shape == others[name].shape
        and array.tobytes() == others[name].tobytes()
        for name, array in some.items()
    )


def without(samples: Any, names: Mapping[str, Any]) -> Any:
    """Calibration samples without those of some inputs; files and arrays have none of them."""
    if isinstance(samples, Mapping):
        return {name: array for name, array in samples.items() if name not in names}
    if isinstance(samples, (list, tuple)):
        return [without(batch, names) for batch in samples]
    return samples


def output_types(model: ModelSource) -> dict[str, np.dtype[Any]]:
    """The types of a model's outputs that are tensors, by name; none of a model of PyTorch."""
    return {
        port.name: onnx.helper.tensor_dtype_to_np_dtype(port.type.tensor_type.elem_type)
        for port in as_proto(model).graph.output
        if port.type.tensor_type.elem_type
    }


def input_names(model: ModelSource) -> list[str]:
    """The names of what a model of ONNX takes, in order; none of a model of PyTorch."""
    return [entry.name for entry in real_inputs(as_proto(model).graph)]


def as_proto(model: ModelSource) -> onnx.ModelProto:
    """A model as ONNX has it, without external data; an empty one for a model of PyTorch."""
    if isinstance(model, bytes):
        model = onnx.ModelProto.FromString(model)
    elif isinstance(model, str | os.PathLike):
        model = onnx.load(model, load_external_data=False)
    return model if isinstance(model, onnx.ModelProto) else onnx.ModelProto()


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
