"""The options of `evaluate`, each declared once; nothing heavy is imported here."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from epimc.support.diagnostics import did_you_mean, error
from epimc.support.options import Option, refuse_wrong_option

MODELS = ("float", "epitomized", "integers", "program")
"""What can be evaluated, in the order of reports."""

FLOAT, PROGRAM = MODELS[0], MODELS[-1]

Integers = Literal["simulator", "onnxruntime"]


@dataclass(frozen=True)
class Model:
    """One thing that is evaluated.

    Attributes:
        name: One of MODELS.
        adc_bits: Of a program in the place of its target's; None: those.
    """

    name: str
    adc_bits: int | None = None

    @property
    def key(self) -> str:
        """What records call it, as `program:6`."""
        return self.name if self.adc_bits is None else f"{self.name}:{self.adc_bits}"

    @staticmethod
    def of(key: str) -> Model:
        """The inverse."""
        name, _, bits = key.partition(":")
        return Model(name, int(bits) if bits else None)


@dataclass(frozen=True, kw_only=True)
class EvaluateOptions:
    """What is evaluated, and how.

    Attributes:
        labels: A file with the class of each sample; None: what the data say themselves.
        of: Names of MODELS, each text one or several with commas between them.
        adc_bits: The program once for each number of bits of its ADCs, each text one or several
            with commas between them; none: as its target has it.
        integers: What computes `integers`: the simulator, or onnxruntime the integer graph.
        batch: Samples that are run at once; None: 64, or fewer where these would be too large.
        jobs: Processes that share the batches.
        state: A folder for results, batch by batch, from which an interrupted run goes on.
    """

    labels: Annotated[
        Path | None, Option("Classes of the samples: npy, npz or text.", metavar="L")
    ] = None
    of: Annotated[
        tuple[str, ...],
        Option("Which of float, epitomized, integers, program.", metavar="A,B"),
    ] = ("float", "program")
    adc_bits: Annotated[
        tuple[str, ...],
        Option("The program with ADCs of so many bits each.", metavar="N,N"),
    ] = ()
    integers: Annotated[Integers, Option("What computes the integers.")] = "simulator"
    batch: Annotated[
        int | None, Option("Samples at once; else 64, or fewer.", minimum=1, metavar="N")
    ] = None
    jobs: Annotated[int, Option("Processes.", minimum=1, maximum=1024, metavar="N")] = 1
    state: Annotated[
        Path | None,
        Option("Keep results there, and go on from them.", metavar="FOLDER"),
    ] = None

    def __post_init__(self) -> None:
        """Hold all options to what their fields declare.

        Raises:
            EpimcError: The first that is wrong.
        """
        refuse_wrong_option(self)
        if not self.models:
            raise error("Nothing is to be evaluated.", hint=f"Name one of {', '.join(MODELS)}.")

    @property
    def models(self) -> tuple[Model, ...]:
        """What is evaluated, each once, in the order of MODELS.

        Raises:
            EpimcError: A name is unknown, or a number of bits is none, or no program has them.
        """
        names, bits = self.names, self.numbers_of_bits
        if bits and PROGRAM not in names:
            raise error("Bits of ADCs are the program's, which is not to be evaluated.")
        plain = tuple(Model(name) for name in names if name != PROGRAM or not bits)
        return (*plain, *(Model(PROGRAM, number) for number in bits))

    @property
    def numbers_of_bits(self) -> tuple[int, ...]:
        """The bits of ADCs, each number once, in the order in which they are named.

        Raises:
            EpimcError: One is no number.
        """
        words = [word.strip() for text in self.adc_bits for word in text.split(",")]
        for word in words:
            if not re.fullmatch("[0-9]{1,4}", word):
                raise error(f"'{word}' is no number of bits.", hint="Write them as 4,5,6.")
        return tuple(dict.fromkeys(map(int, words)))

    @property
    def names(self) -> tuple[str, ...]:
        """The names of what is evaluated; EpimcError as `models`."""
        named = [name.strip() for text in self.of for name in text.split(",")]
        for name in named:
            if name not in MODELS:
                hint = did_you_mean(name, MODELS)
                raise error(f"'{name}' is nothing that can be evaluated.", hint=hint)
        return tuple(name for name in MODELS if name in named)
