"""Two nets side by side on all samples, op by op: that of reals, and the one quantized so far.

Values are float32 and kept in pieces of some samples, until their last reader has run.  Pieces are
computed in threads, each by itself, and everything that is summed over them is summed in order: no
result depends on how many threads there are.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from epimc.backends.onnx.fragments import fragments_of
from epimc.ir.core.module import Module
from epimc.ir.core.op import Op, Value
from epimc.ir.core.types import TensorType
from epimc.ir.interpreter import Evaluation, op_elements
from epimc.ir.meanings import NUMPY
from epimc.runtime.finite import run_finite
from epimc.runtime.host import OnnxHost

Array = NDArray[Any]
S = TypeVar("S")
T = TypeVar("T")

# Elements of a layer's windows that a piece of samples has at most, unless it is one sample.
PIECE_ELEMENTS = 2**24
PIECE_SAMPLES, LEAST_PIECES = 16, 8

# One in so many pieces of the samples is kept apart, the last of the first ones first.
KEPT_APART = 4


@dataclass
class Both:
    """A value in both nets, piece by piece.

    Attributes:
        real: In the net of reals.
        quantized: In the net that is quantized as far as it goes; the same arrays where nothing is.
    """

    real: list[Any]
    quantized: list[Any]


class Propagation:
    """Both nets, in the order of a module's ops.

    Attributes:
        module: On reals.
        count: Samples.
        pieces: Slices of them.
        uses: The ops that read each value.
        threads: How many compute pieces.
    """

    def __init__(
        self,
        module: Module,
        kinds: Mapping[Value, TensorType],
        samples: Mapping[str, Any],
        threads: int,
    ) -> None:
        """Begin with the samples.

        Args:
            module: At level `calibrated`.
            kinds: The types of the values that are kept as activations.
            samples: By input name.
            threads: How many may compute.
        """
        self.module, self.kinds, self.threads = module, kinds, threads
        self.count = len(next(iter(samples.values()), [None]))
        self.pieces = pieces_of(self.count, module)
        fragments = fragments_of(module)
        host = OnnxHost(fragments) if fragments else None
        self.evaluations = {
            size: Evaluation(module, NUMPY, host, {"": np.zeros(size)}, run_finite)
            for size in {part.stop - part.start for part in self.pieces}
        }
        self.uses = module.uses()
        self.last = {operand: op for op in module.ops for operand in op.operands}
        self.values: dict[Value, Both] = {}
        for name, value in module.inputs:
            parts = [as_floats(samples[name][part], value.type) for part in self.pieces]
            self.values[value] = self.kept(value, parts, parts)

    def ops(self) -> Iterator[Op]:
        """The ops, each when its operands are known; who takes it sets `values[op.output]`."""
        kept = {value for _, value in self.module.outputs}
        for op in self.module.ops:
            yield op
            for value in [*self.values]:
                if self.last.get(value) is op and value not in kept:
                    del self.values[value]

    def keep(self, value: Value, until: Op) -> None:
        """Keep a value until an op has run, its last reader or one behind it."""
        self.last[value] = until

    def evaluate(self, op: Op) -> None:
        """Compute an op as it is, in both nets."""
        operands = [self.values[operand] for operand in op.operands]
        real = self.each(lambda i: self.result(op, i, [each.real[i] for each in operands]))
        if all(each.quantized is each.real for each in operands):
            self.values[op.output] = self.kept(op.output, real, real)
            return
        quantized = self.each(
            lambda i: self.result(op, i, [each.quantized[i] for each in operands])
        )
        self.values[op.output] = self.kept(op.output, real, quantized)

    def is_apart(self, piece: int) -> bool:
        """Whether a piece of the samples is kept apart, to see what holds for others too."""
        every = min(KEPT_APART, len(self.pieces))
        return every > 1 and piece % every == every - 1

    def result(self, op: Op, piece: int, operands: list[Any]) -> Any:
        """The result of an op for a piece."""
        part = self.pieces[piece]
        # Infinities are told by calibration; what a sample of another net makes of them is clipped.
        with np.errstate(all="ignore"):
            result = self.evaluations[part.stop - part.start](op, operands)
        return result if op.output.type.is_host else np.asarray(result, np.float32)

    def kept(self, value: Value, real: list[Any], quantized: list[Any]) -> Both:
        """A value of both nets, rounded in one of them where it is kept as activations."""
        kind = self.kinds.get(value)
        if kind is None:
            return Both(real, quantized)
        return Both(real, self.each(lambda i: rounded(quantized[i], kind)))

    def each(self, do: Callable[[int], T]) -> list[T]:
        """What is made of each piece, by its number."""
        return list(self.stream(do))

    def stream(self, do: Callable[[int], T]) -> Iterator[T]:
        """The same, one after the other, of which few are there at once."""
        return in_threads(do, range(len(self.pieces)), self.threads)


def in_threads(do: Callable[[S], T], arguments: Sequence[S], threads: int) -> Iterator[T]:
    """The results for all arguments, in order, made not far ahead of who takes them."""
    if min(threads, len(arguments)) < 2:
        yield from map(do, arguments)
        return
    with ThreadPoolExecutor(threads) as pool:
        running: deque[Future[T]] = deque()
        for argument in arguments:
            running.append(pool.submit(do, argument))
            if len(running) > threads:
                yield running.popleft().result()
        while running:
            yield running.popleft().result()


def rounded(values: Array, kind: TensorType) -> Array:
    """Reals as an activation's type holds them, float32."""
    scale, zero = np.float32(kind.step), np.float32(kind.zero_point)
    with np.errstate(over="ignore"):
        steps = np.rint(values / scale)
    np.clip(steps, -zero, np.float32(2**kind.bits - 1) - zero, out=steps)
    steps *= scale
    return steps


def as_floats(samples: Any, kind: TensorType) -> Any:
    """Samples of an input as ops take them."""
    return samples if kind.is_host else np.asarray(samples, np.float32)


def pieces_of(count: int, module: Module) -> list[slice]:
    """Slices of samples, small enough that a layer's windows stay near PIECE_ELEMENTS."""
    largest = max((op_elements(module, op) for op in module.ops), default=1)
    # Some pieces are kept apart: there must be several.
    most = min(PIECE_SAMPLES, -(-count // LEAST_PIECES))
    size = max(1, min(most, PIECE_ELEMENTS // max(largest, 1)))
    return [slice(first, min(first + size, count)) for first in range(0, count, size)]
