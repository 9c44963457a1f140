"""docs/conformance.md, made of the kept results."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from tests.conformance.records import BARRED, Record, Results
from tests.conformance.reports import kind_of, totals
from tests.conformance.rules import RULES

PAGE = "docs/conformance.md"

HEAD = """\
<!-- Made from tests/data/conformance.json: make conformance -->

# Conformance

ONNX's own backend suite (`onnx.backend.test`: its operators, the models that PyTorch exported, its
zoo without weights) through `epimc.backend`. onnxruntime runs each test first, with its defaults,
and those that it passes within the suite's tolerance are the bar. Each of them is compiled with its
own inputs as calibration samples, run on the simulator, and verified: exact to the last integer.

`make conformance` runs all of it anew and fails where a test that passed does not pass, or an
operator is no longer on the chip; `python -m tests.conformance --keep` keeps the results instead,
and writes this page.

Most tests pass everything as inputs, also weights, axes and bounds. Inputs that operators read as
nothing but such parameters are constants of the program, which is compiled with what the test has
for them, and would be compiled anew for anything else ([python.md](python.md)); what multiplies two
activations is the host's.
"""

RULES_HEAD = """\
## When a test passes
"""

OPERATORS_HEAD = """\
## Operators

In how many tests of the bar each operator stands, and in how many of those that pass it computes on
the chip or on the host; one that stands in neither is constant there, or moves nothing.
"""

TESTS_HEAD = """\
## Tests

Where each test ran, and the least SQNR of its outputs in dB where they differ from what is
expected, with the cosine below 20 dB; what it computes on the chip, and with which inputs fixed.
"""


@dataclass
class OperatorCount:
    """What becomes of an operator.

    Attributes:
        tests: Of the bar, in which it stands.
        chip: Passing tests in which it computes on the chip.
        host: Passing tests in which the host runs it.
        barred: Tests in which it stands that onnxruntime does not pass.
        reasons: Why tests do not pass, counted.
    """

    tests: int = 0
    chip: int = 0
    host: int = 0
    barred: int = 0
    reasons: Counter[str] = field(default_factory=Counter)


def page(results: Results) -> str:
    """The text of the page."""
    ordered = results.records
    versions = " and ".join(f"{name} {number}" for name, number in results.versions.items())
    counts = "\n".join(f"- {line}" for line in totals(ordered) if line)
    parts = (
        HEAD,
        f"With {versions}:",
        counts,
        f"{RULES_HEAD}\n{RULES}",
        OPERATORS_HEAD,
        "\n".join(operator_table(ordered)),
        TESTS_HEAD,
        "\n".join(map(test_line, ordered)),
    )
    return "\n\n".join(part.strip("\n") for part in parts) + "\n"


def operator_counts(records: Sequence[Record]) -> dict[str, OperatorCount]:
    """What becomes of each operator, by its name."""
    counts: dict[str, OperatorCount] = {}
    for record in records:
        for name in record.operators:
            count = counts.setdefault(name, OperatorCount())
            if record.status == BARRED:
                count.barred += 1
                continue
            count.tests += 1
            count.chip += record.passed and name in record.chip
            count.host += record.passed and name in record.host
            if not record.passed:
                count.reasons[f"{record.status}: {kind_of(record.said)}"] += 1
    return dict(sorted(counts.items()))


def operator_table(records: Sequence[Record]) -> Iterator[str]:
    """The table of operators."""
    yield "| operator | tests | chip | host | not passed, and why | beyond onnxruntime |"
    yield "|---|---:|---:|---:|---|---:|"
    for name, count in operator_counts(records).items():
        reasons = sorted(count.reasons.items(), key=lambda item: (-item[1], item[0]))
        why = "; ".join(f"{number}: {cell(reason)}" for reason, number in reasons)
        numbers = f"{count.tests} | {count.chip} | {count.host}"
        yield f"| {name} | {numbers} | {why} | {count.barred or ''} |"


def test_line(record: Record) -> str:
    """What a test comes to."""
    facts = [record.status]
    if record.sqnr_db is not None:
        facts.append(f"{record.sqnr_db:.1f} dB")
        if record.sqnr_db < 20 and record.cosine is not None:
            facts.append(f"cosine {record.cosine:.3f}")
    if record.passed and record.chip:
        facts.append(f"computes {' '.join(record.chip)}")
    if record.passed and record.chip and record.fixed:
        facts.append(f"with {' '.join(map(cell, record.fixed))}")
    said = f": {cell(record.said)}" if record.said else ""
    return f"- `{record.test}` {', '.join(facts)}{said}"


def cell(text: str) -> str:
    """A text in a cell of a table, without what Markdown would read in it."""
    return text.replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;").replace("*", "\\*")
