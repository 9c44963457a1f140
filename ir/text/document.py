"""docs/ir.md, written from the declarations of the ops."""

from __future__ import annotations

from collections.abc import Iterator
from inspect import getdoc

from epimc.ir.core.attributes import Plain
from epimc.ir.core.levels import COMMON, LEVELS, NN, in_order
from epimc.ir.core.module_attributes import MEANINGS, MODULE_ATTRIBUTES
from epimc.ir.core.op import OPAQUE, Attribute, Op, Operand
from epimc.ir.core.registry import DIALECTS
from epimc.ir.text import printer

ELEMENTS = {"f32": "f32", "host": "host", "i64": "i64", "u": "uN", "s": "sN"}

_INTRODUCTION = """\
# The intermediate representation

<!-- Made by ir_document() of epimc.ir.text.document: change that, not this page. -->

A module is a network in static single assignment form: values, and ops that compute one value
each from others.  Every value is of one sample; the batch is an execution-time dimension.  A
module is at one of these levels, and every pass says which it takes and which it gives:
"""

_TEXT = f"""
`epimc opt file.epi -p 'pass1,pass2{{option=4}}'` runs passes on a text; `epimc compile --dump-ir`
writes one after every stage.

## Text

    epimc.module {printer.VERSION} "name" level quantized {{
      attribute note = "text"
      tensor @e : tensor<4x3x1x1xs8> = normal(seed = 1, scale = 40.0)
      input "x" %x : tensor<3x8x8xf32> range [-1.0, 2.0]
      %x.q = epi.quantize(%x) : tensor<3x8x8xu8, scale = 0.0118, zero_point = 85>
      %y = epi.conv(%x.q) {{epitome = @e, shape = [4, 3, 1, 1], plan = \
[[0, 4, 0, 3, 0, 0, 0, 0]]}} : tensor<4x8x8xi64> loc(Conv "conv1")
      …
      output "y" = %y.real
    }}

- The first line states the format of the text, {printer.VERSION}.  A text of another format is
  refused before it is parsed.
- `// …` is a comment.  Statements may stand in any order, but a value is defined before its use.
- A value `%name` has a type and, from level `calibrated` on, a `range` of real values.
- A type is `tensor<SHAPExELEMENT>`: a vector [K], a matrix [A, B] (as a map, [A, 1, B]), or a
  feature map [C, H, W].  Elements are `f32`, `i64` (accumulators), `uN` (activations of N bits,
  with a `scale` and perhaps a `zero_point`; bytes of a fragment without) and `sN` (signed,
  symmetric weights of N bits).  `host<"tensor(int64)[N, 2]">` is what the host alone knows, of
  any ONNX type: N counts samples, `?` is a size that depends on the data.
- `loc(Conv "conv1", Relu "relu1")` names the ONNX nodes that an op stands for.
- Attribute values are integers, numbers, strings (JSON's), `true`, `false`, tensors `@name`, lists
  `[a, b]` and tables `{{key = value}}`.  An attribute at its default is left out.
- A tensor's contents are `sha256("…")`, a safetensors file of that name in the folder `tensors`
  beside the text; or `normal(seed = n, scale = f)`, drawn from numpy's Philox generator and for
  integers rounded and clipped; or a list of at most 64 values, in row-major order.

Printing is canonical: what is printed parses to an equal module, and prints the same again.

## Attributes of a module

A module may carry any attribute.  These belong to certain levels:
"""

_OTHER_ATTRIBUTES = """
Besides, `target` is the chip, as the keys of its file; `plans` are the layers' epitomes, where a
file gives them; and `passes` are those that made the module, in order.
"""


def ir_document() -> str:
    """The text of docs/ir.md, with all dialects that are registered."""
    lines = [_INTRODUCTION, *_levels(), _TEXT, *_module_attributes(), _OTHER_ATTRIBUTES]
    for name, dialect in DIALECTS.items():
        lines += [f"## Dialect `{name}`: {dialect.title}", "", *_dialect_text(dialect.text), ""]
        for op in dialect.ops:
            lines += _section(op)
    return "\n".join(lines).rstrip() + "\n"


