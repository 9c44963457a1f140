"""What each way to choose the numbers brings, and how long it takes.

    python benchmarks/rounding.py MODEL --calibration X --data Y [--labels L]
    python benchmarks/rounding.py MODEL --calibration X --data Y --bits 4,8 --bits 3,9 --first 500

Data are what `epimc evaluate --data` takes, with their labels.  For each pair of bits, of weights
and of activations, the model is compiled with one technique after the other, each beside those
before it (the last, `best`, without the ranges of activations), and the program is evaluated on the
same samples as the float model.  Prints top-1 in percent, the points that are lost beside the float
model, and the processor's seconds of the compile, by all threads.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import epimc
from epimc.evaluation.results import EvaluateResult

TECHNIQUES: dict[str, dict[str, Any]] = {
    "nearest": {"effort": "fast"},
    "+ ranges of weights": {"effort": "fast", "pass_options": ["quantize{weight_range=mse}"]},
    "+ bias correction": {
        "effort": "fast",
        "pass_options": ["quantize{weight_range=mse,correct_bias=true}"],
    },
    "+ compensated": {"effort": "good", "equalize": "always"},
    "+ equalization measured": {"effort": "good"},
    "+ ranges of activations": {"effort": "good", "observer": "mse"},
    "+ learned": {"effort": "best", "observer": "mse"},
    "best": {"effort": "best"},
}
"""What `epimc.compile` is told, by name; activations have minima and maxima unless told."""


@dataclass(frozen=True)
class Row:
    """One program.

    Attributes:
        bits: Of weights and of activations.
        technique: One of TECHNIQUES.
        seconds: Of the processor, for the compile.
        result: With the float model and the program.
    """

    bits: tuple[int, int]
    technique: str
    seconds: float
    result: EvaluateResult

    @property
    def shares(self) -> tuple[float, float]:
        """Top-1 of the float model and of the program, in percent.

        Raises:
            SystemExit: The data have no labels.
        """
        tops = [model.top1 for model in self.result.models]
        if any(top is None for top in tops):
            raise SystemExit("error: the data have no labels: name them by --labels")
        real, ours = (100 * top.share for top in tops if top is not None)
        return real, ours

    def line(self) -> str:
        """Of the table."""
        real, ours = self.shares
        name = f"W{self.bits[0]}A{self.bits[1]}"
        return (
            f"{name:6}  {self.technique:24}  {ours:6.2f}  {real - ours:6.2f}  {self.seconds:7.1f}"
        )


def rows(arguments: argparse.Namespace, folder: Path) -> Iterator[Row]:
    """A program after the other; bundles come into a folder."""
    for bits in arguments.bits:
        for technique, options in TECHNIQUES.items():
            started = time.process_time()
            session = epimc.compile(
                arguments.model,
                folder / "bundle",
                calibration=arguments.calibration,
                weight_bits=bits[0],
                activation_bits=bits[1],
                **{"observer": "minmax", **options},
            )
            seconds = time.process_time() - started
            result = epimc.evaluate(
                session,
                arguments.data,
                labels=arguments.labels,
                of=["float", "program"],
                jobs=arguments.jobs,
                first=arguments.first,
            )
            yield Row(bits, technique, seconds, result)


def pair(text: str) -> tuple[int, int]:
    """Bits of weights and of activations, such as 4,8."""
    weights, activations = text.split(",")
    return int(weights), int(activations)


def argument_parser() -> argparse.ArgumentParser:
    """The options, as the docstring of this file shows them."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("model", type=Path)
    parser.add_argument("--calibration", type=Path, required=True)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--labels", type=Path)
    parser.add_argument("--bits", type=pair, action="append", metavar="W,A")
    parser.add_argument("--first", type=int, help="use the first samples only")
    parser.add_argument("--jobs", type=int, default=1, help="processes")
    return parser


def main(argv: list[str] | None = None) -> int:
    """Run the benchmark."""
    arguments = argument_parser().parse_args(argv)
    arguments.bits = arguments.bits or [(8, 8), (4, 8), (3, 9)]
    samples = 0
    try:
        with tempfile.TemporaryDirectory() as folder:
            for row in rows(arguments, Path(folder)):
                line = row.line()
                if not samples:
                    head = f"{'bits':6}  {'technique':24}  {'top-1':>6}  {'lost':>6}"
                    print(f"{head}  {'CPU-s':>7}")
                print(line, flush=True)
                samples, real = row.result.samples, row.shares[0]
    except epimc.EpimcError as problem:
        raise SystemExit(str(problem)) from None
    print(f"{samples} samples, top-1 in percent; the float model {real:.2f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
