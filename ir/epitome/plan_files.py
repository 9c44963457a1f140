"""`--epitome`: a policy for all layers, or a file with plans layer by layer."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path

from epimc.ir.epitome.layer_plans import Plans, load, wrong_policy
from epimc.ir.epitome.policies import Layer
from epimc.support.diagnostics import error, mistaken
from epimc.support.files import read_text
from epimc.support.toml_files import parse_toml

MAXIMUM_FILE_BYTES = 2**22


def is_plan_file(epitome: str) -> bool:
    """Whether `--epitome` names a file; any other text is a policy."""
    return epitome.endswith(".toml")


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
