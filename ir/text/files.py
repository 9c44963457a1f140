"""A module as files, by name: its text, and its tensors beside it."""

from __future__ import annotations

from collections.abc import Mapping

from epimc.ir.core.module import Module
from epimc.ir.core.tensors import Files, file_name, tensor_bytes
from epimc.ir.text.parser import parse_module
from epimc.ir.text.printer import print_module
from epimc.support.diagnostics import error
from epimc.support.limits import DEFAULT_BYTES

TEXT = "module.epi"


def module_files(module: Module) -> dict[str, bytes]:
    """The files from which `module_of` makes the module again; equal modules give equal files."""
    stored = (t for t in module.tensors.values() if t.random is None and not t.literal)
    tensors = {file_name(tensor.digest): tensor_bytes(tensor) for tensor in stored}
    return {TEXT: print_module(module).encode(), **tensors}


def module_of(files: Mapping[str, bytes], subject: str, limit_bytes: int = DEFAULT_BYTES) -> Module:
    """The module in these files, checked and verified.

    Args:
        files: Those of `module_files`, perhaps among others.
        subject: Names them in errors, such as the folder that they come from.
        limit_bytes: As in `parse_module`.

    Raises:
        EpimcError: A file is missing, does not parse, or holds something else than it should.
    """
    try:
        text = files[TEXT].decode()
    except UnicodeDecodeError:
        raise error(f"File '{TEXT}' of '{subject}' is not UTF-8 text.") from None
    return parse_module(text, f"{subject}/{TEXT}", Files(files, subject), limit_bytes)
