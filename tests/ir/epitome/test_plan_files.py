"""`--epitome FILE.toml`: every mistake in one message, and hand-made plans exact end to end."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

import epimc
from epimc.backends.crossbar.instructions.mvm import Mvm
from epimc.bundle.bundle import read_bundle
from epimc.cli.main import main
from epimc.ir.epitome.plan import Plan, Shape
from epimc.verification.verify import verify
from tests.crossbars import program_in

EXAMPLES = Path(__file__).parents[3] / "examples"
MNIST = EXAMPLES / "mnist-conv.onnx"


def entry(name: str, epitome: Shape, patches: Plan) -> str:
    """A layer of a plan file."""
    rows = json.dumps([list(patch) for patch in patches])
    return f"[[layer]]\nname = {json.dumps(name)}\nepitome = {list(epitome)}\npatches = {rows}\n"


def said(tmp_path: Path, text: str, capsys: pytest.CaptureFixture[str]) -> str:
    """What `epimc plan` says of a plan file, its path left out."""
    path = tmp_path / "p.toml"
    path.write_text(text, encoding="utf-8")
    assert main(["plan", str(MNIST), "--epitome", str(path)]) == 2
    actual = capsys.readouterr()
    assert not actual.out
    return actual.err.replace(str(path), "p.toml")


def test_every_mistake_is_in_one_message(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = (
        'colour = 3\n[[layer]]\nname = "Convolutoin28"\npolicy = "none"\n'
        '[[layer]]\nname = "Times212"\npolicy = "best"\n'
        + entry("Plus112_Output_0", (16, 8, 6, 6), ())
        + entry("Convolution28", (8, 1, 5, 5), ())
    )
    assert said(tmp_path, text, capsys) == (
        "error: Plan file 'p.toml' has 5 mistakes.\n"
        '  note: Layer \'Times212\': policy = "best": must be "none" or "uniform:RxC" (what '
        "chooses the layer's epitome).\n"
        "  note: colour is unknown. Known: default, default_weight_bits, layer.\n"
        "  note: There is no layer 'Convolutoin28'. Did you mean 'Convolution28'?\n"
        "  note: Layer 'Plus112_Output_0': an epitome [16, 8, 6, 6] is larger than weights "
        "[16, 8, 5, 5]: it would save nothing.\n"
        "  note: Layer 'Convolution28': 0 patches give the weights of output 0, input 0: not one.\n"
    )


def test_a_file_that_is_not_toml(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert said(tmp_path, "default = \n", capsys) == (
        "error: Plan file 'p.toml' is not TOML: invalid value.\n"
        "  --> p.toml:1:11\n1 | default = \n  |           ^\n"
    )


def test_a_file_that_is_missing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    output = tmp_path / "out"
    path = tmp_path / "none.toml"
    assert main(["compile", str(MNIST), "-o", str(output), "--epitome", str(path)]) == 2
    error = (
        f"error: Plan file '{path}' cannot be read: No such file or directory.\n"
        "  hint: Check the path: each of its folders must exist.\n"
    )
    assert capsys.readouterr().err.endswith(error)
    assert not output.exists()


def test_the_plan_is_what_is_compiled(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    epitome, patches = (10, 6, 6, 6), (
        (0, 8, 0, 4, 0, 0, 0, 0),
        (8, 8, 0, 4, 2, 2, 1, 1),
        (0, 10, 4, 4, 0, 1, 0, 1),
        (10, 6, 4, 4, 0, 0, 1, 0),
    )  # fmt: skip
    path = tmp_path / "p.toml"
    text = 'default = "uniform:64x8"\n[[layer]]\nname = "Convolution28"\npolicy = "none"\n'
    # Called by the value of the convolution, to which the bias is then added.
    path.write_text(text + entry("Convolution110_Output_0", epitome, patches))  # type: ignore[arg-type]
    assert main(["plan", str(MNIST), "--epitome", str(path), "--json"]) == 0
    planned = json.loads(capsys.readouterr().out)["layers"]
    assert [layer["epitome_shape"] for layer in planned] == [
        [8, 1, 5, 5],
        [10, 6, 6, 6],
        [8, 64, 1, 1],
    ]
    bundle = tmp_path / "bundle"
    samples = EXAMPLES / "mnist-calibration.npz"
    epimc.compile(MNIST, bundle, calibration=samples, epitome=path)
    program = program_in(read_bundle(bundle))
    tables = [table for table in program.tables if isinstance(table, Mvm)]
    assert [len(table.rounds) for table in tables] == [layer["rounds"] for layer in planned]
    assert [table.weights.shape for table in tables] == [(25, 8), (216, 10), (64, 8)]
    assert verify(read_bundle(bundle)).exact


def test_planned_layers_have_their_own_bits(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "p.toml"
    path.write_text(
        'default_weight_bits = 2\n[[layer]]\nname = "Convolution110"\nweight_bits = 5\n'
    )
    arguments = ["plan", str(MNIST), "--epitome", str(path), "--target", "tiny"]
    assert main([*arguments, "--json"]) == 0
    mixed = json.loads(capsys.readouterr().out)["layers"]
    assert [layer["weight_bits"] for layer in mixed] == [2, 5, 2]
    for bits, index in (("2", 0), ("5", 1), ("2", 2)):
        plain = ["plan", str(MNIST), "--weight-bits", bits, "--target", "tiny", "--json"]
        assert main(plain) == 0
        assert json.loads(capsys.readouterr().out)["layers"][index] == mixed[index]
    assert main(arguments) == 0
    assert capsys.readouterr().out.splitlines()[0].split()[3:5] == ["bits", "rounds"]


def test_the_bits_of_layers_are_those_of_their_integers(tmp_path: Path) -> None:
    path = tmp_path / "p.toml"
    path.write_text('[[layer]]\nname = "Convolution110"\nweight_bits = 3\n')
    epimc.compile(MNIST, tmp_path / "b", epitome=path, weight_bits=5, activation_bits=5)
    text = next((tmp_path / "b" / "ir").glob("*-quantize.epi")).read_text()
    assert sorted(re.findall(r"tensor @\S+\.integers : \S+x(s\d)>", text)) == ["s3", "s5", "s5"]
    assert verify(read_bundle(tmp_path / "b")).exact
