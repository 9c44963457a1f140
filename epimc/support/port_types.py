"""What an input or output of a model is: its ONNX type, its shape, and where the samples are.

Users have samples together, [samples, …] where they are tensors; models take them one by one.

In one line of text, as `tensor(float)[N, 3, 224, 224]`: N stands for the samples, `?` for a size
that depends on the data; without brackets even the rank does, or there is none.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

SAMPLES, OPEN = "N", "?"

FLOAT = "tensor(float)"
"""What the chip takes and gives."""

Dims: TypeAlias = "tuple[int | None, ...]"
"""Sizes; None for one that depends on the data."""

TEXT = re.compile(r"(?P<kind>[a-z][a-z0-9_]*\(.*\))(?:\[(?P<dims>[N?0-9, ]*)\])?")


@dataclass(frozen=True)
class PortType:
    """The type of an input or output.

    Attributes:
        kind: As onnxruntime says it: `tensor(float)`, `seq(tensor(int64))`.
        dims: Of one sample; None where the rank depends on the data, or there is none.
        samples_first: Whether axis 0 is that of the samples, which `dims` leaves out.  Otherwise a
            sample is the whole tensor.
    """

    kind: str = FLOAT
    dims: Dims | None = None
    samples_first: bool = True

    def __str__(self) -> str:
        if self.dims is None:
            return self.kind
        sizes = [OPEN if size is None else str(size) for size in self.dims]
        return f"{self.kind}[{', '.join([SAMPLES] * self.samples_first + sizes)}]"

    @property
    def is_tensor(self) -> bool:
        """Whether it is a tensor, and neither a sequence nor an optional value."""
        return self.kind.startswith("tensor(")

    @property
    def shape(self) -> tuple[int, ...] | None:
        """The dims, where all of them are known."""
        if self.dims is None or None in self.dims:
            return None
        return tuple(size for size in self.dims if size is not None)

    @staticmethod
    def parse(text: str) -> PortType:
        """The type in a text.

        Raises:
            ValueError: It is none.
        """
        match = TEXT.fullmatch(text)
        if match is None:
            raise ValueError(f"'{text[:80]}' is no type of an input or output")
        if match["dims"] is None:
            return PortType(match["kind"], None, False)
        stated = [part.strip() for part in match["dims"].split(",")] if match["dims"] else []
        first = stated[:1] == [SAMPLES]
        return PortType(match["kind"], tuple(sizes_in(stated[first:])), first)


def sizes_in(stated: Iterable[str]) -> Iterable[int | None]:
    """The sizes in the parts of a text; ValueError where one is none."""
    for part in stated:
        if part != OPEN and not re.fullmatch("[0-9]{1,18}", part):
            raise ValueError(f"'{part[:20]}' is no size")
        yield None if part == OPEN else int(part)


def apart(kind: PortType, samples: Any) -> Sequence[Any]:
    """A value for each sample, as the model takes it.

    Args:
        kind: Of the input.
        samples: [samples, *dims], or a sequence of values that are no tensors.
    """
    if not isinstance(samples, np.ndarray) or not kind.is_tensor:
        return list(samples)
    if not kind.samples_first:
        # Arrays, also where they have no axes.
        return [samples[number, ...] for number in range(len(samples))]
    # Axis 0 of the model counts samples as well.
    return [samples[number : number + 1] for number in range(len(samples))]


def joined(kind: PortType, values: Sequence[Any]) -> Any:
    """The inverse: [samples, *dims], or a list where the values have different shapes, or none.

    Args:
        kind: Of the output.
        values: One for each sample, as the model gives them.
    """
    if not all(isinstance(value, np.ndarray) for value in values):
        return list(values)
    if len({value.shape for value in values}) > 1:
        return list(values)
    return np.concatenate(values) if kind.samples_first else np.stack(values)
