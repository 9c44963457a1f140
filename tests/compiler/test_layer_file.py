"""The choice of bits: printed, in the bundle, and read again for the same program."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import epimc
from epimc.bundle.bundle import read_bundle
from epimc.cli.main import main
from epimc.support.diagnostics import EpimcError
from epimc.verification.verify import verify

EXAMPLES = Path(__file__).parents[2] / "examples"
MNIST = EXAMPLES / "mnist-conv.onnx"
SAMPLES = EXAMPLES / "mnist-calibration.npz"
SAME = ("program.asm", "program.bin", "tables.json", "reference/integer.onnx")


@pytest.fixture(scope="module")
def mixed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle whose layers got their bits under a budget, with epitomes from a file."""
    folder = tmp_path_factory.mktemp("mixed")
    plans = folder / "plans.toml"
    plans.write_text('[[layer]]\nname = "Plus112_Output_0"\npolicy = "uniform:64x8"\n')
    bits = "mixed:2..8,crossbars=12,ends=5"
    bundle = folder / "bundle"
    epimc.compile(
        MNIST, bundle, target="tiny", calibration=SAMPLES, epitome=plans, weight_bits=bits
    )
    return bundle


def test_the_program_is_exact(mixed: Path) -> None:
    assert verify(read_bundle(mixed)).exact


def test_the_file_gives_the_same_program(mixed: Path, tmp_path: Path) -> None:
    file = mixed / "ir" / "layers.toml"
    text = file.read_text()
    assert text.startswith("# bits of weights: ")
    assert 'policy = "uniform:64x8"\nweight_bits = ' in text
    again = tmp_path / "again"
    epimc.compile(MNIST, again, target="tiny", calibration=SAMPLES, epitome=file, weight_bits=6)
    for name in SAME:
        assert (again / name).read_bytes() == (mixed / name).read_bytes()


def test_the_result_tells_the_choice(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["compile", str(MNIST), "--target", "tiny", "--calibration", str(SAMPLES)]
    wanted = ["--weight-bits", "mixed:2..6,error=1"]
    assert main([*arguments, "-o", str(tmp_path / "b"), *wanted, "--json"]) == 0
    bits = json.loads(capsys.readouterr().out)["bits"]
    # With an error of everything the fewest arrays are those of the fewest bits.
    assert main(["plan", str(MNIST), "--target", "tiny", "--weight-bits", "2", "--json"]) == 0
    assert bits["crossbars"] == json.loads(capsys.readouterr().out)["mapped_crossbars"]
    assert sum(bits["layers"].values()) == 3
    assert bits["gap"] == 0


def test_an_impossible_budget_leaves_nothing_behind(tmp_path: Path) -> None:
    with pytest.raises(EpimcError) as caught:
        epimc.compile(MNIST, tmp_path / "b", target="tiny", weight_bits="mixed:2..8,crossbars=1")
    assert str(caught.value).startswith(
        "error: crossbars = 1 is not possible: the smallest possible is "
    )
    assert not (tmp_path / "b").exists()


def test_an_impossible_error_tells_which_bits_stay(tmp_path: Path) -> None:
    bits = "mixed:2..3,error=1e-9,ends=4"
    with pytest.raises(EpimcError) as caught:
        epimc.compile(MNIST, tmp_path / "b", calibration=SAMPLES, weight_bits=bits)
    head, note, place, hint = str(caught.value).splitlines()
    assert head.startswith("error: error = 1e-09 is not possible: the smallest possible is 0.0")
    assert note == "  note: The first and the last layers get 4 bits."
    assert place == "  note: in pass 'allocate_bits'"
    assert hint == "  hint: Allow more, or higher bits in the range of --weight-bits."
