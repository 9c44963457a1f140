"""Counts of lines in compiled functions, and what an ADC of step 1 makes of them, in registers.

A count is a tuple of vectors, its planes.  What is counted are lines of a slab: a vector each.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llvmlite import ir

from epimc.backends.crossbar.compiled.lanes import (
    BITS,
    LANES,
    VECTOR,
    WORDS,
    data,
    full_adder,
    full_subtractor,
    loaded,
    operation,
    place_of,
    tools,
    types,
)

INT64 = ir.IntType(64)


def _line(context: Any, builder: Any, kinds: Any, arguments: Any) -> Callable[[int], Any]:
    """What loads the k-th of the lines that the arguments (slab, lines, at) name."""
    base = data(context, builder, kinds[0], arguments[0])
    index = context.cast(builder, arguments[2], kinds[2], types.intp)
    numbers = builder.gep(data(context, builder, kinds[1], arguments[1]), [index])

    def line(k: int) -> Any:
        number = builder.load(builder.gep(numbers, [INT64(k)]))
        place = builder.gep(base, [builder.zext(number, INT64)])
        return loaded(builder, builder.bitcast(place, VECTOR.as_pointer()))

    return line


def _eight(builder: Any, line: Any, first: int, planes: list[Any]) -> Any:
    """Add eight lines to the three lowest of some planes; what carries over to 8."""
    # Lines first among themselves: few additions wait for those of the lines before.
    first_sum, a = full_adder(builder, line(first), line(first + 1), line(first + 2))
    second_sum, b = full_adder(builder, line(first + 3), line(first + 4), line(first + 5))
    third_sum, c = full_adder(builder, line(first + 6), line(first + 7), planes[0])
    planes[0], d = full_adder(builder, first_sum, second_sum, third_sum)
    pairs, low = full_adder(builder, a, b, c)
    planes[1], high = full_adder(builder, pairs, d, planes[1])
    planes[2], eight = full_adder(builder, planes[2], low, high)
    return eight


def _carried(builder: Any, planes: list[Any], first: int, carry: Any) -> None:
    """Add a carry to all planes from one on."""
    for k in range(first, len(planes)):
        bit = planes[k]
        planes[k], carry = builder.xor(bit, carry), builder.and_(bit, carry)


COUNTED = 9
"""Planes of a count."""

COUNT = types.UniTuple(LANES, COUNTED)


def _counting(lines: int) -> Any:
    """What adds 8 or 32 lines to a count."""

    def declare(typing: Any, slab: Any, numbers: Any, at: Any, planes: Any) -> Any:
        def emit(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            line = _line(context, builder, signature.args, arguments)
            values = tools.unpack_tuple(builder, arguments[3], COUNTED)
            eights = [_eight(builder, line, k, values) for k in range(0, lines, 8)]
            if lines == 8:
                _carried(builder, values, 3, eights[0])
            else:
                values[3], low = full_adder(builder, values[3], eights[0], eights[1])
                values[3], high = full_adder(builder, values[3], eights[2], eights[3])
                values[4], carry = full_adder(builder, values[4], low, high)
                _carried(builder, values, 5, carry)
            return context.make_tuple(builder, signature.return_type, values)

        return COUNT(slab, numbers, at, COUNT), emit

    declare.__name__ = f"add_{lines}"
    declare.__doc__ = f"""The sum of a count and {lines} lines of a slab.

    Args:
        typing: Numba's.
        slab: Words; each line is a vector.
        numbers: The words at which lines begin.
        at: Where in `numbers` those of the lines begin.
        planes: The count.
    """
    return operation(declare)


add_8, add_32 = _counting(8), _counting(32)


@operation
def none_counted(typing: Any) -> Any:
    """The count 0."""

    def emit(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        nothing = [ir.Constant(VECTOR, [0] * WORDS)] * COUNTED
        return context.make_tuple(builder, signature.return_type, nothing)

    return COUNT(), emit


@operation
def put_count(typing: Any, planes: Any, word: Any, counted: Any) -> Any:
    """Store a count."""

    def emit(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        index = context.cast(builder, arguments[1], signature.args[1], types.intp)
        place = place_of(context, builder, signature.args[0], arguments[0], index)
        values = tools.unpack_tuple(builder, arguments[2], COUNTED)
        for k, value in enumerate(values):
            builder.store(value, builder.gep(place, [INT64(k)]), align=8)
        return context.get_dummy_value()

    return types.void(planes, word, COUNT), emit


@operation
def others(typing: Any, totals: Any, word: Any, counted: Any) -> Any:
    """What is missing of a count to that of all lines, which an array has from a word on."""

    def emit(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        index = context.cast(builder, arguments[1], signature.args[1], types.intp)
        place = place_of(context, builder, signature.args[0], arguments[0], index)
        borrow = ir.Constant(VECTOR, [0] * WORDS)
        values = []
        for k, value in enumerate(tools.unpack_tuple(builder, arguments[2], COUNTED)):
            total = loaded(builder, builder.gep(place, [INT64(k)]))
            bit, borrow = full_subtractor(builder, total, value, borrow)
            values.append(bit)
        return context.make_tuple(builder, signature.return_type, values)

    return COUNT(totals, word, COUNT), emit


@operation
def plus_double(typing: Any, a: Any, b: Any) -> Any:
    """a + 2 b of two counts, in COUNTED + 2 planes."""

    def emit(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        low = tools.unpack_tuple(builder, arguments[0], COUNTED)
        high = tools.unpack_tuple(builder, arguments[1], COUNTED)
        nothing = ir.Constant(VECTOR, [0] * WORDS)
        values, carry = [low[0]], nothing
        for k in range(1, COUNTED + 1):
            bit = low[k] if k < COUNTED else nothing
            total, carry = full_adder(builder, bit, high[k - 1], carry)
            values.append(total)
        return context.make_tuple(builder, signature.return_type, [*values, carry])

    return types.UniTuple(LANES, COUNTED + 2)(COUNT, COUNT), emit


def _clipped(builder: Any, values: list[Any], bits: Any) -> Any:
    """The lanes where a number has more than so many bits, as a variable."""
    high = tools.alloca_once_value(builder, ir.Constant(VECTOR, [0] * WORDS))

    def from_plane(k: int) -> None:
        with builder.if_then(builder.icmp_signed("<=", bits, INT64(k)), likely=True):
            builder.store(builder.or_(builder.load(high), values[k]), high)
            if k:
                from_plane(k - 1)

    from_plane(len(values) - 1)
    return high


def _of_sum(context: Any, builder: Any, kinds: Any, arguments: Any) -> tuple[Any, Any, list[Any]]:
    """Of the arguments (total, word, bits, numbers): the address of the sum, bits, and planes."""
    index = context.cast(builder, arguments[1], kinds[1], types.intp)
    place = place_of(context, builder, kinds[0], arguments[0], index)
    bits = context.cast(builder, arguments[2], kinds[2], types.int64)
    return place, bits, tools.unpack_tuple(builder, arguments[3], len(kinds[3]))


@operation
def add_codes(typing: Any, total: Any, word: Any, bits: Any, numbers: Any) -> Any:
    """Add numbers, each at most 2^bits - 1, to planes of a sum; a vector of those that were more.

    The carry is put into the plane behind those that are added to, which must be 0.
    """

    def emit(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        place, bits, values = _of_sum(context, builder, signature.args, arguments)
        high = builder.load(_clipped(builder, values, bits))
        carry = tools.alloca_once_value(builder, ir.Constant(VECTOR, [0] * WORDS))

        def from_plane(k: int) -> None:
            if k == len(values):
                return
            with builder.if_then(builder.icmp_signed(">", bits, INT64(k)), likely=True):
                own = builder.gep(place, [INT64(k)])
                code = builder.or_(values[k], high)
                old, over = loaded(builder, own), builder.load(carry)
                bit, over = full_adder(builder, old, code, over)
                builder.store(bit, own, align=8)
                builder.store(over, carry)
                from_plane(k + 1)

        from_plane(0)
        count = INT64(len(values))
        last = builder.select(builder.icmp_signed("<", bits, count), bits, count)
        builder.store(builder.load(carry), builder.gep(place, [last]), align=8)
        return high

    return LANES(total, word, bits, numbers), emit


@operation
def add_excess(typing: Any, total: Any, word: Any, bits: Any, numbers: Any) -> Any:
    """Add to planes of a sum what numbers are above 2^bits - 1; a vector of those that are.

    The carry is put into the plane behind those that are added to, which must be 0.
    """

    def emit(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        place, bits, values = _of_sum(context, builder, signature.args, arguments)
        high = builder.load(_clipped(builder, values, bits))
        wide, nothing = ir.IntType(BITS), ir.Constant(VECTOR, [0] * WORDS)
        some = builder.icmp_unsigned("!=", builder.bitcast(high, wide), wide(0))
        with builder.if_then(some):
            borrow = carry = nothing
            for k, value in enumerate(values):
                own = builder.gep(place, [INT64(k)])
                below = builder.icmp_signed(">", bits, INT64(k))
                code = builder.select(below, builder.or_(value, high), nothing)
                rest, borrow = full_subtractor(builder, value, code, borrow)
                bit, carry = full_adder(builder, loaded(builder, own), rest, carry)
                builder.store(bit, own, align=8)
            builder.store(carry, builder.gep(place, [INT64(len(values))]), align=8)
        return high

    return LANES(total, word, bits, numbers), emit
