"""Samples for a start without data: drawn at random, the same for the same seed."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from epimc.samples.samples import Samples
from epimc.support.sample_types import Array, Shaped

# Numbers that are large enough for nothing but the indices of the smallest table.
FEW = 2

NORMAL, RANDOM = "standard normal", "random"


def drawn_samples(inputs: Sequence[Shaped], count: int, seed: int) -> Samples:
    """Samples of any types, the same for the same arguments.

    Floats are drawn from the standard normal distribution, 8-bit integers, as images have them, and
    booleans uniformly from all; other integers are 0 or 1, as they may be indices; texts are "a".
    """
    random = np.random.Generator(np.random.Philox(seed))
    drawn = {port.name: drawn_input(random, port, count) for port in inputs}
    floats = all(port.is_tensor and port.dtype.kind == "f" for port in inputs)
    return Samples(drawn, None, "", f"{NORMAL if floats else RANDOM}, seed {seed}")


def drawn_input(random: np.random.Generator, port: Shaped, count: int) -> Array:
    """Samples of one input, samples first."""
    if not port.is_tensor:
        objects = np.empty(count, object)
        for index in range(count):
            objects[index] = drawn_object(random, port)
        return objects
    shape = (count, *port.shape)
    if port.element in ("int4", "uint4", "int2", "uint2"):
        return random.integers(FEW, size=shape).astype(port.dtype)
    return drawn_array(random, shape, port.dtype)


def drawn_array(random: np.random.Generator, shape: tuple[int, ...], kind: np.dtype[Any]) -> Array:
    """One array."""
    match kind.kind:
        case "f":
            reals: Array = random.standard_normal(shape, np.float32).astype(kind, copy=False)
            return reals
        case "c":
            # The two parts of a number stand side by side.
            pairs: Array = random.standard_normal((*shape, 2), np.float32).view(np.complex64)
            return pairs[..., 0].astype(kind, copy=False)
        case "b":
            return random.integers(2, size=shape).astype(bool)
        case "O":
            return np.full(shape, "a", object)
    if kind.itemsize == 1:
        limits = np.iinfo(kind)
        image: Array = random.integers(limits.min, limits.max, shape, kind, endpoint=True)
        return image
    return random.integers(FEW, size=shape).astype(kind)


def drawn_object(random: np.random.Generator, port: Shaped) -> object:
    """What is no tensor: a sequence of one element, an optional that is there, a map of one key."""
    if match := re.fullmatch(r"seq\((.*)\)", port.type):
        return [drawn_object(random, Shaped(port.name, (1,), match[1]))]
    if match := re.fullmatch(r"optional\((.*)\)", port.type):
        return drawn_object(random, Shaped(port.name, (1,), match[1]))
    if match := re.fullmatch(r"map\((\w+),(.*)\)", port.type):
        key = "a" if match[1] == "string" else 0
        inner = Shaped(port.name, (), match[2])
        return {key: drawn_object(random, inner)}
    return drawn_array(random, port.shape, port.dtype)
