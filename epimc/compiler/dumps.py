"""IR dumps: `00-import.epi`, `01-layout.epi`, … with their tensors in `tensors/` beside them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from epimc.ir.core.tensors import Tensor, TensorStore, tensor_bytes
from epimc.ir.observers import CompileObserver, Step
from epimc.ir.text.printer import print_module
from epimc.support.diagnostics import error
from epimc.support.files import File, make_folder, write_file


@dataclass
class Dumps(CompileObserver):
    """Collects dumps in memory; writing comes last, so that a failure leaves nothing behind.

    Attributes:
        texts: The text of each stage by file name.
        tensors: The stored tensors of all stages by digest, each once.
    """

    texts: dict[str, str] = field(default_factory=dict)
    tensors: dict[str, Tensor] = field(default_factory=dict)

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
            yield f"tensors/{digest}.safetensors", partial(tensor_bytes, tensor)

    def write(self, folder: Path) -> None:
        """Write all files into a folder, which may hold earlier dumps.

        Each file is written in one step, the texts last: a text that is there can be read.

        Raises:
            EpimcError: The system refuses.
        """
        make_folder(folder)
        store = TensorStore(folder / "tensors")
        for tensor in self.tensors.values():
            store.save(tensor)
        for name, text in self.texts.items():
            write_file(folder / name, text.encode())


def check_folder(folder: Path) -> None:
    """Raise EpimcError unless dumps can be written to a folder: a new one or an existing one.

    To be called before the work whose result is to be written.
    """
    if folder.exists() and not folder.is_dir():
        raise error(f"The dumps cannot be written to '{folder}': it is not a folder.")
    nearest = next(parent for parent in (folder, *folder.absolute().parents) if parent.exists())
    if not os.access(nearest, os.W_OK | os.X_OK):
        raise error(f"The dumps cannot be written to '{folder}': '{nearest}' is not writable.")
