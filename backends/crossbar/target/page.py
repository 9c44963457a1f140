"""The page of documentation about targets, made from the declarations in `schema.py`."""

from __future__ import annotations

from collections.abc import Iterator

from epimc.backends.crossbar.core.limits import CALIBRATED_SAMPLES
from epimc.backends.crossbar.target.schema import builtin_targets, leaves, load_target
from epimc.support.mistakes import text_of
from epimc.support.toml_files import toml

INTRODUCTION = """\
# Targets

<!-- Made by target_page() of epimc.backends.crossbar.target.page:
     change that, not this page. -->

A target is a crossbar chip, described in a TOML file. `epimc compile --target` takes the name of
a built-in one or the path of your own.

## Keys

Every key must be there unless it has a default, and no other key may be.
"""

ADVICE = """\
## The built-in targets

Their files, in `backends/crossbar/target/builtin/`, say where each number comes from.
"""

OWN = """\
## A target of your own

1. Copy this file, which is a whole target, and change the numbers:

{example}
2. Give its path: `epimc compile model.onnx --target my-chip.toml -o out`.

A mistake in the file is reported with all the others: the key, its value, and what it may be.

## Choosing the ADC

The ADC reads a bit line from 0 on, in steps, and clips what is above its range. With the step 1
(`adc_range = "unit"`) it loses nothing when 2^`adc_bits` is more than

    driven word lines * (2^dac_bits - 1) * (2^cell_bits - 1)

for the largest number of word lines that are driven at a time in one array, at most `rows`. With
256 rows, one-bit cells and a one-bit DAC that takes 9 bits (8 reach to 255); with 32 rows and two
bits each, 9 bits too (288). With fewer bits the program still runs, and gives what such a chip
would; `epimc compile` says which layers lose something, and by how much a column may be misread.

A sum s is read as step * min(floor((s + floor(step / 2)) / step), 2^`adc_bits` - 1). A range other
than `"unit"` makes the step the smallest integer with which the highest sum is not clipped:

- `"worst"`: the sum above for `rows` driven word lines, the same step in all layers;
- `"weights"`: for each layer the highest sum that its columns can reach, as they are programmed;
- `"calibrated"`: for each layer the highest sum on the first {samples} calibration samples, on a
  chip that loses nothing; what other samples have above it may be clipped;
- an integer: this sum; what is above it may be clipped.

`rows_per_read` has an array drive so many word lines at a time: those that a round drives, in
their order, are read in groups of at most so many, each through the ADC, and added up. That takes
more reads and conversions, and a smaller range.
"""


def target_page() -> str:
    """The text of `docs/targets.md`."""
    tiny = load_target("tiny")
    example = "".join(f"        {line}\n" if line else "\n" for line in tiny.to_toml().splitlines())
    parts = [INTRODUCTION, *key_table(), "", ADVICE, *builtin_table(), ""]
    return "\n".join([*parts, OWN.format(example=example, samples=CALIBRATED_SAMPLES)])


def key_table() -> Iterator[str]:
    """The Markdown table of all keys, a line each."""
    yield "| Key | Values | Unit | Default | Meaning |"
    yield "| --- | --- | --- | --- | --- |"
    for path, field in leaves():
        default = "" if field.is_required() else f"`{toml(field.default)}`"
        allowed, unit = text_of(field, "allowed"), text_of(field, "unit")
        yield f"| `{path}` | {allowed} | {unit} | {default} | {field.description} |"


def builtin_table() -> Iterator[str]:
    """The Markdown table of the built-in targets, a column each."""
    targets = [load_target(name) for name in builtin_targets()]
    yield f"| Key | {' | '.join(target.name for target in targets)} |"
    yield f"| --- |{' --- |' * len(targets)}"
    for path, _ in leaves():
        table, _, key = path.rpartition(".")
        if table:
            values = (str(getattr(getattr(target, table), key)) for target in targets)
            yield f"| `{path}` | {' | '.join(values)} |"
