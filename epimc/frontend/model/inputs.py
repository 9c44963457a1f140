"""The inputs of a model: of any type, and whether axis 0 of their shapes is the samples'.

Where it is, shapes in the IR are those of one sample, without axis 0.  Where it is not, as the
inputs differ there or have no such axis, all that the model takes at once is one sample.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import onnx

from epimc.frontend.model.shapes import Sizes, WantedInputs, real_inputs, set_shapes
from epimc.support.diagnostics import error
from epimc.support.shapes import option_for

Dim = onnx.TensorShapeProto.Dimension

# What the axes of an image are called that a model leaves open without a name.
IMAGE_AXES = ("N", "C", "H", "W")


def batch_of(graph: onnx.GraphProto) -> int:
    """The samples that the model is fixed to take at once; 1 where that is free.

    Also where all that it takes is one sample, since its inputs agree on no axis of samples.
    """
    if not has_samples_first(graph):
        return 1
    sizes = (size_of(dims_of(entry)[0]) for entry in real_inputs(graph))
    return next((size for size in sizes if size is not None), 1)


def has_samples_first(graph: onnx.GraphProto) -> bool:
    """Whether axis 0 of all inputs is the samples': tensors of two axes or more, of one size there.

    A size that is free on axis 0 and stands on another axis of an input or output is no number of
    samples.
    """
    entries = real_inputs(graph)
    shapes = [dims_of(entry) for entry in entries]
    if not entries or any(len(shape) < 2 for shape in shapes):
        return False
    fixed = {size for shape in shapes if (size := size_of(shape[0])) is not None}
    others = [*shapes, *(dims_of(entry) for entry in graph.output)]
    elsewhere = {dim.dim_param for shape in others for dim in shape[1:] if dim.dim_param}
    free = {shape[0].dim_param for shape in shapes if shape[0].dim_param}
    return len(fixed) < 2 and 0 not in fixed and not free & elsewhere


def _free_symbols(entries: Iterable[onnx.ValueInfoProto]) -> set[str]:
    """Symbols on axis 0 of an input with further axes: the number of things, 1 for one sample."""
    shapes = [dims_of(entry) for entry in entries]
    return {shape[0].dim_param for shape in shapes if len(shape) > 1 and size_of(shape[0]) is None}


def _size_in_sample(dim: Dim, axis: int, shared: set[str]) -> int | None:
    size = size_of(dim)
    # What is free along with an axis of samples is one sample's here.
    return 1 if size is None and axis == 0 and dim.dim_param in shared else size


# --- sizes that are open ------------------------------------------------------------------------


def dims_of(entry: onnx.ValueInfoProto) -> list[Dim]:
    """The dims of a tensor; none of what is no tensor, or has no shape."""
    return list(entry.type.tensor_type.shape.dim)


def size_of(dim: Dim) -> int | None:
    """The size of an axis; None where it is open, as onnxruntime takes negative sizes too."""
    return dim.dim_value if dim.HasField("dim_value") and dim.dim_value >= 0 else None


def open_axes(
    entry: onnx.ValueInfoProto, samples_first: bool, shared: set[str]
) -> list[int] | None:
    """The axes of an input whose sizes must be set; None where its shape is not declared."""
    if not entry.type.HasField("tensor_type"):
        return []
    if not entry.type.tensor_type.HasField("shape"):
        return None
    return [
        axis
        for axis, dim in enumerate(dims_of(entry))
        if axis >= int(samples_first) and _size_in_sample(dim, axis, shared) is None
    ]


def refuse_open_sizes(graph: onnx.GraphProto) -> None:
    """Raise EpimcError, with options that set all sizes, where one is open."""
    entries, samples_first = real_inputs(graph), has_samples_first(graph)
    shared = _free_symbols(entries)
    unset = {
        entry.name: axes
        for entry in entries
        if (axes := open_axes(entry, samples_first, shared)) != []
    }
    if not unset:
        return
    name, axes = next(iter(unset.items()))
    by_name = {entry.name: entry for entry in entries}
    options = " ".join(_option(by_name[name], shared, samples_first) for name in unset)
    if axes is None:
        raise error(f"Input '{name}' has no shape.", hint=_hint(options))
    raise error(f"Input '{name}' has no fixed shape: {shown(by_name[name])}.", hint=_hint(options))


def refuse_unknown_types(graph: onnx.GraphProto) -> None:
    """Raise EpimcError for an input whose elements are of no type of ONNX."""
    known = {*onnx.TensorProto.DataType.values()} - {onnx.TensorProto.UNDEFINED}
    for entry in real_inputs(graph):
        element = entry.type.tensor_type.elem_type
        if entry.type.HasField("tensor_type") and element not in known:
            raise error(
                f"Input '{entry.name}' has elements of a type that ONNX has not: {element}."
            )


def _hint(options: str) -> str:
    return f"Set it by {options} with the sizes of your data; calibration samples say it too."


def _option(entry: onnx.ValueInfoProto, shared: set[str], samples_first: bool) -> str:
    """The option of the command line that sets a shape, with words for its open sizes."""
    dims = dims_of(entry)
    words: list[int | str] = []
    if not entry.type.tensor_type.HasField("shape"):
        words = [1, *IMAGE_AXES[1:]]
    for axis, dim in enumerate(dims):
        size = _size_in_sample(dim, axis, shared)
        if size is None and axis == 0 and samples_first:
            size = 1
        unnamed = IMAGE_AXES[axis] if len(dims) == len(IMAGE_AXES) else "SIZE"
        words.append(size if size is not None else dim.dim_param or unnamed)
    return option_for(entry.name, words)


def shown(entry: onnx.ValueInfoProto) -> str:
    """The declared shape of an input, as messages have it."""
    known = ((size_of(dim), dim.dim_param) for dim in dims_of(entry))
    return f"[{', '.join(name or ('?' if size is None else str(size)) for size, name in known)}]"


def set_wanted(model: onnx.ModelProto, wanted: WantedInputs) -> bool:
    """Set the shapes that a user wants, and open sizes as the samples have them.

    Returns:
        Whether the model has changed.

    Raises:
        EpimcError: A shape does not fit the model.
    """
    changed = set_shapes(model, wanted.stated) if wanted.stated else False
    entries = real_inputs(model.graph)
    samples_first, shared = has_samples_first(model.graph), _free_symbols(entries)
    if wanted.of_samples is None or all(
        open_axes(entry, samples_first, shared) == [] for entry in entries
    ):
        return changed
    shapes = wanted.of_samples([(entry.name, type_text(entry.type)) for entry in entries])
    return set_shapes(model, _sizes_of_samples(entries, shapes, samples_first)) or changed


def _sizes_of_samples(
    entries: Iterable[onnx.ValueInfoProto],
    arrays: Mapping[str, Sequence[int]],
    samples_first: bool,
) -> dict[str, Sizes]:
    """The sizes of inputs that arrays of samples have where the model leaves them open."""
    known: dict[str, Sizes] = {}
    for entry in entries:
        array = arrays.get(entry.name)
        if array is None or not entry.type.HasField("tensor_type"):
            continue
        if not entry.type.tensor_type.HasField("shape"):
            known[entry.name] = [None, *array[1:]]
            continue
        dims = dims_of(entry)
        # One sample more than its axes have, or all of one sample: there is no axis of samples.
        sizes: Sizes = array if len(array) == len(dims) else array[1:]
        if len(sizes) != len(dims):
            continue
        known[entry.name] = [
            None if size_of(dim) is not None or (axis == 0 and samples_first) else size
            for axis, (dim, size) in enumerate(zip(dims, sizes, strict=True))
        ]
    return known


# --- types ----------------------------------------------------------------------------------------


def element_word(element: int) -> str:
    """What onnxruntime calls an ONNX element type: `float`, `int64`."""
    names = {number: str(word) for word, number in onnx.TensorProto.DataType.items()}
    return names.get(element, "undefined").lower()


def type_text(kind: onnx.TypeProto) -> str:
    """An ONNX type as onnxruntime says it."""
    match kind.WhichOneof("value"):
        case "tensor_type":
            return f"tensor({element_word(kind.tensor_type.elem_type)})"
        case "sparse_tensor_type":
            return f"sparse_tensor({element_word(kind.sparse_tensor_type.elem_type)})"
        case "sequence_type":
            return f"seq({type_text(kind.sequence_type.elem_type)})"
        case "optional_type":
            return f"optional({type_text(kind.optional_type.elem_type)})"
        case "map_type":
            key = element_word(kind.map_type.key_type)
            return f"map({key},{type_text(kind.map_type.value_type)})"
    return "tensor(undefined)"
