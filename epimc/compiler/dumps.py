"""IR dumps: `00-import.epi`, `01-layout.epi`, … with their tensors in `tensors/` beside them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from epimc.ir.core.tensors import Tensor, TensorStore, tensor_pieces
from epimc.ir.observers import CompileObserver, Step
from epimc.ir.text.printer import print_module
from epimc.support.files import File
from epimc.support.writing import with_folder


@dataclass
class Dumps(CompileObserver):
    """Collects dumps in memory; writing comes last, so that a failure leaves nothing behind.

    Attributes:
        texts: The text of each stage by file name.
        tensors: The stored tensors of all stages by digest, each once.
    """

    texts: dict[str, str] = field(default_factory=dict)
    tensors: dict[str, Tensor] = field(default_factory=dict)

    def stage_started(self, name: str, number: int, count: int) -> None:
        """Where all begins anew, nothing is kept."""
        if number == 0:
            self.texts.clear()
            self.tensors.clear()

    def stage_finished(self, step: Step) -> None:
        """Take the IR, where the stage gives any."""
        if step.module is None:
            return
        self.texts[f"{step.number:02d}-{step.name}.epi"] = print_module(step.module)
        for tensor in step.module.tensors.values():
            if tensor.random is None and not tensor.literal:
                self.tensors[tensor.digest] = tensor

    def files(self) -> Iterator[tuple[str, File]]:
        """(relative path, contents) of all files."""
        for name, text in self.texts.items():
            yield name, text.encode()
        for digest, tensor in sorted(self.tensors.items()):
            yield f"tensors/{digest}.safetensors", partial(tensor_pieces, tensor)

    def write(self, folder: Path) -> None:
        """Write all files into a folder, which may hold earlier dumps.

        Nothing is there before all has been written beside it, the texts last: a text that is there
        can be read.

        Raises:
            EpimcError: The system refuses.
        """
        texts = ((folder / name, text.encode()) for name, text in self.texts.items())
        with with_folder(folder):
            TensorStore(folder / "tensors").save(self.tensors.values(), texts)
