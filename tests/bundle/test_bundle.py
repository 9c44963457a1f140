"""Bundles: written and read back, and every damage refused."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from epimc.backends.crossbar.backend import CrossbarProgram
from epimc.backends.crossbar.target.schema import load_target
from epimc.bundle import bundle as bundle_module
from epimc.bundle import manifest as manifest_module
from epimc.bundle.bundle import (
    read_bundle,
    write_bundle,
)
from epimc.bundle.outputs import check_output
from epimc.support.diagnostics import EpimcError
from epimc.support.files import File
from tests.backends.crossbar.bundle.test_tables import same
from tests.backends.crossbar.bundles import bundle_of, target_of
from tests.backends.crossbar.programs import PROGRAMS, conv_program, split_program
from tests.crossbars import program_in
from tests.helpers.bundles import change_manifest, list_file, rechecksum
from tests.support.test_writing import contents

NEEDED = [
    "program.asm",
    "program.bin",
    "tables.json",
    "tables.safetensors",
    "target.toml",
    "weights.safetensors",
]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A written bundle with an IR dump and a reference model."""
    path = tmp_path / "out"
    write_bundle(path, bundle_of(split_program(), **{"ir/1.epi": b"nn", "reference/x": b"ref"}))
    return path


def refusal(path: Path) -> str:
    """What is said about a bundle."""
    with pytest.raises(EpimcError) as caught:
        read_bundle(path)
    assert caught.value.exit_code == 2
    return str(caught.value)


def file_message(path: Path, name: str, rest: str) -> str:
    """A message about a file of a bundle."""
    return f"error: File '{name}' of bundle '{path}' {rest}"


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_bundle_comes_back(name: str, tmp_path: Path) -> None:
    # Contents may be made when they are written.
    extra: dict[str, File] = {"host/a/b.onnx": b"1", "ir/x": lambda: b"2"}
    written = bundle_of(PROGRAMS[name](), **extra)
    write_bundle(tmp_path / "out", written)
    read = read_bundle(tmp_path / "out")
    assert same(program_in(read), program_in(written))
    assert read.target == written.target
    assert read.manifest.model_copy(update={"files": {}}) == written.manifest
    assert (read.extra_files, read.folder) == ({}, tmp_path / "out")
    assert (tmp_path / "out" / "host" / "a" / "b.onnx").read_bytes() == b"1"
    assert (tmp_path / "out" / "ir" / "x").read_bytes() == b"2"


def test_the_manifest_tells_what_the_bundle_is(folder: Path) -> None:
    text = (folder / "manifest.json").read_bytes()
    manifest = json.loads(text)
    names = sorted([*NEEDED, "ir/1.epi", "reference/x"])
    digests = {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in names}
    assert manifest.pop("on_chip")["macs"] == 8
    assert manifest == {
        "format": 7,
        "tool": "epimc 0.1.0",
        "model": {"name": "x.onnx", "sha256": "0" * 64},
        "backend": "crossbar",
        "target": "tiny",
        "options": {
            "weight_bits": 4,
            "weight_granularity": "column",
            "layer_bits": {},
            "activation_bits": 8,
            "activations": "affine",
            "calibration": "standard normal, seed 0",
            "passes": "map,emit",
        },
        "inputs": [{"name": "x", "shape": [4, 6, 6], "type": "tensor(float)[N, 4, 6, 6]"}],
        "outputs": [{"name": "y", "shape": [3, 3, 3], "type": "tensor(float)[N, 3, 3, 3]"}],
        "files": digests,
        "checksum": hashlib.sha256(text[: text.rindex(b",")] + b"\n}\n").hexdigest(),
    }
    assert list(manifest["files"]) == names
    assert set(contents(folder)) == {*names, "manifest.json"}


