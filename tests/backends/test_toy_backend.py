"""A backend of another package: found by its entry point, it compiles, runs and verifies."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import epimc
from epimc.backends import registry
from epimc.backends.registry import backend_names, load_backend
from epimc.cli.main import main
from epimc.support.diagnostics import EpimcError
from tests.helpers.onnx_networks import NETWORKS

pytestmark = pytest.mark.smoke

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "tests" / "data" / "toychip"
MODEL = ROOT / "examples" / "mnist-conv.onnx"
SAMPLES, TESTS = (ROOT / "examples" / f"mnist-{name}.npz" for name in ("calibration", "test"))
LINES = 60


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The package, as pip leaves it: on the path, with its metadata beside it."""
    monkeypatch.syspath_prepend(str(PACKAGE))
    load_backend.cache_clear()
    yield
    load_backend.cache_clear()


def test_it_is_as_short_as_promised() -> None:
    text = (PACKAGE / "toychip.py").read_text(encoding="utf-8")
    assert len([line for line in text.splitlines() if line]) <= LINES


def test_it_is_not_there_unless_it_is_installed() -> None:
    assert backend_names() == ["crossbar"]
    with pytest.raises(EpimcError) as caught:
        load_backend("toychip")
    assert str(caught.value) == ("error: There is no backend 'toychip'.\n  hint: Known: crossbar.")


@pytest.mark.usefixtures("installed")
def test_it_compiles_runs_and_verifies(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bundle = tmp_path / "bundle"
    command = ["compile", str(MODEL), "-o", str(bundle), "--calibration", str(SAMPLES)]
    assert main([*command, "--backend", "toychip"]) == 0
    assert capsys.readouterr().out == (
        "11 ops, interpreted\n"
        "equalized: 2 of 2 pairs of layers\n"
        "on the chip: 100.0 % of 786560 MACs, 11 of 11 nodes, 100.0 % of the bytes\n"
    )
    assert json.loads((bundle / "manifest.json").read_text())["backend"] == "toychip"
    assert main(["verify", str(bundle), "--input", str(TESTS), "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert (document["exact"], document["samples"], document["accuracy"]) == (True, 500, 0.992)
    assert main(["check", str(bundle)]) == 0
    assert main(["inspect", str(bundle)]) == 0
    assert main(["inspect", str(bundle), "--stage", "quantized"]) == 0


@pytest.mark.usefixtures("installed")
def test_both_backends_compute_the_same(tmp_path: Path) -> None:
    sessions = [
        epimc.compile(MODEL, tmp_path / name, calibration=SAMPLES, backend=name)
        for name in ("crossbar", "toychip")
    ]
    with np.load(TESTS) as file:
        x = file["Input3"][:20]
    ours, theirs = (session.run(None, {"Input3": x})[0] for session in sessions)
    np.testing.assert_array_equal(ours, theirs)


@pytest.mark.usefixtures("installed")
@pytest.mark.parametrize("name", NETWORKS)
def test_other_networks_are_exact_too(name: str, tmp_path: Path) -> None:
    (tmp_path / "m.onnx").write_bytes(NETWORKS[name]().SerializeToString())
    arguments = [str(tmp_path / "m.onnx"), "-o", str(tmp_path / "out"), "--backend", "toychip"]
    assert main(["compile", *arguments]) == 0
    assert main(["verify", str(tmp_path / "out")]) == 0


@pytest.mark.usefixtures("installed")
def test_a_changed_weight_is_refused(tmp_path: Path) -> None:
    """Its proof is that of any backend: what the program claims is compared with the reference."""
    from epimc.bundle.bundle import read_bundle
    from epimc.verification.verify import verify
    from tests.helpers.bundles import rechecksum

    epimc.compile(MODEL, tmp_path / "out", calibration=SAMPLES, backend="toychip")
    path = tmp_path / "out" / "module.epi"
    text = path.read_text(encoding="utf-8")
    changed = text.replace("high = 255", "high = 254", 1)
    assert changed != text
    path.write_text(changed, encoding="utf-8")
    rechecksum(tmp_path / "out")
    assert not verify(read_bundle(tmp_path / "out")).exact


@pytest.mark.usefixtures("installed")
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["plan", str(MODEL)], "Backend 'toychip' does not count what layers take."),
        (["asm", str(MODEL), "-o", "x"], "is not UTF-8 text"),
    ],
)
def test_what_it_lacks_is_told(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*arguments, "--backend", "toychip"]) == 2
    assert message in capsys.readouterr().err


def offer(folder: Path, monkeypatch: pytest.MonkeyPatch, entries: str, module: str = "") -> None:
    """Put a package on the path that offers backends."""
    metadata = folder / "other-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: other\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text(f"[epimc.backends]\n{entries}\n")
    (folder / "otherchip.py").write_text(module)
    monkeypatch.syspath_prepend(str(folder))
    registry.load_backend.cache_clear()


@pytest.mark.parametrize(
    ("entries", "module", "message"),
    [
        ("crossbar = otherchip:X", "", "two backends 'crossbar': of epimc and of package 'other'"),
        ("other = otherchip:X", "", "Backend 'other' of package 'other' cannot be loaded."),
        ("other = otherchip:X", "1 / 0", "note: ZeroDivisionError: division by zero"),
        ("other = otherchip:X", "X = 3", "'otherchip:X' of package 'other' is not a backend named"),
    ],
)
def test_a_bad_package_is_named(
    entries: str, module: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    offer(tmp_path, monkeypatch, entries, module)
    import sys

    monkeypatch.delitem(sys.modules, "otherchip", raising=False)
    with pytest.raises(EpimcError) as caught:
        load_backend("other")
    assert message in str(caught.value)
