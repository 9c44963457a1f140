"""What `evaluate` comes to."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

from epimc.support.results import Result
from epimc.support.tables import Block, Lines, TableBlock, number, table

NOTHING = "There is nothing to compare: no labels, and not two models, one of them float."


@dataclass(frozen=True)
class Rate:
    """A share of the samples, with its 95 % confidence interval by Wilson.

    Attributes:
        share: 0 to 1.
        low: The lower end of the interval.
        high: The upper end.
    """

    share: float
    low: float
    high: float


@dataclass(frozen=True)
class OutputError:
    """How far an output is from the float model's.

    Attributes:
        name: The ONNX name.
        mean: Mean over the samples of each one's mean absolute difference, in the output's unit;
            null when nothing can be compared, or a difference is not finite.
        low: The lower end of its 95 % confidence interval, by the normal distribution; null where
            there is no mean, or one sample.
        high: The upper end.
        largest: The largest difference; null as the mean.
    """

    name: str
    mean: float | None
    low: float | None
    high: float | None
    largest: float | None


@dataclass(frozen=True)
class EvaluatedModel:
    """One of what is evaluated.

    Attributes:
        name: `float`, `epitomized`, `integers` or `program`.
        adc_bits: Of the program's ADCs, in the place of its target's; null: these.
        top1: How often its class is the label; null without labels.
        top5: How often the label is among its five likeliest classes; null without labels, and
            where there are no more than five classes.
        agreement: How often its class is the float model's; null where the float model is not
            evaluated, or the outputs say no classes.
        outputs: The errors of its outputs; none of the float model, or without it.
    """

    name: str
    adc_bits: int | None
    top1: Rate | None
    top5: Rate | None
    agreement: Rate | None
    outputs: tuple[OutputError, ...]

    @property
    def label(self) -> str:
        """What tables call it."""
        return self.name if self.adc_bits is None else f"{self.name}, {self.adc_bits}-bit ADC"


@dataclass(frozen=True)
class EvaluateResult(Result):
    """A data set through a bundle.

    Attributes:
        samples: How many there are.
        labelled: Whether their classes are known.
        models: What was evaluated, all of it on the same samples.
    """

    KIND: ClassVar[str] = "evaluate"

    samples: int
    labelled: bool
    models: tuple[EvaluatedModel, ...]

    def blocks(self) -> Iterator[Block]:
        """The rates, the errors, and what they were taken over."""
        rated = any(model.top1 or model.agreement for model in self.models)
        compared = any(model.outputs for model in self.models)
        if rated:
            yield self.rate_table()
        if compared:
            if rated:
                yield Lines(("",))
            yield self.error_table()
        if not rated and not compared:
            yield Lines((NOTHING,))
        yield Lines((f"{self.samples} samples; in brackets: 95 % confidence intervals",))

    def rate_table(self) -> TableBlock:
        """Rates in percent; columns without any are left out."""
        titles = ("top-1 %", "top-5 %", "as float %")
        rates = [(model.top1, model.top5, model.agreement) for model in self.models]
        kept = [k for k in range(len(titles)) if any(row[k] for row in rates)]
        rows = [
            (model.label, *(rate_text(row[k]) for k in kept))
            for model, row in zip(self.models, rates, strict=True)
        ]
        return table(("model", *(titles[k] for k in kept)), rows)

    def error_table(self) -> TableBlock:
        """The errors of all outputs."""
        rows = [
            (model.label, output.name, mean_text(output), significant(output.largest))
            for model in self.models
            for output in model.outputs
        ]
        return table(("model", "output", "mean error", "max error"), rows, left=2)


def rate_text(rate: Rate | None) -> str:
    """A rate in percent, with its interval."""
    if rate is None:
        return "-"
    share, low, high = (number(100 * value, 2) for value in (rate.share, rate.low, rate.high))
    return f"{share} [{low}, {high}]"


def mean_text(output: OutputError) -> str:
    """A mean error, with its interval."""
    if output.low is None or output.high is None:
        return significant(output.mean)
    interval = f"[{significant(output.low)}, {significant(output.high)}]"
    return f"{significant(output.mean)} {interval}"


def significant(value: float | None) -> str:
    """A number with four significant digits, or a dash."""
    return "-" if value is None else f"{value:.4g}"
