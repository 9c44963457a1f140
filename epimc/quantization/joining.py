"""Which functions of each element become one table: x * sigmoid(x) is one function of x.

Between two values that are kept as activations lie ops that treat each element by itself and read
nothing else: a chain such as Sigmoid, Mul, Relu, or branches that meet again, as an exported Gelu
has them.  All of them together are a function of one number, which a table holds as well as it
holds any of them, and with one rounding in the place of several.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from epimc.ir.core.module import Module
from epimc.ir.core.op import Op, Value
from epimc.ir.core.traits import Clips, Linear
from epimc.quantization.pointwise import is_costly, is_pointwise

# Of a chain: every op of it may be read elsewhere, too, and then has a table with all before it.
LONGEST = 64


@dataclass(frozen=True)
class Joint:
    """Ops that are one function of each element of a value.

    Attributes:
        source: The value.
        ops: In order; the last one makes the result.
    """

    source: Value
    ops: tuple[Op, ...]


@dataclass
class Joining:
    """The joint tables of a module, and the ops that need not be computed because of them.

    Attributes:
        module: On reals.
        is_sum: Whether an op's result may stay a sum until its one reader rounds it.
        tables: By their results.
        inner: Results of ops that nothing but tables reads.
    """

    module: Module
    is_sum: Callable[[Op], bool]
    tables: dict[Value, Joint] = field(default_factory=dict)
    inner: set[Value] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.producers, self.uses = self.module.producers(), self.module.uses()
        self.places = {op.output: place for place, op in enumerate(self.module.ops)}
        self.parents: dict[Value, Value] = {}
        self.depths: dict[Value, int] = {}
        for op in self.module.ops:
            self._place(op)
        self._choose()

    # --- which value every value is a function of

    def _place(self, op: Op) -> None:
        """Note the last value of which the result of an op is a function, if there is one."""
        if not is_pointwise(op, self.module.tensor):
            return
        common: Value | None = op.operands[0]
        for operand in op.operands[1:]:
            common = self._common(common, operand)
        if common is not None:
            self.parents[op.output] = common
            self.depths[op.output] = self.depths.get(common, 0) + 1

    def _common(self, a: Value | None, b: Value) -> Value | None:
        """The last value of which both are functions; None: there is none."""
        other: Value | None = b
        for _ in range(2 * LONGEST):
            if a is other or a is None or other is None:
                break
            if self.depths.get(a, 0) >= self.depths.get(other, 0):
                a = self.parents.get(a)
            else:
                other = self.parents.get(other)
        return a if a is other else None

    # --- which of them become tables

    def _choose(self) -> None:
        """From the last op to the first: what is read as an activation is made by one table."""
        # Outputs, and what nobody reads.
        kept = {value for value, readers in self.uses.items() if None in readers or not readers}
        sums: set[Value] = set()
        for op in reversed(self.module.ops):
            value = op.output
            if value not in kept and value not in sums:
                self.inner.add(value)
                continue
            # A sum costs nothing where it is added up in its reader; a product does.
            if value in kept or is_costly(op):
                joint = self._joint(value)
                if joint is not None:
                    self.tables[value] = joint
                    kept.add(joint.source)
                    continue
            for operand in op.operands:
                (sums if self._is_absorbed(operand) else kept).add(operand)

    def _is_absorbed(self, value: Value) -> bool:
        """Whether the one reader of a value may round it."""
        producer, uses = self.producers.get(value), self.uses[value]
        if producer is None or len(uses) != 1 or not self.is_sum(producer):
            return False
        return isinstance(uses[0], (Linear, Clips))

    def _joint(self, value: Value) -> Joint | None:
        """The table that makes a value, where one is worth it."""
        chain = [value]
        while chain[-1] in self.parents and len(chain) <= LONGEST:
            chain.append(self.parents[chain[-1]])
        # What is rounded in its reader must not be rounded before: the table begins behind that.
        while len(chain) > 1 and self._is_absorbed(chain[-1]):
            chain.pop()
        source = chain[-1]
        ops = self._between(source, value)
        is_gain = any(is_costly(op) for op in ops)
        return Joint(source, ops) if is_gain and len(ops) > 1 else None

    def _between(self, source: Value, value: Value) -> tuple[Op, ...]:
        """The ops from one value to another, in the order of the module."""
        wanted, pending = {source}, [value]
        while pending:
            last = pending.pop()
            if last not in wanted:
                wanted.add(last)
                pending += self.producers[last].operands
        made = sorted(wanted - {source}, key=self.places.__getitem__)
        return tuple(self.producers[each] for each in made)
