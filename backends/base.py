"""The one door to a backend: what the driver knows of any chip.

A backend turns the quantized IR into programs for targets, and runs, checks and describes them.
The driver (compiler, bundles, verification, command line) and the exports to ONNX know the classes
of this module alone; `registry.py` finds a backend by its name, also in other packages.

What is abstract here, every backend must say; the rest has an answer that fits a simple one.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from numpy.typing import NDArray

from epimc.backends.foreign import Door
from epimc.backends.forms import Claim, HostValue
from epimc.support.diagnostics import (
    Diagnostic,
    EpimcError,
    RefusedNodesError,
    check_failed,
    error,
    render,
)
from epimc.support.files import File
from epimc.support.origins import Nodes
from epimc.support.port_types import PortType
from epimc.support.results import Result

if TYPE_CHECKING:
    # What runs a program must not need the IR.
    from epimc.ir.core.module import Module
    from epimc.ir.epitome.plan import Plan, Shape

Array = NDArray[Any]

Arrays = dict[str, Array]
"""[samples, *shape] by name."""

Host = Callable[[str, list[Any], int], list[Any]]
"""Runs a fragment: its name, its operands, for how many samples; its results.

An operand is float32 [samples, ...], or a sequence with a value for each sample, of any type of
ONNX; a result is always such a sequence.
"""

Pages = Mapping[str, Callable[[], str]]
"""What makes the text of a page of documentation, by its path in the repository."""


class DoesNotFitError(RefusedNodesError):
    """Some ops of a module are too large for a target, whatever else it has to hold."""


class Port(Protocol):
    """An input or output of a program; its shape is that of one sample."""

    @property
    def name(self) -> str:
        """What the ONNX model calls it."""

    @property
    def shape(self) -> tuple[int, ...] | None:
        """As the model has it, without the samples; None where it depends on the data."""

    @property
    def port_type(self) -> PortType:
        """What it is: of the chip float32 tensors, of the host any type of ONNX."""


class FeatureMap(Protocol):
    """A value that a program computes, under the name that the integer reference has for it."""

    @property
    def name(self) -> str:
        """Of the IR's value."""

    @property
    def nodes(self) -> Nodes:
        """The ONNX nodes that it stands for; none for an input."""

    @property
    def dims(self) -> tuple[int, int, int]:
        """[C, H, W] of one sample."""

    @property
    def bits(self) -> int:
        """Of an activation; 0 for accumulators."""

    @property
    def scale(self) -> float:
        """The real value of one step of an activation; 0 for accumulators."""

    @property
    def zero_point(self) -> int:
        """The activation that stands for 0."""

    @property
    def is_activation(self) -> bool:
        """Whether it holds activations, and not accumulators."""


@dataclass(frozen=True)
class HostCall:
    """A part of a program that the host runs.

    Attributes:
        fragment: Names the ONNX model that it runs, and the call itself.
        operands: What it takes: activations, by the names of their maps, or values of the host.
        nodes: The ONNX nodes that it stands for.
    """

    fragment: str
    operands: tuple[str | HostValue, ...]
    nodes: Nodes = ()

    @property
    def inputs(self) -> set[str]:
        """The inputs of the model that it takes as they are."""
        values = (operand for operand in self.operands if isinstance(operand, HostValue))
        return {value.name for value in values if value.result is None}


class Target(Protocol):
    """A chip that programs are compiled for."""

    @property
    def name(self) -> str:
        """Its own, which the bundle repeats."""

    @property
    def description(self) -> str:
        """What it is, in one line; it may be empty."""

    def to_dict(self) -> dict[str, Any]:
        """The keys of its file: the attribute `target` of modules."""

    def to_toml(self) -> str:
        """The text of its file, from which the backend's `load_target` makes it again."""


class Executor(Door, ABC):
    """A program, prepared for execution."""

    @property
    def is_lossless(self) -> bool:
        """Whether it computes the integers of the reference; else its converters lose some."""
        return True

    @abstractmethod
    def run(self, inputs: Arrays, observers: Sequence[Any] = ()) -> Arrays:
        """Execute the program.

        Args:
            inputs: float32 [samples, *shape] for every input by name.
            observers: Of the backend's own kind, such as `CompiledProgram.cost_meter` gives.

        Returns:
            float32 [samples, *shape] for every output by name.

        Raises:
            EpimcError: An input is missing, unknown or of a wrong shape.
        """

    @abstractmethod
    def run_collect(self, inputs: Arrays) -> tuple[Arrays, Arrays]:
        """The outputs, and the integers [samples, C, H, W] of every map that was computed."""


