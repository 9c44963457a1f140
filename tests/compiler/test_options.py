"""One declaration of a compile's options: what derives from it says the same everywhere."""

from __future__ import annotations

import dataclasses
import inspect
import json
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
import typer
from typer.testing import CliRunner

import epimc
from epimc.bundle.bundle import read_bundle
from epimc.bundle.manifest import Options
from epimc.cli.main import app, main
from epimc.cli.options import flag_of, takes
from epimc.compiler.compiler import Job
from epimc.compiler.options import CompileOptions, PlanOptions, Request
from epimc.evaluation.options import EvaluateOptions
from epimc.ir.pipeline import print_pipeline
from epimc.quantization.equalization.options import ChosenEqualization
from epimc.quantization.options import QuantizeOptions
from epimc.quantization.quantize import Quantize
from epimc.quantization.rounding.options import Effort
from epimc.samples.options import DataOptions
from epimc.support.diagnostics import EpimcError
from epimc.support.options import NumberOrText, Option, options_of, values_of
from tests.helpers.observed import Observed

EXAMPLES = Path(__file__).parents[2] / "examples"
MNIST = EXAMPLES / "mnist-conv.onnx"


def plain(text: str) -> str:
    """A help text without its line breaks."""
    return re.sub(r"\s+", " ", text)


def help_of(command: str) -> str:
    """What a command says of itself, 100 columns wide."""
    result = CliRunner().invoke(app, [command, "--help"], terminal_width=100, prog_name="epimc")
    assert result.exit_code == 0
    return result.output


ONE_OF_MANY = {"shapes": "shape", "constants": "constant"}


@pytest.mark.parametrize(
    ("command", "declaring"),
    [
        ("compile", CompileOptions),
        ("plan", PlanOptions),
        ("evaluate", EvaluateOptions),
        ("evaluate", DataOptions),
    ],
)
def test_the_help_says_what_is_declared(command: str, declaring: type) -> None:
    text = help_of(command)
    assert max(map(len, text.splitlines())) <= 100
    shown = plain(text)
    for name, known in options_of(declaring).items():
        flag = flag_of(known)
        assert flag == f"--{ONE_OF_MANY.get(name, name).replace('_', '-')}"
        line = shown[shown.index(f"{flag} ") :]
        assert known.option.doc in line
        if known.option.metavar:
            assert line.startswith(f"{flag} {known.option.metavar} {known.option.doc}")
        if known.default not in (None, False, ()):
            listed = isinstance(known.default, tuple)
            default = ", ".join(known.default) if listed else known.default
            assert re.match(rf".*?\[default: {default}\b", line)
        if isinstance(known.kind, NumberOrText):
            assert f"{known.option.minimum}..{known.option.maximum}" in known.option.doc
        elif known.option.minimum is not None and known.option.maximum is not None:
            assert f"{known.option.minimum}<=x<={known.option.maximum}]" in line


# What Python users may pass for what the command line has as one text.
PATH = "str | os.PathLike[str]"
WIDER = {
    "target": f"{PATH} | None",
    "epitome": PATH,
    "shapes": "ShapesByName",
    "constants": "ConstantsByName",
    "calibration": "SampleSource | None",
    "labels": f"{PATH} | ArrayLike | None",
    "of": "str | Sequence[str]",
    "adc_bits": "int | Sequence[int]",
    "effort": "Effort",
    "weight_granularity": "WeightGranularity",
    "activations": "ActivationKind",
    "integers": "Integers",
    "state": f"{PATH} | None",
    "pass_options": "Sequence[str]",
    "observer": "ChosenObserver",
    "equalize": "ChosenEqualization",
}


@pytest.mark.parametrize(
    ("function", "declaring", "others"),
    [
        (epimc.compile, CompileOptions, {"example", "dump_ir", "observers"}),
        (epimc.plan, PlanOptions, {"example"}),
        (epimc.evaluate, EvaluateOptions, {"first", "limit_bytes", "progress"}),
    ],
)
def test_the_keywords_of_python_are_the_declared_options(
    function: Callable[..., object], declaring: type, others: set[str]
) -> None:
    keywords = {
        name: parameter
        for name, parameter in inspect.signature(function).parameters.items()
        if parameter.kind is inspect.Parameter.KEYWORD_ONLY
    }
    declared = options_of(declaring)
    assert [name for name in keywords if name not in others] == [*declared]
    documented = re.findall(r"^    (?:    )?(\w+): ", inspect.getdoc(function) or "", re.M)
    for name, known in declared.items():
        assert keywords[name].default == known.default
        assert name in documented
        plain_type = getattr(known.annotation, "__name__", str(known.annotation))
        assert keywords[name].annotation == WIDER.get(name, plain_type), name


