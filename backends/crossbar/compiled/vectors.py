"""Building blocks of kernels, in LLVM's own language: what it would not make of plain loops.

Compiled code calls them like functions.  Arrays come as pointers; places count elements; none is
checked, and nothing is read or written beyond what is stated.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numba
from llvmlite import binding, ir
from numba.core import cgutils
from numba.extending import intrinsic

from epimc.backends.crossbar.compiled.forms import Form

Kernel = Callable[..., None]
# Without types, as numba leaves it.
tools: Any = cgutils
types: Any = numba.types

BYTE, SHORT, WORD, LONG = (ir.IntType(bits) for bits in (8, 16, 32, 64))
# From this version on LLVM takes the operands of products of bytes as bytes, not as words.
BYTES_AS_BYTES = 22


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
        For pointers to 32-bit words `(panel, first, weights, first, count, start, first, sums)`:
        `panel` has `count` rows of `form.row` words, `weights` of `form.outputs`, `start` is what
        the sums of every position start from, and `sums` is [form.positions, form.outputs].
        Additions wrap.  Where the form does not run it does nothing.
    """

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        if form.runs:
            panel, weights, start = (
                builder.gep(arguments[at], [arguments[at + 1]]) for at in (0, 2, 5)
            )
            words = ir.VectorType(WORD, form.lanes)
            steps = [LONG(at) for at in range(0, form.outputs, form.lanes)]
            starts = [load(builder, builder.gep(start, [step]), words) for step in steps]
            results = tile_loop(builder, form, panel, weights, arguments[4], starts)
            for number, result in enumerate(results):
                place = builder.gep(arguments[7], [LONG(number * form.lanes)])
                store(builder, place, result)
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
        source, places, first, offset, panel, at, row = arguments
        rows = []
        for number in range(4):
            entry = builder.gep(places, [builder.add(first, LONG(number))])
            place = builder.add(load(builder, entry, LONG), offset)
            rows.append(fetched(builder, builder.gep(source, [place])))
        for number, column in enumerate(transposed(builder, rows)):
            place = builder.add(at, builder.mul(row, LONG(number)))
            store(builder, builder.gep(panel, [place]), column)
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
