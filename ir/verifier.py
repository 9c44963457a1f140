"""The verifier: every rule of the declarations, the levels and SSA form, over a whole module."""

from __future__ import annotations

from epimc.diagnostics import EpimcError, Span, error
from epimc.ir import levels
from epimc.ir.attributes import Ref
from epimc.ir.core import Module, Op, Operand, Value, refs_in
from epimc.ir.types import IrError, TensorType

# A value of a text is not allocated by its declaration alone, but by whatever runs it.
MAXIMUM_VALUE = 2**28


def verify(module: Module) -> None:
    """Check a module.

    Raises:
        EpimcError: The first rule that is broken; it shows the op and where it comes from.
    """
    try:
        levels.check_border(module)
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
    for name, value in module.outputs:
        if value not in known:
            raise error(
                f"Invalid module '{module.name}': output '{name}' has no op that computes it."
            )


def op_error(op: Op, problem: str) -> EpimcError:
    """A broken rule, with the op shown."""
    from epimc.ir.printer import print_op

    notes = [print_op(op)]
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
    levels.check_op(op, module.level)
    for field, operand in zip(operand_fields(op), op.operands, strict=True):
        check_type(operand.type, field.elements, f"operand %{operand.name}")
        if len(operand.type.shape) not in field.ranks:
            raise IrError(f"operand %{operand.name} has rank {len(operand.type.shape)}")
    for key, ref in op.tensor_refs():
        check_stored(op, key, stored_type(module, ref))
    result = op.output.type
    check_type(result, op.result.elements, "the result")
    if result.size > MAXIMUM_VALUE:
        raise IrError(f"the result has more than {MAXIMUM_VALUE} elements a sample")
    shape = op.result_shape(lambda ref: module.tensors[ref.name].type)
    if shape != result.shape:
        raise IrError(f"the result is of shape {list(shape)}, not {list(result.shape)}")
    op.check(lambda ref: module.tensors[ref.name].type)


def operand_fields(op: Op) -> list[Operand]:
    """The declaration of each operand; a variadic one stands for all."""
    fields = list(op.operand_fields.values())
    if len(fields) == 1 and fields[0].variadic:
        fields = fields * max(1, len(op.operands))
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
