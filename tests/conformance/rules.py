"""When an output passes: one rule for each kind of output, strictest first.

The rules are for outputs of models that run on the chip at least in part: these compute with
integers of 8 bits, and no float tolerance holds.  Where all ran on the host, the suite's own
tolerance does (`tolerance`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx.backend.test.runner import Runner

from epimc.verification.measures import Loss
from tests.conformance.suite import Value

Array = NDArray[Any]

LEAST_DB, LEAST_COSINE = 20.0, 0.99
LEAST_EQUAL = 0.99
MOST_OFF = 0.02

RULES = """\
1. Names, number, types and shapes of the outputs are those of the model and of the suite.
2. Where everything ran on the host, the suite's own tolerance decides.
3. Else an output within the suite's own tolerance passes, and of the others:
    - floats: SQNR of at least 20 dB, or a cosine of at least 0.99, against the expected output;
    - floats that are all equal, among them a single number: SQNR of at least 20 dB, as the cosine
      says nothing of them; where all are 0, no error above 2 % of the largest input;
    - NaN and infinity must stand just where they are expected; the finite elements are judged by
      the rules above;
    - integers and booleans: at least 99 % of the elements are equal;
    - strings: all are equal;
    - sequences: as many elements, and each passes; optionals: empty where it is expected.
4. The models of ONNX's zoo, whose weights are constants that say nothing, must give outputs of the
   right names, types and shapes.
"""
"""As the page states them."""


@dataclass(frozen=True)
class Verdict:
    """What becomes of an output, or of several: the worst of them.

    Attributes:
        problem: What is wrong; empty: it passes.
        sqnr_db: Signal to noise ratio in dB; None where it has none.
        cosine: Between the output and what is expected; None where it says nothing.
    """

    problem: str = ""
    sqnr_db: float | None = None
    cosine: float | None = None

    def worse(self, other: Verdict) -> Verdict:
        """Both in one: the first problem, the least figures."""
        return Verdict(
            self.problem or other.problem,
            least(self.sqnr_db, other.sqnr_db),
            least(self.cosine, other.cosine),
        )


def least(a: float | None, b: float | None) -> float | None:
    """The less of two figures that may be missing."""
    return min((x for x in (a, b) if x is not None), default=None)


def judged(
    outputs: Mapping[str, Value],
    expected: Mapping[str, Value],
    inputs: Mapping[str, Value],
    tolerance: tuple[float, float],
    *,
    on_host: bool,
) -> Verdict:
    """All outputs of a run.

    Args:
        outputs: What the program gives, by name.
        expected: What the suite expects, by name.
        inputs: What the program was run on.
        tolerance: The suite's, relative and absolute.
        on_host: Whether all of the model ran there.
    """
    verdict = Verdict()
    largest = max(map(magnitude, inputs.values()), default=0.0)
    for name, value in expected.items():
        if name not in outputs:
            return Verdict(f"there is no output '{name}'")
        each = outcome(outputs[name], value, largest, tolerance, on_host=on_host)
        verdict = verdict.worse(each)
    return verdict


def outcome(
    value: Value,
    expected: Value,
    largest: float,
    tolerance: tuple[float, float],
    *,
    on_host: bool,
) -> Verdict:
    """One output, or an element of a sequence."""
    if problem := different_kind(value, expected):
        return Verdict(problem)
    if isinstance(expected, list):
        verdict = Verdict()
        for a, b in zip(value, expected, strict=True):
            verdict = verdict.worse(outcome(a, b, largest, tolerance, on_host=on_host))
        return verdict
    if expected is None:
        return Verdict()
    problem = beyond_tolerance(value, expected, tolerance)
    if expected.dtype.kind in "OUSbiuc" or not expected.size:
        if problem and not on_host and expected.dtype.kind in "biu":
            problem = mostly_different(value, expected)
        return Verdict(problem)
    figures = measured(value.astype(np.float64), expected.astype(np.float64), largest)
    return Verdict(problem and (problem if on_host else figures.problem), *figures_of(figures))


def figures_of(verdict: Verdict) -> tuple[float | None, float | None]:
    """SQNR and cosine."""
    return verdict.sqnr_db, verdict.cosine


def different_kind(value: Value, expected: Value) -> str:
    """What is wrong before any number is compared; empty where nothing is."""
    if expected is None or value is None:
        return "" if expected is value else f"{kind_of(value)} instead of {kind_of(expected)}"
    if isinstance(expected, list) or isinstance(value, list):
        if isinstance(expected, list) and isinstance(value, list) and len(value) == len(expected):
            return ""
        return f"{kind_of(value)} instead of {kind_of(expected)}"
    if not isinstance(value, np.ndarray) or kind_of(value) != kind_of(expected):
        return f"{kind_of(value)} instead of {kind_of(expected)}"
    return ""


def kind_of(value: Value) -> str:
    """The type of a value in words."""
    if isinstance(value, list):
        return f"a sequence of {len(value)}"
    if isinstance(value, np.ndarray):
        # Strings are objects in the suite, and may be texts of numpy elsewhere.
        name = "string" if value.dtype.kind in "OUS" else value.dtype.name
        return f"{name}{list(value.shape)}"
    return "nothing" if value is None else f"a {type(value).__name__}"


def beyond_tolerance(value: Array, expected: Array, tolerance: tuple[float, float]) -> str:
    """What the suite's own comparison says; empty where the output is within its tolerance."""
    try:
        Runner.assert_similar_outputs([expected], [value], *tolerance)
    except AssertionError as problem:
        lines = [line for line in str(problem).splitlines() if line.strip()]
        said = [line for line in lines if line.startswith(("Mismatched", "Max abs"))]
        return "beyond the suite's tolerance: " + "; ".join(said or lines[:1])
    return ""


