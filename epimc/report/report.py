"""What the command line prints: summaries as plain data, and their tables."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from epimc.support.diagnostics import counted
from epimc.support.origins import as_json, call_of, names_of, printable

if TYPE_CHECKING:
    from epimc.ir.core.module import Module
    from epimc.verification.verify import Report

WIDTH = 100

# The columns of the table of what a sample costs: which counts each adds up.
STATS: Mapping[str, tuple[str, ...]] = {
    "instr": ("instructions",),
    "rounds": ("rounds",),
    "reads": ("array_reads",),
    "no reuse": ("array_reads_without_reuse",),
    "ADC": ("adc_conversions",),
    "DAC": ("dac_drives",),
    "joint": ("multiply_adds",),
    "buffer": ("buffer_read_bytes", "buffer_written_bytes"),
    "off chip": ("off_chip_read_bytes", "off_chip_written_bytes"),
    "sent": ("sent_bytes",),
}


def program_table(summary: dict[str, Any]) -> str:
    """The table of a program's layers, with totals."""
    rows = [
        (
            first_name(layer),
            "x".join(map(str, layer["epitome"])),
            str(layer["weight_bits"]),
            str(layer["rounds"]),
            str(layer["crossbars"]),
            spans(layer["tiles"]),
        )
        for layer in summary["layers"]
    ]
    titles = ("layer", "epitome", "bits", "rounds", "crossbars", "tiles")
    total = sum(summary["instructions"].values())
    lines = [
        text_table(titles, rows, left=1),
        f"{counted(summary['crossbars'], 'crossbar')} on {counted(summary['tiles'], 'tile')}, "
        f"{counted(summary['stored_instructions'], 'instruction')} ({total} executed), "
        f"{counted(len(summary['spilled']), 'map')} spilled, "
        f"{summary['off_chip_bytes']} bytes off chip",
    ]
    if calls := summary["host_calls"]:
        named = ", ".join(map(call_words, calls))
        lines.append(f"{counted(len(calls), 'host call')}: {named}")
    if not summary["lossless_adc"]:
        lines.append("The ADC is not lossless: results differ from the integer reference.")
    return "\n".join(lines)


def plan_table(summary: dict[str, Any]) -> str:
    """The table of a plan, with totals by both counting rules."""
    titles = ("layer", "weights", "epitome", "rounds", "FP32", "crossbars", "arrays", "reads")
    rows = [
        (
            first_name(layer),
            "x".join(map(str, layer["weights_shape"])),
            "x".join(map(str, layer["epitome_shape"])),
            str(layer["rounds"]),
            str(layer["baseline_crossbars"]),
            str(layer["crossbars"]),
            str(layer["mapped_crossbars"]),
            str(layer["reads_per_position"]),
        )
        for layer in summary["layers"]
    ]
    bits = f"W{summary['weight_bits']}A{summary['activation_bits']}"
    lines = [
        text_table(titles, rows, left=1),
        "FP32, crossbars: rule packed; arrays: those that the mapping takes; "
        "reads: arrays read a position",
        f"{summary['model']} on {summary['target']}, epitome {summary['epitome']}, {bits}:",
    ]
    for rule, prefix in (("packed", ""), ("mnsim", "mnsim_")):
        before, after = summary[f"{prefix}baseline_crossbars"], summary[f"{prefix}crossbars"]
        times = number(summary[f"{prefix}compression"], 2)
        lines.append(f"  rule {rule}: {before} crossbars in FP32, {after} now: {times}x fewer")
    return "\n".join(lines)


def stats_table(summary: dict[str, Any]) -> str:
    """The table of what one sample cost."""
    titles = ("value", *STATS)
    entries = [*summary["layers"], {"name": "total", **summary["total"]}]
    rows = [
        (entry["name"], *(short(sum(entry[key] for key in keys)) for keys in STATS.values()))
        for entry in entries
    ]
    return "\n".join(
        [
            text_table(titles, rows, left=1),
            "for one sample; joint: multiply-adds of the joint module; no reuse: reads without "
            "output wrapping;",
            "buffer, off chip, sent: bytes; total: with signal, wait and halt",
        ]
    )


def short(count: int) -> str:
    """A count below 10000 exactly, a larger one with three digits in thousands, millions, ..."""
    if count < 10000:
        return str(count)
    power, digits = divmod(len(str(count)) - 1, 3)
    return f"{count / 1000**power:.{2 - digits}f}{' kMGTPE'[power]}"


