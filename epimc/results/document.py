"""The page about JSON documents, written from the classes of results."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from epimc.results.schema import Key, keys_of, records_in, words_of
from epimc.support.docstrings import summary_of
from epimc.support.results import FORMAT, Result

INTRODUCTION = f"""\
# JSON documents

<!-- Made by json_document() of epimc.results.document: change the classes of results, not this
     page. -->

`--json` prints one document in place of text. In Python the same results are objects with the same
names: `str(result)` is the text, `result.to_json()` the document, and a notebook shows tables.

Every document is an object with the keys `format`, {FORMAT} in this version of epimc, and `kind`,
which says which of the sections below describes it. The format is raised when a key goes, or comes
to mean something else; keys may be added without that, so a reader should ignore those that it does
not know. Every key that is described is there, `null` where there is nothing to say, and no number
is infinite or NaN. Exit codes are the same with `--json`; errors are printed as text, on standard
error.
"""

BACKEND = """\
## What backends add

The documents of programs have keys that belong to a kind of chip. These are the built-in
backends'; another backend's are described with it.
"""

COMMANDS: Mapping[str, str] = {
    "compile": "epimc compile MODEL -o DIR --json",
    "plan": "epimc plan MODEL --json",
    "run": "epimc run DIR --input X --output Y.npz --json",
    "verify": "epimc verify DIR --json",
    "evaluate": "epimc evaluate DIR --data X --json",
    "model": "epimc inspect MODEL --json",
    "bundle": "epimc inspect DIR --json",
    "stage": "epimc inspect DIR --stage LEVEL --json",
    "quantization": "epimc inspect DIR --quantization --json",
    "quantized-layer": "epimc inspect DIR --quantization --layer NAME --json",
    "check": "epimc check DIR --json",
    "targets": "epimc targets --json",
    "target": "epimc targets NAME --json",
}
"""The command that prints each kind of document."""


def json_document(
    own: Iterable[type[Result]], backends: Mapping[str, Iterable[type[Result]]]
) -> str:
    """The text of `docs/json.md`.

    Args:
        own: The driver's results.
        backends: By the name of each backend, its results.
    """
    seen: set[type] = set()
    lines = [INTRODUCTION]
    for kind in own:
        lines += section(f"## {kind.KIND}", kind, seen)
    lines.append(BACKEND)
    for name, kinds in backends.items():
        for kind in kinds:
            lines += section(f"## {kind.KIND} of {name}", kind, seen)
    return "\n".join(lines).rstrip() + "\n"


def section(title: str, kind: type[Result], seen: set[type]) -> Iterator[str]:
    """The section on a kind, and on those of its records that none before it has."""
    yield from [title, "", summary_of(kind.__doc__ or "")]
    if kind.KIND in COMMANDS:
        yield from ["", f"    {COMMANDS[kind.KIND]}"]
    yield from ["", *key_table(kind), ""]
    for record in records_in(kind):
        if record not in seen:
            seen.add(record)
            yield from [f"### {record.__name__}", "", summary_of(record.__doc__ or ""), ""]
            yield from [*key_table(record), ""]


def key_table(record: type) -> Iterator[str]:
    """The Markdown table of a record's keys, and what else stands beside them."""
    keys = list(keys_of(record))
    named = [key for key in keys if not key.inlined]
    if named:
        yield from ["| key | value | meaning |", "|---|---|---|"]
        yield from (f"| `{key.name}` | {words_of(key.type)} | {key.meaning} |" for key in named)
    for key in keys:
        if key.inlined:
            yield from beside(key, bool(named))


def beside(key: Key, more: bool) -> Iterator[str]:
    """The sentence about keys that another declaration lists."""
    if more:
        yield ""
    meaning = key.meaning[:1].lower() + key.meaning[1:]
    place = f" ([{key.type.KIND}](#what-backends-add))" if issubclass(key.type, Result) else ""
    yield f"{'Beside them' if more else 'Its keys'}: {meaning}{place}"
