"""A backend that interprets the integers of the IR: as little as a backend can be."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from epimc.backends import base, plain
from epimc.backends.forms import Claim
from epimc.backends.onnx.export import claims_of
from epimc.ir.core.module import Module
from epimc.ir.interpreter import interpret
from epimc.ir.text.files import TEXT, module_files, module_of
from epimc.support.tables import Block, Lines

TARGET = plain.PlainTarget("python", "the computer that epimc runs on")


@dataclass(frozen=True)
class Summary(base.ProgramSummary):
    ops: int

    def blocks(self) -> Iterator[Block]:
        yield Lines((f"{self.ops} ops, interpreted",))


class Interpreter(base.Executor):
    def __init__(self, module: Module, host: base.Host | None) -> None:
        self.module, self.host = module, host

    def run(self, inputs: base.Arrays, observers: Sequence[Any] = ()) -> base.Arrays:
        return self.run_collect(inputs)[0]

    def run_collect(self, inputs: base.Arrays) -> tuple[base.Arrays, base.Arrays]:
        maps: base.Arrays = {}
        outputs = interpret(self.module, inputs, lambda v, a: maps.update({v.name: a}), self.host)
        return outputs, maps


class Program(base.CompiledProgram):
    backend, target = "toychip", TARGET

    def __init__(self, module: Module) -> None:
        self.module, self.size = module, f"{len(module.ops)} ops"
        self.inputs, self.outputs = map(plain.ports_of, (module.inputs, module.outputs))
        self.maps, self.computed_maps = plain.maps_of(module), plain.computed_maps_of(module)
        self.host_calls = plain.host_calls_of(module)

    def files(self) -> dict[str, bytes]:
        return module_files(self.module)

    def executor(self, host: base.Host | None = None, **options: Any) -> Interpreter:
        return Interpreter(self.module, host)

    def claims(self) -> Iterator[Claim]:
        return claims_of(self.module)

    def describe(self) -> Summary:
        return Summary(len(self.module.ops))


class ToyChip(base.Backend):
    name, description, default_target, files = "toychip", "interprets", TARGET.name, (TEXT,)

    def targets(self) -> list[str]:
        return [TARGET.name]

    def load_target(self, name_or_path: str) -> plain.PlainTarget:
        return TARGET

    def emit(self, module: Module) -> Program:
        return Program(module)

    def read(self, files: Mapping[str, bytes], subject: str) -> Program:
        return Program(module_of(files, subject))


BACKEND = ToyChip()
