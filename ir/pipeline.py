"""Passes, pipelines as text, and the one runner.

A pass is a frozen dataclass: its fields are its options (`epimc/support/options.py`), its `run`
turns a valid module into another valid module.  A pipeline is a string such as
`epitomize,quantize{weight_bits=4}` that parses to passes and prints from them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pkgutil import resolve_name
from typing import Any, ClassVar, TypeVar

from epimc.ir.core.module import Module
from epimc.ir.core.module_attributes import PASSES
from epimc.ir.observers import CompileObserver, StageClock
from epimc.ir.option_text import Setting, read_steps
from epimc.ir.verifier import verify
from epimc.support.diagnostics import EpimcError, did_you_mean, error
from epimc.support.options import options_of, print_options, refuse_wrong, values_of


@dataclass(frozen=True)
class Pass:
    """Base of all passes.

    Attributes:
        name: Its name in pipelines, dumps and errors.
        requires: The level of IR that it takes.
        ensures: The level of IR that it gives; the same one where it may run again.
    """

    name: ClassVar[str]
    requires: ClassVar[str]
    ensures: ClassVar[str]

    def run(self, module: Module) -> Module:
        """The rewritten module; `module` itself is left as it was."""
        raise NotImplementedError(self.name)

    def __post_init__(self) -> None:
        """Hold the options to what the fields declare; ValueError says what is wrong."""
        refuse_wrong(self)

    def __str__(self) -> str:
        options = print_options(self)
        return f"{self.name}{{{options}}}" if options else self.name


P = TypeVar("P", bound=Pass)

Registry = Mapping[str, str]
"""Name of each pass -> "module:Class", imported on use."""


def print_pipeline(passes: Sequence[Pass]) -> str:
    """The pipeline as text, options at their default left out."""
    return ",".join(str(step) for step in passes)


def parse_pipeline(text: str, registry: Registry) -> list[Pass]:
    """The passes that a text names.

    Raises:
        EpimcError: Malformed text, an unknown pass or option, a value of the wrong type.
    """
    return [
        with_settings(pass_class(step.name, registry), step.settings) for step in read_steps(text)
    ]


def overridden(passes: Sequence[Pass], text: str) -> tuple[Pass, ...]:
    """The same passes, with the options that a text sets, such as `quantize{weight_bits=4}`.

    Raises:
        EpimcError: The text is malformed, names a pass that is not among these or an unknown
            option, or a value is wrong.
    """
    for step in read_steps(text):
        names = [known.name for known in passes]
        if step.name not in names:
            hint = did_you_mean(step.name, names)
            raise error(f"There is no pass '{step.name}' among those that run.", hint=hint)
        passes = [
            with_settings(type(known), step.settings, known) if known.name == step.name else known
            for known in passes
        ]
    return tuple(passes)


def pass_class(name: str, registry: Registry) -> type[Pass]:
    """The class of a pass.

    Raises:
        EpimcError: There is no such pass.
    """
    if name not in registry:
        raise error(f"There is no pass '{name}'.", hint=did_you_mean(name, registry))
    kind: type[Pass] = resolve_name(registry[name])
    return kind


def with_settings(kind: type[Pass], settings: Sequence[Setting], base: Pass | None = None) -> Pass:
    """A pass with the options that a text sets.

    Args:
        kind: The class of the pass.
        settings: As read from the text.
        base: Where the other options come from; None: they keep their defaults.

    Raises:
        EpimcError: There is no such option, or a value is wrong.
    """
    values: dict[str, Any] = {}
    for setting in settings:
        key, value = read_setting(kind, setting)
        if key in values:
            raise error(f"Option '{key}' of pass '{kind.name}' is given twice.")
        values[key] = value
    if base is not None:
        values = {**values_of(kind, base), **values}
    return make(kind, **values)


def make(kind: type[P], **options: Any) -> P:
    """A pass with some options.

    Raises:
        EpimcError: One has a wrong value.
    """
    try:
        return kind(**options)
    except ValueError as problem:
        raise error(f"Pass '{kind.name}': {problem}.") from None


def read_setting(kind: type[Pass], setting: Setting) -> tuple[str, Any]:
    """The name of an option of a pass, and its value.

    Raises:
        EpimcError: There is no such option, or its value is none of its type.
    """
    options = options_of(kind)
    # As on the command line, where options have dashes.
    key = setting.name.replace("-", "_")
    if key not in options or setting.value is None:
        what = f"'{key}'" if setting.value is not None else f"'{setting.name}' without a value"
        hint = did_you_mean(key, options) or "It has no options."
        raise error(f"Pass '{kind.name}' has no option {what}.", hint=hint)
    try:
        return key, options[key].kind.read(setting.value)
    except ValueError:
        expected = options[key].kind.expected
        raise error(
            f"Option '{key}' of pass '{kind.name}' is '{setting.source}', expected {expected}."
        ) from None


@dataclass(frozen=True)
class Runner:
    """Runs passes: checks levels, verifies after each, times, and tells observers.

    Attributes:
        registry: All passes: an error names from it those that must run first.
        observers: Told of each pass.
    """

    registry: Registry
    observers: Sequence[CompileObserver] = ()

    def run(
        self, module: Module, passes: Sequence[Pass], clock: StageClock | None = None
    ) -> Module:
        """Run the passes in order, if the level of each is right.

        Args:
            module: What the first of them takes.
            passes: The passes.
            clock: Of the stages of which these are some; None: they are all that remain.

        Raises:
            EpimcError: A pass at the wrong level, before any has run; or a problem that a pass
                meets: the error names the pass.
        """
        # Before anything runs: a pass in a wrong place may come after minutes.
        check_order(module, passes, self.registry)
        if clock is None:
            first = len(done(module)) + 1
            clock = StageClock(first + len(passes), self.observers, first)
        for step in passes:
            with clock.stage(step.name) as stage:
                module = stage.module = run_verified(module, step)
        return module


def run_verified(module: Module, step: Pass) -> Module:
    """Run one pass, note it in the module, and verify the module.

    Raises:
        EpimcError: A problem that the pass meets; or the module is invalid, by its fault.
    """
    try:
        result = step.run(module)
    except EpimcError as problem:
        raise problem.with_notes(f"in pass '{step.name}'") from None
    result.attributes[PASSES] = (*done(module), str(step))
    try:
        verify(result)
    except EpimcError as problem:
        note = f"pass '{step.name}' made this module: a defect of epimc, please report it"
        raise problem.with_notes(note) from None
    if result.level != step.ensures:
        raise AssertionError(f"pass '{step.name}' must return level {step.ensures}")
    return result


def check_order(module: Module, passes: Sequence[Pass], registry: Registry) -> None:
    """Follow the levels from pass to pass, without running any.

    Raises:
        EpimcError: One comes to the wrong level: which passes must run before it, or that it has
            run already.
    """
    level, history = module.level, [name_of(step) for step in done(module)]
    for count, step in enumerate(passes):
        if level != step.requires:
            place = f"after '{passes[count - 1].name}' the module" if count else "the module"
            reason, hint = misplaced(step, level, history, registry)
            raise error(
                f"Pass '{step.name}' takes IR at level {step.requires}, "
                f"{place} is at level {level}: {reason}.",
                hint=hint,
            )
        level = step.ensures
        history.append(step.name)


def misplaced(
    step: Pass, level: str, history: Sequence[str], registry: Registry
) -> tuple[str, str]:
    """Why a pass cannot run at a level, in words, and a hint."""
    kinds = [pass_class(name, registry) for name in registry]
    missing = way(level, step.requires, kinds)
    if missing:
        return f"run '{','.join(missing)}' first", ""
    givers = [kind.name for kind in kinds if kind.ensures == step.requires and kind.name in history]
    example = f", as '{givers[-1]}' leaves it" if givers else ""
    hint = f"Start from IR at level {step.requires}{example}."
    reason = "has run already" if step.name in history else "comes too late"
    return f"'{step.name}' {reason}", hint


def way(start: str, end: str, kinds: Sequence[type[Pass]]) -> list[str]:
    """The fewest passes that lead from a level to another; none: there is no way."""
    ways: dict[str, list[str]] = {start: []}
    pending = [start]
    for level in pending:
        for kind in kinds:
            # Breadth first: the first way to a level is one of the shortest.
            if kind.requires == level and kind.ensures not in ways:
                ways[kind.ensures] = [*ways[level], kind.name]
                pending.append(kind.ensures)
    return ways.get(end, [])


def name_of(step: str) -> str:
    """The name of a pass in a history, which has its options behind it."""
    return step.partition("{")[0]


def done(module: Module) -> tuple[str, ...]:
    """The passes that made the module, in order.

    Raises:
        EpimcError: Their attribute holds something else.
    """
    history = module.attributes.get(PASSES, ())
    if not isinstance(history, tuple) or not all(isinstance(step, str) for step in history):
        raise error(
            f"Attribute '{PASSES}' of module '{module.name}' is no list of passes.",
            hint="Leave it out: the passes write it.",
        )
    return history
