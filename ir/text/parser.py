"""The text form of the IR, read: lark (LALR) finds the tree, the declarations check the ops."""

from __future__ import annotations

import json
import math
import re
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
from lark import Lark, Token, Tree
from lark.exceptions import UnexpectedCharacters, UnexpectedEOF, UnexpectedInput

from epimc.ir.core.attributes import Ref
from epimc.ir.core.levels import LEVELS
from epimc.ir.core.liveness import refuse_large_maps
from epimc.ir.core.module import Module
from epimc.ir.core.op import Op, UnknownAttributeError, Value
from epimc.ir.core.registry import OPS
from epimc.ir.core.tensors import (
    MAXIMUM_LITERALS,
    Normal,
    Tensor,
    TensorSource,
    TensorStore,
    fits,
)
from epimc.ir.core.types import IrError, Location, TensorType, host_value
from epimc.ir.text.printer import VERSION
from epimc.ir.text.scanner import LARGEST_TEXT, lines_of, place_of, refuse_oversized
from epimc.ir.verifier import verify
from epimc.support.diagnostics import EpimcError, Span, did_you_mean, error, other_version
from epimc.support.files import read_text
from epimc.support.limits import DEFAULT_BYTES, Budget

Node = Tree[Token]

# What the grammar's terminals are called in error messages.
WORDS = {
    "SYMBOL": "a tensor such as @weights",
    "VALUE": "a value such as %x",
    "STRING": "a string",
    "IDENT": "a name",
    "OPNAME": "an op such as nn.conv",
    "INT": "an integer",
    "FLOAT": "a number",
    "TENSORTYPE": "a type such as tensor<8xf32>",
    "HOSTTYPE": "a type of the host",
    "RBRACE": "'}'",
    "LBRACE": "'{'",
    "LPAR": "'('",
    "RPAR": "')'",
    "LSQB": "'['",
    "RSQB": "']'",
    "COLON": "':'",
    "COMMA": "','",
    "EQUAL": "'='",
    "MORETHAN": "'>'",
    "$END": "the end of the file",
    "__ANON_0": "'epimc.module'",
}

SMALLEST_SCALE = float(np.finfo(np.float32).smallest_subnormal)
LARGEST_SCALE = float(np.finfo(np.float32).max)

_SPACE = r"(?:[ \t\r\n]++|//[^\n]*+\n)*+"
_HEADER = re.compile(rf"{_SPACE}epimc\.module{_SPACE}(-?[0-9]{{1,20}})")


def read_module(path: Path, limit_bytes: int = DEFAULT_BYTES) -> Module:
    """Read, check and verify a file; its tensors lie in the folder `tensors` beside it.

    Args:
        path: The file.
        limit_bytes: As in `parse_module`.

    Raises:
        EpimcError: The file cannot be read, does not parse or is not valid IR.
    """
    if not path.is_file():
        raise error(f"'{path}' is not a file.", hint="Give the path of an .epi file.")
    text = read_text(path, limit=LARGEST_TEXT)
    return parse_module(text, str(path), TensorStore(path.parent / "tensors"), limit_bytes)


def parse_module(
    text: str,
    file: str = "<text>",
    store: TensorSource | None = None,
    limit_bytes: int = DEFAULT_BYTES,
) -> Module:
    """Parse, check and verify a text.

    Args:
        text: The module.
        file: Named in error messages.
        store: Where tensors declared by digest are loaded from.
        limit_bytes: Of the text's tree, of all tensors, and of the maps of one sample, together;
            what stands in no file counts with the work on it.

    Raises:
        OtherVersionError: It is of another version of the text form.
        EpimcError: With file, line and column.
    """
    refuse_other_version(text, file)
    budget = Budget(limit_bytes, f"IR text '{file}'")
    refuse_oversized(text, file, budget)
    try:
        tree = _grammar().parse(text)
    except UnexpectedInput as problem:
        raise _syntax_error(problem, text, file) from None
    module = _Reader(text, file, store, budget).module(tree)
    verify(module)
    refuse_large_maps(module, budget)
    return module


