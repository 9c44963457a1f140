"""Accuracy over the bits of the ADCs, for each mapping of signed weights and range of the ADCs.

    python benchmarks/converters.py MODEL --calibration X --data Y [--labels L]
    python benchmarks/converters.py MODEL --calibration X --data Y --bits 5,6,7 --first 500 --json

Data are what `epimc evaluate --data` takes, with their labels.  The chip is epim-256 but for
mapping, range and bits: one-bit cells, 256 rows, inputs bit by bit.  A program is compiled once for
each mapping and range, and evaluated with each number of bits on the same samples, beside the float
model and the exact integers.  Prints one table of top-1 in percent, or JSON with confidence
intervals.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import epimc
from epimc.backends.registry import load_backend
from epimc.evaluation.results import EvaluatedModel, EvaluateResult

MAPPINGS = ("twos_complement", "offset", "differential")
RANGES = ("unit", "weights")
BITS = (4, 5, 6, 7, 8, 9)
CHIP = "epim-256"


@dataclass(frozen=True)
class Row:
    """One program.

    Attributes:
        mapping: Of signed weights.
        range: Of the ADCs.
        result: With the float model, the integers, and the program with each number of bits.
    """

    mapping: str
    range: str
    result: EvaluateResult


def target_text(mapping: str, adc_range: str) -> str:
    """The file of the chip.

    Args:
        mapping: Of signed weights.
        adc_range: What sets the step of the ADCs.
    """
    text = load_backend("crossbar").load_target(CHIP).to_toml()
    text, mappings = re.subn(r"(?m)^mapping = .*$", f'mapping = "{mapping}"', text)
    text, bits = re.subn(r"(?m)^(adc_bits = .*)$", rf'\1\nadc_range = "{adc_range}"', text)
    assert (mappings, bits) == (1, 1)
    return text


def rows(arguments: argparse.Namespace, folder: Path) -> Iterator[Row]:
    """A program after the other; bundles come into a folder."""
    bits = [int(word) for word in arguments.bits.split(",")]
    for mapping in arguments.mappings.split(","):
        for adc_range in arguments.ranges.split(","):
            target = folder / f"{mapping}-{adc_range}.toml"
            target.write_text(target_text(mapping, adc_range), encoding="utf-8")
            session = epimc.compile(
                arguments.model,
                folder / "bundle",
                target=target,
                calibration=arguments.calibration,
                weight_bits=arguments.weight_bits,
                activation_bits=arguments.activation_bits,
            )
            result = epimc.evaluate(
                session,
                arguments.data,
                labels=arguments.labels,
                of=["float", "integers", "program"],
                adc_bits=bits,
                jobs=arguments.jobs,
                first=arguments.first,
            )
            if not result.labelled:
                raise SystemExit("error: the data have no labels: name them by --labels")
            yield Row(mapping, adc_range, result)


def percent(model: EvaluatedModel) -> str:
    """How often a model is right."""
    assert model.top1 is not None
    return f"{100 * model.top1.share:.2f}"


def titles(result: EvaluateResult) -> list[str]:
    """What stands above the columns."""
    named = [
        model.name if model.adc_bits is None else f"{model.adc_bits} bits"
        for model in result.models
    ]
    return [f"{'mapping':15}  {'range':7}", *(f"{title:>8}" for title in named)]


def document(row: Row) -> dict[str, object]:
    """A row as JSON has it."""
    return {"mapping": row.mapping, "range": row.range, "result": row.result.to_json()}


def argument_parser() -> argparse.ArgumentParser:
    """The options, as the docstring of this file shows them."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("model", type=Path)
    parser.add_argument("--calibration", type=Path, required=True)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--labels", type=Path)
    parser.add_argument("--bits", default=",".join(map(str, BITS)))
    parser.add_argument("--mappings", default=",".join(MAPPINGS))
    parser.add_argument("--ranges", default=",".join(RANGES))
    parser.add_argument("--weight-bits", type=int, default=8)
    parser.add_argument("--activation-bits", type=int, default=8)
    parser.add_argument("--first", type=int, help="use the first samples only")
    parser.add_argument("--jobs", type=int, default=1, help="processes")
    parser.add_argument("--json", action="store_true")
    return parser


def main(argv: list[str] | None = None) -> int:
    """Run the benchmark."""
    arguments = argument_parser().parse_args(argv)
    done: list[Row] = []
    try:
        with tempfile.TemporaryDirectory() as folder:
            for row in rows(arguments, Path(folder)):
                if not arguments.json:
                    if not done:
                        print(*titles(row.result), sep="  ")
                    cells = (f"{percent(model):>8}" for model in row.result.models)
                    print(f"{row.mapping:15}  {row.range:7}", *cells, sep="  ", flush=True)
                done.append(row)
    except epimc.EpimcError as problem:
        raise SystemExit(str(problem)) from None
    if arguments.json:
        print(json.dumps([document(row) for row in done], indent=2))
    else:
        print(f"{done[0].result.samples} samples, top-1 in percent")
    return 0


if __name__ == "__main__":
    sys.exit(main())
