"""Pipelines as text, and what the runner holds passes to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import pytest

from epimc.ir.core.module import Builder, Module
from epimc.ir.core.op import Value
from epimc.ir.core.types import TensorType
from epimc.ir.pipeline import Pass, Runner, done, parse_pipeline
from epimc.support.diagnostics import EpimcError, error
from tests.crossbars import PASSES
from tests.helpers.modules import Net
from tests.helpers.observed import Observed


@dataclass(frozen=True)
class Options(Pass):
    """A pass with every kind of option, which copies the module."""

    count: int = 1
    share: float = 0.5
    fast: bool = False
    word: str = "none"

    name: ClassVar[str] = "options"
    requires: ClassVar[str] = "nn"
    ensures: ClassVar[str] = "nn"

    def run(self, module: Module) -> Module:
        """A copy."""
        builder = Builder(module)
        builder.inputs_of(module)
        for op in module.ops:
            builder.copy(op)
        builder.outputs_of(module)
        return builder.finish()


@dataclass(frozen=True)
class Wrong(Options):
    """A pass that returns an invalid module."""

    name: ClassVar[str] = "wrong"

    def run(self, module: Module) -> Module:
        """A module whose output nothing computes."""
        copy = super().run(module)
        copy.outputs = [("y", Value("nowhere", TensorType((1,))))]
        return copy


@dataclass(frozen=True)
class Refusing(Options):
    """A pass that finds a mistake."""

    name: ClassVar[str] = "refusing"

    def run(self, module: Module) -> Module:
        """Refuse the module."""
        raise error("I do not like it.", notes=["it is small"])


@dataclass(frozen=True)
class Lying(Options):
    """A pass that returns another level than it says."""

    name: ClassVar[str] = "lying"
    ensures: ClassVar[str] = "epi"


def parse_with(text: str) -> list[Pass]:
    """Parse over the registry of these tests."""
    return parse_pipeline(text, {"options": f"{__name__}:Options"})


def test_defaults_are_left_out() -> None:
    assert str(Options()) == "options"
    assert str(Options(2, fast=True)) == "options{count=2,fast=true}"
    (step,) = parse_with(" options { count = 2 , fast=true } ")
    assert step == Options(2, fast=True)
    assert parse_with("") == []


def test_dashes_in_options_are_underscores() -> None:
    (actual,) = parse_pipeline("quantize{weight-bits=4}", PASSES)
    assert str(actual) == "quantize{weight_bits=4}"


HOW = "\n  hint: Write it as 'pass1,pass2{option=4}'."


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("fold{", f"Pipeline 'fold{{' is malformed at column 6: expected an option or '}}'.{HOW}"),
        (
            "fold,,fold",
            f"Pipeline 'fold,,fold' is malformed at column 6: expected the name of a pass.{HOW}",
        ),
        ("fold,", "Pipeline 'fold,' ends in a comma."),
        ("folt", "There is no pass 'folt'.\n  hint: Did you mean 'fold'?"),
        ("fold{a=1}", "Pass 'fold' has no option 'a'.\n  hint: It has no options."),
        ("fold{a}", "Pass 'fold' has no option 'a' without a value.\n  hint: It has no options."),
        (
            "quantize{weight_bit=4}",
            "Pass 'quantize' has no option 'weight_bit'.\n  hint: Did you mean 'weight_bits'?",
        ),
        (
            "quantize{weight_bits=four}",
            "Option 'weight_bits' of pass 'quantize' is 'four', expected an integer.",
        ),
        *(
            (
                f"quantize{{weight_bits={digits}}}",
                f"Option 'weight_bits' of pass 'quantize' is '{digits}', expected an integer.",
            )
            for digits in ("0_4", "\N{FULLWIDTH DIGIT FOUR}", "4.0")
        ),
        (
            "quantize{weight_bits=4,weight-bits=4}",
            "Option 'weight_bits' of pass 'quantize' is given twice.",
        ),
    ],
)
def test_pipelines_that_are_refused(text: str, message: str) -> None:
    with pytest.raises(EpimcError) as caught:
        parse_pipeline(text, PASSES)
    assert str(caught.value) == f"error: {message}"


def test_every_pass_is_what_the_table_says() -> None:
    for name in PASSES:
        (actual,) = parse_pipeline(name, PASSES)
        assert actual.name == name
        assert str(actual) == name


def network() -> Module:
    """A valid module."""
    net = Net()
    return net.module(net.relu(net.input(1, 2, 2)))


def test_the_history_and_the_steps() -> None:
    observed, other = Observed(), Observed()
    module = network()
    result = Runner({}, [observed, other]).run(module, [Options(), Options(2)])
    assert observed.started == other.started == [("options", 1, 3), ("options", 2, 3)]
    steps = observed.steps
    assert [(step.number, step.name) for step in steps] == [(1, "options"), (2, "options")]
    assert all(step.seconds > 0 and step.program is None for step in steps)
    assert done(result) == ("options", "options{count=2}")
    assert steps[-1].module is result
    assert done(module) == ()


def test_numbers_go_on_from_what_ran_before() -> None:
    observed = Observed()
    module = Runner({}).run(network(), [Options(), Options()])
    Runner({}, [observed]).run(module, [Options()])
    assert observed.started == [("options", 3, 4)]


def test_a_pass_that_fails_has_started_and_not_finished() -> None:
    observed = Observed()
    with pytest.raises(EpimcError):
        Runner(PASSES, [observed]).run(network(), [Options(), Refusing(), Options()])
    assert [name for name, *_ in observed.started] == ["options", "refusing"]
    assert [step.name for step in observed.steps] == ["options"]


def test_a_pass_at_the_wrong_level() -> None:
    with pytest.raises(EpimcError) as caught:
        Runner(PASSES).run(network(), parse_pipeline("map", PASSES))
    assert str(caught.value) == (
        "error: Pass 'map' takes IR at level quantized, the module is at level nn: "
        "run 'epitomize,calibrate,quantize' first."
    )


def test_no_pass_runs_where_a_later_one_cannot() -> None:
    observed = Observed()
    with pytest.raises(EpimcError, match="after 'options' the module is at level nn"):
        Runner(PASSES, [observed]).run(network(), [Options(), *parse_pipeline("map", PASSES)])
    assert observed.started == []


def test_a_mistake_that_a_pass_finds_names_it() -> None:
    with pytest.raises(EpimcError) as caught:
        Runner(PASSES).run(network(), [Refusing()])
    assert str(caught.value) == (
        "error: I do not like it.\n  note: it is small\n  note: in pass 'refusing'"
    )


def test_an_invalid_result_is_a_defect() -> None:
    with pytest.raises(EpimcError) as caught:
        Runner(PASSES).run(network(), [Wrong()])
    assert str(caught.value) == (
        "error: Invalid module 'net': output 'y' has no op that computes it.\n"
        "  note: pass 'wrong' made this module: a defect of epimc, please report it"
    )


def test_a_pass_must_give_the_level_that_it_promises() -> None:
    with pytest.raises(AssertionError, match="pass 'lying' must return level epi"):
        Runner(PASSES).run(network(), [Lying()])


@pytest.mark.parametrize("history", [5, "fold", (1,)])
def test_a_history_that_is_none(history: object) -> None:
    module = network()
    module.attributes["passes"] = history
    with pytest.raises(EpimcError) as caught:
        Runner(PASSES).run(module, [Options()])
    assert str(caught.value) == (
        "error: Attribute 'passes' of module 'net' is no list of passes.\n"
        "  hint: Leave it out: the passes write it."
    )


def test_lists_in_a_pipeline_that_lie_too_deep() -> None:
    deep = f"options{{word={'[' * 64}{']' * 64}}}"
    with pytest.raises(EpimcError, match="expected text"):
        parse_with(deep)
    with pytest.raises(EpimcError) as caught:
        parse_with(f"options{{word={'[' * 100_000}")
    assert str(caught.value) == (
        "error: A list in a pipeline lies more than 64 deep.\n"
        "  hint: Write it as 'pass1,pass2{option=4}'."
    )
