"""The Python interface: `epimc.compile` and `epimc.load`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from epimc.backends.crossbar.bundle.bundle import Bundle, check_output, read_bundle, write_bundle
from epimc.backends.crossbar.sim.simulator import HostRunner, Simulator
from epimc.support.diagnostics import did_you_mean, error

if TYPE_CHECKING:
    from epimc.backends.crossbar.isa.execution import Observer
    from epimc.compiler.compiler import Request, Watcher
    from epimc.ir.core.module import Module


def host_of(bundle: Bundle) -> HostRunner | None:
    """What runs the host calls of a bundle; None where there are none, without onnxruntime."""
    if not bundle.fragments:
        return None
    from epimc.runtime.host import OnnxHost

    return OnnxHost(bundle.fragments)


@dataclass(frozen=True)
class Argument:
    """An input or output of a model: its name, and its shape with the samples first."""

    name: str
    shape: tuple[str | int, ...]
    type: str = "tensor(float)"


class Session:
    """A compiled program on the bundled simulator, with the interface of onnxruntime's session."""

    def __init__(self, bundle: Bundle, *, path: str = "auto", engine: str = "bytes") -> None:
        """Prepare a bundle for execution; `path` and `engine` as in `Simulator`."""
        self.bundle = bundle
        self.simulator = Simulator(bundle.program, path=path, host=host_of(bundle), engine=engine)

    def get_inputs(self) -> list[Argument]:
        """The inputs; their first dimension is the number of samples."""
        return [Argument(p.name, ("N", *p.shape)) for p in self.bundle.program.inputs]

    def get_outputs(self) -> list[Argument]:
        """The outputs; their first dimension is the number of samples."""
        return [Argument(p.name, ("N", *p.shape)) for p in self.bundle.program.outputs]

    def run(
        self,
        output_names: Sequence[str] | None,
        feeds: Mapping[str, NDArray[Any]],
        observers: Sequence[Observer] = (),
    ) -> list[NDArray[np.float32]]:
        """Execute the program.

        Args:
            output_names: Which outputs to give, None for all.
            feeds: float32 [samples, ...] for each input by name.
            observers: Told of all that is done, such as `Counters` of what a sample costs.

        Returns:
            float32 [samples, ...] for each named output.

        Raises:
            EpimcError: An unknown output, or an input that is missing or does not fit.
        """
        known = [port.name for port in self.bundle.program.outputs]
        for name in output_names or ():
            if name not in known:
                raise error(f"There is no output '{name}'.", hint=did_you_mean(name, known))
        inputs = {name: as_floats(name, array) for name, array in feeds.items()}
        outputs = self.simulator.run(inputs, observers)
        return [outputs[name] for name in (known if output_names is None else output_names)]


def as_floats(name: str, array: NDArray[Any]) -> NDArray[np.float32]:
    """An input as float32, all of it finite.

    Raises:
        EpimcError: It is no array of numbers, or holds NaN or infinity.
    """
    try:
        values = np.asarray(array, np.float32)
    except (TypeError, ValueError):
        raise error(f"Input '{name}' is no array of numbers.") from None
    if not np.isfinite(values).all():
        raise error(f"Input '{name}' holds values that are not finite.")
    return values


def compile(  # The name is the interface, as in `re.compile`.
    model: str | Path,
    output: str | Path,
    *,
    target: str | Path = "epim-256",
    weight_bits: int = 8,
    activation_bits: int = 8,
    calibration: str | Path | None = None,
    epitome: str | Path = "none",
    dump_ir: str | Path | None = None,
    strict: bool = False,
) -> Session:
    """Compile an ONNX model to a bundle and load it.

    Args:
        model: The ONNX file.
        output: The bundle's folder; an existing bundle is replaced.
        target: A built-in target's name or a TOML file.
        weight_bits: Bits of a weight, 2 to 8.
        activation_bits: Bits of an activation, 4 to 8.
        calibration: An npz file with one array per model input, samples first; without it,
            seeded standard normal samples are used and figures mean little.
        epitome: What gives each layer its epitome: the policy `none` or `uniform:RxC`, or a TOML
            file with plans layer by layer.
        dump_ir: A folder for the IR after every stage, beside the copy in the bundle.
        strict: Refuse a model that needs the host.

    Raises:
        EpimcError: Anything wrong with the arguments, the model or the samples.
    """
    from epimc.compiler.compiler import Request, Watcher

    samples = None if calibration is None else Path(calibration)
    request = Request(
        Path(model),
        str(target),
        weight_bits,
        activation_bits,
        samples,
        str(epitome),
        strict=strict,
    )
    dumped = None if dump_ir is None else Path(dump_ir)
    return Session(build(request, Path(output), dumped, Watcher()))


def build(request: Request, output: Path, dump_ir: Path | None, watcher: Watcher) -> Bundle:
    """Compile a request and write the bundle, and the IR dumps where they are asked for."""
    from epimc.compiler.compiler import Watcher, compile_model
    from epimc.compiler.dumps import Dumps, check_folder

    check_output(output)
    if dump_ir is not None:
        check_folder(dump_ir)
    dumps = Dumps()

    def dump(number: int, name: str, module: Module) -> None:
        watcher.dump(number, name, module)
        dumps.add(number, name, module)

    bundle = compile_model(request, Watcher(watcher.stage, dump, watcher.timed))
    extra = {f"ir/{name}": file for name, file in dumps.files()}
    bundle = replace(bundle, extra_files={**bundle.extra_files, **extra})
    write_bundle(output, bundle)
    if dump_ir is not None:
        dumps.write(dump_ir)
    return replace(bundle, extra_files={}, folder=output)


def load(folder: str | Path, *, path: str = "auto", engine: str = "bytes") -> Session:
    """Load a bundle.

    Args:
        folder: The bundle's folder.
        path: How crossbars compute, as in `Simulator`.
        engine: What executes instructions, as in `Simulator`.

    Raises:
        EpimcError: It is no bundle, a file does not match its checksum, or there is no such path
            or engine.
    """
    return Session(read_bundle(Path(folder)), path=path, engine=engine)
