"""The ways in which a simulation computes what crossbars do, by name.

They agree exactly wherever the ADC is lossless.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

from epimc.backends.crossbar.core.program import Chip, FeatureMap
from epimc.backends.crossbar.instructions.computing import Product, ProductOf
from epimc.backends.crossbar.kernels.bit_serial import bit_serial
from epimc.backends.crossbar.kernels.converters import lossless
from epimc.backends.crossbar.kernels.fused import fused
from epimc.backends.crossbar.kernels.layer_part import LayerPart
from epimc.support.diagnostics import did_you_mean, error


def fused_product(chip: Chip, part: LayerPart, source: FeatureMap) -> Product:
    """One integer product of the weights that the cells amount to."""
    return fused(part, source.channels, source.bits, source.zero_point)


def bit_serial_product(chip: Chip, part: LayerPart, source: FeatureMap) -> Product:
    """Every input slice through every array and its ADC."""
    return bit_serial(part, source.bits, source.zero_point, chip)


def fastest_product(chip: Chip, part: LayerPart, source: FeatureMap) -> Product:
    """The fused product where the ADC is lossless, so that the result is the same."""
    if lossless(part, chip):
        return fused_product(chip, part, source)
    return bit_serial_product(chip, part, source)


PATHS: Mapping[str, Callable[[Chip, LayerPart, FeatureMap], Product]] = {
    "auto": fastest_product,
    "fused": fused_product,
    "bit-serial": bit_serial_product,
}


def check_path(path: str) -> None:
    """Raise EpimcError unless there is a path of that name."""
    if path not in PATHS:
        raise error(f"Unknown simulation path '{path}'.", hint=did_you_mean(path, PATHS))


def product_of(chip: Chip, path: str) -> ProductOf:
    """How the crossbars of a chip compute, by one of PATHS."""
    return partial(PATHS[path], chip)
