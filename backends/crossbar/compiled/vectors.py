"""Building blocks of kernels, in LLVM's own language: what it would not make of plain loops.

Compiled code calls them like functions.  Places in arrays count their elements; none is checked,
and nothing is read or written beyond what is stated.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llvmlite import binding, ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from epimc.backends.crossbar.compiled.forms import Form

Kernel = Callable[..., None]
# Without types, as numba leaves it.
tools: Any = cgutils

BYTE, SHORT, WORD, LONG = (ir.IntType(bits) for bits in (8, 16, 32, 64))
# From this version on LLVM takes the operands of products of bytes as bytes, not as words.
BYTES_AS_BYTES = 22


def pointer(context: Any, builder: Any, type_: Any, array: Any, place: Any) -> Any:
    """The address of the element of an array at a place."""
    data = context.make_array(type_)(context, builder, array).data
    return builder.gep(data, [place])


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


def shuffled(builder: Any, a: Any, b: Any, places: list[int]) -> Any:
    """The elements at some places of two vectors, those of the second counted on."""
    return builder.shuffle_vector(a, b, ir.Constant(ir.VectorType(WORD, len(places)), places))


def multiply_and_add(builder: Any, form: Form, sums: Any, inputs: Any, weights: Any) -> Any:
    """sums + the products of the words of two vectors, by the form's instruction."""
    name, words = form.instruction, sums.type
    if form.depth == 2:
        pairs = ir.VectorType(SHORT, 2 * form.lanes)
        function = tools.get_or_insert_function(
            builder.module, ir.FunctionType(words, [pairs, pairs]), name
        )
        operands = [builder.bitcast(value, pairs) for value in (inputs, weights)]
        return builder.add(sums, builder.call(function, operands))
    as_bytes = binding.llvm_version_info[0] >= BYTES_AS_BYTES
    kind = ir.VectorType(BYTE, 4 * form.lanes) if as_bytes else words
    function = tools.get_or_insert_function(
        builder.module, ir.FunctionType(words, [words, kind, kind]), name
    )
    operands = [builder.bitcast(value, kind) for value in (inputs, weights)]
    return builder.call(function, [sums, *operands])


def tile_loop(builder: Any, form: Form, panel: Any, weights: Any, count: Any, start: Any) -> Any:
    """The loop over the words of a tile's rows and columns; its sums, as vectors.

    Args:
        builder: Of the code.
        form: Which tiles, by which instruction.
        panel: Address of the first row of the panel.
        weights: Address of the first weight.
        count: Of words, at least 1.
        start: Vectors, what the sums of each position start from.
    """
    words = ir.VectorType(WORD, form.lanes)
    before, body = builder.block, builder.append_basic_block("words")
    after = builder.append_basic_block("sums")
    builder.branch(body)
    builder.position_at_end(body)
    place = builder.phi(LONG)
    place.add_incoming(LONG(0), before)
    sums = [builder.phi(words) for _ in range(form.positions * len(start))]
    row = builder.gep(weights, [builder.mul(place, LONG(form.outputs))])
    columns = [
        load(builder, builder.gep(row, [LONG(part * form.lanes)]), words)
        for part in range(len(start))
    ]
    inputs = builder.gep(panel, [builder.mul(place, LONG(form.row))])
    results: list[Any] = []
    for position in range(form.positions):
        word = load(builder, builder.gep(inputs, [LONG(position)]), WORD)
        vector = repeated(builder, word, form.lanes)
        for column in columns:
            old = sums[len(results)]
            results.append(multiply_and_add(builder, form, old, vector, column))
    following = builder.add(place, LONG(1))
    place.add_incoming(following, body)
    for number, (old, new) in enumerate(zip(sums, results, strict=True)):
        old.add_incoming(start[number % len(start)], before)
        old.add_incoming(new, body)
    builder.cbranch(builder.icmp_signed("<", following, count), body, after)
    builder.position_at_end(after)
    return results


