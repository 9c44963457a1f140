"""The text form of the IR, printed; `parser.py` reads it back to an equal module."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from epimc.ir.core.attributes import Ref
from epimc.ir.core.module import Module
from epimc.ir.core.op import Op, Value, dump_attributes
from epimc.ir.core.tensors import Tensor, TensorStore
from epimc.ir.core.types import Location
from epimc.support.diagnostics import Diagnostic, EpimcError, RefusedNodesError, Span, clause

# Of the text: to be raised when a text that was right before is refused or means something else.
VERSION = 2

SHOWN_OF_AN_OP = 2000


def print_module(module: Module) -> str:
    """The whole module; identical modules give identical text."""
    lines = [f"epimc.module {VERSION} {quote(module.name)} level {module.level} {{"]
    lines += [f"  attribute {k} = {plain(v)}" for k, v in sorted(module.attributes.items())]
    lines += [print_tensor(name, tensor) for name, tensor in sorted(module.tensors.items())]
    lines += [f"  input {quote(name)} {declared(value)}" for name, value in module.inputs]
    lines += [f"  {print_op(op)}" for op in module.ops]
    lines += [f"  output {quote(name)} = %{value.name}" for name, value in module.outputs]
    return "\n".join([*lines, "}", ""])


def write_module(module: Module, path: Path) -> None:
    """Write the text, and the tensors into the folder `tensors` beside it.

    Raises:
        EpimcError: They cannot be written.
    """
    stored = [t for t in module.tensors.values() if t.random is None and not t.literal]
    store = TensorStore(path.parent / "tensors")
    store.save(stored, [(path, print_module(module).encode())])


def print_op(op: Op) -> str:
    """One op on one line."""
    operands = ", ".join(f"%{operand.name}" for operand in op.operands)
    attributes = dump_attributes(op)
    listed = f" {plain(attributes)}" if attributes else ""
    result = f": {op.output.type}{ranged(op.output)}{located(op.location)}"
    return f"%{op.output.name} = {op.name}({operands}){listed} {result}"


def refused(op: Op, message: str, hint: str = "") -> EpimcError:
    """The error for an op that a pass cannot rewrite: where it comes from, and the op itself."""
    where: Span | str = op.span or str(op.location)
    diagnostic = Diagnostic(message, where, (shown_op(op),), hint)
    return RefusedNodesError(diagnostic, reasons=dict.fromkeys(op.location.nodes, clause(message)))


def shown_op(op: Op) -> str:
    """One op as errors show it: its lists may be long."""
    text = print_op(op)
    return text if len(text) <= SHOWN_OF_AN_OP else f"{text[:SHOWN_OF_AN_OP]}…"


def declared(value: Value) -> str:
    """A value with its type and range."""
    return f"%{value.name} : {value.type}{ranged(value)}"


def ranged(value: Value) -> str:
    """The calibrated range, when there is one."""
    return "" if value.range is None else f" range {plain(value.range)}"


def located(location: Location) -> str:
    """The ONNX nodes, when there are any."""
    nodes = ", ".join(f"{kind} {quote(name)}" for kind, name in location.nodes)
    return f" loc({nodes})" if nodes else ""


def print_tensor(name: str, tensor: Tensor) -> str:
    """One declaration of a stored tensor."""
    if tensor.random is not None:
        contents = f"normal(seed = {tensor.random.seed}, scale = {tensor.random.scale!r})"
    elif tensor.literal:
        contents = plain(tuple(tensor.array.ravel().tolist()))
    else:
        contents = f"sha256({quote(tensor.digest)})"
    return f"  tensor @{name} : {tensor.type} = {contents}"


def quote(text: str) -> str:
    """A string literal (JSON's)."""
    return json.dumps(text, ensure_ascii=False)


def plain(value: Any) -> str:
    """An attribute value in the syntax of the text; TypeError for one of no known type."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, np.integer)):
        return str(int(value))
    if isinstance(value, float):
        return repr(float(value))
    if isinstance(value, str):
        return quote(value)
    if isinstance(value, Ref):
        return f"@{value.name}"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key} = {plain(item)}" for key, item in value.items()) + "}"
    if isinstance(value, (tuple, list)):
        return "[" + ", ".join(plain(item) for item in value) + "]"
    raise TypeError(f"{type(value).__name__} is no attribute value")
