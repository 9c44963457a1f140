"""Static checks of maps and ports: sizes, element types, regions, and who makes and reads them."""

from __future__ import annotations

import math
from collections import Counter
from itertools import pairwise

from epimc.backends.crossbar.core.findings import Findings
from epimc.backends.crossbar.core.program import (
    ALIGNMENT,
    ELEMENTS,
    NO_ADDRESS,
    AnyPort,
    FeatureMap,
    HostPort,
    activation_element,
)


def check_maps(findings: Findings) -> None:
    """Names, sizes, element types, zero points and off-chip regions of all maps."""
    names = Counter(feature.name for feature in findings.program.maps)
    for index, feature in enumerate(findings.program.maps):
        where = findings.map_place(index)
        findings.require(names[feature.name] == 1, where, "Two maps have the same name.")
        if not findings.require(
            len(feature.shape) >= 3 and min(feature.shape) >= 1,
            where,
            "A map must have three sizes or more, each at least 1.",
        ):
            continue
        if findings.require(
            feature.element in ELEMENTS, where, f"Unknown element type '{feature.element}'."
        ):
            _check_integers(findings, where, feature)
            _check_region(findings, where, feature)
    _check_overlaps(findings)


def _check_integers(findings: Findings, where: str, feature: FeatureMap) -> None:
    if not feature.is_activation:
        plain = feature.bits == 0 and feature.zero_point == 0 and feature.scale == 0
        what = "A token" if feature.is_token else "Accumulators"
        findings.require(plain, where, f"{what} must have 0 bits, zero point 0 and scale 0.")
        single = not feature.is_token or math.prod(feature.shape) == 1
        findings.require(single, where, "A token is a single byte.")
        return
    most = ELEMENTS[feature.element].bits
    # One element type for every number of bits: the smallest.
    fits = 1 <= feature.bits <= most and activation_element(feature.bits) == feature.element
    if findings.require(fits, where, f"Activations of {feature.bits} bits in {feature.element}."):
        findings.require(
            0 <= feature.zero_point < 2**feature.bits,
            where,
            f"Zero point {feature.zero_point} is no activation of {feature.bits} bits.",
        )
    finite = math.isfinite(feature.scale) and feature.scale > 0
    findings.require(finite, where, f"Its scale {feature.scale} is not a positive number.")


def _check_region(findings: Findings, where: str, feature: FeatureMap) -> None:
    # Most maps stay on chip and have no region.
    if feature.address == NO_ADDRESS:
        return
    limit = findings.program.chip.off_chip_bytes
    end = feature.address + feature.height * feature.row_stride
    findings.require(
        feature.address >= 0 and feature.address % ALIGNMENT == 0,
        where,
        f"Off-chip address {feature.address:#x} is not a multiple of {ALIGNMENT}.",
    )
    findings.require(
        end <= limit, where, f"The map ends at off-chip address {end:#x}, beyond {limit:#x}."
    )


def _check_overlaps(findings: Findings) -> None:
    """Off-chip regions must lie side by side, in any order."""
    maps = findings.program.maps
    placed = sorted(
        (feature.address, i) for i, feature in enumerate(maps) if feature.address != NO_ADDRESS
    )
    for (address, first), (following, second) in pairwise(placed):
        # Reported already; without an element its rows have no size.
        if maps[first].element not in ELEMENTS:
            continue
        # In the order of addresses it is enough to compare neighbours.
        end = address + maps[first].height * maps[first].row_stride
        findings.require(
            end <= following,
            findings.map_place(second),
            f"Its off-chip region overlaps that of '{maps[first].name}'.",
        )


def check_ports(findings: Findings) -> None:
    """Inputs and outputs name activations that lie off chip, of the right size."""
    program = findings.program
    findings.require(bool(program.outputs), "outputs", "The program has no output.")
    for kind, ports in (("input", program.inputs), ("output", program.outputs)):
        names = Counter(port.name for port in ports)
        maps = Counter(port.map for port in ports)
        for port in ports:
            where = f"{kind} '{port.name}'"
            findings.require(names[port.name] == 1, where, f"Two {kind}s have the same name.")
            once = kind == "output" or maps[port.map] == 1
            findings.require(once, where, f"Two {kind}s have the same map.")
            _check_port(findings, where, port)


def _check_port(findings: Findings, where: str, port: AnyPort) -> None:
    maps = findings.program.maps
    if not findings.require(0 <= port.map < len(maps), where, f"There is no map {port.map}."):
        return
    feature = maps[port.map]
    if isinstance(port, HostPort):
        findings.require(feature.is_token, where, "Its map is no token of the host.")
        placed = feature.address != NO_ADDRESS
        findings.require(placed, where, "Its token has no place off chip.")
        # An input is one value; how many a call gives, its fragment says.
        single = port.map in findings.program.input_tokens
        exists = port.result == 0 or (port.result > 0 and not single)
        findings.require(exists, where, f"There is no result {port.result}.")
        return
    size = feature.channels * feature.height * feature.width
    findings.require(feature.is_activation, where, "Its map holds no activations.")
    findings.require(feature.address != NO_ADDRESS, where, "Its map has no place off chip.")
    findings.require(
        math.prod(port.shape) == size,
        where,
        f"Its shape {port.shape} has not the {size} elements of its map.",
    )
    findings.require(
        port.scale == feature.scale,
        where,
        f"Its scale {port.scale} is not that of its map, {feature.scale}.",
    )


def check_dataflow(findings: Findings) -> None:
    """Every map has one producer (inputs have none) and somebody who reads it."""
    program = findings.program
    producers = Counter(table.destination for table in program.tables)
    read = {source for table in program.tables for source in table.sources}
    read |= {port.map for port in program.outputs}
    # A model may ignore one of its inputs.
    inputs = {port.map for port in program.inputs}
    read |= inputs
    for index in range(len(program.maps)):
        where = findings.map_place(index)
        expected = int(index not in inputs)
        findings.require(
            producers[index] == expected,
            where,
            f"{producers[index]} tables compute it, where {expected} must.",
        )
        findings.require(index in read, where, "No table reads it and it is no output.")