def test_the_options_of_quantize_are_those_of_its_pass() -> None:
    bits = options_of(QuantizeOptions)
    names = {"weight_bits", "weight_granularity", "activation_bits", "activations"}
    assert set(bits) == names
    assert bits.items() <= options_of(Quantize).items()
    for declaring in (CompileOptions, Request):
        own = options_of(declaring)
        assert all(own[name] == bits[name] for name in names - {"weight_bits"})
        number, mixed = bits["weight_bits"].option, own["weight_bits"].option
        assert (number.minimum, number.maximum) == (mixed.minimum, mixed.maximum)
    assert set(Options.model_fields) == {*bits, "layer_bits", "calibration", "passes"}


def test_a_pipeline_holds_what_is_asked_for() -> None:
    request = Request(
        Path("m.onnx"),
        epitome="uniform:8x8",
        weight_bits=4,
        pass_options=("quantize{activation_bits=6}", "quantize{activation_bits=7}"),
    )
    stages = Job.of(request).stages
    assert print_pipeline(stages.passes) == (
        "layout,fold,equalize,epitomize{policy=uniform:8x8},calibrate{activation_bits=7},"
        "quantize{activation_bits=7,weight_bits=4},map,place,schedule,allocate"
    )
    assert stages.names == [
        *("import", "layout", "fold", "equalize", "epitomize", "calibrate", "quantize"),
        *("map", "place", "schedule", "allocate", "emit", "check", "reference"),
    ]


def test_what_quantize_is_told_counts_for_the_passes_before_it() -> None:
    options = "quantize{activation_bits=5,weight_granularity=tensor},quantize{rounding=learned}"
    request = Request(
        Path("m.onnx"), weight_bits="mixed:2..4,crossbars=9", effort="good", pass_options=(options,)
    )
    price, calibrate, allocate = Job.of(request).stages.floats[-3:]
    # Below 8 bits ranges clip.
    assert str(calibrate) == "calibrate{observer=mse,activation_bits=5}"
    assert str(price) == "price_bits{weight_bits=[2,3,4],activation_bits=5}"
    assert str(allocate) == (
        "allocate_bits{weight_bits=[2,3,4],crossbars=9,weight_granularity=tensor,rounding=learned,"
        "weight_range=mse,correct_bias=true}"
    )


@pytest.mark.parametrize(
    ("text", "problem", "hint"),
    [
        (
            "calibrate{activation_bits=6}",
            "Pass 'calibrate' has activation_bits=6, but pass 'quantize' has activation_bits=8.",
            "Set it for 'quantize' alone: 'calibrate' takes it over.",
        ),
        (
            "price_bits{activation_bits=6}",
            "Pass 'price_bits' has activation_bits=6, but pass 'quantize' has activation_bits=8.",
            "Set it for 'quantize' alone: 'price_bits' takes it over.",
        ),
        (
            "allocate_bits{correct_bias=true}",
            "Pass 'allocate_bits' has correct_bias=true, but pass 'quantize' has "
            "correct_bias=false.",
            "Set it for 'quantize' alone: 'allocate_bits' takes it over.",
        ),
        (
            "price_bits{weight_bits=[2,3]}",
            "Pass 'price_bits' has weight_bits=[2,3], but pass 'allocate_bits' may give layers "
            "4 bits.",
            "Set them for 'allocate_bits' alone: 'price_bits' takes them over.",
        ),
        (
            "equalize{weight_bits=4,when=measured}",
            "Pass 'equalize' has weight_bits=4, but the bits of every layer are chosen behind it: "
            "it takes all to be 8.",
            "Leave it out.",
        ),
        (
            "equalize{activations=signed}",
            "Pass 'equalize' has activations=signed, but pass 'quantize' has activations=affine.",
            "Set it for 'quantize' alone: 'equalize' takes it over.",
        ),
        (
            "equalize{observer=mse,when=measured}",
            "Pass 'equalize' has observer=mse, but pass 'calibrate' has observer=minmax.",
            "Set it for 'calibrate' alone: 'equalize' takes it over.",
        ),
        (
            "calibrate{percentile=99.5}",
            "Pass 'calibrate' has percentile=99.5, which is nothing to observer 'minmax'.",
            "Set observer=percentile beside it, or leave it out.",
        ),
        (
            "equalize{when=always,percentile=99}",
            "Pass 'equalize' has percentile=99, which is nothing to observer 'minmax'.",
            "Set observer=percentile beside it, or leave it out.",
        ),
        (
            "quantize{weight_bits=5}",
            "--weight-bits mixed:2..4,crossbars=9 has the bits of every layer chosen, but pass "
            "'quantize' has weight_bits=5.",
            "Leave out one of them.",
        ),
    ],
)
def test_options_of_passes_that_contradict_each_other(text: str, problem: str, hint: str) -> None:
    mixed = "mixed:2..4,crossbars=9"
    with pytest.raises(EpimcError) as caught:
        Job.of(Request(Path("m.onnx"), weight_bits=mixed, pass_options=(text,)))
    assert str(caught.value) == f"error: {problem}\n  hint: {hint}"


