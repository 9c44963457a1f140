"""The ways in which a simulation computes what crossbars do, by name.

They agree exactly wherever the ADC is lossless.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

from epimc.backends.crossbar.core.program import Program
from epimc.backends.crossbar.instructions.computing import Product
from epimc.backends.crossbar.instructions.mvm import Mvm
from epimc.backends.crossbar.kernels import arrays, fused
from epimc.support.diagnostics import did_you_mean, error


def fused_product(program: Program, table: Mvm) -> Product:
    """One integer product of the weights that the cells amount to."""
    source = program.maps[table.source]
    return fused.fused(table, source.channels, source.bits, source.zero_point)


def bit_serial_product(program: Program, table: Mvm) -> Product:
    """Every input slice through every array and its ADC."""
    source = program.maps[table.source]
    return arrays.bit_serial(table, source.bits, source.zero_point, program.chip)


def fastest_product(program: Program, table: Mvm) -> Product:
    """The fused product where the ADC is lossless, so that the result is the same."""
    if arrays.lossless(table, program.chip):
        return fused_product(program, table)
    return bit_serial_product(program, table)


PATHS: Mapping[str, Callable[[Program, Mvm], Product]] = {
    "auto": fastest_product,
    "fused": fused_product,
    "bit-serial": bit_serial_product,
}


def product_of(program: Program, path: str) -> Callable[[Mvm], Product]:
    """How the crossbars of a program compute.

    Raises:
        EpimcError: There is no such path.
    """
    if path not in PATHS:
        raise error(f"Unknown simulation path '{path}'.", hint=did_you_mean(path, PATHS))
    return partial(PATHS[path], program)
