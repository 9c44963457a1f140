"""Products of tiles, and what they take, as building blocks of kernels."""

from __future__ import annotations

from typing import Any

from llvmlite import binding, ir
from numba.extending import intrinsic

from epimc.backends.crossbar.compiled.forms import Form
from epimc.backends.crossbar.compiled.vectors import (
    BYTE,
    LONG,
    SHORT,
    WORD,
    Kernel,
    load,
    loop,
    repeated,
    store,
    tools,
    types,
)

# From this version on LLVM takes the operands of products of bytes as bytes, not as words.
BYTES_AS_BYTES = 22


def multiply_and_add(builder: Any, form: Form, sums: Any, inputs: Any, weights: Any) -> Any:
    """sums + the products of the words of two vectors, by the form's instruction."""
    name, words = form.instruction, sums.type
    if form.depth == 2:
        pairs = ir.VectorType(SHORT, 2 * form.lanes)
        if not name:
            return builder.add(sums, added_in_pairs(builder, words, [inputs, weights]))
        operands = [builder.bitcast(value, pairs) for value in (inputs, weights)]
        function = tools.get_or_insert_function(
            builder.module, ir.FunctionType(words, [pairs, pairs]), name
        )
        return builder.add(sums, builder.call(function, operands))
    as_bytes = binding.llvm_version_info[0] >= BYTES_AS_BYTES
    kind = ir.VectorType(BYTE, 4 * form.lanes) if as_bytes else words
    function = tools.get_or_insert_function(
        builder.module, ir.FunctionType(words, [words, kind, kind]), name
    )
    operands = [builder.bitcast(value, kind) for value in (inputs, weights)]
    return builder.call(function, [sums, *operands])


def added_in_pairs(builder: Any, words: Any, operands: list[Any]) -> Any:
    """The sum of the products of the halves of words, as any processor can do it."""
    half = ir.Constant(words, [16] * words.count)
    high = [builder.ashr(value, half) for value in operands]
    low = [builder.ashr(builder.shl(value, half), half) for value in operands]
    return builder.add(builder.mul(*low), builder.mul(*high))


def tile_product(form: Form) -> Kernel:
    """sums = start + panel x weights, of one tile, in the vectors of `form`.

    Returns:
        For pointers to 32-bit words `(panel, first, weights, first, count, start, first, sums)`:
        `panel` has `count` rows of `form.row` words, `weights` of `form.outputs`, `start` is what
        the sums of every position start from, and `sums` is [form.positions, form.outputs].
        Additions wrap.  Where the form does not run it does nothing.
    """
    words = ir.VectorType(WORD, form.lanes)
    steps = [LONG(at) for at in range(0, form.outputs, form.lanes)]

    def code(context: Any, builder: Any, _: Any, arguments: Any) -> Any:
        if form.runs:
            panel, weights, start = (
                builder.gep(arguments[at], [arguments[at + 1]]) for at in (0, 2, 5)
            )

            def step(place: Any, sums: list[Any]) -> list[Any]:
                row = builder.gep(weights, [builder.mul(place, LONG(form.outputs))])
                columns = [load(builder, builder.gep(row, [at]), words) for at in steps]
                inputs = builder.gep(panel, [builder.mul(place, LONG(form.row))])
                results: list[Any] = []
                for position in range(form.positions):
                    word = load(builder, builder.gep(inputs, [LONG(position)]), WORD)
                    vector = repeated(builder, word, form.lanes)
                    for column in columns:
                        old = sums[len(results)]
                        results.append(multiply_and_add(builder, form, old, vector, column))
                return results

            starts = [load(builder, builder.gep(start, [at]), words) for at in steps]
            results = loop(builder, arguments[4], starts * form.positions, step)
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


def shuffled(builder: Any, a: Any, b: Any, places: list[int]) -> Any:
    """The elements at some places of two vectors, those of the second counted on."""
    return builder.shuffle_vector(a, b, ir.Constant(ir.VectorType(WORD, len(places)), places))
