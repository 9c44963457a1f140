"""Changes to bytes, texts and numbers, the same for the same state of a random generator."""

from __future__ import annotations

import re
from random import Random
from typing import Any

INTEGERS = (0, 1, -1, 2, 7, 255, 2**16, 2**31 - 1, 2**31, 2**32, 2**40, 2**62, 2**63 - 1, -(2**63))
FLOATS = (0.0, -1.0, 1e-45, 1e-30, 3.4e38, 1e39, 1e308, float("inf"), float("-inf"), float("nan"))
TEXTS = ("", "x", "\0", "é", "../x", "/etc/passwd", "a" * 5000, "%s", "nan", "\ud800", "1e999")

NUMBER = re.compile(r"(?<![A-Za-z_])-?[0-9]+(?:\.[0-9]+)?(?:e[+-]?[0-9]+)?")
TOKEN = re.compile(r"[A-Za-z_][\w.-]*|-?[0-9][\w.+-]*|\s+|.", re.S)


def changed_bytes(random: Random, data: bytes) -> bytes:
    """Some bytes flipped, cut out, put in, repeated, or the end cut off."""
    for _ in range(random.choice((1, 1, 1, 2, 3, 8))):
        place = random.randrange(len(data) + 1)
        end = min(len(data), place + random.choice((1, 1, 2, 4, 16, 256)))
        part = data[place:end]
        replacement = random.choice(
            (
                bytes(byte ^ (1 << random.randrange(8)) for byte in part),
                b"",
                random.randbytes(len(part)),
                part + part,
                b"\xff" * len(part),
                b"\x00" * len(part),
            )
        )
        data = data[:place] + replacement + data[end:]
        if random.random() < 0.05:
            data = data[: random.randrange(len(data) + 1)]
    return data


def changed_text(random: Random, text: str) -> str:
    """A number, a word or a line changed, taken out, doubled, or exchanged for another."""
    change = random.choice((_other_number, _other_number, _other_tokens, _other_lines, _nested))
    for _ in range(random.choice((1, 1, 1, 2, 3))):
        text = change(random, text)
    return text


def _other_number(random: Random, text: str) -> str:
    places = [*NUMBER.finditer(text)]
    if not places:
        return text
    place = random.choice(places)
    near = str(
        int(random.gauss(0, 4))
        + (int(place[0]) if place[0].isdigit() and len(place[0]) < 20 else 0)
    )
    numbers = (*map(str, INTEGERS), *map(str, FLOATS), near, near, near, "9" * 5000, "-", "1x1")
    return text[: place.start()] + random.choice(numbers) + text[place.end() :]


def _other_tokens(random: Random, text: str) -> str:
    tokens = TOKEN.findall(text)
    if not tokens:
        return text
    place, other = random.randrange(len(tokens)), random.choice(tokens)
    tokens[place] = random.choice(("", other, tokens[place] * 2, random.choice(TEXTS), "{", "]"))
    return "".join(tokens)


def _other_lines(random: Random, text: str) -> str:
    lines = text.splitlines(keepends=True)
    if not lines:
        return text
    place, other = random.randrange(len(lines)), random.randrange(len(lines))
    count = random.choice((0, 2, 2, 50))
    if random.random() < 0.5:
        lines[place], lines[other] = lines[other], lines[place]
    else:
        lines[place : place + 1] = [lines[place]] * count
    return "".join(lines)


def _nested(random: Random, text: str) -> str:
    place, depth = random.randrange(len(text) + 1), random.choice((3, 40, 400, 40_000))
    opening, closing = random.choice((("[", "]"), ("{", "}"), ("(", ")"), ("a.", ""), ("<", ">")))
    return text[:place] + opening * depth + closing * depth + text[place:]


def changed_value(random: Random, value: Any) -> Any:
    """A JSON value with one thing in it changed."""
    if isinstance(value, dict) and value and random.random() < 0.9:
        key = random.choice(list(value))
        if random.random() < 0.1:
            return {name: item for name, item in value.items() if name != key}
        if random.random() < 0.05:
            return {**value, random.choice(TEXTS[:-2]): value[key]}
        return {**value, key: changed_value(random, value[key])}
    if isinstance(value, list) and value and random.random() < 0.9:
        place = random.randrange(len(value))
        if random.random() < 0.1:
            return value[:place] + value[place + 1 :]
        if random.random() < 0.1:
            return value + value[: place + 1]
        return [*value[:place], changed_value(random, value[place]), *value[place + 1 :]]
    near = value + random.choice((-1, 1)) if isinstance(value, int) else value
    others: tuple[Any, ...] = (
        *INTEGERS,
        *FLOATS[:7],
        *TEXTS[:-2],
        None,
        True,
        [],
        {},
        [value],
        near,
        near,
        near,
    )
    return random.choice(others)
