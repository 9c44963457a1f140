"""Files of another version of their format: one message that says how to make them again."""

from __future__ import annotations

import json
import re
import shutil
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import epimc
from epimc.backends.crossbar.bundle import tables
from epimc.backends.crossbar.isa import assembly as assembler
from epimc.backends.crossbar.isa import binary as encoding
from epimc.backends.crossbar.target import schema as target
from epimc.backends.registry import load_backend
from epimc.bundle.manifest import FORMAT
from epimc.compiler.stages import dump_name
from epimc.ir.text import printer
from epimc.support.diagnostics import EpimcError, OtherVersionError
from epimc.support.files import sha256_of_file
from tests.cli.conftest import Refuse, Run
from tests.helpers.bundles import rechecksum

ROOT = Path(__file__).parents[2]
OLD = ROOT / "tests" / "data" / "bundle-format-1"

# Every command that reads a bundle, but for its name.
COMMANDS = {
    "check": ["check"],
    "inspect": ["inspect"],
    "stage": ["inspect", "--stage", "nn"],
    "run": ["run", "--input", "samples.npz", "--output", "y.npz"],
    "verify": ["verify"],
}


def again(folder: str) -> str:
    """How a bundle is made again."""
    command = f"epimc compile MODEL -o {folder}"
    return f"  hint: Compile the model again with this version of epimc: {command}\n"


def other(subject: str, version: str, expected: int) -> str:
    """The first line of the message."""
    return f"error: {subject} has {version}; this version of epimc reads the format {expected}.\n"


# --- a bundle that an earlier version has written -------------------------------------------------


@pytest.fixture
def old(here: Path) -> Path:
    """The bundle, as `old` in the current folder."""
    shutil.copytree(OLD, here / "old")
    return here / "old"


def test_the_old_bundle_is_as_it_was_written() -> None:
    manifest = json.loads((OLD / "manifest.json").read_text())
    assert (manifest["format"], manifest["tool"]) == (1, "epimc 0.1.0")
    digests = {path.name: sha256_of_file(path) for path in OLD.iterdir()}
    digests.pop("manifest.json")
    stated = manifest["files"].items()
    assert digests == {name: digest for name, digest in stated if "/" not in name}


@pytest.mark.parametrize("command", COMMANDS.values(), ids=COMMANDS)
def test_an_old_bundle_is_refused(command: list[str], old: Path, refuse: Refuse) -> None:
    assert refuse(*command, old.name) == other("Bundle 'old'", "the format 1", FORMAT) + again(
        "old"
    )


def test_an_old_bundle_is_refused_by_the_python_interface(old: Path) -> None:
    with pytest.raises(OtherVersionError, match=r"Bundle '.*old' has the format 1;"):
        epimc.load(old)


def test_an_old_bundle_is_made_again_in_its_place(old: Path, run: Run) -> None:
    made = run("compile", "model.onnx", "-o", "old", "--calibration", "samples.npz")
    assert (made.code, made.err) == (0, "")
    assert json.loads((old / "manifest.json").read_text())["format"] == FORMAT
    assert run("verify", "old").code == 0


def test_the_command_in_the_message_can_be_typed(here: Path, refuse: Refuse) -> None:
    shutil.copytree(OLD, here / "it's old")
    assert refuse("check", "it's old").endswith("compile MODEL -o 'it'\"'\"'s old'\n")


# --- one file of another version, in a bundle -----------------------------------------------------


def in_tables(version: object) -> Callable[[bytes], bytes]:
    """What states another version in `tables.json`; None leaves the statement out."""

    def change(data: bytes) -> bytes:
        document: dict[str, Any] = json.loads(data)
        document["format"] = version
        # Whatever else another version has, the version alone is told.
        document["color"] = document.pop("maps", None)
        if version is None:
            del document["format"]
        return json.dumps(document).encode()

    return change


FILES: dict[str, tuple[str, Callable[[bytes], bytes], str]] = {
    "program text": (
        "program.asm",
        lambda data: data.replace(b".epimc 1", b".epimc 2"),
        other("The program's text", "the format 2", 1)
        + "  --> bundle/program.asm:1:8\n1 | .epimc 2\n  |        ^\n",
    ),
    "program binary": (
        "program.bin",
        lambda data: data[:8] + struct.pack("<H", 3) + data[10:],
        other("The binary program", "the format 3", 1) + "  --> bundle/program.bin, byte 8\n",
    ),
    "tables": (
        "tables.json",
        in_tables(3),
        other("File 'tables.json' of bundle 'bundle'", "the format 3", 2),
    ),
    "tables without a version": (
        "tables.json",
        in_tables(None),
        other("File 'tables.json' of bundle 'bundle'", "no format", 2),
    ),
    "tables with a version in words": (
        "tables.json",
        in_tables("2" * 50),
        other("File 'tables.json' of bundle 'bundle'", f'the format "{"2" * 38}…', 2),
    ),
    "target": (
        "target.toml",
        lambda data: data.replace(b"schema = 1", b"schema = 2"),
        other("Target file 'bundle/target.toml'", "the format 2", 1),
    ),
}


