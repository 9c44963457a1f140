"""Options: declared as the fields of a dataclass, checked, read from text and printed.

    @dataclass(frozen=True)
    class Quantize(Pass):
        weight_bits: Annotated[int, Option("Bits of a weight.", minimum=2, maximum=8)] = 8

A field's type says which values it takes: `bool`, `int`, `float`, `str`, `Path`, a `Literal` or an
`Enum` of such values, `tuple[T, ...]` of any of them, `T | None`, and `int | str`.  Nothing here
needs numpy, so that a command line can be made of options before anything heavy is imported.
"""

from __future__ import annotations

import dataclasses
import json
import math
import re
import types
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from epimc.support.diagnostics import error


@dataclass(frozen=True)
class Option:
    """What a field's annotation says of an option beside its type.

    Attributes:
        doc: One sentence for the help.
        minimum: The least value of a number, or of each number of a list.
        maximum: The largest one.
        metavar: What the help writes for the value; empty: what the type is called there.
        flag: A short flag of the command line, such as `-O`.
        singular: What the command line calls one value of a list, which it takes again and again.
    """

    doc: str
    minimum: int | None = None
    maximum: int | None = None
    metavar: str = ""
    flag: str = ""
    singular: str = ""

    def range_problem(self, value: object) -> str:
        """Why a value lies outside the range, as the end of a sentence; empty for a good one."""
        for item in value if isinstance(value, tuple) else (value,):
            if not isinstance(item, (int, float)) or isinstance(item, bool):
                continue
            # So that what is no number is out of every range.
            low = self.minimum is not None and not item >= self.minimum
            high = self.maximum is not None and not item <= self.maximum
            if low or high:
                return f"{item} is not {self.bounds}"
            if self.minimum is not None and math.isinf(item):
                return f"{item} is not a finite number"
        return ""

    @property
    def bounds(self) -> str:
        """The range in words."""
        if self.maximum is None:
            return f"at least {self.minimum}"
        if self.minimum is None:
            return f"at most {self.maximum}"
        return f"in {self.minimum}..{self.maximum}"


# --- the text of a value -------------------------------------------------------------------------


@dataclass(frozen=True)
class Word:
    """A value in text that stands without quotes."""

    text: str


@dataclass(frozen=True)
class Quoted:
    """A value in text that stands in quotes, which are taken off."""

    text: str


Written = Word | Quoted | tuple["Written", ...]
"""A value as the text has it, before its option's type is asked what it means."""

PLAIN_WORD = re.compile(r"""[^\s{}\[\],"]+""")
NONE = "none"


def as_word(text: str) -> str:
    """A text as a pipeline has it: in quotes where it could be taken for anything else."""
    return text if PLAIN_WORD.fullmatch(text) else json.dumps(text, ensure_ascii=False)


# --- the types of values -------------------------------------------------------------------------


class OptionKind:
    """What values an option takes, how they are read and how they are printed."""

    expected: str

    def read(self, written: Written) -> Any:
        """The value that a text says.

        Raises:
            ValueError: It says none of this kind.
        """
        raise NotImplementedError

    def show(self, value: Any) -> str:
        """The text that is read as this value."""
        raise NotImplementedError

    def accepts(self, value: object) -> bool:
        """Whether a value from Python is of this kind."""
        raise NotImplementedError


@dataclass(frozen=True)
class Scalar(OptionKind):
    """A boolean, a number, a text or a path."""

    type: type
    expected: str

    def read(self, written: Written) -> Any:
        """Numbers and booleans stand without quotes."""
        if isinstance(written, tuple):
            raise ValueError
        if self.type in (str, Path):
            return self.type(written.text)
        # Python's own numbers may have underscores, and digits of any script.
        if isinstance(written, Quoted) or not written.text.isascii() or "_" in written.text:
            raise ValueError
        if self.type is not bool:
            return self.type(written.text)
        if written.text not in ("true", "false"):
            raise ValueError
        return written.text == "true"

    def show(self, value: Any) -> str:
        """As it is written in a pipeline."""
        if self.type is bool:
            return str(value).lower()
        return as_word(str(value))

    def accepts(self, value: object) -> bool:
        """Python takes booleans for integers, and an integer will do for a float; we say which."""
        if isinstance(value, bool):
            return self.type is bool
        return isinstance(value, (int, float) if self.type is float else self.type)


