"""Rewrite patterns, and the one driver that applies them.

A pattern is a small class that says which ops it matches and what stands for one of them:

    class DropIdentity(Pattern[nn.Rearrange]):
        '''A rearrangement that changes nothing is its operand.'''

        name = "drop-identity"
        ops = (nn.Rearrange,)

        def rewrite(self, op, rewriter):
            if not op.move.is_identity:
                return None
            return Replacement(op.x)

The driver walks the source in execution order and builds a new module.  A pattern is shown each
op over operands that are final, so that it may look at all that comes before (`Rewriter.producer`);
what comes behind, it sees as the source has it (`Rewriter.readers`).  The op that a pattern gives
is shown to the patterns again, until none matches: one walk reaches the fixpoint.

Values keep their names, and ops their locations, unless a pattern says otherwise.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, filterfalse
from typing import Any, ClassVar, Generic, TypeVar

from epimc.ir.core.attributes import Ref
from epimc.ir.core.module import Builder, Module
from epimc.ir.core.op import Array, Op, Value, dump_attributes
from epimc.ir.core.types import Location, TensorType

OpT = TypeVar("OpT", bound=Op)

MOST_REWRITES = 1000
"""Of one op of the source.  Patterns that undo each other need more, whatever the number."""


@dataclass(frozen=True)
class Replacement:
    """What stands for an op.

    Attributes:
        result: The op whose result replaces the op's, or an earlier value that does.
        absorbed: Results of later ops of the source that it replaces, too: those ops go.
    """

    result: Op | Value
    absorbed: tuple[Value, ...] = ()


class Pattern(ABC, Generic[OpT]):
    """One rewrite.

    Attributes:
        name: For observers and errors.
        ops: The classes that it matches; a base class stands for all that derive from it.
    """

    name: ClassVar[str]
    ops: ClassVar[tuple[type[Op], ...]]

    @abstractmethod
    def rewrite(self, op: OpT, rewriter: Rewriter) -> Replacement | None:
        """What stands for an op, or None where the pattern does not apply.

        Args:
            op: Not yet in the new module; its operands are.
            rewriter: Knows the ops around it, and takes tensors and ops that come before the
                result.  It must be left alone when the answer is None.
        """


Observer = Callable[[Pattern[Any], Op], None]
"""Called with each pattern that applies, and the op that it replaces."""


def rewritten(
    module: Module,
    patterns: Sequence[Pattern[Any]],
    *,
    level: str | None = None,
    once: bool = False,
    disposable: tuple[type[Op], ...] = (),
    observer: Observer | None = None,
) -> Module:
    """The module after the patterns, of which the first that matches an op applies.

    Args:
        module: Is left as it was.
        patterns: In order of preference.
        level: Of the new module, where it is another one.
        once: Whether what a pattern gives is final, instead of being shown to them again.
        disposable: Ops of these classes go at the end if nobody reads their results.
        observer: Called for each rewrite.

    Raises:
        AssertionError: The patterns rewrite an op without end.
    """
    rewriter = Rewriter(module, level)
    for op in module.ops:
        # An earlier op may have absorbed it: then it is gone.
        if op.output not in rewriter.mapped:
            _visit(op, patterns, rewriter, 1 if once else MOST_REWRITES, observer)
    return rewriter.finish(disposable)


def apply(pattern: Pattern[Any], module: Module) -> Module:
    """The module after one pattern alone."""
    return rewritten(module, [pattern])


def _visit(
    source: Op,
    patterns: Sequence[Pattern[Any]],
    rewriter: Rewriter,
    limit: int,
    observer: Observer | None,
) -> None:
    """Append what stands for one op of the source."""
    op, applied = rewriter.start(source), 0
    while applied < limit and (match := _first_match(op, patterns, rewriter)):
        pattern, replacement = match
        applied += 1
        if applied == MOST_REWRITES:
            raise AssertionError(
                f"pattern '{pattern.name}' rewrites {op.name} '%{op.output.name}' without end"
            )
        if observer:
            observer(pattern, op)
        rewriter.replace(source, replacement)
        # An earlier value stands for it: there is no op left to show to the patterns.
        if isinstance(replacement.result, Value):
            return
        op = replacement.result
    rewriter.append(op)


def _first_match(
    op: Op, patterns: Iterable[Pattern[Any]], rewriter: Rewriter
) -> tuple[Pattern[Any], Replacement] | None:
    for pattern in patterns:
        if isinstance(op, pattern.ops) and (replacement := pattern.rewrite(op, rewriter)):
            return pattern, replacement
    return None


class Rewriter:
    """A module in the making: what patterns may ask, and what they may put before their result.

    Attributes:
        readers: The ops of the source that read a value, be it of the source or of the new module,
            once per operand; None stands for an output of the module.
        mapped: For each value of the source what stands for it, as far as the walk has come.
    """

    def __init__(self, source: Module, level: str | None = None) -> None:
        self.source = source
        self._builder = Builder(source, level)
        self._builder.inputs_of(source)
        self.mapped: Mapping[Value, Value] = self._builder.mapped
        self.readers: dict[Value, list[Op | None]] = source.uses()
        # Patterns see values of the new module, and ask for their readers.
        self.readers |= {new: self.readers[old] for old, new in self.mapped.items()}
        self._makers = source.producers()
        self._producers: dict[Value, Op] = {}
        self._shared: dict[Hashable, Value] = {}
        self._stand_ins: dict[Value, str] = {}

    # --- what a pattern asks

    def producer(self, value: Value) -> Op | None:
        """The op of the new module that makes a value; None: it is an input."""
        return self._producers.get(value)

    def tensor(self, ref: Ref) -> Array:
        """The contents of a stored tensor."""
        return self._builder.module.tensor(ref)

    def is_output(self, value: Value) -> bool:
        """Whether a value is to be an output of the module."""
        return None in self.readers[value]

    def is_port(self, value: Value) -> bool:
        """Whether a value is an input, or the output of an op that the walk has passed."""
        ports = (*self.source.inputs, *self.source.outputs)
        return any(self.mapped.get(old) is value for _, old in ports)

    # --- what a pattern makes

    def store(self, base: str, array: Array) -> Ref:
        """Keep an array as float32, under a name near `base`."""
        return self._builder.store(base, array, "f32")

    def append(self, op: Op) -> Value:
        """Put an op into the new module, as it is; returns its result."""
        self._builder.module.ops.append(op)
        self._producers[op.output] = op
        return op.output

    def stand_in(self, name: str, kind: TensorType) -> Value:
        """A new value, which takes this name in the end if nothing else has it then."""
        value = Value(self._builder.fresh(f"{name}.before"), kind)
        self._stand_ins[value] = name
        self.readers[value] = []
        return value

    def shared(self, key: Hashable, make: Callable[[], Op]) -> Value:
        """The result of an op that is made once for all rewrites that ask for the same key."""
        if key not in self._shared:
            self._shared[key] = self.append(make())
        return self._shared[key]

    # --- what the driver does

    def start(self, source: Op) -> Op:
        """An op of the source over the new operands, not yet in the new module."""
        old = source.output
        op = changed(
            source,
            operands=[self.mapped[operand] for operand in source.operands],
            output=Value(old.name, old.type, old.range),
        )
        self._builder.mapped[old] = op.output
        self.readers[op.output] = self.readers[old]
        return op

    def replace(self, source: Op, replacement: Replacement) -> None:
        """Let a replacement stand for an op of the source and for what it absorbs."""
        result = replacement.result
        value = result if isinstance(result, Value) else result.output
        old = (source.output, *replacement.absorbed)
        self._builder.mapped |= dict.fromkeys(old, value)
        # An earlier value keeps its own readers, and gets those of what it replaces.
        before = self.readers[value] if isinstance(result, Value) else []
        behind = [reader for each in old for reader in self.readers[each]]
        gone = {self._makers[each] for each in old}
        # A value may have thousands of readers, and change them as often.
        self.readers[value] = list(filterfalse(gone.__contains__, chain(before, behind)))

    def finish(self, disposable: tuple[type[Op], ...]) -> Module:
        """The new module, without the disposable ops that nobody reads; stand-ins get names."""
        self._builder.outputs_of(self.source)
        module = self._builder.module
        read = {value for _, value in module.outputs}
        kept: list[Op] = []
        for op in reversed(module.ops):
            # From the last op to the first, so that what only a disposed op read goes, too.
            if not isinstance(op, disposable) or op.output in read:
                kept.append(op)
                read.update(op.operands)
        module.ops = kept[::-1]
        names = {value.name for value in module.values()}
        for value, name in self._stand_ins.items():
            if name not in names:
                value.name = name
                names.add(name)
        return self._builder.finish()


def changed(
    op: OpT,
    *,
    operands: Sequence[Value] | None = None,
    output: Value | None = None,
    location: Location | None = None,
    **attributes: Any,
) -> OpT:
    """An op of the same class; what is not named stays as it is."""
    return type(op)(
        op.operands if operands is None else operands,
        output or op.output,
        op.location if location is None else location,
        {**dump_attributes(op), **attributes},
    )
