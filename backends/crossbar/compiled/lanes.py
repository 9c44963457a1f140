"""Vectors of bits in compiled functions: one bit for each of many lanes, all treated alike.

A compiled function loads a vector from an array of 64-bit words, computes with it, and stores it.
The operations are those of LLVM's generic vectors, which any processor has in some form; what it
has decides the width, and whether one instruction takes three vectors.  Sums are counted bit by
bit, in planes: plane k of a number has bit k of every lane.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numba
import numpy as np
from llvmlite import ir
from numba.core import cgutils, datamodel
from numba.core.datamodel.models import PrimitiveModel
from numba.extending import intrinsic

from epimc.backends.crossbar.compiled.processor import features

# Without types, as numba leaves them.
tools: Any = cgutils
types: Any = numba.types
models: Any = datamodel.models

WORDS = 8 if "avx512f" in features() else 4
"""64-bit words of a vector: as wide as the registers are."""

TERNARY = WORDS == 8
"""Whether one instruction computes any function of three bits."""

BITS = 64 * WORDS
"""Lanes of a vector."""

CHUNK = BITS // 8
"""Lanes of an eighth of a vector: a mask of them is a number."""

MASK = np.uint64 if CHUNK == 64 else np.uint32
"""The type of such a number."""

VECTOR = ir.VectorType(ir.IntType(64), WORDS)
INT64 = ir.IntType(64)


def operation(declare: Callable[..., Any]) -> Callable[..., Any]:
    """What compiled functions may call, declared by its type and by what emits its code."""
    made: Callable[..., Any] = intrinsic(declare)
    return made


class Lanes(numba.types.Type):
    """The type of a vector in compiled functions."""

    def __init__(self) -> None:
        super().__init__(name=f"lanes{BITS}")


LANES = Lanes()


@models.register_default(Lanes)
class LanesModel(PrimitiveModel):
    """How LLVM has it."""

    def __init__(self, manager: Any, kind: Any) -> None:
        model: Any = super()
        model.__init__(manager, kind, VECTOR)


def data(context: Any, builder: Any, kind: Any, array: Any) -> Any:
    """The address of an array's first element; a pointer is one."""
    if isinstance(kind, types.CPointer):
        return array
    return context.make_array(kind)(context, builder, array).data


def place_of(context: Any, builder: Any, kind: Any, array: Any, index: Any) -> Any:
    """The address of a vector that begins at a word of an array."""
    pointer = builder.gep(data(context, builder, kind, array), [index])
    return builder.bitcast(pointer, VECTOR.as_pointer())


def loaded(builder: Any, pointer: Any) -> Any:
    """The vector at an address, which need not be a multiple of its size."""
    return builder.load(pointer, align=8)


def _ternary(builder: Any, a: Any, b: Any, c: Any, table: int) -> Any:
    """Any function of three bits, by its table of results, in one instruction."""
    byte = ir.IntType(32)
    kind = ir.FunctionType(VECTOR, [VECTOR, VECTOR, VECTOR, byte])
    # LLVM by itself makes four instructions of an adder: it shares the sum of two bits.
    name = f"llvm.x86.avx512.pternlog.q.{BITS}"
    function = tools.get_or_insert_function(builder.module, kind, name)
    return builder.call(function, [a, b, c, byte(table)])


def full_adder(builder: Any, a: Any, b: Any, c: Any) -> tuple[Any, Any]:
    """Sum and carry of three bits in each lane."""
    if TERNARY:
        return _ternary(builder, a, b, c, 0x96), _ternary(builder, a, b, c, 0xE8)
    total = builder.xor(builder.xor(a, b), c)
    carry = builder.or_(builder.and_(a, b), builder.and_(c, builder.xor(a, b)))
    return total, carry


def full_subtractor(builder: Any, a: Any, b: Any, c: Any) -> tuple[Any, Any]:
    """Difference and borrow of a - b - c in each lane."""
    if TERNARY:
        return _ternary(builder, a, b, c, 0x96), _ternary(builder, a, b, c, 0x8E)
    change = builder.xor(a, b)
    borrow = builder.and_(builder.not_(a), b)
    borrow = builder.or_(borrow, builder.and_(c, builder.not_(change)))
    return builder.xor(change, c), borrow