@dataclass(frozen=True)
class NumberOrText(OptionKind):
    """An integer, or a text that is none."""

    expected: str = "an integer or text"

    def read(self, written: Written) -> Any:
        """What stands in quotes is text; digits without them are a number."""
        if isinstance(written, tuple):
            raise ValueError
        is_number = isinstance(written, Word) and re.fullmatch("-?[0-9]{1,18}", written.text)
        return int(written.text) if is_number else written.text

    def show(self, value: Any) -> str:
        """A number as it is, a text so that it is taken for no number."""
        if isinstance(value, int):
            return str(value)
        return json.dumps(value) if re.fullmatch("-?[0-9]+", value) else as_word(value)

    def accepts(self, value: object) -> bool:
        """Either."""
        return isinstance(value, (int, str)) and not isinstance(value, bool)


SCALARS: dict[type, OptionKind] = {
    bool: Scalar(bool, "true or false"),
    int: Scalar(int, "an integer"),
    float: Scalar(float, "a number"),
    str: Scalar(str, "text"),
    Path: Scalar(Path, "a path"),
}


@dataclass(frozen=True)
class Choice(OptionKind):
    """One of a few values, each called by its text.

    Attributes:
        values: By text, in the order of their declaration.
    """

    values: dict[str, object]

    @property
    def expected(self) -> str:  # type: ignore[override]
        """All of them, in words."""
        *first, last = self.values
        return f"{', '.join(first)} or {last}" if first else last

    def read(self, written: Written) -> Any:
        """The one that is called so."""
        if isinstance(written, tuple) or written.text not in self.values:
            raise ValueError
        return self.values[written.text]

    def show(self, value: Any) -> str:
        """What it is called."""
        return as_word(self.name_of(value))

    def name_of(self, value: object) -> str:
        """The text by which a value is called."""
        return next(text for text, known in self.values.items() if known == value)

    def accepts(self, value: object) -> bool:
        """Whether it is one of them, and of the same type: 1 is not True."""
        return any(type(known) is type(value) and known == value for known in self.values.values())


@dataclass(frozen=True)
class Listed(OptionKind):
    """Any number of values of one kind, in brackets."""

    item: OptionKind

    @property
    def expected(self) -> str:  # type: ignore[override]
        """What it is a list of."""
        return f"a list, each item {self.item.expected}"

    def read(self, written: Written) -> Any:
        """A tuple of what the parts are read as; ValueError for text without brackets."""
        if not isinstance(written, tuple):
            raise ValueError
        return tuple(self.item.read(part) for part in written)

    def show(self, value: Any) -> str:
        """The parts in brackets, between commas, without spaces."""
        return f"[{','.join(self.item.show(part) for part in value)}]"

    def accepts(self, value: object) -> bool:
        """Whether it is a tuple of such values; a list could be changed behind the pass's back."""
        return isinstance(value, tuple) and all(self.item.accepts(part) for part in value)


@dataclass(frozen=True)
class Maybe(OptionKind):
    """A value or none; a text that says "none" stands in quotes."""

    item: OptionKind

    @property
    def expected(self) -> str:  # type: ignore[override]
        """What it is when it is there."""
        return f"{self.item.expected} or none"

    def read(self, written: Written) -> Any:
        """None, or the value."""
        return None if written == Word(NONE) else self.item.read(written)

    def show(self, value: Any) -> str:
        """The word `none`, or the value."""
        if value is None:
            return NONE
        text = self.item.show(value)
        return json.dumps(text) if text == NONE else text

    def accepts(self, value: object) -> bool:
        """None, or such a value."""
        return value is None or self.item.accepts(value)