def test_equal_contents_give_equal_bytes(folder: Path, tmp_path: Path) -> None:
    other = bundle_of(split_program(), **{"reference/x": b"ref", "ir/1.epi": b"nn"})
    write_bundle(tmp_path / "other", other)
    assert contents(tmp_path / "other") == contents(folder)


# --- where a bundle may be written ----------------------------------------------------------------


def output_message(path: Path) -> str:
    """What is said about an output folder, by the early check and by writing alike."""
    with pytest.raises(EpimcError) as early:
        check_output(path)
    with pytest.raises(EpimcError) as late:
        write_bundle(path, CONTENTS)
    assert str(early.value) == str(late.value)
    return str(early.value)


CONTENTS = bundle_of(conv_program())


def test_a_new_an_empty_and_a_bundle_s_folder_are_fine(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for name in ("new", "empty", "out"):
        check_output(tmp_path / name)
        write_bundle(tmp_path / name, CONTENTS)
        assert same(program_in(read_bundle(tmp_path / name)), program_in(CONTENTS))
    assert not (folder / "reference").exists()
    assert sorted(os.listdir(tmp_path)) == ["empty", "new", "out"]


def test_a_bundle_of_another_version_may_be_replaced(folder: Path) -> None:
    change_manifest(folder, lambda m: m.update(format=7, tool="epimc 9.9"))
    check_output(folder)


@pytest.mark.parametrize(
    "manifest",
    ["", "5", "{", "{}", '{"format": 1}', '{"format": "1", "tool": "epimc 0.1.0"}',
     '{"format": 1, "tool": "webpack 5"}'],
)  # fmt: skip
def test_a_folder_of_something_else_is_not_touched(manifest: str, tmp_path: Path) -> None:
    folder = tmp_path / "out"
    folder.mkdir()
    (folder / "manifest.json").write_text(manifest)
    expected = (
        f"error: Output folder '{folder}' exists and is not a bundle.\n"
        "  hint: Choose another folder, or remove that one."
    )
    assert output_message(folder) == expected
    assert contents(folder) == {"manifest.json": manifest.encode()}


def test_a_file_is_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("mine")
    assert "exists and is not a bundle." in output_message(tmp_path / "out")
    assert (tmp_path / "out").read_text() == "mine"


def test_the_parent_must_exist(tmp_path: Path) -> None:
    folder = tmp_path / "none" / "out"
    assert output_message(folder) == (
        f"error: Output folder '{folder}' cannot be made: there is no folder '{tmp_path}/none'.\n"
        "  hint: Make that folder first."
    )


def test_the_parent_must_be_writable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    assert output_message(tmp_path / "out") == (
        f"error: Output folder '{tmp_path}/out' cannot be made: '{tmp_path}' is not writable."
    )


def with_target(name: str) -> CrossbarProgram:
    """The program of CONTENTS for another target than its own."""
    return CrossbarProgram(program_in(CONTENTS), load_target(name))


def other_program() -> CrossbarProgram:
    """Another program, for its own target."""
    program = split_program()
    return CrossbarProgram(program, target_of(program))


@pytest.mark.parametrize(
    ("program", "message"),
    [
        (with_target("epim-256"), "the manifest names the target 'tiny', its file 'epim-256'"),
        (other_program(), "the manifest and the program have different inputs"),
    ],
)
def test_a_program_that_no_bundle_can_hold(
    program: CrossbarProgram, message: str, tmp_path: Path
) -> None:
    with pytest.raises(EpimcError) as caught:
        write_bundle(tmp_path / "out", replace(CONTENTS, program=program))
    assert str(caught.value) == (
        f"error: Backend 'crossbar' made a program that cannot be kept: {message}.\n"
        "  hint: Report it to the authors of the backend."
    )
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"program": with_target("tiny")}, "the chip of the program is not that of the target"),
        ({"extra_files": {"ir/../x": b""}}, "'ir/../x' is no name for an extra file"),
        ({"extra_files": {"tables.json": b""}}, "'tables.json' is no name for an extra file"),
    ],
)
def test_a_defect_of_the_compiler_is_no_user_error(
    changes: dict[str, Any], message: str, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match=message):
        write_bundle(tmp_path / "out", replace(CONTENTS, **changes))
    assert os.listdir(tmp_path) == []


