"""A command's options from a declaration (`epimc/compiler/options.py`)."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from enum import Enum
from typing import Annotated, Any, get_type_hints

import typer

from epimc.support.options import (
    Choice,
    DeclaredOption,
    Listed,
    Maybe,
    NumberOrText,
    OptionKind,
    Scalar,
    Word,
    options_of,
)

Command = Callable[..., None]


def takes(declaring: type, name: str = "options") -> Callable[[Command], Command]:
    """Give a command an option for each field of a dataclass.

    Args:
        declaring: The dataclass.
        name: The command's parameter that gets an object of it; its place among the others is that
            of the options in the help.
    """

    def derive(command: Command) -> Command:
        declared = options_of(declaring)

        @functools.wraps(command)
        def derived(**arguments: Any) -> None:
            chosen = {
                each: as_value(known.kind, arguments.pop(each)) for each, known in declared.items()
            }
            command(**arguments, **{name: declaring(**chosen)})

        hints = get_type_hints(command, include_extras=True)
        parameters: list[inspect.Parameter] = []
        for parameter in inspect.signature(command).parameters.values():
            if parameter.name == name:
                parameters += map(parameter_of, declared.values())
            else:
                known = parameter.replace(annotation=hints[parameter.name])
                parameters.append(known.replace(kind=inspect.Parameter.KEYWORD_ONLY))
        # Both are what typer asks for.
        derived.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        derived.__annotations__ = {known.name: known.annotation for known in parameters}
        return derived

    return derive


def parameter_of(known: DeclaredOption) -> inspect.Parameter:
    """The parameter of a command for an option."""
    option = known.option
    limits: dict[str, Any] = {"min": option.minimum, "max": option.maximum}
    # The limits of a number, which a text need not keep, are looked at behind.
    is_text = isinstance(known.kind, NumberOrText)
    if is_text or (option.minimum is None and option.maximum is None):
        limits = {}
    kind = type_of(known.kind)
    written = as_written(known, kind)
    words = words_of(known)
    info = typer.Option(
        *filter(None, (option.flag, flag_of(known))),
        help=option.doc,
        metavar=option.metavar or words,
        parser=reader(known) if words else None,
        show_default=written not in (None, False, []),
        **limits,
    )
    return inspect.Parameter(
        known.name,
        inspect.Parameter.KEYWORD_ONLY,
        default=written,
        annotation=Annotated[kind, info],
    )


def words_of(known: DeclaredOption) -> str | None:
    """What the help writes for a number or one of some words; None for what is neither."""
    single = single_of(known.kind)
    if isinstance(single, Choice):
        return f"<{'|'.join(single.values)}>"
    if not isinstance(single, Scalar) or single.type not in (int, float):
        return None
    option = known.option
    is_any = option.minimum is None and option.maximum is None
    return f"<{single.type.__name__}>" if is_any else f"<{single.type.__name__} range>"


def reader(known: DeclaredOption) -> Callable[[Any], Any]:
    """Reads a number or one of some words, so that what is wrong is said as everywhere else."""
    kind = single_of(known.kind)

    def read(text: Any) -> Any:
        if not isinstance(text, str):
            # The default.
            return text
        try:
            value = kind.read(Word(text))
        except ValueError:
            raise typer.BadParameter(f"'{text}' is not {kind.expected}.") from None
        if problem := known.option.range_problem(value):
            raise typer.BadParameter(f"{problem}.")
        # As the library has it, which takes words for members of an enumeration.
        return type_of(kind)(text) if isinstance(kind, Choice) else value

    return read


def single_of(kind: OptionKind) -> OptionKind:
    """The kind of a value where there is one."""
    return kind.item if isinstance(kind, Maybe) else kind


def flag_of(known: DeclaredOption) -> str:
    """What an option is called on the command line."""
    return f"--{(known.option.singular or known.name).replace('_', '-')}"


def as_written(known: DeclaredOption, kind: Any) -> Any:
    """The default as the command line has it, where the option has this type there."""
    if isinstance(known.kind, Listed):
        return list(known.default)
    if isinstance(known.kind, NumberOrText):
        return str(known.default)
    if isinstance(known.kind, Choice):
        return kind(known.kind.name_of(known.default))
    return known.default


def as_value(kind: OptionKind, value: Any) -> Any:
    """The value of an option from what the command line's library made of it."""
    if isinstance(kind, Listed):
        return tuple(as_value(kind.item, part) for part in value)
    if isinstance(kind, NumberOrText):
        return kind.read(Word(value))
    if isinstance(kind, Maybe) and value is not None:
        return as_value(kind.item, value)
    return kind.values[value.value] if isinstance(kind, Choice) else value


def type_of(kind: OptionKind) -> Any:
    """The type by which the command line's library knows a kind of value.

    Raises:
        TypeError: It knows none.
    """
    match kind:
        case Scalar():
            return kind.type
        case Choice():
            # The one type of which it takes some texts alone.
            return Enum("Choice", {text: text for text in kind.values})
        case NumberOrText():
            return str
        case Maybe():
            return type_of(kind.item) | None
        case Listed(item=Scalar()):
            return list[type_of(kind.item)]  # type: ignore[misc]
    raise TypeError(f"an option of the command line cannot be {kind.expected}")