def kind_of(annotation: Any) -> OptionKind:
    """The kind of a type annotation.

    Raises:
        TypeError: No option has this type.
    """
    if annotation in SCALARS:
        return SCALARS[annotation]
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin in (Union, types.UnionType) and set(arguments) == {int, str}:
        return NumberOrText()
    if origin is Annotated:
        return kind_of(arguments[0])
    if origin is Literal:
        return Choice({str(value): value for value in arguments})
    if isinstance(annotation, type) and issubclass(annotation, Enum):
        return Choice({str(member.value): member for member in annotation})
    if origin is tuple and len(arguments) == 2 and arguments[1] is ...:
        return Listed(kind_of(arguments[0]))
    if origin in (Union, types.UnionType) and len(arguments) == 2 and type(None) in arguments:
        (rest,) = (argument for argument in arguments if argument is not type(None))
        return Maybe(kind_of(rest))
    raise TypeError(f"{annotation} is the type of no option")


# --- the options of a dataclass ------------------------------------------------------------------


@dataclass(frozen=True)
class DeclaredOption:
    """One option: its name, what values it takes, what is said of it, and its type as annotated.

    Attributes:
        default: Its default; `dataclasses.MISSING` where it must be set.
    """

    name: str
    kind: OptionKind
    option: Option
    annotation: Any
    default: Any

    def problem(self, value: object) -> str:
        """What is wrong with a value from Python; empty for a good one."""
        if not self.kind.accepts(value):
            return f"{self.name} = {value!r} is not {self.kind.expected}"
        if problem := self.option.range_problem(value):
            return f"{self.name} = {problem}"
        return ""


def options_of(declaring: type) -> Mapping[str, DeclaredOption]:
    """The options of a dataclass by name, in the order of their declaration.

    Raises:
        TypeError: A field has a type that no option has.
    """
    # Mypy takes the hash of a class for that of its objects.
    known: Any = declaring
    return read_options(known)


@cache
def read_options(declaring: type) -> Mapping[str, DeclaredOption]:
    """What `options_of` gives, read from the annotations once."""
    hints = get_type_hints(declaring, include_extras=True)
    return MappingProxyType(
        {field.name: declared(field, hints[field.name]) for field in dataclasses.fields(declaring)}
    )


def declared(field: dataclasses.Field[Any], annotation: Any) -> DeclaredOption:
    """The option that a field declares."""
    notes = get_args(annotation)[1:] if get_origin(annotation) is Annotated else ()
    option = next((note for note in notes if isinstance(note, Option)), Option(""))
    default = field.default
    if field.default_factory is not dataclasses.MISSING:
        default = field.default_factory()
    plain = get_args(annotation)[0] if notes else annotation
    return DeclaredOption(field.name, kind_of(annotation), option, plain, default)


def refuse_wrong(options: Any) -> None:
    """Hold the values of an options' dataclass to what its fields declare.

    Raises:
        ValueError: The first that is wrong, as a clause.
    """
    for name, known in options_of(type(options)).items():
        if problem := known.problem(getattr(options, name)):
            raise ValueError(problem)


def refuse_wrong_option(options: Any) -> None:
    """Raise EpimcError for the first option of a dataclass that is wrong."""
    try:
        refuse_wrong(options)
    except ValueError as problem:
        raise error(f"Wrong option: {problem}.") from None


def values_of(declaring: type, options: Any) -> dict[str, Any]:
    """The values of those options of an object that another dataclass declares, by name."""
    return {name: getattr(options, name) for name in options_of(declaring)}


def print_options(options: Any) -> str:
    """The options that are not at their default, as text."""
    shown = (
        f"{name}={known.kind.show(getattr(options, name))}"
        for name, known in options_of(type(options)).items()
        if getattr(options, name) != known.default
    )
    return ",".join(shown)