# --- what is wrong with a bundle ------------------------------------------------------------------


def test_what_is_no_bundle(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    path = tmp_path / "none"
    assert refusal(path) == f"error: Bundle '{path}' does not exist."
    path = tmp_path / "file"
    hint = "\n  hint: A bundle is the folder that `epimc compile MODEL -o DIR` writes."
    assert refusal(path) == f"error: Bundle '{path}' is not a folder.{hint}"
    assert refusal(tmp_path) == (
        f"error: '{tmp_path}' is not a bundle: it has no manifest.json.{hint}"
    )


@pytest.mark.parametrize("name", NEEDED)
def test_a_flipped_bit_is_found(name: str, folder: Path) -> None:
    data = bytearray((folder / name).read_bytes())
    data[len(data) // 2] ^= 1
    (folder / name).write_bytes(data)
    expected = "does not match its checksum.\n  hint: Compile the model again."
    assert refusal(folder) == file_message(folder, name, expected)


@pytest.mark.parametrize("name", NEEDED)
def test_a_missing_file_is_named(name: str, folder: Path) -> None:
    (folder / name).unlink()
    assert refusal(folder) == f"error: Bundle '{folder}' lacks the file '{name}'."
    (folder / name).mkdir()
    assert refusal(folder) == file_message(folder, name, "is no regular file.")
    (folder / name).rmdir()
    # Nobody writes into it.
    os.mkfifo(folder / name)
    assert refusal(folder) == file_message(folder, name, "is no regular file.")


@pytest.mark.parametrize("name", NEEDED)
def test_a_file_that_is_not_listed_is_named(name: str, folder: Path) -> None:
    change_manifest(folder, lambda m: m["files"].pop(name))
    assert refusal(folder) == file_message(folder, "manifest.json", f"does not list '{name}'.")


def test_dumps_and_reference_may_be_deleted_but_not_changed(folder: Path) -> None:
    (folder / "reference" / "x").write_bytes(b"changed")
    assert "File 'reference/x'" in refusal(folder)
    shutil.rmtree(folder / "reference")
    (folder / "ir" / "1.epi").unlink()
    assert same(program_in(read_bundle(folder)), split_program())


def test_host_fragments_may_not_be_deleted(tmp_path: Path) -> None:
    write_bundle(tmp_path / "out", bundle_of(conv_program(), **{"host/0.onnx": b"1"}))
    (tmp_path / "out" / "host" / "0.onnx").unlink()
    assert refusal(tmp_path / "out").endswith("lacks the file 'host/0.onnx'.")


@pytest.mark.parametrize("name", ["manifest.json", "program.asm", "ir/1.epi"])
def test_a_file_that_cannot_be_read(
    name: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usual = os.open

    def refusing(path: Any, *arguments: Any, **named: Any) -> int:
        if path == Path(name).name:
            raise PermissionError(13, "Permission denied")
        return usual(path, *arguments, **named)

    monkeypatch.setattr(os, "open", refusing)
    assert refusal(folder) == (
        file_message(folder, name, "cannot be read: Permission denied.")
        + "\n  hint: Change the permissions, or choose another place."
    )


def test_other_files_are_ignored(folder: Path) -> None:
    (folder / "notes.txt").write_text("mine")
    assert same(program_in(read_bundle(folder)), split_program())


@pytest.mark.parametrize("name", ["../x", "/etc/passwd", "ir/../../x", "ir//1.epi", ""])
def test_a_file_outside_of_the_bundle_is_refused(name: str, folder: Path) -> None:
    change_manifest(folder, lambda m: m["files"].update({name: "0" * 64}))
    assert refusal(folder) == (
        f"error: File '{name}' of the manifest of bundle '{folder}' lies outside of it."
    )


def test_a_link_out_of_the_bundle_is_refused(folder: Path, tmp_path: Path) -> None:
    shutil.move(folder / "tables.json", tmp_path / "tables.json")
    (folder / "tables.json").symlink_to("../tables.json")
    assert refusal(folder) == file_message(
        folder,
        "tables.json",
        "is a link, or lies behind one.\n"
        "  hint: A bundle has no links: put what they lead to in their places.",
    )


@pytest.mark.parametrize("name", ["ir", "ir/1.epi", "manifest.json", "program.bin"])
def test_links_are_refused_wherever_they_lead(name: str, folder: Path) -> None:
    (folder / name).rename(folder / "real")
    (folder / name).symlink_to(folder / "real")
    listed = "ir/1.epi" if name == "ir" else name
    message = refusal(folder).split("\n")[0]
    assert message == file_message(folder, listed, "is a link, or lies behind one.")


def test_a_link_that_leads_nowhere_is_no_missing_file(folder: Path) -> None:
    (folder / "reference" / "x").unlink()
    (folder / "reference" / "x").symlink_to("nothing")
    assert "File 'reference/x'" in refusal(folder)
    assert "is a link, or lies behind one." in refusal(folder)


def test_folders_are_folders(folder: Path) -> None:
    shutil.rmtree(folder / "ir")
    (folder / "ir").write_text("a file")
    # As if it had been deleted.
    assert same(program_in(read_bundle(folder)), split_program())


def test_a_bundle_may_be_read_through_a_link(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("out")
    assert same(program_in(read_bundle(tmp_path / "link")), split_program())


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{", "is not JSON."),
        ("[" * 100_000, "is not JSON."),
        ("[1]", "is not a JSON object."),
        ("\xff", "is not JSON."),
    ],
)
def test_a_manifest_that_is_no_object(text: str, expected: str, folder: Path) -> None:
    (folder / "manifest.json").write_bytes(text.encode("latin-1"))
    message = refusal(folder).split("\n")[0]
    assert message == file_message(folder, "manifest.json", expected)


def test_a_manifest_without_bounds(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(manifest_module, "MAXIMUM_MANIFEST_BYTES", 100)
    expected = file_message(folder, "manifest.json", "is larger than 100 bytes.")
    assert refusal(folder) == expected


@pytest.mark.parametrize("version", [1, 2, 3, 4, 5, 6, 8, "7", None, True, 7.0])
def test_another_format_is_refused(version: object, folder: Path) -> None:
    change_manifest(folder, lambda m: m.update(format=version))
    stated = "no format" if version is None else f"the format {json.dumps(version)}"
    assert refusal(folder) == (
        f"error: Bundle '{folder}' has {stated}; this version of epimc reads the format 7.\n"
        "  hint: Compile the model again with this version of epimc: "
        f"epimc compile MODEL -o {folder}"
    )


def test_mistakes_in_the_manifest_are_named(folder: Path) -> None:
    def change(manifest: dict[str, Any]) -> None:
        del manifest["tool"]
        manifest["model"]["sha256"] = "abc"
        manifest["options"]["speed"] = 1
        manifest["inputs"][0]["shape"] = [-1]

    change_manifest(folder, change)
    assert refusal(folder) == (
        file_message(folder, "manifest.json", "has 4 mistakes.\n") + "  note: tool is missing.\n"
        "  note: model.sha256 = \"abc\": string should match pattern '^[0-9a-f]{64}$'.\n"
        "  note: options.speed is unknown.\n"
        "  note: inputs[0].shape[0] = -1: input should be greater than or equal to 0."
    )


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"epimc 0.1.0"', '"epimc 0.1.1"'),
        ('"x.onnx"', '"y.onnx"'),
        ('"map,emit"', '"map, emit"'),
        ('"tool":', '"tool" :'),
        ('  "checksum": "', '  "checksum": "0'),
        ('  "checksum": "', '  "checksums": "'),
    ],
)
def test_the_free_text_of_the_manifest_is_sealed(old: str, new: str, folder: Path) -> None:
    file = folder / "manifest.json"
    text = file.read_text(encoding="utf-8")
    assert text.count(old) == 1
    file.write_text(text.replace(old, new), encoding="utf-8")
    expected = "has 1 mistake." if "checksum" in new else "does not match its checksum."
    assert refusal(folder).split("\n")[0] == file_message(folder, "manifest.json", expected)


def test_a_manifest_without_checksum(folder: Path) -> None:
    file = folder / "manifest.json"
    manifest = json.loads(file.read_bytes())
    del manifest["checksum"]
    file.write_text(json.dumps(manifest))
    expected = "does not match its checksum.\n  hint: Compile the model again."
    assert refusal(folder) == file_message(folder, "manifest.json", expected)


def test_a_key_twice_is_refused(folder: Path) -> None:
    file = folder / "manifest.json"
    text = file.read_bytes()
    body = text[: text.rindex(b",")] + b"\n}\n"
    twice = body.replace(b'"tool"', b'"target": "tiny",\n  "tool"', 1)
    seal = f',\n  "checksum": "{hashlib.sha256(twice).hexdigest()}"\n}}\n'
    file.write_bytes(twice.removesuffix(b"\n}\n") + seal.encode())
    assert refusal(folder) == file_message(folder, "manifest.json", "has the key 'target' twice.")


def test_the_files_of_a_bundle_take_no_more_than_a_limit(folder: Path) -> None:
    manifest = json.loads((folder / "manifest.json").read_bytes())
    sizes = {name: (folder / name).stat().st_size for name in manifest["files"]}
    # What is checked and not kept counts for a share.
    for name in sizes:
        if name.startswith(("ir/", "reference/")):
            sizes[name] //= 16
    last, total = list(sizes)[-1], sum(sizes.values())
    assert same(program_in(read_bundle(folder, total)), split_program())
    with pytest.raises(EpimcError) as caught:
        read_bundle(folder, total - 1)
    assert str(caught.value) == (
        f"error: Bundle '{folder}' needs more memory than the limit of {total - 1} bytes.\n"
        f"  note: File '{last}' takes {sizes[last]} bytes; {sizes[last] - 1} are left.\n"
        "  hint: Raise the limit (--limit-bytes), if the bundle is to be so large."
    )


def test_unlisted_files_are_not_read(folder: Path) -> None:
    bundle = read_bundle(folder)
    assert bundle.deletable_file("reference/x", "no more") == b"ref"
    (folder / "reference" / "y").write_bytes(b"unlisted")
    with pytest.raises(EpimcError) as caught:
        bundle.deletable_file("reference/y", "nothing can be done")
    assert str(caught.value) == (
        f"error: Bundle '{folder}' has no 'reference/y': nothing can be done.\n"
        "  hint: Compile the model again."
    )
    list_file(folder, "reference/y")
    assert read_bundle(folder).deletable_file("reference/y", "") == b"unlisted"


def test_what_changes_after_it_was_checked_is_not_used(folder: Path) -> None:
    bundle = read_bundle(folder)
    (folder / "reference" / "x").write_bytes(b"other")
    with pytest.raises(EpimcError) as caught:
        bundle.deletable_file("reference/x", "no more")
    assert str(caught.value).startswith(
        file_message(folder, "reference/x", "does not match its checksum.")
    )


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({f"ir/{n}": "0" * 64 for n in range(2**16)}, "lists 65544 files, more than 65536."),
        ({"x" * 1025: "0" * 64}, "lists a file whose name has 1025 characters."),
    ],
)
def test_names_are_bounded(files: dict[str, str], expected: str, folder: Path) -> None:
    change_manifest(folder, lambda m: m["files"].update(files))
    assert refusal(folder) == f"error: Bundle '{folder}' {expected}"


