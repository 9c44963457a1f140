"""ONNX models whose large tensors lie beside their messages: nothing copies or serializes these.

A message of protobuf has less than 2 GiB, and whoever copies, parses or serializes it takes its
bytes once more.  Here a large initializer has nothing but its name, type and shape in the message;
its bytes are an array of numpy's, which a file may lie under.
"""

from __future__ import annotations

import math
import mmap
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from google.protobuf.message import Message  # type: ignore[import-untyped]
from google.protobuf.unknown_fields import UnknownFieldSet  # type: ignore[import-untyped]
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from epimc.backends.onnx.special import is_packed
from epimc.support.diagnostics import EpimcError, error
from epimc.support.files import Piece

Array = NDArray[Any]

# Bytes from which on a tensor is large.  Smaller ones may be sizes, which decide shapes.
LARGE = 2**16

# A file of ONNX, as any message of protobuf, has less than 2 GiB; the graph needs some of them.
LARGEST_MODEL = 2**31 - 2**24

# Where the tensors of a message lie that are in no file.
BESIDE = "beside the message"

# Where tensors begin in a file of external data: at its pages, as ONNX advises.
ALIGNMENT = 2**12

# The fields of a tensor that have its contents, other than its bytes.
CONTENTS = ("float_data", "int32_data", "int64_data", "string_data", "double_data", "uint64_data")

# Those that have elements.
TYPES = frozenset(TensorProto.DataType.values()) - {TensorProto.UNDEFINED}

NUMBER = re.compile("[0-9]{1,18}")

# Wire types of protobuf, in the tag of a field.
DELIMITED = 2


