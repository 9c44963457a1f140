"""Building blocks of kernels, in LLVM's own language: what it would not make of plain loops.

Compiled code calls them like functions.  Arrays come as pointers; places count elements; none is
checked, and nothing is read or written beyond what is stated.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numba
from llvmlite import ir
from numba.core import cgutils
from numba.extending import intrinsic

Kernel = Callable[..., None]
# Without types, as numba leaves it.
tools: Any = cgutils
types: Any = numba.types

BYTE, SHORT, WORD, LONG = (ir.IntType(bits) for bits in (8, 16, 32, 64))


def pointers() -> Callable[..., Any]:
    """Where the elements of an array lie, or of each array of a tuple.

    Pointers are indexed like flat arrays.  Nobody counts who uses them, which takes longer than a
    tile: the arrays must be `kept` until they are no more needed.
    """

    def pointed(type_: Any) -> Any:
        if isinstance(type_, types.BaseTuple):
            return types.Tuple([pointed(item) for item in type_])
        return types.CPointer(type_.dtype)

    def address(context: Any, builder: Any, type_: Any, value: Any) -> Any:
        if not isinstance(type_, types.BaseTuple):
            return context.make_array(type_)(context, builder, value).data
        items = [
            address(context, builder, item, builder.extract_value(value, number))
            for number, item in enumerate(type_)
        ]
        return context.make_tuple(builder, pointed(type_), items)

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return address(context, builder, signature.args[0], arguments[0])

    def block(_: Any, arrays: Any) -> Any:
        return pointed(arrays)(arrays), code

    made: Callable[..., Any] = intrinsic(block)
    return made


def keeping() -> Kernel:
    """Keeps arrays, a tuple of them, until here."""

    def code(context: Any, _: Any, __: Any, ___: Any) -> Any:
        return context.get_dummy_value()

    def block(_: Any, arrays: Any) -> Any:
        return types.void(arrays), code

    made: Kernel = intrinsic(block)
    return made


def load(builder: Any, address: Any, type_: Any) -> Any:
    """A value of some type from any address."""
    return builder.load(builder.bitcast(address, type_.as_pointer()), align=1)


def store(builder: Any, address: Any, value: Any) -> None:
    """Write a value to any address."""
    builder.store(value, builder.bitcast(address, value.type.as_pointer()), align=1)


def repeated(builder: Any, value: Any, count: int) -> Any:
    """A vector with a value in every place."""
    nothing = ir.Constant(ir.VectorType(value.type, count), ir.Undefined)
    places = ir.Constant(ir.VectorType(WORD, count), [0] * count)
    return builder.shuffle_vector(builder.insert_element(nothing, value, WORD(0)), nothing, places)


def loop(
    builder: Any, count: Any, starts: Sequence[Any], step: Callable[[Any, list[Any]], list[Any]]
) -> list[Any]:
    """Values that `step(place, values)` makes anew for each place below a count, at least once."""
    before, body = builder.block, builder.append_basic_block("body")
    after = builder.append_basic_block("after")
    builder.branch(body)
    builder.position_at_end(body)
    place = builder.phi(LONG)
    values = [builder.phi(start.type) for start in starts]
    results = step(place, values)
    following = builder.add(place, LONG(1))
    for value, start, result in zip(
        [place, *values], [LONG(0), *starts], [following, *results], strict=True
    ):
        value.add_incoming(start, before)
        value.add_incoming(result, body)
    builder.cbranch(builder.icmp_signed("<", following, count), body, after)
    builder.position_at_end(after)
    return results


def copying() -> Kernel:
    """Copying memory: for pointers to bytes `(target, at, source, first, count)`."""

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        target = builder.gep(arguments[0], [arguments[1]])
        source = builder.gep(arguments[2], [arguments[3]])
        tools.raw_memcpy(builder, target, source, arguments[4], 1)
        return context.get_dummy_value()

    def block(_: Any, target: Any, at: Any, source: Any, first: Any, count: Any) -> Any:
        return types.void(target, types.intp, source, types.intp, types.intp), code

    made: Kernel = intrinsic(block)
    return made


def filling() -> Kernel:
    """Filling memory: for a pointer to bytes `(target, at, value, count)`."""

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        target = builder.gep(arguments[0], [arguments[1]])
        tools.memset(builder, target, arguments[3], builder.trunc(arguments[2], BYTE))
        return context.get_dummy_value()

    def block(_: Any, target: Any, at: Any, value: Any, count: Any) -> Any:
        return types.void(target, types.intp, types.intp, types.intp), code

    made: Kernel = intrinsic(block)
    return made


def extreme(builder: Any, which: str, a: Any, b: Any) -> Any:
    """The larger (`smax`) or smaller (`smin`) of signed integers, place by place."""
    function = tools.get_or_insert_function(
        builder.module,
        ir.FunctionType(a.type, [a.type, a.type]),
        f"llvm.{which}.v{a.type.count}i{a.type.element.width}",
    )
    return builder.call(function, [a, b])


def widened(builder: Any, address: Any, type_: Any, lanes: int) -> Any:
    """Integers of numba's `type_`, side by side, as such of 64 bits."""
    value = load(builder, address, ir.VectorType(ir.IntType(type_.bitwidth), lanes))
    long = ir.VectorType(LONG, lanes)
    if type_.bitwidth == LONG.width:
        return value
    return builder.sext(value, long) if type_.signed else builder.zext(value, long)


