"""The shapes that a user asks for, set in the model itself, as onnxruntime is to take it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import onnx

from epimc.support.diagnostics import did_you_mean, error

Sizes: TypeAlias = "Sequence[int | None]"
"""Of all axes of an input; None leaves one as it is declared."""


@dataclass(frozen=True)
class WantedInputs:
    """What a user says of inputs: sizes that are left open or stated wrongly, and constants.

    Attributes:
        stated: Shapes by the names of inputs; they stand above what the model declares.
        of_samples: Gives the shapes of the arrays of samples by name, for the names and types of
            all inputs; asked only where a size is still open.
        only: Whether shapes are all that is needed, and weights that are not there are filled in.
        constants: What inputs are fixed to, by their names (`constants.py`).
    """

    stated: Mapping[str, Sizes] = field(default_factory=dict)
    of_samples: Callable[[Sequence[tuple[str, str]]], Mapping[str, Sequence[int]]] | None = None
    only: bool = False
    constants: Mapping[str, Any] = field(default_factory=dict)


AS_DECLARED = WantedInputs()
"""What the model says, and nothing besides."""


def real_inputs(graph: onnx.GraphProto) -> list[onnx.ValueInfoProto]:
    """The inputs of a graph without the initializers, which IR version 3 lists among them."""
    constants = {item.name for item in graph.initializer}
    constants |= {item.values.name for item in graph.sparse_initializer}
    return [entry for entry in graph.input if entry.name not in constants]


def set_shapes(model: onnx.ModelProto, shapes: Mapping[str, Sizes]) -> bool:
    """Set shapes of inputs in a model; whether that has changed it.

    A symbol that several axes share is set on all of them.  What the model says of the shapes
    behind its inputs is dropped then: it need not be true any more, and is inferred again.

    Raises:
        EpimcError: There is no such input, it is no tensor, or two sizes meet in one symbol.
    """
    entries = {entry.name: entry for entry in real_inputs(model.graph)}
    for name in shapes:
        if name not in entries:
            raise error(f"The model has no input '{name}'.", hint=did_you_mean(name, entries))
        if not entries[name].type.HasField("tensor_type"):
            raise error(f"Input '{name}' is no tensor, and has no shape to be set.")
    symbols = _sizes_of_symbols(entries, shapes)
    changes = [_set(entry, shapes.get(name), symbols) for name, entry in entries.items()]
    if any(changes):
        forget_shapes(model)
    return any(changes)


def _sizes_of_symbols(
    entries: Mapping[str, onnx.ValueInfoProto], shapes: Mapping[str, Sizes]
) -> dict[str, int]:
    sizes: dict[str, tuple[int, str]] = {}
    for name, wanted in shapes.items():
        dims = entries[name].type.tensor_type.shape.dim
        # A shape of another rank corrects the declaration, whose symbols say nothing then.
        pairs = zip(dims, wanted, strict=True) if len(dims) == len(wanted) else ()
        for dim, size in pairs:
            if not dim.dim_param or size is None:
                continue
            first, source = sizes.setdefault(dim.dim_param, (size, name))
            if first != size:
                raise error(
                    f"The size '{dim.dim_param}' of the inputs is set twice: to {first} by "
                    f"'{source}', and to {size} by '{name}'.",
                    hint="The model declares it as one size.",
                )
    return {symbol: size for symbol, (size, _) in sizes.items()}


def _set(entry: onnx.ValueInfoProto, wanted: Sizes | None, symbols: Mapping[str, int]) -> bool:
    """Set the sizes of one input; whether anything has changed."""
    if not entry.type.HasField("tensor_type"):
        return False
    tensor = entry.type.tensor_type
    before = tensor.SerializeToString(deterministic=True)
    if wanted is not None and (
        not tensor.HasField("shape") or len(tensor.shape.dim) != len(wanted)
    ):
        tensor.ClearField("shape")
        tensor.shape.SetInParent()
        tensor.shape.dim.extend(onnx.TensorShapeProto.Dimension() for _ in wanted)
    for axis, dim in enumerate(tensor.shape.dim):
        size = symbols.get(dim.dim_param) if wanted is None else wanted[axis]
        if size is None:
            size = symbols.get(dim.dim_param)
        if size is not None:
            dim.dim_value = size
    return bool(tensor.SerializeToString(deterministic=True) != before)


def forget_shapes(model: onnx.ModelProto) -> None:
    """Drop the shapes of everything but the model's inputs; types stay."""
    _forget_in(model.graph)
    _forget_below(model.graph.node)
    for function in model.functions:
        del function.value_info[:]
        _forget_below(function.node)


def _forget_in(graph: onnx.GraphProto) -> None:
    del graph.value_info[:]
    for entry in graph.output:
        _forget_of(entry.type)


def _forget_below(nodes: Any) -> None:
    """Drop the shapes in the graphs in nodes, those of their inputs too."""
    for inner in _subgraphs(nodes):
        _forget_in(inner)
        for entry in inner.input:
            # What is no more than a number stays one, whatever the model takes: loops count by it.
            if not _is_number(entry.type):
                _forget_of(entry.type)


def _is_number(kind: onnx.TypeProto) -> bool:
    """Whether a type is that of a tensor without axes."""
    tensor = kind.tensor_type
    return tensor.HasField("shape") and not tensor.shape.dim


def _forget_of(kind: onnx.TypeProto) -> None:
    """Drop the shapes in a type; those of an optional sequence lie in the type of its elements."""
    match kind.WhichOneof("value"):
        case "tensor_type":
            kind.tensor_type.ClearField("shape")
        case "sparse_tensor_type":
            kind.sparse_tensor_type.ClearField("shape")
        case "sequence_type":
            _forget_of(kind.sequence_type.elem_type)
        case "optional_type":
            _forget_of(kind.optional_type.elem_type)
        case "map_type":
            _forget_of(kind.map_type.value_type)


def _subgraphs(nodes: Any) -> Iterator[onnx.GraphProto]:
    """The graphs in the attributes of nodes, however deep they lie in one another."""
    waiting = [nodes]
    while waiting:
        for node in waiting.pop():
            for attribute in node.attribute:
                graphs = [*attribute.graphs, *([attribute.g] if attribute.HasField("g") else [])]
                yield from graphs
                waiting += [graph.node for graph in graphs]
