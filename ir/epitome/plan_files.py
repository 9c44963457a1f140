"""`--epitome`: a policy for all layers, or a file with plans layer by layer."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path

from epimc.ir.epitome.layer_plans import Plans, load, wrong_policy
from epimc.ir.epitome.policies import Layer
from epimc.support.diagnostics import error, mistaken
from epimc.support.files import read_text
from epimc.support.toml_files import parse_toml, toml

MAXIMUM_FILE_BYTES = 2**22


def is_plan_file(epitome: str) -> bool:
    """Whether `--epitome` names a file; any other text is a policy."""
    return epitome.endswith(".toml")


def plan_text(plans: Plans) -> str:
    """The file that says the same, as `load` reads it; ends in a newline."""
    said = plans.dump()
    layers = said.pop("layer")
    assert isinstance(layers, tuple)
    lines = list(settings(said))
    for layer in layers:
        assert isinstance(layer, dict)
        lines += ["", "[[layer]]", *settings(layer)]
    return "".join(f"{line}\n" for line in lines)


def settings(said: Mapping[str, object]) -> Iterator[str]:
    """A line for each key: strings, integers and lists are in TOML what they are in JSON."""
    for key, value in said.items():
        yield f"{key} = {toml(value)}"


def requested_plans(
    epitome: str, layers: Sequence[Layer], others: Collection[str] = frozenset()
) -> Plans:
    """What `--epitome` asks for, checked against the layers of the model.

    Args:
        epitome: A policy, or a file with plans.
        layers: Those of the model.
        others: Names that may yet turn out to be those of layers.

    Raises:
        EpimcError: There is no such policy, or the file is wrong: one error names every mistake.
    """
    if not is_plan_file(epitome):
        if problem := wrong_policy(epitome):
            raise error(f"Wrong policy: {problem}.")
        return Plans(epitome)
    text = read_text(Path(epitome), "Plan", MAXIMUM_FILE_BYTES)
    plans, mistakes = load(parse_toml(text, epitome, "Plan"))
    mistakes += plans.mistakes(layers, others)
    if mistakes:
        raise mistaken(f"Plan file '{epitome}' has", mistakes)
    return plans