@pytest.mark.parametrize("when", ["always", "measured"])
def test_equalization_takes_weights_to_have_the_bits_that_they_get(when: str) -> None:
    told = f"equalize{{weight_bits=4,when={when}}}"
    agreed = Request(Path("m.onnx"), weight_bits=4, pass_options=(told,))
    assert str(Job.of(agreed).stages.floats[2]) == told.replace(",when=always", "")
    with pytest.raises(EpimcError) as caught:
        Job.of(Request(Path("m.onnx"), pass_options=(told,)))
    assert str(caught.value) == (
        "error: Pass 'equalize' has weight_bits=4, but pass 'quantize' has weight_bits=8.\n"
        "  hint: Set it for 'quantize' alone: 'equalize' takes it over."
    )


def test_widths_that_allocate_bits_is_told_count_for_the_prices() -> None:
    told = "allocate_bits{weight_bits=[2,4,12],ends=16}"
    request = Request(Path("m.onnx"), weight_bits="mixed:2..4,reads=9", pass_options=(told,))
    price = next(step for step in Job.of(request).stages.floats if step.name == "price_bits")
    assert str(price) == "price_bits{weight_bits=[2,4,12,16]}"


@pytest.mark.parametrize(
    ("epitome", "policy"),
    [("plans.toml", "uniform:8x8"), ("none", "plans"), ("ratio.toml", "none")],
)
def test_a_file_of_plans_and_a_policy_of_the_pass(epitome: str, policy: str) -> None:
    with pytest.raises(EpimcError) as caught:
        Job.of(
            Request(
                Path("m.onnx"), epitome=epitome, pass_options=(f"epitomize{{policy={policy}}}",)
            )
        )
    assert str(caught.value) == (
        f"error: --epitome is {epitome}, but pass 'epitomize' has policy={policy}.\n"
        "  hint: Leave out one of them."
    )


def test_a_percentile_is_for_the_observer_of_that_name() -> None:
    assert str(Job.of(Request(MNIST, observer="percentile")).stages.floats[-1]) == (
        "calibrate{observer=percentile}"
    )
    request = Request(MNIST, observer="percentile", percentile=99.0)
    assert (
        str(Job.of(request).stages.floats[-1]) == "calibrate{observer=percentile,percentile=99.0}"
    )
    with pytest.raises(EpimcError) as caught:
        Request(MNIST, percentile=99.0)
    assert str(caught.value) == (
        "error: Wrong option: percentile = 99 is nothing to observer 'auto'.\n"
        "  hint: Take --observer percentile, or leave out --percentile."
    )


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (("--percentile", "nan"), "'--percentile': nan is not in 50..100."),
        (("--percentile", "all"), "'--percentile': 'all' is not a number."),
        (("--activation-bits", "17"), "'--activation-bits': 17 is not in 2..16."),
        (("--activation-bits", "7.5"), "'--activation-bits': '7.5' is not an integer."),
        (("--limit-bytes", "0"), "'--limit-bytes': 0 is not at least 1."),
        (("--effort", "most"), "'--effort': 'most' is not auto, fast, good or best."),
        (("--layout", "chw"), "'--layout': 'chw' is not nchw or nhwc."),
    ],
)
def test_wrong_values_on_the_command_line(
    words: tuple[str, str], problem: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["compile", str(MNIST), "-o", "out", *words]) == 2
    assert capsys.readouterr().err.splitlines()[-1] == f"Error: Invalid value for {problem}"


