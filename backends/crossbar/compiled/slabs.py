"""From bytes of activations to lines of bits: the bits of CHUNK positions as masks."""

from __future__ import annotations

from typing import Any

from llvmlite import ir

from epimc.backends.crossbar.compiled.lanes import (
    CHUNK,
    WORDS,
    data,
    operation,
    types,
)

BYTE, INT64 = ir.IntType(8), ir.IntType(64)
_BYTES = ir.VectorType(BYTE, CHUNK)


@operation
def word_at(typing: Any, octets: Any, place: Any) -> Any:
    """Eight bytes from any place on."""

    def emit(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        kinds = signature.args
        index = context.cast(builder, arguments[1], kinds[1], types.intp)
        pointer = builder.gep(data(context, builder, kinds[0], arguments[0]), [index])
        return builder.load(builder.bitcast(pointer, INT64.as_pointer()), align=1)

    return types.uint64(octets, place), emit


@operation
def by_place(typing: Any, words: Any, octets: Any) -> Any:
    """CHUNK words of eight bytes, as eight runs of CHUNK bytes: one for each place in a word."""

    def emit(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        kinds = signature.args
        source = data(context, builder, kinds[0], arguments[0])
        target = data(context, builder, kinds[1], arguments[1])
        source = builder.bitcast(source, _BYTES.as_pointer())
        target = builder.bitcast(target, _BYTES.as_pointer())
        # A vector has WORDS words: their bytes of one place become one number of so many bytes.
        groups = ir.VectorType(ir.IntType(8 * WORDS), 8)
        order = [word * 8 + place for place in range(8) for word in range(WORDS)]
        rows = []
        for k in range(8):
            row = builder.load(builder.gep(source, [INT64(k)]), align=8)
            rows.append(builder.bitcast(_shuffled(builder, row, row, order), groups))
        for k, row in enumerate(_transposed(builder, rows)):
            value = builder.bitcast(row, _BYTES)
            builder.store(value, builder.gep(target, [INT64(k)]), align=8)
        return context.get_dummy_value()

    return types.void(words, octets), emit


def _shuffled(builder: Any, a: Any, b: Any, order: list[int]) -> Any:
    """The elements of two vectors at some places, those of the second counted on."""
    return builder.shuffle_vector(
        a, b, ir.Constant(ir.VectorType(ir.IntType(32), len(order)), order)
    )


def _transposed(builder: Any, rows: list[Any]) -> list[Any]:
    """Eight vectors of eight elements, the other way round."""
    for width in (4, 2, 1):
        swapped = list(rows)
        for k in range(8):
            if k & width:
                continue
            low = [i if not i & width else 8 + (i ^ width) for i in range(8)]
            high = [i | width if not i & width else 8 + i for i in range(8)]
            swapped[k] = _shuffled(builder, rows[k], rows[k | width], low)
            swapped[k | width] = _shuffled(builder, rows[k], rows[k | width], high)
        rows = swapped
    return rows


@operation
def put_masks(
    typing: Any, octets: Any, at: Any, count: Any, masks: Any, places: Any, base: Any
) -> Any:
    """The lowest bits of CHUNK bytes, each as a mask.

    Args:
        typing: Numba's.
        octets: Bytes.
        at: The first of them.
        count: How many bits, at most eight.
        masks: Take the bits: bit k at `base + places[k]`.
        places: int64.
        base: See above.
    """

    def emit(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        kinds = signature.args
        at, count, base = (
            context.cast(builder, arguments[k], kinds[k], types.intp) for k in (1, 2, 5)
        )
        pointer = builder.gep(data(context, builder, kinds[0], arguments[0]), [at])
        values = builder.load(builder.bitcast(pointer, _BYTES.as_pointer()), align=8)
        target = builder.gep(data(context, builder, kinds[3], arguments[3]), [base])
        places = data(context, builder, kinds[4], arguments[4])

        def from_bit(k: int) -> None:
            if k == 8:
                return
            with builder.if_then(builder.icmp_signed(">", count, INT64(k)), likely=True):
                tested = builder.and_(values, ir.Constant(_BYTES, [1 << k] * CHUNK))
                lanes = builder.icmp_unsigned("!=", tested, ir.Constant(_BYTES, [0] * CHUNK))
                mask = builder.bitcast(lanes, ir.IntType(CHUNK))
                place = builder.load(builder.gep(places, [INT64(k)]))
                builder.store(mask, builder.gep(target, [place]))
                from_bit(k + 1)

        from_bit(0)
        return context.get_dummy_value()

    return types.void(octets, at, count, masks, places, base), emit
