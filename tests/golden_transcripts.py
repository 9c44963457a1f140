"""What the commands print for the examples, as transcripts: `$ epimc ...`, then what came out.

The commands run in a folder with the examples, so that no path of the machine is printed.  Of what
is printed, one thing is replaced: epimc's version.  Everything else is compared as it is, but for
the numbers with a decimal point in what `verify` prints (`nearly`).
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence

import pytest

from epimc import __version__
from epimc.cli.main import main

# Not part of a word or of another number: '1.67x' and 'conv1.2' are words.
REAL = re.compile(r"(?<![\w.])-?\d+(?:\.\d+(?:e[+-]?\d+)?|e[+-]?\d+)(?![\w.])")

FAST = ["--effort", "fast"]
"""Compensated rounding gives the same integers on processors of one class alone."""

RELATIVE = 1e-3
FLOAT32_NOISE = 100.0
"""Decibels: beyond it, what is measured is how onnxruntime's float32 kernels round."""


def counted(model: str, data: str, options: Sequence[str]) -> list[list[str]]:
    """The commands that print words and integers only, or numbers that follow from integers."""
    calibration = ["--calibration", f"{data}-calibration.npz", *FAST]
    run = ["run", "bundle", "--input", f"{data}-test.npz", "--output", "y.npz", "--stats"]
    return [
        ["compile", model, "-o", "bundle", *calibration, *options],
        *both("plan", model, *options),
        *both("inspect", model),
        *both("inspect", "bundle"),
        *both(*run),
    ]


def measured(data: str) -> list[list[str]]:
    """The commands that measure a compiled example against the float model."""
    return [
        ["verify", "bundle", "--input", f"{data}-test.npz"],
        *both("verify", "bundle", "--layers"),
    ]


def all_else(model: str, data: str) -> tuple[list[list[str]], list[list[str]]]:
    """Both kinds of commands that print what the others print as well: for one example only."""
    calibration = ["--calibration", f"{data}-calibration.npz", *FAST]
    stages = ("nn", "epi", "allocated", "asm")
    listed = [["inspect", "bundle", "--stage", stage] for stage in stages]
    again = ["compile", model, "-o", "bundle", *calibration, "--json"]
    return [again, *both("check", "bundle"), *listed], both("verify", "bundle")


def both(*command: str) -> list[list[str]]:
    """A command that prints text, and the same with JSON."""
    return [[*command], [*command, "--json"]]


def transcript(commands: Sequence[Sequence[str]], capsys: pytest.CaptureFixture[str]) -> str:
    """Run commands in the current folder and write down what they print."""
    lines = []
    for command in commands:
        capsys.readouterr()
        code = main(list(command))
        out, err = capsys.readouterr()
        lines.append(f"$ epimc {' '.join(command)}\n{out}{err}exit code {code}\n")
    return "\n".join(lines).replace(f"epimc {__version__}", "epimc VERSION")


def nearly(before: str, after: str) -> bool:
    """Whether two transcripts are the same but for last digits of reals.

    SQNR, cosines and errors compare with what onnxruntime's float32 kernels compute.  In which
    order these add up depends on the CPU (AVX2, AVX-512), and so do the last bits of the results.
    """
    if skeleton(before) != skeleton(after):
        return False
    pairs = zip(REAL.finditer(before), REAL.finditer(after), strict=True)
    return all(close(one[0], other[0]) for one, other in pairs)


def skeleton(text: str) -> str:
    """A text with all reals and the spaces beside them taken out: columns align by their widths."""
    return re.sub(rf" *{REAL.pattern}", "#", text)


def close(one: str, other: str) -> bool:
    """Whether two printed reals are the same measurement."""
    first, second = float(one), float(other)
    if min(first, second) > FLOAT32_NOISE:
        return True
    step = max(last_digit(one), last_digit(other))
    return math.isclose(first, second, rel_tol=RELATIVE, abs_tol=1.5 * step)


def last_digit(text: str) -> float:
    """What one more in the last printed digit is worth: 0.01 for 39.23, 1e-9 for 1.5e-8."""
    mantissa, _, exponent = text.partition("e")
    return float(10.0 ** (int(exponent or 0) - len(mantissa.partition(".")[2])))


def options_of(target: str, epitome: str) -> Iterator[str]:
    """The options of a chip and of epitomes where they are not the default."""
    if target != "epim-256":
        yield from ("--target", target)
    if epitome != "none":
        yield from ("--epitome", epitome)