@operation
def zeros(typing: Any) -> Any:
    """A vector of zeros."""

    def emit(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return ir.Constant(VECTOR, [0] * WORDS)

    return LANES(), emit


@operation
def load(typing: Any, array: Any, word: Any) -> Any:
    """The vector that begins at a word of an array."""

    def emit(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        index = context.cast(builder, arguments[1], signature.args[1], types.intp)
        return loaded(builder, place_of(context, builder, signature.args[0], arguments[0], index))

    return LANES(array, word), emit


@operation
def beyond(typing: Any, pointer: Any, count: Any) -> Any:
    """The pointer to an element further on."""

    def emit(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        index = context.cast(builder, arguments[1], signature.args[1], types.intp)
        return builder.gep(arguments[0], [index])

    return pointer(pointer, count), emit


@operation
def store(typing: Any, array: Any, word: Any, vector: Any) -> Any:
    """Put a vector into an array, from a word on."""

    def emit(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        index = context.cast(builder, arguments[1], signature.args[1], types.intp)
        place = place_of(context, builder, signature.args[0], arguments[0], index)
        builder.store(arguments[2], place, align=8)
        return context.get_dummy_value()

    return types.void(array, word, LANES), emit


def _binary(name: str, doc: str) -> Any:
    """An operation of two vectors, by the name of its instruction."""

    def declare(typing: Any, a: Any, b: Any) -> Any:
        def emit(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            return getattr(builder, name)(*arguments)

        return LANES(LANES, LANES), emit

    declare.__name__, declare.__doc__ = name, doc
    return operation(declare)


both = _binary("and_", "Lanes that are set in both vectors.")
either = _binary("or_", "Lanes that are set in one of two vectors, or in both.")
differ = _binary("xor", "Lanes that are set in one of two vectors alone.")


@operation
def without(typing: Any, a: Any, b: Any) -> Any:
    """Lanes that are set in the first of two vectors alone."""

    def emit(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.and_(arguments[0], builder.not_(arguments[1]))

    return LANES(LANES, LANES), emit


@operation
def invert(typing: Any, vector: Any) -> Any:
    """Lanes that are not set."""

    def emit(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.not_(arguments[0])

    return LANES(LANES), emit


@operation
def add(typing: Any, a: Any, b: Any, c: Any) -> Any:
    """(sum, carry) of three bits in each lane."""

    def emit(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return context.make_tuple(builder, signature.return_type, full_adder(builder, *arguments))

    return types.UniTuple(LANES, 2)(LANES, LANES, LANES), emit


@operation
def subtract(typing: Any, a: Any, b: Any, c: Any) -> Any:
    """(difference, borrow) of a - b - c in each lane."""

    def emit(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        results = full_subtractor(builder, *arguments)
        return context.make_tuple(builder, signature.return_type, results)

    return types.UniTuple(LANES, 2)(LANES, LANES, LANES), emit


@operation
def any_set(typing: Any, vector: Any) -> Any:
    """Whether any lane is set."""

    def emit(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        wide = ir.IntType(BITS)
        return builder.icmp_unsigned("!=", builder.bitcast(arguments[0], wide), wide(0))

    return types.boolean(LANES), emit


def _population(builder: Any, vector: Any) -> Any:
    """How many lanes of each word are set."""
    function = tools.get_or_insert_function(
        builder.module, ir.FunctionType(VECTOR, [VECTOR]), f"llvm.ctpop.v{WORDS}i64"
    )
    return builder.call(function, [vector])


def _total(builder: Any, vector: Any) -> Any:
    """The sum of a vector's words."""
    result = INT64(0)
    for k in range(WORDS):
        result = builder.add(result, builder.extract_element(vector, ir.IntType(32)(k)))
    return result


@operation
def count(typing: Any, vector: Any) -> Any:
    """How many lanes are set."""

    def emit(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return _total(builder, _population(builder, arguments[0]))

    return types.int64(LANES), emit


def _splat(builder: Any, value: Any, vector: Any) -> Any:
    """A vector with one value in all lanes."""
    first = builder.insert_element(ir.Constant(vector, ir.Undefined), value, ir.IntType(32)(0))
    order = ir.Constant(ir.VectorType(ir.IntType(32), vector.count), [0] * vector.count)
    return builder.shuffle_vector(first, first, order)


@operation
def add_counts(typing: Any, totals: Any, vector: Any) -> Any:
    """Add to each word of a vector how many lanes of another's are set."""

    def emit(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.add(arguments[0], _population(builder, arguments[1]))

    return LANES(LANES, LANES), emit


@operation
def total(typing: Any, vector: Any) -> Any:
    """The sum of a vector's words."""

    def emit(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return _total(builder, arguments[0])

    return types.int64(LANES), emit


@operation
def add_numbers(
    typing: Any, values: Any, at: Any, planes: Any, first: Any, count: Any, stride: Any, unit: Any
) -> Any:
    """Add the numbers that planes hold to CHUNK integers of an array.

    Args:
        typing: Numba's.
        values: int32 or int64.
        at: The first of the integers.
        planes: Masks.
        first: The mask of the lowest plane.
        count: How many planes there are.
        stride: Masks from a plane to the next.
        unit: What the lowest plane counts for, in the type of `values`.
    """

    def emit(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        kinds = signature.args
        number = context.get_data_type(kinds[0].dtype)
        size = 512 // number.width
        vector = ir.VectorType(number, size)
        lanes = ir.IntType(size)
        at, first, total, stride = (
            context.cast(builder, arguments[k], kinds[k], types.intp) for k in (1, 3, 4, 5)
        )
        base = builder.gep(data(context, builder, kinds[0], arguments[0]), [at])
        masks = data(context, builder, kinds[2], arguments[2])
        unit = context.cast(builder, arguments[6], kinds[6], kinds[0].dtype)
        for part in range(CHUNK // size):
            place = builder.gep(base, [INT64(part * size)])
            place = builder.bitcast(place, vector.as_pointer())
            result = tools.alloca_once_value(builder, builder.load(place, align=number.width // 8))
            weight = tools.alloca_once_value(builder, _splat(builder, unit, vector))
            with tools.for_range(builder, total) as loop:
                index = builder.add(first, builder.mul(loop.index, stride))
                mask = builder.bitcast(builder.gep(masks, [index]), lanes.as_pointer())
                mask = builder.load(builder.gep(mask, [INT64(part)]), align=size // 8)
                chosen = builder.bitcast(mask, ir.VectorType(ir.IntType(1), size))
                step = builder.load(weight)
                none = ir.Constant(vector, [0] * size)
                term = builder.select(chosen, step, none)
                builder.store(builder.add(builder.load(result), term), result)
                builder.store(builder.add(step, step), weight)
            builder.store(builder.load(result), place, align=number.width // 8)
        return context.get_dummy_value()

    return types.void(values, at, planes, first, count, stride, unit), emit
