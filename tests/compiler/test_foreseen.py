"""What options and the model alone tell is refused before samples are looked at."""

from __future__ import annotations

from pathlib import Path

import onnx
import pytest

from epimc.cli.main import main
from tests.helpers.onnx_networks import gate

MNIST = Path(__file__).parents[2] / "examples/mnist-conv.onnx"


@pytest.fixture(autouse=True)
def unmeasured(monkeypatch: pytest.MonkeyPatch) -> None:
    """To look at samples is a failure."""

    def measured(*arguments: object) -> None:
        raise AssertionError("samples were looked at")

    monkeypatch.setattr("epimc.quantization.calibrate.observed_ranges", measured)
    monkeypatch.setattr("epimc.quantization.equalization.equalize.Measured.of", measured)


def refusal(
    model: Path, folder: Path, words: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> str:
    """What a compile says that writes nothing."""
    out = folder / "out"
    assert main(["compile", str(model), "-o", str(out), "--equalize", "measured", *words]) == 2
    assert not out.exists()
    return capsys.readouterr().err


@pytest.mark.parametrize("bits", ["1", "mixed:2..4,ends=1,crossbars=900"])
def test_a_width_that_a_chip_has_not(
    bits: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = refusal(MNIST, tmp_path, ("--weight-bits", bits), capsys).splitlines()
    assert lines[0] == (
        "error: Mapping 'twos_complement' has no weights of 1 bit: a sign alone is -1 or 0."
    )
    assert lines[1].startswith("  --> node ")
    assert lines[2:] == [
        "  hint: Take 2 bits, or a target whose crossbar.mapping is offset or differential."
    ]


@pytest.mark.parametrize(("budget", "least"), [("crossbars", 3), ("reads", 7848)])
def test_an_impossible_budget(
    budget: str, least: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("--weight-bits", f"mixed:2..4,{budget}=1")
    assert refusal(MNIST, tmp_path, words, capsys) == (
        f"error: {budget} = 1 is not possible: the smallest possible is {least}.\n"
        "  hint: Allow more, or lower bits in the range of --weight-bits.\n"
    )


def test_an_impossible_budget_by_bits_that_layers_keep(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plans = tmp_path / "layers.toml"
    plans.write_text('[[layer]]\nname = "Times212"\nweight_bits = 16\n')
    words = ("--weight-bits", "mixed:2..4,crossbars=1,ends=8", "--epitome", str(plans))
    assert refusal(MNIST, tmp_path, words, capsys) == (
        "error: crossbars = 1 is not possible: the smallest possible is 3.\n"
        "  note: Bits that layers state stay: of 1 of 3 layers.\n"
        "  note: The first and the last layers get 8 bits.\n"
        "  hint: Allow more, or lower bits in the range of --weight-bits.\n"
    )


def test_functions_of_wide_activations(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = tmp_path / "gate.onnx"
    onnx.save(gate(), model)
    words = ("--activation-bits", "13", "--strict")
    assert refusal(model, tmp_path, words, capsys) == (
        "error: The host would run 4 nodes, which --strict forbids.\n"
        "  note: Sigmoid, Mul, HardSigmoid, Gelu: 4 nodes, first 'sigmoid1': a table of a function "
        "takes activations of at most 12 bits.\n"
        "  hint: Compile without --strict, or end the model before these operators.\n"
    )
