"""A target: the crossbar chip a program is made for, described in a TOML file.

The models below are the one declaration of every key: its range, unit and meaning.  The messages
about a wrong file and the page of documentation (`page.py`) are derived from them.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    Field,
    SerializerFunctionWrapHandler,
    ValidationError,
    model_serializer,
)
from pydantic.fields import FieldInfo

from epimc.backends.crossbar.core.limits import LARGEST_SUM
from epimc.backends.crossbar.core.program import Chip
from epimc.ir.semantics.cells import MappingName
from epimc.support.diagnostics import (
    EpimcError,
    did_you_mean,
    error,
    mistaken,
    other_version,
)
from epimc.support.files import read_text
from epimc.support.mistakes import fields, sentences, table_of
from epimc.support.toml_files import TomlTable, number, parse_toml, toml, words

# Of a target's file: to be raised when a file that was right before is refused or means another.
SCHEMA = 1
MAXIMUM_FILE_BYTES = 1_000_000
MOST_MARKS = 2**14
MOST_ADC_BITS = 16


def one_printable_line(text: str) -> str:
    """The text itself; ValueError if it has a line break or another control character."""
    if not text.isprintable():
        raise ValueError("not printable")
    return text


class Crossbar(TomlTable):
    """One array of memory cells."""

    rows: int = number(1, 4096, "lines", "word lines of an array")
    columns: int = number(1, 4096, "lines", "bit lines of an array")
    cell_bits: int = number(1, 4, "bits", "bits that one cell holds")
    mapping: MappingName = words(
        '"twos_complement", "offset" or "differential"', "how a signed weight becomes cells"
    )


class Converters(TomlTable):
    """The converters between the digital part and the arrays."""

    dac_bits: int = number(1, 8, "bits", "input bits that drive a word line at a time")
    adc_bits: int = number(1, MOST_ADC_BITS, "bits", "bits that are read from a bit line, from 0")
    adc_range: (
        Literal["unit", "worst", "weights", "calibrated"]
        | Annotated[int, Field(ge=1, le=LARGEST_SUM)]
    ) = words(
        f'"unit", "worst", "weights", "calibrated" or an integer between 1 and {LARGEST_SUM}',
        "what sets the step of the ADC: unit: the step is 1; else it is the smallest with "
        "which the highest sum fits: of the geometry (worst), of a layer's weights, of a "
        "layer's sums on calibration samples, or this one",
        default="unit",
    )
    rows_per_read: int = number(
        0, 4096, "lines", "word lines that an array drives at a time; 0: all", default=0
    )

    @model_serializer(mode="wrap")
    def _stated(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Without the keys that are at their defaults: older files did not have them."""
        stated: dict[str, Any] = handler(self)
        return {
            key: value
            for key, value in stated.items()
            if value != type(self).model_fields[key].get_default()
        }


class Tile(TomlTable):
    """One tile: a group of arrays with its buffer and its instruction stream."""

    crossbars: int = number(1, 65536, "arrays", "arrays of a tile")
    buffer_bytes: int = number(8, 2**30, "bytes", "buffer of a tile, for rows of feature maps")


class Memory(TomlTable):
    """The memory beside the chip."""

    off_chip_bytes: int = number(8, 2**40, "bytes", "memory that all tiles share")


class ChipSize(TomlTable):
    """What all tiles of a chip have in common: how many they are."""

    tiles: Literal["auto"] | Annotated[int, Field(ge=1, le=65536)] = words(
        '"auto" or an integer between 1 and 65536',
        "tiles of the chip; auto: as many as the model needs",
        default="auto",
    )