def verify_table(report: Report) -> str:
    """The table of a verification."""
    # Epitomes that are the weights themselves lose nothing: all loss is that of quantization.
    parts = () if report.identity_plans else ("epitomes dB", "integers dB")
    titles = ("output", "mismatches", "SQNR dB", *parts, "cosine", "max error")
    rows = [
        (
            o.name,
            str(o.mismatches),
            number(o.sqnr_db, 2),
            *(number(loss.sqnr_db, 2) for loss in (o.epitome, o.quantization)[: len(parts)]),
            number(o.cosine, 6),
            f"{o.max_abs_error:.4g}",
        )
        for o in report.outputs
    ]
    elements = sum(layer.elements for layer in report.layers)
    wrong = [layer for layer in report.layers if layer.mismatches]
    lines = [text_table(titles, rows, left=1)]
    verdict = "exact" if report.exact else f"NOT exact: {report.mismatches} mismatches"
    lines.append(
        f"{verdict}: {len(report.layers)} layers, {elements} integers "
        f"on {report.samples} samples against onnxruntime"
    )
    lines += [f"  {layer.name}: {layer.mismatches} of {layer.elements} differ" for layer in wrong]
    lines += [f"  parameter {name}: {count} differ" for name, count in report.parameters.items()]
    epitomized = None if report.identity_plans else report.epitomized_accuracy
    rates = (
        ("top-1 agreement with the float model", report.top1_agreement),
        ("accuracy", report.accuracy),
        ("accuracy of the epitomized float model", epitomized),
        ("accuracy of the float model", report.float_accuracy),
    )
    lines += [f"{what}: {100 * rate:.2f} %" for what, rate in rates if rate is not None]
    if report.layer_errors is not None:
        lines += ["", layers_table(report)]
    return "\n".join(lines)


def layers_table(report: Report) -> str:
    """The table of what each layer loses."""
    from epimc.verification.layer_errors import worst_first

    rows = [
        (
            ", ".join(names_of(found.nodes)) or found.name,
            str(found.bits),
            number(found.alone.sqnr_db, 2),
            number(found.accumulated.sqnr_db, 2),
            f"{found.outside_share:.2%}",
        )
        for found in worst_first(report.layer_errors or [])
    ]
    titles = ("layer", "bits", "alone dB", "accumulated dB", "outside")
    model = "float model" if report.identity_plans else "epitomized float model"
    notes = (
        f"dB: SQNR against the {model}; alone: the layer is given the values of that model\n"
        "outside: the part of these values that lies outside the calibrated range, and is clipped"
    )
    return "\n".join([text_table(titles, rows, left=1), notes])


def module_summary(module: Module) -> dict[str, Any]:
    """Inputs, outputs and ops of a module, as JSON-ready data."""
    counts = Counter(op.name for op in module.ops)
    return {
        "name": module.name,
        "level": module.level,
        "inputs": [{"name": n, "shape": list(v.type.shape)} for n, v in module.inputs],
        "outputs": [{"name": n, "shape": list(v.type.shape)} for n, v in module.outputs],
        "ops": dict(sorted(counts.items())),
        "weights": sum(
            module.tensors[ref.name].type.size for op in module.ops for _, ref in op.tensor_refs()
        ),
        "layers": [
            {
                "name": op.output.name,
                "op": op.name,
                "nodes": as_json(op.location.nodes),
                "shape": list(op.output.type.shape),
            }
            for op in module.ops
        ],
    }


def module_table(summary: dict[str, Any]) -> str:
    """The table of a model's ops."""
    rows = [(first_name(op), op["op"], "x".join(map(str, op["shape"]))) for op in summary["layers"]]
    ends = [
        f"{side[:-1]} '{printable(port['name'])}': {'x'.join(map(str, port['shape']))}"
        for side in ("inputs", "outputs")
        for port in summary[side]
    ]
    total = f"{len(rows)} ops, {summary['weights']} weights"
    return "\n".join([text_table(("node", "op", "shape"), rows, left=2), *ends, total])


def number(value: float | None, digits: int) -> str:
    """A number with so many digits, or a dash."""
    return "-" if value is None else f"{value:.{digits}f}"


def first_name(layer: Mapping[str, Any]) -> str:
    """The first node that a layer stands for; the layer's own name where there is none."""
    names = [node["name"] for node in layer["nodes"]]
    return str(names[0] if names and names[0] else layer["name"])


def call_words(call: Mapping[str, Any]) -> str:
    """`Softmax 'probabilities'` for the first node of a host call."""
    nodes = call["nodes"]
    return call_of(nodes[0]["op"], nodes[0]["name"]) if nodes else str(call["name"])


def spans(numbers: Sequence[int]) -> str:
    """First and last of consecutive numbers."""
    return str(numbers[0]) if len(numbers) == 1 else f"{numbers[0]}-{numbers[-1]}"


def text_table(titles: Sequence[str], rows: Iterable[Sequence[str]], *, left: int) -> str:
    """Aligned columns, the first `left` to the left, within WIDTH: the first column is cut."""
    lines = [list(titles), *([printable(cell) for cell in row] for row in rows)]
    widths = [max(len(line[k]) for line in lines) for k in range(len(titles))]
    widths[0] = min(widths[0], WIDTH - sum(widths[1:]) - 2 * (len(widths) - 1))
    printed = []
    for line in lines:
        line[0] = line[0] if len(line[0]) <= widths[0] else line[0][: widths[0] - 1] + "…"
        cells = [
            cell.ljust(width) if k < left else cell.rjust(width)
            for k, (cell, width) in enumerate(zip(line, widths, strict=True))
        ]
        printed.append("  ".join(cells).rstrip())
    printed.insert(1, "  ".join("-" * width for width in widths))
    return "\n".join(printed)
