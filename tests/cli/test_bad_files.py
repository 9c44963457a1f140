"""Wrong samples, targets, folders, bundles and programs: the whole message, nothing written."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.cli.conftest import Refuse, Run, contents

FINE = np.zeros((2, 3, 8, 8), np.float32)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        (
            {"images": FINE},
            "error: Sample file 's.npz' has no array for the input 'x'.\n"
            "  note: It holds 'images'.\n"
            "  hint: Rename the array 'images' to 'x'.\n",
        ),
        (
            {"x": FINE, "xs": FINE},
            "error: Array 'xs' of sample file 's.npz' is no input of the model.\n"
            "  hint: Did you mean 'x'?\n",
        ),
        (
            {"x": np.zeros((2, 3, 8, 9), np.float32)},
            "error: Array 'x' of sample file 's.npz' has a wrong shape.\n"
            "  note: Expected (n, 3, 8, 8), found (2, 3, 8, 9).\n",
        ),
        (
            {"x": FINE[0]},
            "error: Array 'x' of sample file 's.npz' has a wrong shape.\n"
            "  note: Expected (n, 3, 8, 8), found (3, 8, 8).\n"
            "  hint: Add an axis for the samples: array[numpy.newaxis].\n",
        ),
        (
            {"x": FINE.astype(np.uint8)},
            "error: Array 'x' of sample file 's.npz' has the type uint8, not float32.\n"
            "  hint: Convert it by astype('float32'), and scale it as the model expects.\n",
        ),
    ],
    ids=["name", "more", "shape", "no samples' axis", "type"],
)
@pytest.mark.parametrize(
    "command",
    [
        ["compile", "model.onnx", "-o", "out", "--calibration", "s.npz"],
        ["verify", "bundle", "--input", "s.npz"],
        ["run", "bundle", "--input", "s.npz", "--output", "y.npz"],
    ],
    ids=["compile", "verify", "run"],
)
def test_samples(
    command: list[str], arrays: dict[str, Any], message: str, here: Path, refuse: Refuse
) -> None:
    np.savez(here / "s.npz", **arrays)
    assert refuse(*command) == message


def test_no_samples(refuse: Refuse) -> None:
    arguments = ["compile", "model.onnx", "-o", "out", "--calibration", "none.npz"]
    assert refuse(*arguments) == "error: Sample file 'none.npz' does not exist.\n"


def test_an_output_folder_that_is_no_bundle(here: Path, refuse: Refuse) -> None:
    (here / "mine").mkdir()
    (here / "mine" / "thesis.txt").write_text("years of work")
    assert refuse("compile", "model.onnx", "-o", "mine") == (
        "error: Output folder 'mine' exists and is not a bundle.\n"
        "  hint: Choose another folder, or remove that one.\n"
    )


def test_an_output_folder_without_a_parent(here: Path, refuse: Refuse) -> None:
    assert refuse("compile", "model.onnx", "-o", "no/out") == (
        f"error: Output folder 'no/out' cannot be made: there is no folder '{here / 'no'}'.\n"
        "  hint: Make that folder first.\n"
    )
    arguments = ["run", "bundle", "--input", "samples.npz", "--output", "no/y.npz"]
    assert refuse(*arguments) == (
        "error: 'no/y.npz' cannot be written: No such file or directory.\n"
        "  hint: Check the path: each of its folders must exist.\n"
    )


def test_every_mistake_of_a_target_is_named(here: Path, run: Run, refuse: Refuse) -> None:
    text = run("targets", "tiny").out
    changes = {
        "rows = 32": "rows = 0",
        "cell_bits = 2": "cel_bits = 2",
        "dac_bits = 2": "dac_bits = 99",
    }
    for old, new in changes.items():
        assert old in text
        text = text.replace(old, new)
    (here / "chip.toml").write_text(text)
    assert refuse("compile", "model.onnx", "-o", "out", "--target", "chip.toml") == (
        "error: Target file 'chip.toml' has 4 mistakes.\n"
        "  note: crossbar.rows = 0: must be between 1 and 4096 (word lines of an array).\n"
        "  note: crossbar.cell_bits is missing: must be between 1 and 4 "
        "(bits that one cell holds).\n"
        "  note: crossbar.cel_bits is unknown. Did you mean 'cell_bits'?\n"
        "  note: converters.dac_bits = 99: must be between 1 and 8 "
        "(input bits that drive a word line at a time).\n"
        "  hint: The page 'Targets' of the documentation lists every key.\n"
    )


def test_no_such_target(refuse: Refuse) -> None:
    assert refuse("compile", "model.onnx", "-o", "out", "--target", "epim256") == (
        "error: There is no target 'epim256'.\n"
        "  hint: Did you mean 'epim-256'? A target is a built-in name or the path of a TOML file.\n"
    )
    assert refuse("targets", "tinny") == (
        "error: There is no target 'tinny'.\n"
        "  hint: Did you mean 'tiny'? A target is a built-in name or the path of a TOML file.\n"
    )


# --- operators ------------------------------------------------------------------------------------


def test_no_such_operator(refuse: Refuse) -> None:
    assert refuse("ops", "conv") == (
        "error: epimc does not know the ONNX operator 'conv'.\n  hint: Did you mean 'Conv'?\n"
    )
    assert refuse("ops", "Hardmaximum") == (
        "error: epimc does not know the ONNX operator 'Hardmaximum'.\n"
        "  hint: Run `epimc ops` for all of them.\n"
    )


# --- bundles --------------------------------------------------------------------------------------


def test_every_changed_byte_of_a_bundle_is_found(here: Path, refuse: Refuse) -> None:
    names = sorted(name for name, data in contents(here / "bundle").items() if data)
    assert {"manifest.json", "program.bin", "reference/float.onnx", "ir/00-import.epi"} <= set(
        names
    )
    for name in names:
        path = here / "bundle" / name
        good = path.read_bytes()
        middle = len(good) // 2
        path.write_bytes(good[:middle] + bytes((good[middle] ^ 0x10,)) + good[middle + 1 :])
        if name == "manifest.json":
            path.write_bytes(b"!" + good[1:])
            expected = (
                "error: File 'manifest.json' of bundle 'bundle' is not JSON.\n"
                "  note: Expecting value: line 1 column 1 (char 0)\n"
            )
        else:
            expected = (
                f"error: File '{name}' of bundle 'bundle' does not match its checksum.\n"
                "  hint: Compile the model again.\n"
            )
        assert refuse("check", "bundle") == expected
        path.write_bytes(good)


@pytest.mark.parametrize(
    "command",
    [
        ["verify", "b"],
        ["inspect", "b"],
        ["run", "b", "--input", "samples.npz", "--output", "y.npz"],
    ],
    ids=lambda command: command[0],
)
def test_all_commands_refuse_a_changed_bundle(
    command: list[str], here: Path, refuse: Refuse
) -> None:
    shutil.copytree("bundle", "b")
    path = here / "b" / "weights.safetensors"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    assert refuse(*command) == (
        "error: File 'weights.safetensors' of bundle 'b' does not match its checksum.\n"
        "  hint: Compile the model again.\n"
    )


def test_no_bundle(here: Path, refuse: Refuse) -> None:
    (here / "folder").mkdir()
    hint = "  hint: A bundle is the folder that `epimc compile MODEL -o DIR` writes.\n"
    assert refuse("check", "folder") == (
        f"error: 'folder' is not a bundle: it has no manifest.json.\n{hint}"
    )
    assert refuse("verify", "nothing") == "error: Bundle 'nothing' does not exist.\n"
    assert refuse("check", "model.onnx") == (f"error: Bundle 'model.onnx' is not a folder.\n{hint}")


def test_verify_needs_the_reference(here: Path, run: Run, refuse: Refuse) -> None:
    shutil.rmtree(here / "bundle" / "reference")
    assert refuse("verify", "bundle", "--input", "samples.npz") == (
        "error: Bundle 'bundle' has no 'reference/integer.onnx': it cannot be verified.\n"
        "  hint: Compile the model again.\n"
    )
    assert run("check", "bundle").code == 0
    assert run("inspect", "bundle").code == 0


# --- programs and IR ------------------------------------------------------------------------------


def test_wrong_operands_in_assembly(here: Path, refuse: Refuse) -> None:
    text = (here / "bundle" / "program.asm").read_text()
    number, line = next((k, x) for k, x in enumerate(text.splitlines(), 1) if "load" in x)
    wrong = line.replace("bytes", "bites")
    (here / "wrong.asm").write_text(text.replace(line, wrong, 1))
    column = wrong.index("bites") + 1
    assert refuse("asm", "wrong.asm", "-o", "x.bin") == (
        "error: 'load' has no operand 'bites'.\n"
        f"  --> wrong.asm:{number}:{column}\n"
        f"{number} | {wrong}\n"
        f"{' ' * len(str(number))} | {' ' * (column - 1)}^\n"
        "  hint: Did you mean 'bytes'?\n"
    )


def test_files_that_are_no_programs(here: Path, refuse: Refuse) -> None:
    (here / "binary.asm").write_bytes(b"\xff\xfe\x00")
    (here / "folder").mkdir()
    cases = {
        ("asm", "none.asm", "-o", "x.bin"): (
            "error: 'none.asm' cannot be read: No such file or directory.\n"
            "  hint: Check the path: each of its folders must exist.\n"
        ),
        ("asm", "binary.asm", "-o", "x.bin"): (
            "error: 'binary.asm' is not UTF-8 text.\n"
            "  note: The byte at offset 0 cannot be decoded.\n"
            "  hint: Save the file in UTF-8.\n"
        ),
        ("disasm", "folder"): (
            "error: 'folder' cannot be read: Is a directory.\n  hint: Give the path of a file.\n"
        ),
        ("disasm", "model.onnx", "-o", "x.asm"): (
            "error: Not a binary program: it does not begin with 'EPIMPROG'.\n"
            "  --> model.onnx, byte 0\n"
        ),
    }
    for command, message in cases.items():
        assert refuse(*command) == message


@pytest.mark.parametrize(
    ("passes", "message"),
    [
        ("fuld", "error: There is no pass 'fuld'.\n  hint: Did you mean 'fold'?\n"),
        (
            "quantize{weight_bit=4}",
            "error: Pass 'quantize' has no option 'weight_bit'.\n"
            "  hint: Did you mean 'weight_bits'?\n",
        ),
        (
            "quantize{weight_bits=44}",
            "error: Pass 'quantize': weight_bits = 44 is not in 1..16.\n",
        ),
        (
            "fold,map",
            "error: Pass 'map' takes IR at level quantized, "
            "after 'fold' the module is at level nn: run 'epitomize,calibrate,quantize' first.\n",
        ),
        (
            "fold{",
            "error: Pipeline 'fold{' is malformed at column 6: expected an option or '}'.\n"
            "  hint: Write it as 'pass1,pass2{option=4}'.\n",
        ),
    ],
)
def test_wrong_pipelines(passes: str, message: str, refuse: Refuse) -> None:
    arguments = ["opt", "bundle/ir/00-import.epi", "-p", passes, "-o", "x.epi", "--dump-ir", "d"]
    assert refuse(*arguments) == message


def test_no_ir(refuse: Refuse) -> None:
    assert refuse("opt", "none.epi") == (
        "error: 'none.epi' is not a file.\n  hint: Give the path of an .epi file.\n"
    )


def test_ir_that_cannot_be_written(here: Path, refuse: Refuse) -> None:
    (here / "folder").mkdir()
    assert refuse("opt", "bundle/ir/00-import.epi", "-o", "folder") == (
        "error: 'folder' cannot be written: Is a directory.\n  hint: Give the path of a file.\n"
    )
    (here / "file").write_text("")
    assert refuse("opt", "bundle/ir/00-import.epi", "-o", "file/x.epi") == (
        "error: 'file/x.epi' cannot be written: Not a directory.\n"
        "  hint: Check the path: only folders hold files.\n"
    )