@dataclass(frozen=True)
class ProgramSummary(Result):
    """What a program consists of; a backend adds the fields."""

    KIND: ClassVar[str] = "program"


@dataclass(frozen=True)
class CostSummary(Result):
    """What a sample costs as it is executed; a backend adds the fields."""

    KIND: ClassVar[str] = "costs"


@dataclass(frozen=True)
class PlanSummary(Result):
    """What layers take, counted from their shapes; a backend adds the fields.

    The last of its blocks says the totals.
    """

    KIND: ClassVar[str] = "counts"


class CompiledProgram(Door, ABC):
    """A program for a target, as the driver sees it.

    Attributes:
        backend: The name of the backend that made it.
        target: The chip.
        inputs: What it takes, in the order of the model.
        outputs: What it gives, in the order of the model.
        maps: All values that have a name in the integer reference, the inputs' among them.
        computed_maps: Those of them that the program computes: they are compared on real samples.
        host_calls: What the host runs.
        size: How large it is, in a few words, whether it is good or not.
    """

    backend: str
    target: Target
    inputs: Sequence[Port]
    outputs: Sequence[Port]
    maps: Sequence[FeatureMap]
    computed_maps: Sequence[FeatureMap]
    host_calls: Sequence[HostCall] = ()
    size: str

    @abstractmethod
    def files(self) -> Mapping[str, File]:
        """The files of a bundle from which `Backend.read` makes the program again.

        Raises:
            EpimcError: It exceeds a limit of their format.
        """

    @abstractmethod
    def executor(self, host: Host | None = None, **options: Any) -> Executor:
        """Prepare it for execution.

        Args:
            host: Runs the host calls; not needed where there are none.
            options: Those of the backend's simulator.  Each knows `batch`, how many samples to
                execute at once, on which no result depends.

        Raises:
            EpimcError: An option is unknown or wrong, or a host is missing.
        """

    def lossless_executor(self, host: Host | None = None, **options: Any) -> Executor:
        """The same program on a chip whose converters lose nothing; options as in `executor`."""
        return self.executor(host, **options)

    @property
    def is_calibrated(self) -> bool:
        """Whether something of it follows from calibration samples."""
        return False

    def calibrated(self, samples: Arrays, host: Host | None = None) -> CompiledProgram:
        """The program with what follows from samples, for every input by its name.

        Args:
            samples: At least one.
            host: Runs the host calls; not needed where there are none.
        """
        raise NotImplementedError(self.backend)

    @abstractmethod
    def claims(self) -> Iterator[Claim]:
        """All that the integer reference must be, but for what fragments are made of."""

    def problems(self) -> list[Diagnostic]:
        """What is wrong with it, as far as that can be known without running it."""
        return []

    def refuse_bad(self, what: str = "The program") -> None:
        """Raise EpimcError (exit code 1), which names all problems, unless there are none."""
        if problems := self.problems():
            notes = [render(diagnostic) for diagnostic in problems]
            raise check_failed(f"{what} does not pass its check.", notes=notes)

    def setting_mismatches(
        self, weight_bits: int, layer_bits: Mapping[str, int], activation_bits: int
    ) -> dict[str, int]:
        """What contradicts the settings that the bundle states, by name: 1 a contradiction.

        Args:
            weight_bits: Of a weight.
            layer_bits: Of the weights of layers that have their own, by the names of their results.
            activation_bits: Of an activation.
        """
        return {}

    @abstractmethod
    def describe(self) -> ProgramSummary:
        """What it consists of; the program passes its check."""

    def warnings(self) -> list[str]:
        """What whoever compiled it should know of its results, a sentence each."""
        return []

    def listing(self) -> str:
        """The program as text, for people; ends in a newline."""
        raise error(f"Backend '{self.backend}' has no listing of programs.")

    def cost_meter(self) -> Any:
        """An observer for `Executor.run` that counts what a sample costs.

        Raises:
            EpimcError: The backend counts nothing.
        """
        raise error(f"Backend '{self.backend}' does not count what a sample costs.")

    def costs(self, meter: Any) -> CostSummary:
        """What a `cost_meter` counted, layer by layer."""
        raise NotImplementedError(self.backend)