def tile_product(form: Form) -> Kernel:
    """sums = start + panel x weights, of one tile, in the vectors of `form`.

    Returns:
        For arrays of 32-bit words `(panel, first, weights, first, count, start, first, sums)`:
        `panel` has `count` rows of `form.row` words, `weights` of `form.outputs`, `start` is what
        the sums of every position start from, and `sums` is [form.positions, form.outputs].
        Additions wrap.  Where the form does not run it does nothing.
    """

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        if form.runs:
            kinds = signature.args
            panel, weights, start = (
                pointer(context, builder, kinds[at], arguments[at], arguments[at + 1])
                for at in (0, 2, 5)
            )
            words = ir.VectorType(WORD, form.lanes)
            steps = [LONG(at) for at in range(0, form.outputs, form.lanes)]
            starts = [load(builder, builder.gep(start, [step]), words) for step in steps]
            results = tile_loop(builder, form, panel, weights, arguments[4], starts)
            sums = pointer(context, builder, kinds[7], arguments[7], LONG(0))
            for number, result in enumerate(results):
                store(builder, builder.gep(sums, [LONG(number * form.lanes)]), result)
        return context.get_dummy_value()

    def block(
        _: Any, panel: Any, p: Any, weights: Any, w: Any, count: Any, start: Any, s: Any, sums: Any
    ) -> Any:
        place = types.intp
        return types.void(panel, place, weights, place, place, start, place, sums), code

    made: Kernel = intrinsic(block)
    return made


def transposition(depth: int) -> Kernel:
    """Four words of each of four positions, from where they lie to the rows of a panel.

    Returns:
        For `(source, places, first, offset, panel, at, row)`: reads 4 * depth bytes of `source` at
        each of `places[first : first + 4]` + offset, and writes four words to each of four rows,
        `row` words apart, of `panel` from `at` on.  With a depth of 2 a word is two bytes as
        16-bit integers.
    """
    four = ir.VectorType(WORD, 4)

    def fetched(builder: Any, address: Any) -> Any:
        if depth == 4:
            return load(builder, address, four)
        eight = load(builder, address, ir.VectorType(BYTE, 8))
        return builder.bitcast(builder.zext(eight, ir.VectorType(SHORT, 8)), four)

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        kinds = signature.args
        places = pointer(context, builder, kinds[1], arguments[1], arguments[2])
        rows = []
        for number in range(4):
            place = load(builder, builder.gep(places, [LONG(number)]), LONG)
            at = builder.add(place, arguments[3])
            rows.append(fetched(builder, pointer(context, builder, kinds[0], arguments[0], at)))
        panel = pointer(context, builder, kinds[4], arguments[4], arguments[5])
        for number, column in enumerate(transposed(builder, rows)):
            step = builder.mul(arguments[6], LONG(number))
            store(builder, builder.gep(panel, [step]), column)
        return context.get_dummy_value()

    def block(
        _: Any, source: Any, places: Any, f: Any, offset: Any, panel: Any, at: Any, row: Any
    ) -> Any:
        return types.void(source, places, *[types.intp] * 2, panel, *[types.intp] * 2), code

    made: Kernel = intrinsic(block)
    return made


def transposed(builder: Any, rows: list[Any]) -> list[Any]:
    """The columns of a matrix of 4 x 4."""
    low = [shuffled(builder, rows[n], rows[n + 1], [0, 4, 1, 5]) for n in (0, 2)]
    high = [shuffled(builder, rows[n], rows[n + 1], [2, 6, 3, 7]) for n in (0, 2)]
    return [
        shuffled(builder, a, b, places)
        for a, b in (low, high)
        for places in ([0, 1, 4, 5], [2, 3, 6, 7])
    ]


