"""The record of an ONNX operator, and the registry of all records.

A record is declared once, beside the function that imports the operator:

    @operator("Relu", folds=True)
    def relu(node: Emitter) -> Value:
        \"\"\"max(x, 0).\"\"\"
        return node.emit(nn.Relu, [node.activation()])

Importer, constant folding, shape inference, `epimc ops` and the README's list ask the record; there
is no other table to keep.  Another package adds an operator in the same way, before a model that
has it is imported; what it needs for that, `epimc.frontend` offers.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias, TypeVar

from epimc.frontend.core.bindings import MoreDims, Padded, Rounded
from epimc.frontend.core.emitter import Emitter
from epimc.frontend.model.standard import OLDEST_OPSET
from epimc.ir.core.op import Value

Importer: TypeAlias = Callable[
    [Emitter], "Value | MoreDims | Padded | Rounded | list[Value] | list[Value | MoreDims]"
]
"""Appends the ops of a node and returns what its first output is, or a list: what each one is.

It raises `UnsupportedError` where it cannot.
"""
ImporterT = TypeVar("ImporterT", bound=Importer)


@dataclass(frozen=True)
class OnnxOperator:
    """What epimc knows of an ONNX operator of the default domain.

    Attributes:
        op_type: As ONNX names it.
        doc: What of it is supported: a line for lists, without a full stop.
        since: The oldest opset of a model in which epimc reads it.  That is the opset that brought
            the operator to ONNX or, for the many that are older, the oldest that epimc reads. It
            is a later one where importer or evaluator misread what older opsets mean: there the
            operator is refused.
        importer: What imports it; None where it is supported for constants only.
        folds: Whether it is known among constants too, where shapes are computed and weights
            prepared, so that lists name it and tests try it in its oldest opset.  A constant node
            of any operator is folded, with or without a record.
        shape_only: Whether it reads of its input nothing but the shape, so that its result is
            constant whatever the input is.
        more_dims: Whether its importer takes tensors of more dims a sample than a value has.
        all_results: Whether its importer returns a list, with every output.  Of any other operator
            the first output alone may be used.
        details: What else there is to say, in sentences.
        parameters: The numbers of its inputs that the chip must know as it is programmed, such as
            weights and axes.
    """

    op_type: str
    doc: str
    since: int = OLDEST_OPSET
    importer: Importer | None = None
    folds: bool = False
    shape_only: bool = False
    more_dims: bool = False
    all_results: bool = False
    details: str = ""
    parameters: tuple[int, ...] = ()


_RECORDS: dict[str, OnnxOperator] = {}


def register(*added: OnnxOperator) -> None:
    """Add operators to those that are supported: all, or none.

    Raises:
        ValueError: One is there already; `unregister` it first.
    """
    names = [record.op_type for record in added]
    for number, name in enumerate(names):
        if name in _RECORDS or name in names[:number]:
            other = _RECORDS.get(name)
            # A record without an importer stands among those that are only folded.
            place = f", by {other.importer.__module__}" if other and other.importer else ""
            raise ValueError(f"the operator {name} is registered already{place}")
    _RECORDS.update(zip(names, added, strict=True))


def unregister(op_type: str) -> OnnxOperator:
    """Take an operator out again; what it was.

    Raises:
        KeyError: There is none.
    """
    return _RECORDS.pop(op_type)


def lookup(op_type: str) -> OnnxOperator | None:
    """The record of an operator, None where epimc does not know it."""
    return _RECORDS.get(op_type)


def records() -> list[OnnxOperator]:
    """All records, in the order of their registration: families stay together."""
    return [*_RECORDS.values()]


def imported_names() -> list[str]:
    """The operators that can become ops, by name."""
    return sorted(record.op_type for record in records() if record.importer is not None)


def reads_shape_only(op_type: str) -> bool:
    """Whether it is known of an operator that it reads nothing but its input's shape."""
    record = lookup(op_type)
    return record is not None and record.shape_only


def operator(
    *op_types: str,
    doc: str = "",
    since: int = OLDEST_OPSET,
    folds: bool = False,
    more_dims: bool = False,
    all_results: bool = False,
    parameters: tuple[int, ...] = (),
) -> Callable[[ImporterT], ImporterT]:
    """Register the decorated function as the importer of operators that share a record's text.

    Args:
        op_types: Whose record differs in the name only.
        doc: As in the record; the summary of the function's docstring where it is left out.  What
            stands below the summary are the record's details.
        since: As in the record, as all that follow.
        folds: See there.
        more_dims: See there.
        all_results: See there.
        parameters: See there.
    """

    def decorate(importer: ImporterT) -> ImporterT:
        summary, _, details = (inspect.getdoc(importer) or "").partition("\n\n")
        text = doc or summary.removesuffix(".")
        declared = [
            OnnxOperator(
                op_type,
                text,
                since,
                importer,
                folds,
                more_dims=more_dims,
                all_results=all_results,
                details=details,
                parameters=parameters,
            )
            for op_type in op_types
        ]
        register(*declared)
        return importer

    return decorate
