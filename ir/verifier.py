"""The verifier: every rule of the declarations, the levels and SSA form, over a whole module."""

from __future__ import annotations

from typing import Any

from epimc.ir.core.attributes import Ref
from epimc.ir.core.levels import (
    CALIBRATED,
    COMMON,
    FLOATS,
    QUANTIZED,
    from_level,
    in_order,
    up_to,
)
from epimc.ir.core.module import Module, refs_in
from epimc.ir.core.module_attributes import MODULE_ATTRIBUTES, ONE_AN_INPUT
from epimc.ir.core.op import FLOAT, OPAQUE, Attribute, Op, Operand, Value
from epimc.ir.core.traits import Border, FromHost
from epimc.ir.core.types import HOST_RESULTS, IrError, TensorType, as_map, expect_port_type
from epimc.ir.text.printer import shown_op
from epimc.support.diagnostics import EpimcError, Span, error

# A value of a text is not allocated by its declaration alone, but by whatever runs it.
MAXIMUM_VALUE = 2**28


def verify(module: Module) -> None:
    """Check a module.

    Raises:
        EpimcError: The first rule that is broken; it shows the op and where it comes from.
    """
    try:
        check_module_attributes(module)
        check_border(module)
        for ref in refs_in(module.attributes):
            stored_type(module, ref)
    except IrError as problem:
        raise error(f"Invalid module '{module.name}': {problem}.") from None
    known = {value for _, value in module.inputs}
    names = {value.name for value in known}
    for op in module.ops:
        try:
            check_names(op, known, names)
            check_op(op, module)
        except IrError as problem:
            raise op_error(op, str(problem)) from None
        known.add(op.output)
        names.add(op.output.name)
    check_outputs(module, known)
    if module.level == QUANTIZED:
        check_quantized_border(module)


def check_outputs(module: Module, known: set[Value]) -> None:
    """Raise EpimcError unless every output has an op that computes it."""
    for name, value in module.outputs:
        if value not in known:
            raise error(
                f"Invalid module '{module.name}': output '{name}' has no op that computes it."
            )


def op_error(op: Op, problem: str) -> EpimcError:
    """A broken rule, with the op shown."""
    notes = [shown_op(op)]
    where: Span | str = op.span or str(op.location)
    if op.span and op.location.nodes:
        notes.append(f"it comes from {op.location}")
    return error(f"Invalid {op.name}: {problem}.", where=where, notes=notes)


def check_names(op: Op, known: set[Value], names: set[str]) -> None:
    """Operands are defined before, and the result's name is new."""
    for operand in op.operands:
        if operand not in known:
            raise IrError(f"operand %{operand.name} is not defined before")
    if op.output.name in names:
        raise IrError(f"value %{op.output.name} is defined twice")


def check_op(op: Op, module: Module) -> None:
    """One op against its declaration and the level."""
    level = module.level
    # Before the attributes: those of another level would only confuse.
    if level not in op.levels:
        raise IrError(f"op {op.name} is not legal at level {level}")
    for key, attribute in op.attribute_fields.items():
        check_present(key, attribute, op.attributes[key], level)
    for field, operand in zip(operand_fields(op), op.operands, strict=True):
        check_type(operand.type, elements_at(level, field.elements), f"operand %{operand.name}")
        if len(operand.type.shape) not in field.ranks:
            raise IrError(f"operand %{operand.name} has rank {len(operand.type.shape)}")
    for key, ref in op.tensor_refs():
        check_stored(op, key, stored_type(module, ref))
    result = op.output.type
    check_type(result, elements_at(level, op.result.elements), "the result")
    check_range(op.output, level)
    if result.size > MAXIMUM_VALUE:
        raise IrError(f"the result has more than {MAXIMUM_VALUE} elements a sample")
    shape = op.result_shape(module.stored)
    if shape != result.shape:
        raise IrError(f"the result is of shape {list(shape)}, not {list(result.shape)}")
    op.check(module.stored)


def check_module_attributes(module: Module) -> None:
    """Raise IrError unless the module carries what its level says."""
    for key, attribute in MODULE_ATTRIBUTES.items():
        value = module.attributes.get(key)
        check_present(key, attribute, value, module.level)
        if value is None:
            continue
        try:
            attribute.kind.load(value)
        except IrError as problem:
            raise IrError(f"attribute '{key}': {problem}") from None
        if key in ONE_AN_INPUT and len(value) != len(module.inputs):
            raise IrError(f"attribute '{key}' must have one value an input")


def check_border(module: Module) -> None:
    """Raise IrError unless inputs and outputs are vectors or maps of what the level says."""
    real = module.level in COMMON
    for name, value in (*module.inputs, *module.outputs):
        if value.type.is_host:
            # Behind the common levels an output is all results of a call; the module says which.
            if real or value.type != HOST_RESULTS:
                expect_port_type(value.type)
            continue
        as_map(value.type.shape)
        if (value.type.element == "f32") != real or value.type.element[0] not in "fu":
            wanted = "real (f32)" if real else "activations (uN)"
            raise IrError(f"'{name}' must be {wanted} at level {module.level}")
    for _, value in module.inputs:
        check_range(value, module.level)