@dataclass(frozen=True, eq=False)
class LargeModel:
    """A model, and its large tensors.

    Attributes:
        proto: The model; an initializer that is large says that its data lie `BESIDE`.
        tensors: The bytes of these initializers by name: flat, of uint8, never written to.
        maps: The files in which some of them lie, as memory.
    """

    proto: onnx.ModelProto
    tensors: Mapping[str, Array]
    maps: Sequence[mmap.mmap] = ()

    @staticmethod
    def of(proto: onnx.ModelProto) -> LargeModel:
        """A model in one message, which is left as it is."""
        # What this version of ONNX does not know could not be copied field by field.
        if len(UnknownFieldSet(proto)) or len(UnknownFieldSet(proto.graph)):
            return LargeModel(proto, {})
        tensors: dict[str, Array] = {}
        initializers = []
        for tensor in proto.graph.initializer:
            if is_large(tensor) and tensor.name not in tensors:
                tensors[tensor.name] = np.frombuffer(tensor.raw_data, np.uint8)
                initializers.append(beside(tensor))
            else:
                initializers.append(tensor)
        if not tensors:
            return LargeModel(proto, {})
        model = with_fields(proto, lambda field: field != "graph")
        model.graph.CopyFrom(with_fields(proto.graph, lambda field: field != "initializer"))
        model.graph.initializer.extend(initializers)
        return LargeModel(model, tensors)

    @property
    def size(self) -> int:
        """The bytes of the message and of all tensors."""
        return int(self.proto.ByteSize()) + sum(array.nbytes for array in self.tensors.values())

    def with_proto(self, proto: onnx.ModelProto) -> LargeModel:
        """The same tensors with another message that has their names."""
        return LargeModel(proto, self.tensors, self.maps)

    def apart(self) -> LargeModel:
        """The model with all tensors beside it that are large."""
        more = LargeModel.of(self.proto)
        return LargeModel(more.proto, {**self.tensors, **more.tensors}, self.maps)

    def release(self) -> None:
        """Give back the memory of what was read from files; it is read again when it is used."""
        for pages in self.maps:
            # Not all systems know how.
            if hasattr(mmap, "MADV_DONTNEED"):
                pages.madvise(mmap.MADV_DONTNEED)

    def has(self, tensor: TensorProto) -> bool:
        """Whether the contents of an initializer are among the tensors."""
        return tensor.name in self.tensors and is_beside(tensor)

    def complete(self, tensor: TensorProto) -> TensorProto:
        """An initializer of the model with its contents."""
        if not self.has(tensor):
            return tensor
        return inside(tensor, self.tensors[tensor.name].tobytes())

    def array(self, tensor: TensorProto) -> Array:
        """The contents of an initializer in its shape, without a copy where they lie beside.

        Raises:
            ValueError: They do not fit its shape and type, or others as `numpy_helper.to_array`.
        """
        if not self.has(tensor):
            return np.asarray(numpy_helper.to_array(tensor))
        kind = helper.tensor_dtype_to_np_dtype(tensor.data_type).newbyteorder("<")
        return self.tensors[tensor.name].view(kind).reshape(tuple(tensor.dims))

    def message(self) -> onnx.ModelProto:
        """The model in one message; a copy if something lies beside it."""
        if not self.tensors:
            return self.proto
        model: onnx.ModelProto = with_fields(self.proto, lambda field: field != "graph")
        model.graph.CopyFrom(with_fields(self.proto.graph, lambda field: field != "initializer"))
        for tensor in self.proto.graph.initializer:
            model.graph.initializer.append(self.complete(tensor))
        return model

    def pieces(self) -> Iterator[Piece]:
        """The bytes of the message with everything in it, in the order of its fields, as files are.

        That is what protobuf serializes `message` to, deterministically.
        """
        if not self.tensors:
            yield serialized(self.proto)
            return
        model, graph = onnx.ModelProto.DESCRIPTOR, onnx.GraphProto.DESCRIPTOR
        numbers = [
            kind.fields_by_name[name].number
            for kind, name in ((model, "graph"), (graph, "initializer"))
        ]
        (first, last), (before, behind) = (
            around(message, number)
            for message, number in zip((self.proto, self.proto.graph), numbers, strict=True)
        )
        tensors = [[*self.tensor_pieces(tensor)] for tensor in self.proto.graph.initializer]
        sizes = [sum(map(len, pieces)) for pieces in tensors]
        tags = [tag(numbers[1], size) for size in sizes]
        size = len(before) + sum(map(len, tags)) + sum(sizes) + len(behind)
        yield first + tag(numbers[0], size) + before
        for head, pieces in zip(tags, tensors, strict=True):
            yield head
            yield from pieces
            self.release()
        yield behind + last

    def tensor_pieces(self, tensor: TensorProto) -> Iterator[Piece]:
        """The bytes of an initializer."""
        if not self.has(tensor):
            yield serialized(tensor)
            return
        number = TensorProto.DESCRIPTOR.fields_by_name["raw_data"].number
        data = self.tensors[tensor.name]
        before, behind = around(inside(tensor, b""), number)
        yield before + tag(number, data.nbytes)
        yield data.data
        yield behind

    def external(self, location: str) -> tuple[onnx.ModelProto, Callable[[], Iterator[Piece]]]:
        """The model with its large tensors in a file.

        Args:
            location: The name of the file, beside that of the model.

        Returns:
            The model, and what gives the bytes of the file.
        """
        # With those that still lie in the message, as what the host runs does.
        apart, model = self.apart(), onnx.ModelProto()
        model.CopyFrom(apart.proto)
        places: list[tuple[int, Array]] = []
        end = 0
        for tensor in model.graph.initializer:
            if not apart.has(tensor):
                continue
            data, start = apart.tensors[tensor.name], -(-end // ALIGNMENT) * ALIGNMENT
            places.append((start, data))
            end = start + data.nbytes
            set_place(tensor, location=location, offset=start, length=data.nbytes)

        def pieces() -> Iterator[Piece]:
            written = 0
            for start, data in places:
                yield bytes(start - written)
                yield data.data
                self.release()
                written = start + data.nbytes

        return model, pieces


def read_external(proto: onnx.ModelProto, location: str, data: bytes, what: str) -> LargeModel:
    """A model that `external` has made, and the file of its tensors.

    Args:
        proto: It is changed; what it says to lie in other files, or to have another size, is left.
        location: The name of the file.
        data: Its contents.
        what: Names the model in errors.

    Raises:
        EpimcError: A tensor does not lie in the file, or is none of so many bytes.
    """
    tensors: dict[str, Array] = {}
    for tensor in proto.graph.initializer:
        place = place_of(tensor)
        if place.get("location") != location or tensor.name in tensors:
            continue
        numbers = [place.get(key, "") for key in ("offset", "length")]
        if not all(map(NUMBER.fullmatch, numbers)) or len(place) != 3:
            raise misplaced(tensor, location, what)
        offset, length = map(int, numbers)
        if offset + length > len(data) or not fits(tensor, length):
            raise misplaced(tensor, location, what)
        tensors[tensor.name] = np.frombuffer(data, np.uint8, length, offset)
        set_place(tensor, location=BESIDE)
    return LargeModel(proto, tensors)


def misplaced(tensor: TensorProto, location: str, what: str) -> EpimcError:
    """The error for a tensor that does not lie in a file as its model says."""
    return error(
        f"{what} has the tensor '{tensor.name}', which does not lie in '{location}' as it says.",
        hint="Compile the model again.",
    )


def external_name(name: str) -> str:
    """The file of a model's large tensors, beside that of the model."""
    return f"{name}.data"


def flat(array: Array) -> Array:
    """The bytes of an array, as they lie in a file."""
    data = np.ascontiguousarray(array, array.dtype.newbyteorder("<"))
    return data.reshape(-1).view(np.uint8)


def is_large(tensor: TensorProto) -> bool:
    """Whether a tensor is to lie beside its message: a large one, of bytes in a plain order."""
    return (
        len(tensor.raw_data) >= LARGE
        and fits(tensor, len(tensor.raw_data))
        and tensor.data_location != TensorProto.EXTERNAL
        and not tensor.external_data
        and not tensor.HasField("segment")
        and not any(len(getattr(tensor, field)) for field in CONTENTS)
        and not len(UnknownFieldSet(tensor))
    )


def fits(tensor: TensorProto, size: int) -> bool:
    """Whether the elements of a tensor take so many bytes, one after the other."""
    number = tensor.data_type
    if number not in TYPES or number == TensorProto.STRING or is_packed(number):
        return False
    kind = helper.tensor_dtype_to_np_dtype(number)
    # In Python's integers, which a forged size does not overflow.
    return min(tensor.dims, default=0) >= 0 and math.prod(tensor.dims) * kind.itemsize == size


def is_beside(tensor: TensorProto) -> bool:
    """Whether the contents of a tensor lie beside the message."""
    return place_of(tensor) == {"location": BESIDE}


def place_of(tensor: TensorProto) -> dict[str, str]:
    """Where the contents of a tensor lie, by ONNX's keys; empty: in it."""
    return {entry.key: entry.value for entry in tensor.external_data}


def set_place(tensor: TensorProto, **place: object) -> None:
    """Say where the contents of a tensor lie."""
    del tensor.external_data[:]
    for key, value in place.items():
        tensor.external_data.add(key=key, value=str(value))
    tensor.data_location = TensorProto.EXTERNAL


def beside(tensor: TensorProto) -> TensorProto:
    """A copy of a tensor whose contents lie beside the message."""
    copy: TensorProto = with_fields(tensor, lambda field: field != "raw_data")
    set_place(copy, location=BESIDE)
    return copy


def inside(tensor: TensorProto, data: bytes) -> TensorProto:
    """A copy of a tensor whose contents lie in it."""
    copy = TensorProto()
    copy.CopyFrom(tensor)
    copy.ClearField("external_data")
    copy.ClearField("data_location")
    copy.raw_data = data
    return copy


def with_fields(message: Any, wanted: Callable[[str], bool]) -> Any:
    """A copy of a message with some of its fields, by name."""
    copy = type(message)()
    for field, value in message.ListFields():
        if not wanted(field.name):
            continue
        if isinstance(value, Message):
            getattr(copy, field.name).CopyFrom(value)
        elif hasattr(value, "extend"):
            getattr(copy, field.name).extend(value)
        else:
            setattr(copy, field.name, value)
    return copy


def around(message: Any, number: int) -> tuple[bytes, bytes]:
    """What is serialized of a message before and behind a field."""
    numbers = {field.name: field.number for field in message.DESCRIPTOR.fields}
    before = with_fields(message, lambda field: numbers[field] < number)
    behind = with_fields(message, lambda field: numbers[field] > number)
    return serialized(before), serialized(behind)


def serialized(message: Any) -> bytes:
    """The bytes of a message."""
    return bytes(message.SerializeToString(deterministic=True))


def tag(number: int, size: int) -> bytes:
    """What stands in a message before a field of so many bytes."""
    return varint(number << 3 | DELIMITED) + varint(size)


def varint(number: int) -> bytes:
    """A number as protobuf writes it: seven bits a byte, the lowest first."""
    data = bytearray()
    while number > 0x7F:
        data.append(number & 0x7F | 0x80)
        number >>= 7
    data.append(number)
    return bytes(data)
