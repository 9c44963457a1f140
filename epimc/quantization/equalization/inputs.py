"""What layers read in the net of reals: windows at drawn positions of all samples, streamed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from epimc.ir.core.module import Module
from epimc.ir.core.op import Array, Value
from epimc.ir.core.types import as_map
from epimc.ir.epitome.epitomized import Epitomized
from epimc.ir.semantics.windows import gather
from epimc.quantization.calibration.running import run_values, spread

# Samples that are run, positions that are drawn of a layer, and elements of their windows: more
# tell little.
MOST_SAMPLES, MOST_POSITIONS, MOST_ELEMENTS = 64, 2**12, 2**21


@dataclass(frozen=True)
class Inputs:
    """What a layer reads.

    Attributes:
        windows: At drawn positions, float32 [groups, positions, K].
        low: The smallest element of each input channel over all samples, float32 [Cin].
        high: The largest.
        samples: Of which sample each position is, int64 [positions].
    """

    windows: Array
    low: Array
    high: Array
    samples: Array

    def divided(self, factors: Array) -> Inputs:
        """The same with each input channel, or each run of them, divided by a factor, float32."""
        groups, _, size = self.windows.shape
        spread = np.repeat(factors, groups * size // len(factors)).reshape(groups, 1, size)
        each = np.repeat(factors, len(self.low) // len(factors))
        # What overflows is seen in the ends.
        with np.errstate(over="ignore"):
            ends = self.low / each, self.high / each
            return Inputs(self.windows / spread, *ends, self.samples)

    @property
    def is_apart(self) -> NDArray[np.bool_]:
        """Which positions are kept apart: of every other sample, or every other one of a sample."""
        is_one = self.samples[-1] == self.samples[0]
        numbers = np.arange(len(self.samples)) if is_one else self.samples
        result: NDArray[np.bool_] = numbers % 2 == 1
        return result


@dataclass
class Drawing:
    """Draws from the operand of a layer, as it becomes known.

    Attributes:
        op: The layer.
        count: Samples that there will be.
        parts: What was drawn from each batch so far; ends are those of the batch.
        seen: Samples so far.
    """

    op: Epitomized
    count: int
    parts: list[Inputs] = field(default_factory=list)
    seen: int = 0

    def add(self, x: Array) -> None:
        """Take samples of the operand, [samples, *shape]."""
        maps = np.asarray(x, np.float32).reshape(len(x), *as_map(self.op.x.type.shape))
        window = self.op.window
        height, width = (window.output_size(maps.shape[2 + axis], axis) for axis in (0, 1))
        places = [drawn(height * width, self.share, self.seen + k) for k in range(len(maps))]
        samples = np.repeat(np.arange(len(maps)), [len(each) for each in places])
        rows, columns = np.divmod(np.concatenate(places), width)
        every = gather(maps, window, 0, 0, height)
        windows = every[samples, :, :, :, rows, columns]
        apart = windows.reshape(len(samples), self.op.groups, -1).transpose(1, 0, 2)
        ends = maps.min(axis=(0, 2, 3)), maps.max(axis=(0, 2, 3))
        self.parts.append(Inputs(apart, *ends, samples + self.seen))
        self.seen += len(maps)

    @property
    def share(self) -> int:
        """Positions that are drawn of each sample."""
        _, inputs, height, width = self.op.weights_shape
        size = self.op.groups * inputs * height * width
        return max(1, min(MOST_POSITIONS, MOST_ELEMENTS // size) // self.count)

    def inputs(self) -> Inputs:
        """All that was drawn; its parts are given up."""
        parts, self.parts = self.parts, []
        return Inputs(
            np.concatenate([part.windows for part in parts], axis=1),
            np.min([part.low for part in parts], axis=0),
            np.max([part.high for part in parts], axis=0),
            np.concatenate([part.samples for part in parts]),
        )


def drawn(count: int, most: int, sample: int) -> Array:
    """Some of a sample's positions, ascending: the same in whatever batch it comes."""
    chosen = np.random.default_rng(sample).choice(count, min(count, most), replace=False)
    return np.sort(chosen)


def inputs_of(
    module: Module, layers: Sequence[Epitomized], samples: Mapping[str, Any]
) -> dict[str, Inputs]:
    """What layers read of some of the samples, by the names of their results.

    Args:
        module: At level `epi`.
        layers: Of the module, the chip's.
        samples: By input name.

    Raises:
        EpimcError: As `run_values`.
    """
    some = spread(samples, MOST_SAMPLES)
    count = len(next(iter(some.values()), [None]))
    drawings = {op.output.name: Drawing(op, count) for op in layers}
    readers: dict[Value, list[Drawing]] = {}
    for drawing in drawings.values():
        readers.setdefault(drawing.op.x, []).append(drawing)

    def observe(value: Value, array: Array) -> None:
        for drawing in readers.get(value, ()):
            drawing.add(array)

    run_values(module, some, observe)
    return {name: drawing.inputs() for name, drawing in drawings.items()}