@pytest.mark.parametrize(
    ("effort", "equalize", "options", "expected"),
    [
        ("fast", "auto", (), "equalize"),
        ("fast", "never", (), "equalize{when=never}"),
        ("fast", "measured", ("quantize{weight_bits=4}",), "equalize{weight_bits=4,when=measured}"),
        ("good", "auto", (), "equalize{when=measured}"),
        ("good", "always", ("quantize{weight_bits=4}",), "equalize"),
        (
            "best",
            "auto",
            ("quantize{activation_bits=6,activations=signed}", "calibrate{observer=entropy}"),
            "equalize{observer=entropy,activation_bits=6,activations=signed,when=measured}",
        ),
        ("fast", "auto", ("equalize{when=measured}",), "equalize{when=measured}"),
        (
            "good",
            "auto",
            ("quantize{weight_bits=4}", "equalize{weight_bits=4}"),
            "equalize{weight_bits=4,when=measured}",
        ),
    ],
)
def test_what_is_equalized(
    effort: Effort, equalize: ChosenEqualization, options: tuple[str, ...], expected: str
) -> None:
    request = Request(Path("m.onnx"), effort=effort, equalize=equalize, pass_options=options)
    passes = Job.of(request).stages.passes
    assert next(str(step) for step in passes if step.name == "equalize") == expected