def rescaling(lanes: int) -> Kernel:
    """Requantization of some channels that lie side by side, `lanes` of them.

    Returns:
        For `(sums, at, terms, place, numbers, channel, out)`: `sums`, from `at` on, and each of the
        tuple `terms`, from `place` on, times their multipliers, added up with the bases, shifted
        and limited, go to `out` from `place` on.  `numbers` are those of `Rescaling`, of which the
        ones from `channel` on are used.
    """

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        kinds, (sums, at, terms, place, numbers, channel, out) = signature.args, arguments
        multipliers, bases, shifts, limits = (
            builder.extract_value(numbers, number) for number in range(4)
        )
        low, high, zero, width = (
            load(builder, builder.gep(limits, [LONG(number)]), LONG) for number in range(4)
        )

        def elements(pointer: Any, kind: Any, first: Any) -> Any:
            return widened(builder, builder.gep(pointer, [first]), kind.dtype, lanes)

        total = elements(bases, kinds[4][1], channel)
        sources = [(sums, kinds[0], at)]
        for number, kind in enumerate(kinds[2]):
            sources.append((builder.extract_value(terms, number), kind, place))
        for number, source in enumerate(sources):
            row = builder.add(builder.mul(width, LONG(number)), channel)
            factors = elements(multipliers, kinds[4][0], row)
            total = builder.add(total, builder.mul(elements(*source), factors))
        total = builder.ashr(total, elements(shifts, kinds[4][2], channel))
        for which, limit in (("smax", low), ("smin", high)):
            total = extreme(builder, which, total, repeated(builder, limit, lanes))
        small = ir.VectorType(ir.IntType(kinds[6].dtype.bitwidth), lanes)
        # The zero point is added to the narrow results, of which there are fewer vectors.
        zero = builder.trunc(repeated(builder, zero, lanes), small)
        store(builder, builder.gep(out, [place]), builder.add(builder.trunc(total, small), zero))
        return context.get_dummy_value()

    def block(
        _: Any, sums: Any, at: Any, terms: Any, place: Any, numbers: Any, channel: Any, out: Any
    ) -> Any:
        integer = types.intp
        return types.void(sums, integer, terms, integer, numbers, integer, out), code

    made: Kernel = intrinsic(block)
    return made


def folding(lanes: int, operation: str) -> Kernel:
    """Elements side by side, `lanes` of them, joined to those of a result.

    Args:
        lanes: How many.
        operation: "umax", of unsigned integers of one type, or "add", to wider ones.

    Returns:
        For `(source, at, result, place)`.
    """

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        source, at, result, place = arguments
        kinds = [
            ir.VectorType(ir.IntType(signature.args[number].dtype.bitwidth), lanes)
            for number in (0, 2)
        ]
        new = load(builder, builder.gep(source, [at]), kinds[0])
        target = builder.gep(result, [place])
        old = load(builder, target, kinds[1])
        if operation == "add":
            store(builder, target, builder.add(old, builder.zext(new, kinds[1])))
        else:
            store(builder, target, extreme(builder, operation, old, new))
        return context.get_dummy_value()

    def block(_: Any, source: Any, at: Any, result: Any, place: Any) -> Any:
        return types.void(source, types.intp, result, types.intp), code

    made: Kernel = intrinsic(block)
    return made
