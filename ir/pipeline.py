"""Passes, pipelines as text, and the one runner.

A pass is a frozen dataclass: its fields are its options, its `run` turns a valid module into
another valid module.  A pipeline is a string such as `epitomize,quantize{weight_bits=4}` that
parses to passes and prints from them.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from importlib import import_module
from typing import Any, ClassVar, get_type_hints

from epimc.ir.core.module import Module
from epimc.ir.core.module_attributes import PASSES
from epimc.ir.verifier import verify
from epimc.support.diagnostics import EpimcError, did_you_mean, error


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

    def __str__(self) -> str:
        hidden = [f for f in fields(self) if getattr(self, f.name) != f.default]
        options = ",".join(f"{f.name}={_print_option(getattr(self, f.name))}" for f in hidden)
        return f"{self.name}{{{options}}}" if options else self.name


Registry = Mapping[str, str]
"""Name of each pass -> "module:Class", imported on use."""

_STEP = re.compile(r"\s*([A-Za-z][\w-]*)\s*(?:\{([^{}]*)\})?\s*(,|$)")


def print_pipeline(passes: Sequence[Pass]) -> str:
    """The pipeline as text, options at their default left out."""
    return ",".join(str(step) for step in passes)


def parse_pipeline(text: str, registry: Registry) -> list[Pass]:
    """The passes that a text names.

    Raises:
        EpimcError: Malformed text, an unknown pass or option, a value of the wrong type.
    """
    passes: list[Pass] = []
    position = 0
    while position < len(text):
        match = _STEP.match(text, position)
        if not match:
            raise error(
                f"Pipeline '{text}' is malformed at column {position + 1}.",
                hint="Write it as 'pass1,pass2{option=4}'.",
            )
        passes.append(_make(match[1], match[2] or "", registry))
        position = match.end()
        if match[3] and position == len(text):
            raise error(f"Pipeline '{text}' ends in a comma.")
    return passes


def pass_class(name: str, registry: Registry) -> type[Pass]:
    """The class of a pass.

    Raises:
        EpimcError: There is no such pass.
    """
    if name not in registry:
        raise error(f"There is no pass '{name}'.", hint=did_you_mean(name, registry))
    module, _, attribute = registry[name].partition(":")
    kind: type[Pass] = getattr(import_module(module), attribute)
    return kind


def _make(name: str, options: str, registry: Registry) -> Pass:
    kind = pass_class(name, registry)
    types = {f.name: get_type_hints(kind)[f.name] for f in fields(kind)}
    values: dict[str, Any] = {}
    for item in filter(None, (part.strip() for part in options.split(","))):
        key, separator, value = (part.strip() for part in item.partition("="))
        key = key.replace("-", "_")
        if key not in types or not separator:
            what = f"'{key}'" if separator else f"'{item}' without a value"
            hint = did_you_mean(key, types) or "It has no options."
            raise error(f"Pass '{name}' has no option {what}.", hint=hint)
        if key in values:
            raise error(f"Option '{key}' of pass '{name}' is given twice.")
        values[key] = _read_option(name, key, value, types[key])
    try:
        return kind(**values)
    except ValueError as problem:
        raise error(f"Pass '{name}': {problem}.") from None


def _read_option(name: str, key: str, text: str, kind: type) -> Any:
    try:
        if kind is bool:
            return {"true": True, "false": False}[text]
        return kind(text)
    except (KeyError, ValueError):
        words = {bool: "true or false", int: "an integer", float: "a number"}
        expected = words.get(kind, "text")
        raise error(f"Option '{key}' of pass '{name}' is '{text}', expected {expected}.") from None


def _print_option(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


@dataclass(frozen=True)
class Step:
    """What the runner tells after each pass: its number, the pass, the module, the seconds."""

    number: int
    name: str
    module: Module
    seconds: float


@dataclass
class Runner:
    """Runs passes: checks levels, verifies after each, times, and tells an observer.

    Attributes:
        registry: All passes: an error names from it those that must run first.
        before: Called with the name of a pass before it runs.
        after: Called with a Step after each pass (dumps, printing, progress).
    """

    registry: Registry
    before: Callable[[str], None] = field(default=lambda name: None)
    after: Callable[[Step], None] = field(default=lambda step: None)

    def run(self, module: Module, passes: Sequence[Pass]) -> Module:
        """Run the passes in order, if the level of each is right.

        Raises:
            EpimcError: A pass at the wrong level, before any has run; or a problem that a pass
                meets: the error names the pass.
        """
        check_order(module, passes, self.registry)
        for step in passes:
            module = self._one(module, step)
        return module

    def _one(self, module: Module, step: Pass) -> Module:
        self.before(step.name)
        started = time.perf_counter()
        try:
            result = step.run(module)
        except EpimcError as problem:
            raise problem.with_notes(f"in pass '{step.name}'") from None
        history = (*done(module), str(step))
        result.attributes[PASSES] = history
        try:
            verify(result)
        except EpimcError as problem:
            note = f"pass '{step.name}' made this module: a defect of epimc, please report it"
            raise problem.with_notes(note) from None
        if result.level != step.ensures:
            raise AssertionError(f"pass '{step.name}' must return level {step.ensures}")
        self.after(Step(len(history), step.name, result, time.perf_counter() - started))
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
