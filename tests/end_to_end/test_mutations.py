"""Whatever is changed in a bundle, `check` or `verify` finds it."""

from __future__ import annotations

from itertools import product
from pathlib import Path

import numpy as np
import pytest

from epimc.backends.crossbar.check.checker import check
from epimc.backends.crossbar.sim.simulator import ENGINES, Simulator
from epimc.bundle.bundle import read_bundle
from epimc.cli.main import main
from tests.crossbars import program_in
from tests.end_to_end.conftest import Compile
from tests.end_to_end.mutations import kinds, mutated, write_mutated

# Epitomes so small that a layer takes several activation rounds.
ROUNDS = "uniform:72x16"

COPIES = 15
CASES = [("mnist", "epim-256", "none"), ("fashion", "tiny", "none"), ("fashion", "tiny", ROUNDS)]


def refused(folder: Path) -> bool:
    """Whether one of the two commands fails, as a command does."""
    codes = [main([command, str(folder)]) for command in ("check", "verify")]
    assert set(codes) <= {0, 1, 2}
    return any(codes)


@pytest.mark.parametrize("half", [0, 1])
@pytest.mark.parametrize(("data", "target", "epitome"), CASES)
def test_every_change_is_found(
    data: str,
    target: str,
    epitome: str,
    half: int,
    compiled: Compile,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    source = compiled(data, target, 4, 6, epitome).bundle
    program = program_in(read_bundle(source))
    by_kind = kinds(program)
    random = np.random.default_rng(half)
    # Halves of the kinds; each of a half comes at least once if there are enough copies.
    chosen = random.permutation(list(by_kind))
    survivors, done = [], 0
    while done < COPIES:
        kind = str(chosen[(2 * done + half) % len(chosen)])
        place = by_kind[kind][random.integers(len(by_kind[kind]))]
        folder = tmp_path / str(done)
        if not write_mutated(source, folder, mutated(program, place, random)):
            continue
        done += 1
        if not refused(folder):
            survivors.append((kind, place))
    capsys.readouterr()
    assert not survivors


def test_the_unchanged_copy_is_good(
    compiled: Compile, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = compiled("fashion", "tiny", 4, 6).bundle
    assert write_mutated(source, tmp_path / "copy", program_in(read_bundle(source)))
    assert not refused(tmp_path / "copy")
    names = [path.name for path in sorted(source.iterdir()) if path.is_file()]
    assert names
    for name in names:
        assert (tmp_path / "copy" / name).read_bytes() == (source / name).read_bytes()


def test_the_changes_reach_every_kind_of_number(compiled: Compile) -> None:
    changed = set(kinds(program_in(read_bundle(compiled("fashion", "tiny", 4, 6).bundle))))
    assert {
        "inputs scale",
        "maps address",
        "maps zero_point",
        "streams load operands 1",
        "streams send operands 2",
        "streams wait operands 1",
        "streams mvm operands 3",
        "tables Mvm arrays row",
        "tables Mvm bias",
        "tables Mvm corrections",
        "tables Mvm rounds ifat",
        "tables Mvm rounds ifrt",
        "tables Mvm rounds ofat accumulate",
        "tables Mvm rounds ofat multiplier",
        "tables Mvm weights",
        "tables Mvm window pads",
        "tables Pool window strides",
        "tables Requantize multipliers",
        "tables Requantize shifts",
    } <= changed


def test_engines_agree_on_changed_programs_that_the_checker_accepts(compiled: Compile) -> None:
    program = program_in(read_bundle(compiled("mnist", "tiny", 4, 6, ROUNDS).bundle))
    by_kind = kinds(program)
    random = np.random.default_rng(0)
    inputs = {
        port.name: random.standard_normal((2, *port.shape)).astype(np.float32)
        for port in program.chip_inputs
    }
    accepted = set()
    for kind, places in by_kind.items():
        changed = mutated(program, places[random.integers(len(places))], random)
        if check(changed):
            continue
        accepted.add(kind)
        results = [
            Simulator(changed, engine=engine, path=path).run_collect(inputs)
            for engine, path in product(ENGINES, ("fused", "bit-serial"))
        ]
        outputs, maps = results[0]
        for others in results[1:]:
            assert all(np.array_equal(outputs[name], others[0][name]) for name in outputs)
            assert all(np.array_equal(maps[name], others[1][name]) for name in maps)
    assert {"tables Requantize multipliers", "maps scale"} <= accepted