def mostly_different(value: Array, expected: Array) -> str:
    """What is wrong with integers or booleans behind the chip; empty where nothing is."""
    equal = float(np.mean(value == expected))
    return "" if equal >= LEAST_EQUAL else f"only {equal:.1%} of the elements are equal"


def measured(value: Array, expected: Array, largest: float) -> Verdict:
    """Floats behind the chip, by measures.

    Args:
        value: The output, in float64.
        expected: Of the same shape.
        largest: The largest magnitude among the inputs.
    """
    finite = np.isfinite(expected)
    if not same_specials(value, expected):
        return Verdict("NaN or infinity stand elsewhere")
    a, b = value[finite], expected[finite]
    loss = Loss()
    loss.add(a, b)
    sqnr = loss.sqnr_db
    constant = bool(b.size == 0 or (b == b.flat[0]).all())
    cosine = None if constant else cosine_of(a, b)
    if loss.noise == 0 or (sqnr is not None and sqnr >= LEAST_DB):
        return Verdict("", sqnr, cosine)
    worst = float(np.max(np.abs(a - b)))
    if constant:
        near = loss.signal == 0 and worst <= MOST_OFF * largest
        return Verdict("" if near else f"a constant is off by {worst:.3g}", sqnr, None)
    if cosine is not None and cosine >= LEAST_COSINE:
        return Verdict("", sqnr, cosine)
    shown = "no SQNR" if sqnr is None else f"{sqnr:.1f} dB"
    return Verdict(f"{shown}, cosine {cosine or 0:.3f}, off by {worst:.3g}", sqnr, cosine)


def same_specials(value: Array, expected: Array) -> bool:
    """Whether NaN and infinities stand at the same places."""
    return bool(
        np.array_equal(np.isnan(value), np.isnan(expected))
        and np.array_equal(infinities(value), infinities(expected))
    )


def infinities(array: Array) -> Array:
    """The infinities of an array, 0 elsewhere."""
    return np.where(np.isinf(array), array, 0)


def cosine_of(a: Array, b: Array) -> float | None:
    """Of the angle between two arrays; None where one of them is 0."""
    lengths = math.sqrt(float(np.square(a).sum())) * math.sqrt(float(np.square(b).sum()))
    return float((a * b).sum()) / lengths if lengths else None


def magnitude(value: Value) -> float:
    """The largest finite magnitude in a value; 0 where it has no numbers."""
    if isinstance(value, list):
        return max(map(magnitude, value), default=0.0)
    if not isinstance(value, np.ndarray) or value.dtype.kind in "OUSc" or not value.size:
        return 0.0
    numbers = np.abs(value.astype(np.float64))
    return float(np.max(numbers[np.isfinite(numbers)], initial=0.0))
