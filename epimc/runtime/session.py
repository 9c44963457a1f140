"""A compiled program, ready to run, with the interface of onnxruntime's session."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from epimc.backends.base import Host, Port, ProgramSummary
from epimc.bundle.bundle import Bundle
from epimc.support.diagnostics import did_you_mean, error
from epimc.support.port_types import FLOAT, PortType
from epimc.support.sample_types import Shaped, array_of, as_type, refuse_type, samples_in_front


def host_of(bundle: Bundle) -> Host | None:
    """What runs the host calls of a bundle; None where there are none, without onnxruntime."""
    if not bundle.fragments:
        return None
    # Imported here: programs without host calls run without onnxruntime.
    from epimc.runtime.host import OnnxHost

    return OnnxHost(bundle.fragments, bundle.limit_bytes)


@dataclass(frozen=True)
class Argument:
    """An input or output of a model: its name, its shape, the samples first, and its type.

    A size that depends on the data is `?`; what is no tensor has no shape.
    """

    name: str
    shape: tuple[str | int, ...]
    type: str = "tensor(float)"


class Session:
    """A compiled program on the bundled simulator, with the interface of onnxruntime's session."""

    def __init__(self, bundle: Bundle, **options: Any) -> None:
        """Prepare a bundle for execution; the options are those of the backend's simulator."""
        self.bundle = bundle
        self.hosted = {name for call in bundle.program.host_calls for name in call.inputs}
        self.executor = bundle.program.executor(host_of(bundle), **options)

    def describe(self) -> ProgramSummary:
        """What the program consists of."""
        return self.bundle.program.describe()

    def __repr__(self) -> str:
        manifest = self.bundle.manifest
        return f"<epimc.Session of {manifest.model.name} for {manifest.target}>"

    def _repr_html_(self) -> str:
        """What a notebook shows: the program."""
        return self.describe()._repr_html_()

    def get_inputs(self) -> list[Argument]:
        """The inputs; the first dimension is the number of samples, if one sample is no whole."""
        return [argument(port) for port in self.bundle.program.inputs]

    def get_outputs(self) -> list[Argument]:
        """The outputs; their first dimension is the number of samples, as that of the inputs."""
        return [argument(port) for port in self.bundle.program.outputs]

    def run(
        self,
        output_names: Sequence[str] | None,
        feeds: Mapping[str, Any],
        observers: Sequence[Any] = (),
    ) -> list[Any]:
        """Execute the program.

        Args:
            output_names: Which outputs to give, None for all.
            feeds: [samples, ...] for each input by name, of the input's type; a list with a value
                for each sample where it is no tensor.  Of an input whose axis 0 counts no samples,
                one sample by itself will do.
            observers: Told of all that is done, such as the program's `cost_meter`.

        Returns:
            [samples, ...] for each named output; a list where samples differ in shape or are no
            tensors.  Where one sample was passed by itself, what is one sample of it.

        Raises:
            EpimcError: An unknown output, or an input that is missing or does not fit.
        """
        known = [port.name for port in self.bundle.program.outputs]
        check_names(output_names, known)
        if not isinstance(feeds, Mapping) or not all(isinstance(name, str) for name in feeds):
            raise error("Inputs must be passed as a mapping of arrays by their names.")
        types = {port.name: port.port_type for port in self.bundle.program.inputs}
        inputs, single = {}, not feeds
        for name, values in feeds.items():
            # An unknown one is named by whoever runs it.
            kind, finite = types.get(name, PortType()), name not in self.hosted
            samples, alone = as_samples(name, values, kind, finite=finite)
            inputs[name], single = samples, single or alone
        outputs = self.executor.run(inputs, observers)
        wanted = known if output_names is None else output_names
        for name in wanted:
            if not isinstance(outputs, Mapping) or name not in outputs:
                raise error(f"The program does not give the output '{name}'.")
        kinds = {port.name: port.port_type for port in self.bundle.program.outputs}
        return [
            outputs[name][0] if single and not kinds[name].samples_first else outputs[name]
            for name in wanted
        ]


def argument(port: Port) -> Argument:
    """An input or output, as onnxruntime tells of it."""
    kind = port.port_type
    sizes = ["?" if size is None else size for size in kind.dims or ()]
    return Argument(port.name, tuple(["N"] * kind.samples_first + sizes), kind.kind)


def as_samples(name: str, values: Any, kind: PortType, *, finite: bool = True) -> tuple[Any, bool]:
    """The samples of an input together, and whether it was one sample by itself.

    Args:
        name: Of the input.
        values: As users pass them.
        kind: Of the input.
        finite: Whether the chip reads it, which has neither NaN nor infinity.

    Raises:
        EpimcError: It is no array of the input's type.
    """
    if kind.kind == FLOAT and kind.samples_first:
        return as_floats(name, values, finite=finite), False
    port = Shaped(name, kind.shape or (), kind.kind, kind.samples_first, finite)
    array = array_of(values, port)
    if not kind.is_tensor:
        return array, False
    subject = f"Input '{name}'"
    refuse_type(subject, array, port)
    samples = as_type(subject, samples_in_front(subject, array, port), port)
    return samples, samples.ndim > array.ndim and array.shape == port.shape


def check_names(names: object, known: Sequence[str]) -> None:
    """Raise EpimcError unless names are a list of known outputs, or None."""
    if names is not None and (isinstance(names, str) or not isinstance(names, Iterable)):
        raise error("The outputs' names must be a list, or None for all of them.")
    for name in names or ():
        if name not in known:
            raise error(f"There is no output '{name}'.", hint=did_you_mean(str(name), known))


def as_floats(name: str, array: NDArray[Any], *, finite: bool = True) -> NDArray[np.float32]:
    """An input as float32, all of it finite where the chip reads it.

    Raises:
        EpimcError: It is no array of real numbers, or holds NaN or infinity.
    """
    try:
        values = np.asarray(array)
        if values.dtype.kind == "c":
            raise error(f"Input '{name}' is an array of complex numbers.")
        with np.errstate(over="ignore"):
            values = values.astype(np.float32, copy=False)
    except (TypeError, ValueError):
        raise error(f"Input '{name}' is no array of numbers.") from None
    if finite and not np.isfinite(values).all():
        raise error(f"Input '{name}' holds values that are not finite.")
    return values