def copying() -> Kernel:
    """Copying memory: for arrays of bytes `(target, at, source, first, count)`."""

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        target = pointer(context, builder, signature.args[0], arguments[0], arguments[1])
        source = pointer(context, builder, signature.args[2], arguments[2], arguments[3])
        tools.raw_memcpy(builder, target, source, arguments[4], 1)
        return context.get_dummy_value()

    def block(_: Any, target: Any, at: Any, source: Any, first: Any, count: Any) -> Any:
        return types.void(target, types.intp, source, types.intp, types.intp), code

    made: Kernel = intrinsic(block)
    return made


def filling() -> Kernel:
    """Filling memory: for an array of bytes `(target, at, value, count)`."""

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        target = pointer(context, builder, signature.args[0], arguments[0], arguments[1])
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
    """Elements of an array of numba's `type_` as 64-bit integers."""
    bits, signed = type_.dtype.bitwidth, type_.dtype.signed
    value = load(builder, address, ir.VectorType(ir.IntType(bits), lanes))
    long = ir.VectorType(LONG, lanes)
    if bits == LONG.width:
        return value
    return builder.sext(value, long) if signed else builder.zext(value, long)


def rescaling(lanes: int) -> Kernel:
    """Requantization of some channels that lie side by side, `lanes` of them.

    Returns:
        For `(sums, at, terms, place, numbers, channel, out)`: `sums`, from `at` on, and every array
        of the tuple `terms`, from `place` on, times their multipliers, added up with the bases,
        shifted and limited, go to `out` from `place` on.  `numbers` is a tuple: multipliers, a row
        for each term one after the other; bases; shifts; the limits, before the zero point is
        added, and the zero point.  From `channel` on, all but the last.
    """

    def numbers_at(
        context: Any, builder: Any, kinds: Any, numbers: Any, channel: Any
    ) -> tuple[Callable[[int], Any], Any, Any, list[Any]]:
        """Reads the multipliers of a term; the bases, the shifts and the limits."""
        values = [builder.extract_value(numbers, number) for number in range(4)]

        def at(number: int, place: Any) -> Any:
            address = pointer(context, builder, kinds[number], values[number], place)
            return widened(builder, address, kinds[number], lanes)

        def factors(term: int) -> Any:
            base = context.make_array(kinds[1])(context, builder, values[1])
            width = tools.unpack_tuple(builder, base.shape, 1)[0]
            return at(0, builder.add(builder.mul(width, LONG(term)), channel))

        limits = pointer(context, builder, kinds[3], values[3], LONG(0))
        bounds = [
            repeated(builder, load(builder, builder.gep(limits, [LONG(n)]), LONG), lanes)
            for n in range(3)
        ]
        return factors, at(1, channel), at(2, channel), bounds

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        kinds, (sums, at, terms, place, numbers, channel, out) = signature.args, arguments
        factors, total, shifts, (low, high, zero) = numbers_at(
            context, builder, kinds[4], numbers, channel
        )
        sources = [(kinds[0], sums, at)]
        for number, kind in enumerate(kinds[2]):
            sources.append((kind, builder.extract_value(terms, number), place))
        for number, (kind, array, first) in enumerate(sources):
            address = pointer(context, builder, kind, array, first)
            term = widened(builder, address, kind, lanes)
            total = builder.add(total, builder.mul(term, factors(number)))
        total = builder.ashr(total, shifts)
        total = extreme(builder, "smin", extreme(builder, "smax", total, low), high)
        small = ir.VectorType(ir.IntType(kinds[6].dtype.bitwidth), lanes)
        # The zero point is added to the narrow results, of which there are fewer vectors.
        result = builder.add(builder.trunc(total, small), builder.trunc(zero, small))
        store(builder, pointer(context, builder, kinds[6], out, place), result)
        return context.get_dummy_value()

    def block(
        _: Any, sums: Any, at: Any, terms: Any, place: Any, numbers: Any, channel: Any, out: Any
    ) -> Any:
        integer = types.intp
        return types.void(sums, integer, terms, integer, numbers, integer, out), code

    made: Kernel = intrinsic(block)
    return made