REMAKE = "Make it again with this version of epimc: epimc compile MODEL -o DIR --dump-ir DUMPS"


def refuse_other_version(text: str, file: str) -> None:
    """Raise OtherVersionError for a text of another version, whose grammar may be another too.

    Args:
        text: A module, or anything else, which is left to the parser.
        file: Named in the error message.
    """
    header = _HEADER.match(text)
    if header is None or int(header[1]) == VERSION:
        return
    where = place_of(text, header.start(1), file)
    raise other_version("The IR text", int(header[1]), VERSION, where=where, hint=REMAKE)


@cache
def _grammar() -> Lark:
    grammar = resources.files("epimc.ir.text").joinpath("grammar.lark").read_text("utf-8")
    return Lark(grammar, parser="lalr", propagate_positions=True, maybe_placeholders=True)


def _syntax_error(problem: UnexpectedInput, text: str, file: str) -> EpimcError:
    lines = lines_of(text)
    line, column = int(problem.line), int(problem.column)
    if line < 1 or line > len(lines):
        line, column = len(lines), len(lines[-1]) + 1
    span = Span(file, line, column, lines[line - 1])
    allowed = problem.allowed if isinstance(problem, UnexpectedCharacters) else None
    terminals = allowed or getattr(problem, "accepts", None) or getattr(problem, "expected", None)
    expected: set[str] = set(terminals or ())
    # Where a list of integers may stand, any list may, which begins with a bracket.
    expected.discard("INTEGERS")
    names = sorted(WORDS.get(name, f"'{name.lower()}'") for name in expected)
    what = "The text ends too early" if isinstance(problem, UnexpectedEOF) else "Unexpected text"
    token = getattr(problem, "token", None)
    if token is not None and token.type == "$END":
        what = "The text ends too early"
    return error(f"{what}: expected {' or '.join(names)}.", where=span)