@dataclass(frozen=True)
class PlannedLayer:
    """A layer with its epitome, before anything is compiled.

    Attributes:
        name: Of its result.
        nodes: The ONNX nodes that it stands for.
        weights: [Cout, Cin / groups, Kh, Kw].
        groups: Of the convolution; 1 for a matmul.
        epitome: [groups * Eo, Ei, Eh, Ew].
        patches: The sampling plan.
        positions: Output positions of one sample.
        weight_bits: Bits of a weight, where the layer has its own.
    """

    name: str
    nodes: Nodes
    weights: Shape
    groups: int
    epitome: Shape
    patches: Plan
    positions: int
    weight_bits: int | None = None


class Backend(Door, ABC):
    """Everything that belongs to one kind of chip.

    Attributes:
        name: By which users and bundles name it.
        description: One line.
        default_target: The target where the user names none.
        files: The files of a bundle without which `read` cannot do; there may be others.
    """

    name: str
    description: str
    default_target: str
    files: tuple[str, ...]

    def load_dialect(self) -> None:
        """Register the ops and levels of the backend, so that IR with them can be read."""
        # A backend that interprets the integers has none.
        return

    @property
    def passes(self) -> Mapping[str, str]:
        """Its passes, "module:Class" by name."""
        return {}

    @property
    def pricing(self) -> str:
        """The pass that writes the attribute `bit_prices` of modules at level `epi`.

        It looks at shapes alone, at no samples.  Its options are `weight_bits`, the widths, and
        `activation_bits`.  Empty: there is none, and bits cannot be chosen layer by layer.
        """
        return ""

    def pipeline(self, target: Target) -> str:
        """The passes from level `quantized` to what `emit` takes, as text; there may be none."""
        return ""

    @abstractmethod
    def targets(self) -> list[str]:
        """The names of the targets that come with it."""

    @abstractmethod
    def load_target(self, name_or_path: str) -> Target:
        """A target by its name, or from a file.

        Raises:
            EpimcError: There is none, or the file is wrong.
        """

    @abstractmethod
    def emit(self, module: Module) -> CompiledProgram:
        """The program of a module as the pipeline leaves it.

        Raises:
            EpimcError: It is at another level.
        """

    @abstractmethod
    def read(self, files: Mapping[str, bytes], subject: str) -> CompiledProgram:
        """The program in the files of a bundle.

        Args:
            files: Those that `CompiledProgram.files` gave, by name.
            subject: Names the bundle in errors, as its folder.

        Raises:
            OtherVersionError: A file is of another version of its format.
            EpimcError: A file is wrong, or they contradict each other.
        """

    def array_rows(self, target: Target) -> int:
        """Word lines of an array, to which policies align epitomes; 1: nothing to align to."""
        return 1

    def refuse_width(self, target: Target, weight_bits: int, where: str) -> None:
        """Refuse weights that a target has not, before anything is compiled.

        Args:
            target: The chip.
            weight_bits: Of a layer's weights.
            where: The layer, in words.

        Raises:
            EpimcError: It has none of so many bits; it names what to change.
        """
        # A backend that takes every width has nothing to say.
        return

    def count(
        self, layers: Sequence[PlannedLayer], target: Target, weight_bits: int, activation_bits: int
    ) -> PlanSummary:
        """What layers take on a target, from their shapes alone.

        Args:
            layers: Those with weights.
            target: The chip.
            weight_bits: Of the layers that do not have their own.
            activation_bits: Of the inputs of all layers.

        Raises:
            EpimcError: The backend counts nothing.
        """
        raise error(f"Backend '{self.name}' does not count what layers take.")

    def assemble(self, text: str, file: str) -> bytes:
        """A program's binary form from its text.

        Raises:
            EpimcError: The text is wrong, or the backend has no such forms.
        """
        raise self.without_assembly()

    def disassemble(self, data: bytes, file: str) -> str:
        """A program's text from its binary form.

        Raises:
            EpimcError: The data is wrong, or the backend has no such forms.
        """
        raise self.without_assembly()

    def without_assembly(self) -> EpimcError:
        """The error for a backend whose programs have no text of instructions."""
        return error(f"Backend '{self.name}' has no assembly.")

    @property
    def results(self) -> Sequence[type[Result]]:
        """The classes of its summaries, for the page about JSON documents."""
        return ()

    @property
    def pages(self) -> Pages:
        """The pages of documentation that are made from its declarations."""
        return {}