# --- files changed by hand ------------------------------------------------------------------------


def edit(path: Path, old: str, new: str) -> None:
    """Change a text file of a bundle, and the checksums after it."""
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")
    rechecksum(path.parent)


def test_checksums_can_be_made_again(folder: Path) -> None:
    before = contents(folder)
    rechecksum(folder)
    assert contents(folder) == before
    edit(folder / "target.toml", "adc_bits = 9", "adc_bits = 5")
    assert program_in(read_bundle(folder)).chip.adc_bits == 5


def test_checksums_of_missing_files_stay(folder: Path) -> None:
    (folder / "program.bin").unlink()
    before = contents(folder)
    rechecksum(folder)
    assert contents(folder) == before


def test_text_and_binary_must_agree(folder: Path) -> None:
    edit(folder / "program.asm", "halt", "halt ; a comment")
    assert same(program_in(read_bundle(folder)), split_program())
    edit(folder / "program.asm", "src=0x0", "src=0x8")
    assert refusal(folder) == (
        f"error: Files 'program.asm' and 'program.bin' of bundle '{folder}' disagree."
    )


def test_the_error_names_the_place_in_the_text(folder: Path) -> None:
    edit(folder / "program.asm", "halt", "hult")
    assert f"--> {folder}/program.asm:" in refusal(folder)