@pytest.mark.parametrize(("file", "change", "message"), FILES.values(), ids=FILES)
@pytest.mark.parametrize("command", COMMANDS.values(), ids=COMMANDS)
def test_one_file_of_another_version(
    command: list[str],
    file: str,
    change: Callable[[bytes], bytes],
    message: str,
    here: Path,
    refuse: Refuse,
) -> None:
    path = here / "bundle" / file
    before = path.read_bytes()
    path.write_bytes(change(before))
    assert path.read_bytes() != before
    rechecksum(here / "bundle")
    assert refuse(*command, "bundle") == message + again("bundle")


def test_the_manifest_comes_first(here: Path, refuse: Refuse) -> None:
    """Where several files are of another version, that of the bundle is told."""
    for name, change, _ in FILES.values():
        (here / "bundle" / name).write_bytes(change((here / "bundle" / name).read_bytes()))
    rechecksum(here / "bundle")
    manifest = here / "bundle" / "manifest.json"
    manifest.write_text(
        json.dumps({**json.loads(manifest.read_text()), "format": FORMAT + 1, "new": 1})
    )
    assert refuse("check", "bundle") == other(
        "Bundle 'bundle'", f"the format {FORMAT + 1}", FORMAT
    ) + again("bundle")


def test_a_dump_of_another_version_is_not_shown(here: Path, run: Run, refuse: Refuse) -> None:
    manifest = json.loads((here / "bundle" / "manifest.json").read_text())
    path = Path("bundle", dump_name(manifest["options"]["passes"], "nn", load_backend("crossbar")))
    path.write_text(path.read_text().replace("epimc.module 2 ", "epimc.module 3 "))
    rechecksum(here / "bundle")
    assert refuse("inspect", "bundle", "--stage", "nn") == (
        other("The IR text", "the format 3", 2)
        + f"  --> {path}:1:14\n1 | {path.read_text().splitlines()[0]}\n  |              ^\n"
        + again("bundle")
    )
    assert run("inspect", "bundle", "--stage", "asm").code == 0


# --- files by themselves --------------------------------------------------------------------------

REMAKE = "  hint: Make it again with this version of epimc.\n"


def test_a_program_by_itself(here: Path, refuse: Refuse) -> None:
    (here / "p.asm").write_text("; a program\n  .epimc 7\n.planet 0\n")
    assert refuse("asm", "p.asm", "-o", "p.bin") == (
        other("The program's text", "the format 7", 1)
        + "  --> p.asm:2:10\n2 |   .epimc 7\n  |          ^\n"
        + REMAKE
    )
    (here / "p.bin").write_bytes(b"EPIMPROG\x02\x00and something new")
    assert refuse("disasm", "p.bin") == (
        other("The binary program", "the format 2", 1) + "  --> p.bin, byte 8\n" + REMAKE
    )


@pytest.mark.parametrize(
    ("text", "place", "line"),
    [
        ('epimc.module 3 "m" level nn {}\n', "1:14", 'epimc.module 3 "m" level nn {}'),
        ("// by hand\n\n  epimc.module// so\n 3 a new grammar [", "4:2", " 3 a new grammar ["),
        ("epimc.module 99999999999999999999", "1:14", "epimc.module 99999999999999999999"),
    ],
)
def test_ir_by_itself(text: str, place: str, line: str, here: Path, refuse: Refuse) -> None:
    """The version is told before the grammar, which may be another."""
    (here / "m.epi").write_text(text)
    number, column = (int(part) for part in place.split(":"))
    version = re.findall(r"\d+", text)[0]
    assert refuse("opt", "m.epi") == (
        other("The IR text", f"the format {version}", 2)
        + f"  --> m.epi:{place}\n{number} | {line}\n  | {' ' * (column - 1)}^\n"
        + "  hint: Make it again with this version of epimc: "
        + "epimc compile MODEL -o DIR --dump-ir DUMPS\n"
    )


def test_a_text_without_a_version_is_a_matter_of_grammar(here: Path, refuse: Refuse) -> None:
    (here / "m.epi").write_text('epimc.module "m" level nn {}\n')
    assert refuse("opt", "m.epi").startswith("error: Unexpected text: expected an integer.\n")


# --- what the documentation says ------------------------------------------------------------------


def test_the_documentation_states_the_versions() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `([^`]+)` \| .* \| (\d+) \|$", text, re.MULTILINE)
    assert {file: int(version) for file, version in rows} == {
        "manifest.json": FORMAT,
        "tables.json": tables.FORMAT,
        "program.asm": assembler.VERSION,
        "program.bin": encoding.VERSION,
        "target.toml": target.SCHEMA,
        "ir/*.epi": printer.VERSION,
    }


def test_another_version_is_bad_input() -> None:
    assert issubclass(OtherVersionError, EpimcError)
    with pytest.raises(OtherVersionError) as caught:
        encoding.decode(b"EPIMPROG\x02\x00\x00\x00\x00\x00")
    assert caught.value.exit_code == 2