class _Reader:
    """Turns the tree of one text into a module."""

    def __init__(self, text: str, file: str, store: TensorSource | None, budget: Budget) -> None:
        self.lines = lines_of(text)
        self.file = file
        self.store = store
        self.budget = budget
        self.values: dict[str, Value] = {}
        self.stored: dict[str, TensorType] = {}
        self.inputs: set[str] = set()
        self.outputs: set[str] = set()

    def span(self, node: Node | Token) -> Span:
        place = node if isinstance(node, Token) else node.meta
        line = int(place.line or 1)
        return Span(self.file, line, int(place.column or 1), self.lines[line - 1])

    def fail(self, message: str, node: Node | Token, hint: str = "") -> EpimcError:
        return error(message, where=self.span(node), hint=hint)

    def module(self, tree: Node) -> Module:
        # The version is checked before the text is parsed.
        _, name, level, *statements = tree.children
        if str(level) not in LEVELS:
            hint = did_you_mean(str(level), LEVELS)
            raise self.fail(f"There is no level '{level}'.", _token(level), hint)
        module = Module(self.string(_token(name)), str(level))
        nodes = list(map(_tree, statements))
        for node in nodes:
            # All are paid for before the first is read or drawn.
            if node.data == "tensor":
                self.declare(node)
        for node in nodes:
            getattr(self, node.data)(node, module)
        return module

    def declare(self, node: Node) -> None:
        """Take the bytes of a stored tensor."""
        name = str(node.children[0])[1:]
        if name in self.stored:
            raise self.fail(f"Tensor @{name} is declared twice.", node)
        kind = self.stored[name] = self.type(_tree(node.children[1]))
        # What no file holds is made here.
        made = _tree(node.children[2]).data == "normal"
        take = self.budget.make if made else self.budget.read
        take(kind.nbytes, f"tensor @{name}", self.span(node))

    def attribute(self, node: Node, module: Module) -> None:
        key, value = node.children
        if str(key) in module.attributes:
            raise self.fail(f"Attribute '{key}' is given twice.", _token(key))
        module.attributes[str(key)] = self.plain(value)

    def tensor(self, node: Node, module: Module) -> None:
        name = str(node.children[0])[1:]
        module.tensors[name] = self.contents(_tree(node.children[2]), self.stored[name])

    def contents(self, node: Node, kind: TensorType) -> Tensor:
        if node.data == "digest":
            if self.store is None:
                raise self.fail("A text without a folder cannot reference tensor files.", node)
            digest = self.string(_token(node.children[0]))
            if len(digest) != 64 or not set(digest) <= set("0123456789abcdef"):
                raise self.fail("A digest is 64 hexadecimal digits.", node)
            return self.store.load(digest, kind)
        if node.data == "normal":
            seed, scale = int(str(node.children[0])), float(self.plain(node.children[1]))
            if not 0 <= seed < 2**64:
                raise self.fail("A seed lies in [0, 2^64).", node)
            random = Normal(seed, scale)
            drawn = Tensor(kind, random.draw(kind), random=random)
            if not np.isfinite(drawn.array).all():
                raise self.fail(f"A random value does not fit into {kind.element}.", node)
            return drawn
        return self.literal(node, kind)

    def literal(self, node: Node, kind: TensorType) -> Tensor:
        values = self.plain(node)
        if len(values) != kind.size or kind.size > MAXIMUM_LITERALS:
            rule = f"found {len(values)} values for {kind} (at most {MAXIMUM_LITERALS})"
            raise self.fail(f"Wrong number of literal values: {rule}.", node)
        numbers = (int, float) if kind.element == "f32" else (int,)
        if any(isinstance(v, bool) or not isinstance(v, numbers) for v in values):
            raise self.fail(f"Literal values of {kind} must be numbers of that type.", node)
        try:
            with np.errstate(over="ignore"):
                array = np.array(values, dtype=kind.dtype).reshape(kind.shape)
        except OverflowError:
            raise self.fail(f"A literal value does not fit into {kind.element}.", node) from None
        if not np.isfinite(array).all() or not fits(array, kind):
            raise self.fail(f"A literal value does not fit into {kind.element}.", node)
        return Tensor(kind, array, literal=True)

    def input(self, node: Node, module: Module) -> None:
        name, value, kind, span = node.children[0], node.children[1], node.children[2], None
        span = node.children[3] if len(node.children) > 3 else None
        source = self.define(_token(value), self.type(_tree(kind)), span)
        module.inputs.append((self.new_name(_token(name), self.inputs), source))

    def output(self, node: Node, module: Module) -> None:
        name, value = node.children
        read = self.lookup(_token(value))
        module.outputs.append((self.new_name(_token(name), self.outputs), read))

    def new_name(self, token: Token, known: set[str]) -> str:
        name = self.string(token)
        if name in known:
            raise self.fail(f"The name '{name}' is given twice.", token)
        known.add(name)
        return name

    def operation(self, node: Node, module: Module) -> None:
        parts = {c.data: c for c in node.children if isinstance(c, Tree)}
        result, opname = _token(node.children[0]), _token(node.children[1])
        if str(opname) not in OPS:
            hint = did_you_mean(str(opname), OPS)
            raise self.fail(f"There is no op {opname}.", opname, hint)
        operands = [self.lookup(_token(c)) for c in parts["operands"].children if c is not None]
        attributes = self.plain(parts["dictionary"]) if "dictionary" in parts else {}
        location = self.location(parts["location"]) if "location" in parts else Location()
        output = self.define(result, self.type(parts["type"]), parts.get("range"))
        module.ops.append(
            self.build(opname, operands, output, location, attributes, self.span(node))
        )

    def build(
        self,
        opname: Token,
        operands: list[Value],
        output: Value,
        location: Location,
        attributes: dict[str, Any],
        span: Span,
    ) -> Op:
        try:
            return OPS[str(opname)](operands, output, location, attributes, span)
        except UnknownAttributeError as problem:
            hint = did_you_mean(problem.key, problem.known)
            raise self.fail(f"Invalid {opname}: {problem}.", opname, hint) from None
        except IrError as problem:
            raise self.fail(f"Invalid {opname}: {problem}.", opname) from None

    def define(self, token: Token, kind: TensorType, seen: Node | Token | None) -> Value:
        name = str(token)[1:]
        if name in self.values:
            raise self.fail(f"Value %{name} is defined twice.", token)
        value = Value(name, kind)
        if isinstance(seen, Tree):
            ends = self.plain(seen.children[0])
            numeric = all(isinstance(e, (int, float)) and not isinstance(e, bool) for e in ends)
            if len(ends) != 2 or not numeric:
                raise self.fail("A range is [lowest, highest].", seen)
            value.range = float(ends[0]), float(ends[1])
        self.values[name] = value
        return value

    def lookup(self, token: Token) -> Value:
        name = str(token)[1:]
        if name not in self.values:
            hint = did_you_mean(name, self.values)
            raise self.fail(f"Value %{name} is not defined before its use.", token, hint)
        return self.values[name]

    def location(self, node: Node) -> Location:
        places = [_tree(place).children for place in node.children]
        return Location(tuple((str(kind), self.string(_token(name))) for kind, name in places))

    def type(self, node: Node) -> TensorType:
        if _token(node.children[0]).type == "HOSTTYPE":
            return host_value(self.string(_token(node.children[1])))
        head, stated, zero_point = (*node.children, None, None)[:3]
        scale = None if stated is None else float(self.plain(stated))
        # Nothing on the chip or beside it has a step that float32 does not.
        if stated is not None and scale and not SMALLEST_SCALE <= abs(scale) <= LARGEST_SCALE:
            raise self.fail(f"The scale {scale} is 0 or infinite in float32.", stated)
        *sizes, element = str(head)[len("tensor<") :].split("x")
        try:
            return TensorType(
                tuple(int(size) for size in sizes),
                element,
                scale,
                0 if zero_point is None else int(str(zero_point)),
            )
        except IrError as problem:
            raise self.fail(f"Invalid type: {problem}.", node) from None

    def plain(self, node: Any) -> Any:
        """The Python value of an attribute value's tree."""
        children = [child for child in node.children if child is not None]
        match node.data:
            case "number":
                return self.number(children[0])
            case "string":
                return self.string(children[0])
            case "true" | "false":
                return node.data == "true"
            case "ref":
                return Ref(str(children[0])[1:])
            case "list":
                return tuple(self.plain(child) for child in children)
            case "integers":
                return tuple(map(int, str(children[0])[1:-1].split(",")))
            case _:
                return self.dictionary(children)

    def number(self, token: Token) -> int | float:
        if token.type == "INT":
            return int(str(token))
        value = float(str(token))
        if not math.isfinite(value):
            raise self.fail("The number is too large.", token)
        return value

    def dictionary(self, entries: list[Node]) -> dict[str, Any]:
        values: dict[str, Any] = {}
        for entry in entries:
            key = _token(entry.children[0])
            if str(key) in values:
                raise self.fail(f"Key '{key}' is given twice.", key)
            values[str(key)] = self.plain(entry.children[1])
        return values

    def string(self, token: Token) -> str:
        try:
            text = str(json.loads(str(token)))
            text.encode("utf-8")
        except ValueError:
            raise self.fail("The string is malformed.", token, "Write it as in JSON.") from None
        return text


def _token(child: Node | Token) -> Token:
    assert isinstance(child, Token)
    return child


def _tree(child: Node | Token) -> Node:
    assert isinstance(child, Tree)
    return child