def check_quantized_border(module: Module) -> None:
    """Raise EpimcError unless each real input is quantized, once, and what enters by the host."""
    uses = module.uses()
    from_host = {op.output for op in module.ops if isinstance(op, FromHost)}
    outside = from_host | {value for _, value in module.inputs}
    for name, value in module.inputs:
        readers = uses[value]
        if value.type.is_host:
            continue
        if len(readers) != 1 or not enters(readers[0]):
            raise error(
                f"Invalid module '{module.name}': "
                f"input '{name}' must be quantized once, and read by nothing else."
            )
    for name, value in module.outputs:
        if value in from_host:
            raise error(
                f"Invalid module '{module.name}': "
                f"output '{name}' is of the host, but as the chip reads it."
            )
    for op in module.ops:
        if enters(op) and op.operands[0] not in outside:
            raise op_error(op, f"%{op.operands[0].name} is no input, and comes from no host")


def enters(op: Op | None) -> bool:
    """Whether an op takes reals of the user to activations."""
    return isinstance(op, Border) and op.inward


def check_range(value: Value, level: str) -> None:
    """Raise IrError unless a value has a range where the level demands it, and none before."""
    if value.range is None:
        if level == CALIBRATED and not value.type.is_host:
            raise IrError(f"%{value.name} has no range, which level {CALIBRATED} demands")
        return
    if level not in from_level(CALIBRATED):
        raise IrError(f"%{value.name} has a range, which no value has before level {CALIBRATED}")
    if not value.range[0] <= value.range[1]:
        raise IrError(f"the range of %{value.name} is empty")


def check_present(key: str, attribute: Attribute[Any], value: object, level: str) -> None:
    """Raise IrError unless an attribute is set where its level demands it, and nowhere else."""
    unset = value is None or value == attribute.default
    if level in attribute.levels:
        if unset and not attribute.optional:
            expected = attribute.kind.expected
            raise IrError(f"attribute '{key}' is missing at level {level}: expected {expected}")
    elif not unset:
        allowed = ", ".join(in_order(attribute.levels))
        raise IrError(f"attribute '{key}' is set at level {level}: it belongs to {allowed}")


def elements_at(level: str, elements: frozenset[str]) -> frozenset[str]:
    """Of what an op may take or give, what it does at a level: floats, or integers."""
    # The host takes reals, and what it alone knows, at every level.
    if elements & OPAQUE:
        return elements
    if level in FLOATS:
        return elements & FLOAT or elements
    # Ops at the border take or give reals, and nothing else, where all the rest is integers.
    return elements - FLOAT or elements


def operand_fields(op: Op) -> list[Operand]:
    """The declaration of each operand; a variadic one stands for all."""
    fields = list(op.operand_fields.values())
    if len(fields) == 1 and fields[0].variadic:
        # A variadic op has at least one operand, which is missing when there are none.
        fields = fields * max(fields[0].least, len(op.operands))
    if len(fields) != len(op.operands):
        raise IrError(f"expected {len(fields)} operands, found {len(op.operands)}")
    return fields


def check_type(kind: TensorType, allowed: frozenset[str], what: str) -> None:
    """The element type is one of those declared."""
    element = kind.element
    if element not in allowed and element[0] not in allowed:
        names = ", ".join(sorted(f"{e}N" if e in ("u", "s") else e for e in allowed))
        raise IrError(f"{what} is {element}, expected {names}")
    if element[0] == "u" and kind.scale is None:
        raise IrError(f"{what} is {element} without a scale")


def check_stored(op: Op, key: str, kind: TensorType) -> None:
    """A referenced tensor has the element type and rank that the op declares."""
    rule = op.attribute_fields[key].stored
    if rule is None:
        return
    elements, rank = rule
    if (kind.element not in elements and kind.element[0] not in elements) or len(
        kind.shape
    ) != rank:
        raise IrError(f"attribute '{key}' references a {kind}, expected rank {rank}")


def stored_type(module: Module, ref: Ref) -> TensorType:
    """The type of a stored tensor."""
    if ref.name not in module.tensors:
        raise IrError(f"tensor @{ref.name} is not declared")
    return module.tensors[ref.name].type


def expect_level(module: Module, what: str, *levels: str) -> None:
    """What reads a module without being a pass says which levels it is right for.

    Args:
        module: To read.
        what: Who reads it, at the beginning of a sentence.
        levels: Those that it is right for.

    Raises:
        EpimcError: The module is at another level.
    """
    if module.level not in levels:
        raise error(
            f"{what} takes IR at level {' or '.join(levels)}, "
            f"module '{module.name}' is at level {module.level}.",
            hint="Run the passes that lie between."
            if module.level in up_to(levels[0])
            else f"Start from IR at level {levels[-1]}.",
        )
