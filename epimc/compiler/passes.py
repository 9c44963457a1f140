"""One table names every pass; a pass's module is imported when the pass is used."""

from __future__ import annotations

PASSES: dict[str, str] = {
    "layout": "epimc.ir.passes.layout:Layout",
    "fold": "epimc.ir.passes.fold:Fold",
    "equalize": "epimc.ir.passes.equalize:Equalize",
    "epitomize": "epimc.ir.passes.epitomize:Epitomize",
    "calibrate": "epimc.quantization.calibrate:Calibrate",
    "quantize": "epimc.quantization.quantize:Quantize",
    "map": "epimc.backends.crossbar.lower.map:Map",
    "place": "epimc.backends.crossbar.lower.place:Place",
    "schedule": "epimc.backends.crossbar.lower.schedule:Schedule",
    "allocate": "epimc.backends.crossbar.lower.allocate:Allocate",
}
