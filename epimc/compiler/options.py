"""The options of `compile` and `plan`, each declared once.

The command line, its help, the keywords of `epimc.compile` and what the manifest states derive from
these fields; what is an option of a pass is a field of the same class as the pass's.  Only light
modules are imported here: the command line needs the options before it does anything.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, TypeAlias

from epimc.backends import DEFAULT_BACKEND
from epimc.quantization.allocation.options import BitOptions, is_mixed, mixed_bits
from epimc.quantization.calibration.options import PERCENTILE, ObserverOptions
from epimc.quantization.equalization.options import EqualizationOptions
from epimc.quantization.rounding.options import Effort
from epimc.support.constants import constants_from
from epimc.support.diagnostics import error
from epimc.support.limits import DEFAULT_BYTES
from epimc.support.options import Option, refuse_wrong_option
from epimc.support.shapes import shapes_from

ShapeTexts: TypeAlias = Annotated[
    tuple[str, ...],
    Option("The shape of an input; may be repeated.", metavar="NAME=1x3x224x224", singular="shape"),
]
"""What `ModelOptions.shapes` is."""

ConstantTexts: TypeAlias = Annotated[
    tuple[str, ...],
    Option(
        "Fix an input, such as axes or weights; may be repeated.",
        metavar="NAME=1,2|NAME=X.npy",
        singular="constant",
    ),
]
"""What `ModelOptions.constants` is."""


@dataclass(frozen=True, kw_only=True)
class InputOptions:
    """What is said of a model's inputs where nothing else is asked for.

    Attributes:
        shapes: As in `ModelOptions`.
        constants: As in `ModelOptions`.
    """

    shapes: ShapeTexts = ()
    constants: ConstantTexts = ()


@dataclass(frozen=True, kw_only=True)
class ModelOptions:
    """What `compile` and `plan` both ask for.

    Attributes:
        target: A built-in target's name or a TOML file; None: the backend's default.
        epitome: What gives each layer its epitome: the policy `none` or `uniform:RxC`, or a TOML
            file with plans layer by layer (`ir/epitome/layer_plans.py`).
        limit_bytes: The most that the model, and the samples, may take.
        backend: The kind of chip.
        shapes: Shapes of inputs, each text as in `x=1x3x224x224`, in the place of what the model
            declares (`support/shapes.py`).
        constants: What inputs are fixed to, each text as in `axes=1,2` (`support/constants.py`).
    """

    target: Annotated[
        str | None,
        Option(
            "The chip; else the backend's default, epim-256 for crossbars.", metavar="NAME|FILE"
        ),
    ] = None
    epitome: Annotated[
        str,
        Option("Each layer's epitome: none, uniform:RxC, or a TOML file.", metavar="POLICY|FILE"),
    ] = "none"
    limit_bytes: Annotated[
        int,
        Option("The most bytes that a model, or samples, may take.", minimum=1, metavar="N"),
    ] = DEFAULT_BYTES
    backend: Annotated[str, Option("The kind of chip.", metavar="NAME")] = DEFAULT_BACKEND
    shapes: ShapeTexts = ()
    constants: ConstantTexts = ()

    def __post_init__(self) -> None:
        """Hold all options to what their fields declare.

        Raises:
            EpimcError: The first that is wrong.
        """
        refuse_wrong_option(self)
        shapes_from(self.shapes)
        constants_from(self.constants)


@dataclass(frozen=True, kw_only=True)
class CompileOptions(EqualizationOptions, ObserverOptions, BitOptions, ModelOptions):
    """All options of a compile.

    Attributes:
        calibration: An npz or npy file of samples, or a folder of images; None: seeded standard
            normal samples.
        effort: How much is done to choose the numbers well.
        strict: Whether a model that needs the host is refused.
        pass_options: Options of passes that have no name of their own here, as a pipeline has
            them, such as `quantize{weight_bits=4}`; they come last, and so are what counts.
    """

    calibration: Annotated[Path | None, Option("Samples to calibrate with.", metavar="X")] = None
    effort: Annotated[
        Effort,
        Option("How well numbers are chosen; auto: good with --calibration, else fast."),
    ] = "auto"
    strict: Annotated[bool, Option("Refuse a model that needs the host.")] = False
    pass_options: Annotated[
        tuple[str, ...],
        Option("Set options of a pass; may be repeated.", metavar="'PASS{N=4}'", flag="-O"),
    ] = ()

    def __post_init__(self) -> None:
        """Hold all options to what their fields declare.

        Raises:
            EpimcError: The first that is wrong.
        """
        super().__post_init__()
        if self.percentile is not None and self.observer != PERCENTILE:
            raise error(
                f"Wrong option: percentile = {self.percentile:g} is nothing to observer "
                f"'{self.observer}'.",
                hint="Take --observer percentile, or leave out --percentile.",
            )
        if is_mixed(self.weight_bits):
            try:
                mixed_bits(str(self.weight_bits))
            except ValueError as problem:
                raise error(f"Wrong option: weight_bits: {problem}.") from None


@dataclass(frozen=True)
class Request(CompileOptions):
    """What the user asks to compile.

    Attributes:
        model: The ONNX file; None for a model that is passed in memory.
    """

    model: Path | None


@dataclass(frozen=True, kw_only=True)
class PlanOptions(ModelOptions):
    """All options of counting; shapes can be counted at widths for which nothing is compiled.

    Attributes:
        weight_bits: Bits of a weight, 1 to 32.
        activation_bits: Bits of an activation, 1 to 32.
    """

    weight_bits: Annotated[int, Option("Bits of a weight.", minimum=1, maximum=32)] = 8
    activation_bits: Annotated[int, Option("Bits of an activation.", minimum=1, maximum=32)] = 8


@dataclass(frozen=True)
class PlanRequest(PlanOptions):
    """What the user asks to count.

    Attributes:
        model: The ONNX file; None for a model that is passed in memory.
    """

    model: Path | None
