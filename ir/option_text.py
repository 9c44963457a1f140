"""The grammar of pipelines: `pass,pass{option=4,list=[a,b],text="anything, even {this}"}`.

    pipeline = [ step { "," step } ]
    step     = name [ "{" [ option { "," option } [","] ] "}" ]
    option   = name "=" value
    value    = word | "text in JSON's quotes" | "[" [ value { "," value } [","] ] "]"

A word is anything without commas, quotes, braces and brackets.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass

from epimc.support.diagnostics import EpimcError, error
from epimc.support.limits import DEEPEST
from epimc.support.options import Quoted, Word, Written

NAME = re.compile(r"[A-Za-z][\w-]*")
WORD = re.compile(r"""[^\s{}\[\],"](?:[^{}\[\],"]*[^\s{}\[\],"])?""")
SPACE = re.compile(r"\s*")
HINT = "Write it as 'pass1,pass2{option=4}'."


@dataclass(frozen=True)
class Setting:
    """An option in text.

    Attributes:
        name: As written, or all of it where it has no value.
        value: None where there is none.
        source: The value as it is written, for errors.
    """

    name: str
    value: Written | None
    source: str


@dataclass(frozen=True)
class StepText:
    """A pass in text: its name and the options that are set."""

    name: str
    settings: tuple[Setting, ...]


def read_steps(text: str) -> list[StepText]:
    """The passes that a text names; an empty text names none.

    Raises:
        EpimcError: The text is malformed.
    """
    return _Reader(text).pipeline()


class _Reader:
    """Reads a text from left to right, one method a rule of the grammar."""

    def __init__(self, text: str) -> None:
        self.text, self.position = text, 0

    def pipeline(self) -> list[StepText]:
        steps: list[StepText] = []
        self.skip_space()
        while not self.at_end():
            steps.append(self.step())
            if self.at_end():
                break
            self.expect(",", "a comma")
            if self.at_end():
                raise error(f"Pipeline '{self.text}' ends in a comma.")
        return steps

    def step(self) -> StepText:
        name = self.match(NAME, "the name of a pass")
        settings: list[Setting] = []
        if self.take("{"):
            while not self.take("}"):
                settings.append(self.setting())
                if not self.take(","):
                    self.expect("}", "a comma or '}'")
                    break
        return StepText(name, tuple(settings))

    def setting(self) -> Setting:
        start = self.position
        # A word may hold "=": the first one ends the name.
        word = self.match(WORD, "an option or '}'")
        name, separator, _ = word.partition("=")
        if not separator:
            return Setting(word, None, "")
        self.position = start + len(name) + 1
        self.skip_space()
        start = self.position
        value = self.value()
        return Setting(name.strip(), value, self.text[start : self.position].strip())

    def value(self, depth: int = 0) -> Written:
        if self.take("["):
            if depth == DEEPEST:
                raise error(f"A list in a pipeline lies more than {DEEPEST} deep.", hint=HINT)
            return self.items(depth + 1)
        if self.text.startswith('"', self.position):
            return Quoted(self.quoted())
        return Word(self.match(WORD, "a value"))

    def items(self, depth: int) -> Written:
        items: list[Written] = []
        while not self.take("]"):
            items.append(self.value(depth))
            if not self.take(","):
                self.expect("]", "a comma or ']'")
                break
        return tuple(items)

    def quoted(self) -> str:
        try:
            value, self.position = json.JSONDecoder().raw_decode(self.text, self.position)
        except json.JSONDecodeError:
            raise self.malformed("text in quotes, as in JSON") from None
        self.skip_space()
        return str(value)

    def at_end(self) -> bool:
        return self.position == len(self.text)

    def skip_space(self) -> None:
        space = SPACE.match(self.text, self.position)
        assert space is not None
        self.position = space.end()

    def take(self, mark: str) -> bool:
        if not self.text.startswith(mark, self.position):
            return False
        self.position += len(mark)
        self.skip_space()
        return True

    def expect(self, mark: str, what: str) -> None:
        if not self.take(mark):
            raise self.malformed(what)

    def match(self, pattern: re.Pattern[str], what: str) -> str:
        match = pattern.match(self.text, self.position)
        if not match:
            raise self.malformed(what)
        self.position = match.end()
        self.skip_space()
        return match[0]

    def malformed(self, what: str) -> EpimcError:
        return error(
            f"Pipeline '{self.text}' is malformed at column {self.position + 1}: expected {what}.",
            hint=HINT,
        )
