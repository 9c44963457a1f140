"""Arithmetic on numbers in planes: plane k has bit k of the number of every lane.

Planes lie one behind the other in arrays of 64-bit words, each a vector; a number is named by the
word at which its lowest plane begins, and by how many planes it has.
"""

from __future__ import annotations

from typing import Any

from epimc.backends.crossbar.compiled.counting import COUNTED, add_8, add_32, none_counted
from epimc.backends.crossbar.compiled.jit import compiled, inlined
from epimc.backends.crossbar.compiled.lanes import (
    WORDS,
    add,
    any_set,
    both,
    count,
    differ,
    either,
    invert,
    load,
    store,
    subtract,
    without,
    zeros,
)

MOST_LINES = 2**COUNTED - 1
"""The most lines that can be counted at once."""


@inlined
def counted(slab: Any, lines: Any, at: int, eights: int) -> Any:
    """How many of some lines of a slab are set, in each lane.

    Args:
        slab: Words; each line is a vector.
        lines: The words at which lines begin, in multiples of eight.
        at: The first of them that is counted.
        eights: How many times eight are.
    """
    planes = none_counted()
    for _ in range(eights // 4):
        planes = add_32(slab, lines, at, planes)
        at += 32
    for _ in range(eights % 4):
        planes = add_8(slab, lines, at, planes)
        at += 8
    return planes


@compiled
def add_into(total: Any, length: int, most: int, x: Any, planes: int, shift: Any) -> Any:
    """Add 2^shift times a number to another one.

    Args:
        total: What is added to; it takes the sum.
        length: How many planes it has.
        most: How many the sum has at most.
        x: What is added.
        planes: How many planes it has.
        shift: The plane of the sum that its lowest is added to.

    Returns:
        How many planes the sum has.
    """
    # What lies above is 0 in every lane that counts: there is not even room for it.
    planes = min(planes, most - shift)
    if planes <= 0:
        return length
    carry = zeros()
    for k in range(length, shift):
        store(total, k * WORDS, carry)
    length = max(length, shift)
    common = max(min(planes, length - shift), 0)
    for k in range(common):
        bit, carry = add(load(total, (shift + k) * WORDS), load(x, k * WORDS), carry)
        store(total, (shift + k) * WORDS, bit)
    # The longer of both takes the carry.
    for k in range(common, planes):
        bit = load(x, k * WORDS)
        store(total, (shift + k) * WORDS, differ(bit, carry))
        carry = both(bit, carry)
    for k in range(shift + common, length):
        bit = load(total, k * WORDS)
        store(total, k * WORDS, differ(bit, carry))
        carry = both(bit, carry)
    length = max(length, shift + planes)
    if length < most and common > 0:
        store(total, length * WORDS, carry)
        length += 1
    return length


@compiled
def bit_length(value: int) -> Any:
    """Planes that hold a number."""
    planes = 0
    while value >> planes:
        planes += 1
    return planes


@compiled
def take_from(total: Any, length: int, x: Any, planes: int) -> None:
    """x = total - x, with as many planes as `total` has, where no lane of x is more than that."""
    borrow = zeros()
    for k in range(length):
        other = load(x, k * WORDS) if k < planes else zeros()
        bit, borrow = subtract(load(total, k * WORDS), other, borrow)
        store(x, k * WORDS, bit)


@compiled
def convert(x: Any, planes: int, bits: int, shift: int) -> tuple[Any, Any]:
    """What an ADC whose step is 2^shift makes of sums, in place: codes, from plane `shift` on.

    Args:
        x: The sums, from word 0 on.
        planes: How many planes they have.
        bits: Of the ADC.
        shift: The logarithm of its step.

    Returns:
        How many planes the codes have, and how many lanes were clipped.
    """
    if shift:
        planes = round_up(x, planes, shift)
    length = max(planes - shift, 0)
    if length <= bits:
        return length, 0
    high = zeros()
    for k in range(bits, length):
        high = either(high, load(x, (shift + k) * WORDS))
    for k in range(bits):
        store(x, (shift + k) * WORDS, either(load(x, (shift + k) * WORDS), high))
    return bits, count(high)


@compiled
def round_up(x: Any, planes: int, shift: Any) -> Any:
    """x / 2^shift, half to even, in place from plane `shift` on; how many planes there are now."""
    if planes < shift:
        return planes
    # From the middle up where the code below is odd.
    above = load(x, shift * WORDS) if planes > shift else zeros()
    for k in range(shift - 1):
        above = either(above, load(x, k * WORDS))
    carry = both(load(x, (shift - 1) * WORDS), above)
    for k in range(shift, planes):
        bit = load(x, k * WORDS)
        store(x, k * WORDS, differ(bit, carry))
        carry = both(bit, carry)
    store(x, planes * WORDS, carry)
    return planes + 1


@compiled
def divide(x: Any, planes: int, bits: int, step: int, codes: Any, rest: Any) -> Any:
    """What an ADC of any step makes of sums, by long division of the sum and half a step.

    Args:
        x: The sums; takes what remains, up to a whole step: the sum and half a step, less `codes`
            steps.
        planes: How many planes they have; x takes one more.
        bits: Of the ADC: so many planes take `codes`.
        step: Of the ADC.
        codes: Takes the codes.
        rest: Room for a number.

    Returns:
        How many lanes were clipped.
    """
    carry = zeros()
    for k in range(planes):
        bit = load(x, k * WORDS)
        if (step // 2) >> k & 1:
            store(x, k * WORDS, invert(differ(bit, carry)))
            carry = either(bit, carry)
        else:
            store(x, k * WORDS, differ(bit, carry))
            carry = both(bit, carry)
    store(x, planes * WORDS, carry)
    for code in range(bits - 1, -1, -1):
        fits = take_constant(x, planes + 1, step << code, rest)
        store(codes, code * WORDS, fits)
        if any_set(fits):
            for k in range(planes + 1):
                old, new = load(x, k * WORDS), load(rest, k * WORDS)
                store(x, k * WORDS, either(both(new, fits), without(old, fits)))
    clipped = count(take_constant(x, planes + 1, step, rest))
    if step & 1 == 0:
        to_even(x, planes + 1, step, codes)
    return clipped


@compiled
def to_even(x: Any, planes: int, step: int, codes: Any) -> None:
    """Give back one step of an odd code where nothing else remains, as in `divide`."""
    middle = load(codes, 0)
    for k in range(planes):
        middle = without(middle, load(x, k * WORDS))
    if not any_set(middle):
        return
    store(codes, 0, without(load(codes, 0), middle))
    for k in range(planes):
        if step >> k & 1:
            # No plane of these lanes is set.
            store(x, k * WORDS, either(load(x, k * WORDS), middle))


@compiled
def take_constant(x: Any, planes: int, constant: int, rest: Any) -> Any:
    """The lanes where x is at least a constant; `rest` takes x less the constant."""
    if constant >> planes:
        return zeros()
    borrow = zeros()
    for k in range(planes):
        bit = load(x, k * WORDS)
        if constant >> k & 1:
            store(rest, k * WORDS, invert(differ(bit, borrow)))
            borrow = either(invert(bit), borrow)
        else:
            store(rest, k * WORDS, differ(bit, borrow))
            borrow = without(borrow, bit)
    return invert(borrow)


@compiled
def excess(x: Any, planes: int, bits: int) -> Any:
    """What an ADC of step 1 clips off sums, in place; how many lanes were clipped."""
    high = zeros()
    for k in range(bits, planes):
        high = either(high, load(x, k * WORDS))
    if not any_set(high):
        return 0
    borrow = zeros()
    for k in range(planes):
        bit = load(x, k * WORDS)
        code = either(bit, high) if k < bits else zeros()
        bit, borrow = subtract(bit, code, borrow)
        store(x, k * WORDS, bit)
    return count(high)
