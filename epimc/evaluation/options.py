"""The options of `evaluate`, each declared once; nothing heavy is imported here."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from epimc.support.diagnostics import did_you_mean, error
from epimc.support.options import Option, refuse_wrong_option

MODELS = ("float", "epitomized", "integers", "program")
"""What can be evaluated, in the order of reports."""

Integers = Literal["simulator", "onnxruntime"]


@dataclass(frozen=True, kw_only=True)
class EvaluateOptions:
    """What is evaluated, and how.

    Attributes:
        labels: A file with the class of each sample; None: what the data say themselves.
        of: Names of MODELS, each text one or several with commas between them.
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
    def models(self) -> tuple[str, ...]:
        """What is evaluated, each once, in the order of MODELS.

        Raises:
            EpimcError: A name is unknown.
        """
        named = [name.strip() for text in self.of for name in text.split(",")]
        for name in named:
            if name not in MODELS:
                hint = did_you_mean(name, MODELS)
                raise error(f"'{name}' is nothing that can be evaluated.", hint=hint)
        return tuple(name for name in MODELS if name in named)