def test_a_word_that_says_nothing_of_equalization(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compile", str(MNIST), "-o", "out", "--equalize", "sometimes"]) == 2
    said = "Invalid value for '--equalize': 'sometimes' is not auto, always, measured or never."
    assert capsys.readouterr().err.splitlines()[-1] == f"Error: {said}"
    with pytest.raises(EpimcError) as caught:
        Request(Path("m.onnx"), equalize="sometimes")  # type: ignore[arg-type]
    expected = "error: Wrong option: equalize = 'sometimes' is not auto, always, measured or never."
    assert str(caught.value) == expected


def test_a_compile_says_how_many_pairs_were_equalized(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["compile", str(MNIST), "-o", str(tmp_path / "out"), "--target", "tiny"]
    assert main([*arguments, "--equalize", "measured"]) == 0
    lines = capsys.readouterr().out.splitlines()
    (line,) = (line for line in lines if line.startswith("equalized: "))
    assert re.fullmatch(r"equalized: [0-9]+ of [0-9]+ pairs? of layers", line)
    assert main([*arguments, "--equalize", "measured", "--json"]) == 0
    stated = json.loads(capsys.readouterr().out)["equalization"]
    assert line.startswith(f"equalized: {stated['equalized']} of {stated['pairs']} pair")
    assert main([*arguments, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["equalization"] is None


@pytest.mark.parametrize(
    ("text", "problem", "hint"),
    [
        (
            "quantise{weight_bits=4}",
            "There is no pass 'quantise' among those that run.",
            "Did you mean 'quantize'?",
        ),
        (
            "quantize{weight_bit=4}",
            "Pass 'quantize' has no option 'weight_bit'.",
            "Did you mean 'weight_bits'?",
        ),
        ("quantize{weight_bits=17}", "Pass 'quantize': weight_bits = 17 is not in 1..16.", ""),
        (
            "quantize{weight_bits=4",
            "Pipeline 'quantize{weight_bits=4' is malformed at column 23: expected a comma or '}'.",
            "Write it as 'pass1,pass2{option=4}'.",
        ),
        ("place{tiles=4}", "Pass 'place' has no option 'tiles'.", "Known: limit_rows."),
        ("allocate{tiles=4}", "Pass 'allocate' has no option 'tiles'.", "It has no options."),
    ],
)
def test_wrong_options_of_passes(
    text: str, problem: str, hint: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "out"
    assert main(["compile", str(MNIST), "-o", str(output), "-O", text]) == 2
    lines = [f"error: {problem}", *([f"  hint: {hint}"] if hint else [])]
    assert capsys.readouterr().err.splitlines() == lines
    assert not output.exists()


def test_an_option_of_a_pass_and_the_compile_option_are_the_same(tmp_path: Path) -> None:
    bundles = [tmp_path / "a", tmp_path / "b"]
    arguments = [["--weight-bits", "4"], ["-O", "quantize{weight_bits=4}"]]
    for bundle, more in zip(bundles, arguments, strict=True):
        assert main(["compile", str(MNIST), "-o", str(bundle), "--target", "tiny", *more]) == 0
    one, other = (json.loads((bundle / "manifest.json").read_text()) for bundle in bundles)
    assert one == other
    assert one["options"]["weight_bits"] == 4
    assert read_bundle(bundles[0]).manifest.options.passes.count("quantize{weight_bits=4}") == 1


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"weight_bits": 17}, "weight_bits = 17 is not in 1..16"),
        (
            {"weight_bits": "4"},
            "weight_bits: '4' is neither a number nor like mixed:2..8,crossbars=N",
        ),
        ({"limit_bytes": 0}, "limit_bytes = 0 is not at least 1"),
        ({"strict": 1}, "strict = 1 is not true or false"),
    ],
)
def test_wrong_options_from_python(options: dict[str, Any], problem: str, tmp_path: Path) -> None:
    with pytest.raises(EpimcError) as caught:
        epimc.compile(MNIST, tmp_path / "out", **options)
    assert caught.value.diagnostic.message == f"Wrong option: {problem}."


def test_observers_are_told_of_all_stages(tmp_path: Path) -> None:
    observed = Observed()
    session = epimc.compile(MNIST, tmp_path / "out", target="tiny", observers=[observed])
    names = Job.of(Request(MNIST, target="tiny")).stages.names
    assert observed.started == [(name, number, 14) for number, name in enumerate(names)]
    assert [(step.name, step.number) for step in observed.steps] == [
        (name, number) for number, name in enumerate(names)
    ]
    assert list(observed.modules) == names[:11]
    programs = {step.name: step.program for step in observed.steps if step.program is not None}
    # Checked, it may be another one: with ADCs that samples have calibrated.
    assert programs == dict.fromkeys(("emit", "check"), session.bundle.program)


def test_timing_tells_every_stage(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["compile", str(MNIST), "-o", str(tmp_path / "out"), "--target", "tiny"]
    data = str(EXAMPLES / "mnist-calibration.npz")
    assert main([*arguments, "--calibration", data, "--timing"]) == 0
    lines = capsys.readouterr().err.splitlines()
    assert all(re.fullmatch(r" +\d+\.\d{3} s  [a-z]+", line) for line in lines)
    names = Job.of(Request(MNIST, target="tiny")).stages.names
    assert [line.split()[-1] for line in lines] == names


@dataclass(frozen=True, kw_only=True)
class Toy:
    """Options of every type that a command line has."""

    count: Annotated[int, Option("How many.", minimum=1, flag="-n")] = 1
    mode: Annotated[Literal["fast", "exact"], Option("How.")] = "fast"
    sizes: Annotated[tuple[int, ...], Option("Sizes.")] = (1, 2)
    file: Annotated[Path | None, Option("A file.")] = None
    strict: Annotated[bool, Option("Strictly.")] = False


def toy(*arguments: str) -> tuple[Toy, bool]:
    """What a command with these options gets."""
    seen: list[tuple[Toy, bool]] = []
    commands = typer.Typer()

    @commands.command()
    @takes(Toy)
    def command(options: Toy, more: bool = False) -> None:
        """A command."""
        seen.append((options, more))

    result = CliRunner().invoke(commands, list(arguments))
    assert result.exit_code == 0, result.output
    return seen[0]


def test_a_command_takes_options_of_every_type() -> None:
    assert toy() == (Toy(), False)
    arguments = ["-n", "3", "--mode", "exact", "--sizes", "4", "--sizes", "5", "--file", "a.txt"]
    chosen = Toy(count=3, mode="exact", sizes=(4, 5), file=Path("a.txt"), strict=True)
    assert toy(*arguments, "--strict", "--more") == (chosen, True)


def test_values_of_some_options() -> None:
    request = Request(MNIST, weight_bits=3)
    assert values_of(QuantizeOptions, request) == {
        "weight_bits": 3,
        "weight_granularity": "column",
        "activation_bits": 8,
        "activations": "affine",
    }
    with pytest.raises(dataclasses.FrozenInstanceError):
        request.weight_bits = 4  # type: ignore[misc]


def test_the_command_line_needs_nothing_heavy_for_its_options() -> None:
    script = (
        "import sys, epimc.cli.main\n"
        "print([m for m in ('numpy', 'pydantic', 'rich', 'onnx', 'networkx') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout == "[]\n"


def test_plans_are_a_file() -> None:
    with pytest.raises(EpimcError) as caught:
        Job.of(Request(Path("m.onnx"), epitome="plans"))
    assert str(caught.value) == (
        "error: --epitome plans names no file.\n"
        "  hint: Name the file of the plans: --epitome FILE.toml."
    )