def test_a_text_must_be_utf_8(folder: Path) -> None:
    (folder / "program.asm").write_bytes(b".epimc 1\n\xff")
    rechecksum(folder)
    assert refusal(folder) == file_message(
        folder,
        "program.asm",
        "is not UTF-8 text.\n  note: The byte at offset 9 cannot be decoded.",
    )


def test_a_broken_binary_is_refused(folder: Path) -> None:
    data = (folder / "program.bin").read_bytes()
    (folder / "program.bin").write_bytes(data[:-1])
    rechecksum(folder)
    assert f"{folder}/program.bin" in refusal(folder)


def test_a_wrong_target_is_refused(folder: Path) -> None:
    edit(folder / "target.toml", "adc_bits = 9", "adc_bits = 99")
    assert refusal(folder).startswith(f"error: Target file '{folder}/target.toml' has 1 mistake.")


def test_a_wrong_table_is_refused(folder: Path) -> None:
    edit(folder / "tables.json", '"tile": 0', '"tile": -1')
    assert "tables[0].tile = -1" in refusal(folder)


def test_manifest_target_and_program_must_agree(folder: Path) -> None:
    edit(folder / "target.toml", 'name = "tiny"', 'name = "mine"')
    start = f"error: Bundle '{folder}' contradicts itself: "
    assert refusal(folder) == f"{start}the manifest names the target 'tiny', its file 'mine'."
    change_manifest(folder, lambda m: m.update(target="mine", outputs=[]))
    assert refusal(folder) == f"{start}the manifest and the program have different outputs."


def test_there_may_not_be_more_streams_than_tiles(folder: Path) -> None:
    edit(folder / "target.toml", '"auto"', "2")
    assert program_in(read_bundle(folder)).chip.tiles == 2
    edit(folder / "target.toml", "tiles = 2", "tiles = 1")
    assert refusal(folder) == (
        f"error: Bundle '{folder}' contradicts itself: it has 2 instruction streams for 1 tiles."
    )


def test_no_more_files_are_written_than_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    count = len(NEEDED)
    monkeypatch.setattr(bundle_module, "MOST_FILES", count)
    write_bundle(tmp_path / "out", CONTENTS)
    with pytest.raises(EpimcError) as caught:
        write_bundle(tmp_path / "out", bundle_of(split_program(), **{"ir/x": b""}))
    message = f"error: The bundle would have {count + 1} files, more than {count}."
    assert str(caught.value) == message
