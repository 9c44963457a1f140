"""Bundles with one file changed, and checksums that say that all is well."""

from __future__ import annotations

import json
import os
from pathlib import Path
from random import Random

import onnx

from epimc.backends.registry import load_backend
from epimc.support.diagnostics import EpimcError
from tests.campaigns.messages import changed_message
from tests.campaigns.mutation import changed_bytes, changed_text, changed_value
from tests.helpers.bundles import rechecksum


def changed_bundle(random: Random, folder: Path) -> None:
    """Change one file of a bundle, or what lies beside the files."""
    names = sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())
    change = random.choice((_contents, _contents, _contents, _contents, _surroundings))
    name = random.choice(names)
    try:
        change(random, folder, name)
        # Not of a pipe, which would be waited for.
        if random.random() < 0.9 and (folder / "manifest.json").is_file():
            rechecksum(folder)
    except (EpimcError, ValueError, TypeError, AttributeError, KeyError, OSError, RecursionError):
        # It is no bundle any more; the commands are to say so.
        return


def _contents(random: Random, folder: Path, name: str) -> None:
    path = folder / name
    if path.suffix == ".json" and random.random() < 0.8:
        value = changed_value(random, json.loads(path.read_text("utf-8")))
        path.write_text(json.dumps(value), encoding="utf-8", errors="surrogatepass")
    elif path.suffix == ".asm" and random.random() < 0.8:
        _program(random, folder)
    elif path.suffix == ".onnx" and random.random() < 0.8:
        model = onnx.ModelProto.FromString(path.read_bytes())
        path.write_bytes(changed_message(random, model).SerializeToString())
    else:
        path.write_bytes(changed_bytes(random, path.read_bytes()))


def _program(random: Random, folder: Path) -> None:
    """Another program: text and binary agree where the text still is one."""
    text = changed_text(random, (folder / "program.asm").read_text("utf-8"))
    (folder / "program.asm").write_bytes(text.encode("utf-8", "surrogatepass"))
    binary = load_backend("crossbar").assemble(text, "program.asm")
    (folder / "program.bin").write_bytes(binary)


def _surroundings(random: Random, folder: Path, name: str) -> None:
    """Links, pipes and folders in the place of files; files that are not listed."""
    path = folder / name
    change = random.randrange(6)
    if change == 0:
        path.rename("elsewhere")
        path.symlink_to(Path("elsewhere").resolve())
    elif change == 1:
        path.unlink()
    elif change == 2:
        path.unlink()
        os.mkfifo(path)
    elif change == 3:
        path.unlink()
        path.mkdir()
    elif change == 4:
        (folder / "reference" / "more.bin").write_bytes(b"1")
        (folder / "host").mkdir(exist_ok=True)
        (folder / "host" / "more.onnx").write_bytes(b"1")
    else:
        _external(random, folder)


def _external(random: Random, folder: Path) -> None:
    """A model of the bundle that takes a tensor from a file: of the bundle, or beside it."""
    path = random.choice(sorted(folder.rglob("*.onnx")))
    model = onnx.ModelProto.FromString(path.read_bytes())
    if not model.graph.initializer:
        return
    tensor = random.choice(model.graph.initializer)
    place = random.choice((Path("w.bin"), path.parent / "w.bin"))
    place.write_bytes(tensor.raw_data)
    tensor.ClearField("raw_data")
    tensor.data_location = onnx.TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="w.bin")
    path.write_bytes(model.SerializeToString())