class Target(TomlTable):
    """A crossbar chip; every number is checked, so that the compiler need not."""

    schema_version: int = number(SCHEMA, SCHEMA, "", "version of this format", alias="schema")
    name: Annotated[str, Field(pattern="^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")] = words(
        "1 to 64 letters, digits, '.', '_' or '-', a letter or digit first",
        "what reports call the target",
    )
    description: Annotated[str, Field(max_length=1000), AfterValidator(one_printable_line)] = words(
        "one line of at most 1000 printable characters", "the target in one sentence", default=""
    )
    crossbar: Crossbar
    converters: Converters
    tile: Tile
    memory: Memory
    chip: ChipSize = ChipSize()

    def to_dict(self) -> dict[str, Any]:
        """The target as nested dicts of int and str, keys as in the file, in its order."""
        return self.model_dump(by_alias=True)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any], subject: str = "The target") -> Target:
        """The inverse of `to_dict`.

        Args:
            data: Nested dicts as TOML gives them; `description` and `chip` may be left out.
            subject: What the error message begins with.

        Raises:
            EpimcError: One error that names every mistake.
        """
        try:
            return cls.model_validate(dict(data))
        except ValidationError as caught:
            raise wrong_target(caught, subject) from None

    def to_toml(self) -> str:
        """The canonical text; `parse_target` of it gives an equal target."""
        lines: list[str] = []
        for key, value in self.to_dict().items():
            if isinstance(value, dict):
                lines += ["", f"[{key}]", *(f"{k} = {toml(v)}" for k, v in value.items())]
            else:
                lines.append(f"{key} = {toml(value)}")
        return "\n".join(lines) + "\n"

    def sized(self, tiles: int) -> Chip:
        """What a program needs to know of this target when it uses `tiles` tiles."""
        return Chip(
            tiles=tiles,
            crossbars_per_tile=self.tile.crossbars,
            crossbar_rows=self.crossbar.rows,
            crossbar_columns=self.crossbar.columns,
            cell_bits=self.crossbar.cell_bits,
            dac_bits=self.converters.dac_bits,
            adc_bits=self.converters.adc_bits,
            buffer_bytes=self.tile.buffer_bytes,
            off_chip_bytes=self.memory.off_chip_bytes,
            rows_per_read=self.converters.rows_per_read,
        )

    @property
    def highest_sum(self) -> int | None:
        """What the ADC must not clip; None: its step is 1, or a layer's weights decide."""
        converters, crossbar = self.converters, self.crossbar
        if isinstance(converters.adc_range, int):
            return converters.adc_range
        if converters.adc_range != "worst":
            return None
        rows = min(converters.rows_per_read or crossbar.rows, crossbar.rows)
        return rows * ((1 << converters.dac_bits) - 1) * ((1 << crossbar.cell_bits) - 1)


# --- reading ------------------------------------------------------------------------------------


def builtin_targets() -> list[str]:
    """Names of the targets that come with epimc, sorted."""
    folder = resources.files("epimc.backends.crossbar.target.builtin")
    names = [entry.name for entry in folder.iterdir()]
    return sorted(name.removesuffix(".toml") for name in names if name.endswith(".toml"))


def load_target(name_or_path: str) -> Target:
    """A built-in target by its name, or else the target in a TOML file.

    Raises:
        EpimcError: There is no such target or file, or the file is wrong.
    """
    if name_or_path in builtin_targets():
        folder = resources.files("epimc.backends.crossbar.target.builtin")
        text = folder.joinpath(f"{name_or_path}.toml").read_text(encoding="utf-8")
        return parse_target(text, f"{name_or_path}.toml")
    # os.path, unlike Path, answers False for names that the system refuses to look up.
    if not os.path.exists(name_or_path):
        raise missing_target(name_or_path)
    if not os.path.isfile(name_or_path):
        kind = "a folder" if os.path.isdir(name_or_path) else "a device"
        raise error(f"'{name_or_path}' is {kind}, not a target file.", hint=NAME_OR_FILE)
    return parse_target(read_text(Path(name_or_path), "Target", MAXIMUM_FILE_BYTES), name_or_path)


NAME_OR_FILE = "A target is a built-in name or the path of a TOML file."


def missing_target(name_or_path: str) -> EpimcError:
    """The error for a name that is no built-in target and no file."""
    if name_or_path.endswith(".toml") or Path(name_or_path).name != name_or_path:
        message = f"Target file '{name_or_path}' does not exist."
        return error(message, hint=NAME_OR_FILE)
    hint = f"{did_you_mean(name_or_path, builtin_targets())} {NAME_OR_FILE}"
    return error(f"There is no target '{name_or_path}'.", hint=hint)


def parse_target(text: str, file: str) -> Target:
    """The target that a TOML text describes.

    Args:
        text: TOML.
        file: What messages call it.

    Raises:
        EpimcError: The text is not TOML, or wrong: one error names every mistake.
    """
    return Target.from_dict(parse_toml(text, file, "Target", MOST_MARKS), f"Target file '{file}'")


# --- what is wrong with a file ------------------------------------------------------------------


SEE = "The page 'Targets' of the documentation lists every key."


def wrong_target(caught: ValidationError, subject: str) -> EpimcError:
    """One error with a note for every mistake; of another version that alone is told."""
    for item in caught.errors(include_url=False):
        if item["loc"] == ("schema",) and is_version(item["input"]):
            return other_version(subject, item["input"], SCHEMA, hint=SEE)
    return mistaken(f"{subject} has", sentences(caught, Target), hint=SEE)


def is_version(value: object) -> bool:
    """Whether a value can be the version of a format; what cannot is a mistake like any other."""
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**16


def leaves() -> Iterator[tuple[str, FieldInfo]]:
    """Every key that holds a value, dotted, with its field, in the order of the file."""
    for key, field in fields(Target).items():
        inner = table_of(field)
        if inner is None:
            yield key, field
        else:
            yield from ((f"{key}.{name}", leaf) for name, leaf in fields(inner).items())