def _levels() -> Iterator[str]:
    """The table of levels."""
    yield "| Level | Inputs and outputs | What is true of it |"
    yield "| --- | --- | --- |"
    for level, truth in LEVELS.items():
        border = "real" if level in COMMON else "activations"
        yield f"| `{level}` | {border} | {truth} |"


def _module_attributes() -> Iterator[str]:
    """The table of the module's attributes."""
    yield "| Attribute | Value | Levels | Meaning |"
    yield "| --- | --- | --- | --- |"
    for key, attribute in MODULE_ATTRIBUTES.items():
        value, levels = attribute.kind.expected, _levels_of(attribute)
        yield f"| `{key}` | {value} | {levels} | {MEANINGS[key]} |"


def _levels_of(attribute: Attribute[object]) -> str:
    """Where an attribute is set."""
    return _span(attribute.levels) + (", or left out" if attribute.optional else "")


def _span(levels: frozenset[str]) -> str:
    """Levels that follow each other, by the first and the last."""
    first, *_, last = (*in_order(levels), *in_order(levels))
    return f"`{first}`" if first == last else f"`{first}` to `{last}`"


def _dialect_text(text: str) -> list[str]:
    """A dialect's text behind its first line, which the title says."""
    return _listed(text.partition("\n\n")[2]).splitlines()


def _section(op: type[Op]) -> Iterator[str]:
    yield f"### {op.name}"
    yield ""
    yield from _doc(op).splitlines()
    yield ""
    yield f"- Levels: {_span(op.levels)}."
    operands = [_operand(key, operand) for key, operand in op.operand_fields.items()]
    yield f"- Operands: {'; '.join(operands)}."
    yield f"- Result: {_elements(op.result.elements)}."
    yield ""
    if op.attribute_fields:
        yield from _attributes(op)
        yield ""


def _attributes(op: type[Op]) -> Iterator[str]:
    """The table of an op's attributes, with the levels of those that a later pass sets."""
    fields = op.attribute_fields
    later = any(attribute.since != NN for attribute in fields.values())
    columns = ["Attribute", "Value", "Default", *(["Set at"] if later else [])]
    yield f"| {' | '.join(columns)} |"
    yield f"| {' | '.join('---' for _ in columns)} |"
    for key, attribute in fields.items():
        cells = [f"`{key}`", _kind(attribute), _default(attribute)]
        if later:
            cells.append(_levels_of(attribute) if attribute.since != NN else "")
        yield f"| {' | '.join(cells)} |"


def _doc(op: type[Op]) -> str:
    """The docstring of an op."""
    return _listed(getdoc(op) or "")


def _listed(text: str) -> str:
    """A docstring, its list of attributes as Markdown."""
    head, _, listed = text.partition("\n\nAttributes:\n")
    items: list[str] = []
    for line in listed.splitlines():
        key, _, rest = line.strip().partition(": ")
        if line.startswith("        "):
            items[-1] += f" {line.strip()}"
        else:
            items.append(f"- `{key}`: {rest}")
    return "\n".join([head, "", *items]) if items else head


def _elements(elements: frozenset[str]) -> str:
    return " or ".join(f"`{ELEMENTS[element]}`" for element in sorted(elements))


def _operand(key: str, operand: Operand) -> str:
    ranks = {1: "vector", 2: "matrix", 3: "map"}
    shapes = " or ".join(ranks[rank] for rank in operand.ranks if rank)
    kinds = [f"a {shapes} of {_elements(operand.elements - OPAQUE)}"] if shapes else []
    kinds += ["a value of the host"] if operand.elements & OPAQUE else []
    count = "one or more, each " if operand.least else "any number, each "
    return f"`{key}`, {count if operand.variadic else ''}{' or '.join(kinds)}"


def _kind(attribute: Attribute[object]) -> str:
    text = attribute.kind.expected
    if attribute.stored is not None:
        elements, rank = attribute.stored
        text += f" of rank {rank}, {_elements(elements)}"
    return text


def _default(attribute: Attribute[object]) -> str:
    if attribute.default is not None and attribute.optional:
        value: Plain = attribute.kind.dump(attribute.default)
        return f"`{printer.plain(value)}`"
    return "absent" if attribute.optional else ""
