"""The report as a picture, by matplotlib (extra `pictures`), which is imported when one is made."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from epimc.report.results import LayerQuantization, QuantizationReport, named
from epimc.support.diagnostics import error

if TYPE_CHECKING:
    from matplotlib.axes import Axes

FORMATS = ("svg", "png")

# Inches of a row, and of all else; more layers than these have no room, and are left out.
ROW, MARGIN, MOST_ROWS = 0.22, 1.6, 200

LONGEST_LABEL = 40


def format_of(path: Path) -> str:
    """The format that the name of a picture says.

    Raises:
        EpimcError: It says none that there is.
    """
    suffix = path.suffix.removeprefix(".").lower()
    if suffix not in FORMATS:
        raise error(
            f"The picture '{path}' would be of no known format.",
            hint="Name a file that ends in .svg or .png.",
        )
    return suffix


def require_matplotlib() -> None:
    """Raise EpimcError where matplotlib is missing."""
    try:
        import matplotlib  # noqa: F401
    except ImportError:
        raise error(
            "A picture is made by matplotlib, which is not installed.",
            hint="Install the extra 'pictures': pip install 'epimc[pictures]'.",
        ) from None


def picture_of(report: QuantizationReport, kind: str) -> bytes:
    """A picture of all layers: ratios, clipped shares, scales, and where values lie.

    Args:
        report: The worst layer first, which is at the top.
        kind: One of FORMATS.

    Raises:
        EpimcError: matplotlib is missing.
    """
    require_matplotlib()
    import matplotlib as mpl
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    layers = report.layers[:MOST_ROWS]
    # Ids in an SVG are drawn at random otherwise: same report, same bytes.
    with mpl.rc_context({"svg.hashsalt": "epimc", "font.size": 7}):
        figure = Figure((12, MARGIN + ROW * len(layers)), layout="constrained")
        FigureCanvasAgg(figure)
        decibels, clipped, spreads, values = figure.subplots(1, 4, sharey=True)
        draw_decibels(decibels, layers)
        draw_clipped(clipped, layers)
        draw_spreads(spreads, layers)
        draw_values(values, layers)
        decibels.set_yticks(range(len(layers)), [label(layer) for layer in layers])
        decibels.invert_yaxis()
        figure.suptitle(report.heading)
        data = io.BytesIO()
        plain: dict[str, Any] = {"Date": None} if kind == "svg" else {}
        figure.savefig(data, format=kind, metadata=plain, dpi=120)
    return data.getvalue()


def label(layer: LayerQuantization) -> str:
    """What a layer is called, its end where that is long."""
    name = ", ".join(named(layer.nodes)) or layer.name
    return name if len(name) <= LONGEST_LABEL else f"…{name[1 - LONGEST_LABEL :]}"


def draw_decibels(axes: Axes, layers: Sequence[LayerQuantization]) -> None:
    """The ratios alone and accumulated, and of the weights."""
    axes.set_title("SQNR, dB")
    columns = (
        ("alone", "o", [layer.sqnr_alone_db for layer in layers]),
        ("accumulated", "x", [layer.sqnr_accumulated_db for layer in layers]),
        ("weights", "|", [worst_weights(layer) for layer in layers]),
    )
    for name, marker, numbers in columns:
        points = [(db, row) for row, db in enumerate(numbers) if db is not None]
        if points:
            axes.plot(*zip(*points, strict=True), marker, markersize=4, label=name)
    legend(axes)
    axes.grid(alpha=0.3)


def legend(axes: Axes) -> None:
    """What the marks mean, below, where it hides nothing."""
    if axes.get_legend_handles_labels()[0]:
        axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.08), ncols=3)


def worst_weights(layer: LayerQuantization) -> float | None:
    """The least ratio of a layer's weights."""
    return min((w.sqnr_db for w in layer.weights if w.sqnr_db is not None), default=None)


def draw_clipped(axes: Axes, layers: Sequence[LayerQuantization]) -> None:
    """The parts of activations and of weights that are clipped."""
    axes.set_title("clipped, %")
    rows = range(len(layers))
    activations = [100 * layer.clipped_share for layer in layers]
    weights = [
        100 * max((each.clipped_share for each in layer.weights), default=0.0) for layer in layers
    ]
    axes.barh([row - 0.2 for row in rows], activations, 0.4, label="activations")
    axes.barh([row + 0.2 for row in rows], weights, 0.4, label="weights")
    axes.set_xlim(0.0, 1.05 * max([*activations, *weights, 1e-2]))
    legend(axes)


def draw_spreads(axes: Axes, layers: Sequence[LayerQuantization]) -> None:
    """How far the scales of weights lie apart."""
    axes.set_title("largest / smallest scale of weights")
    points = [
        (each.scale_spread, row) for row, layer in enumerate(layers) for each in layer.weights
    ]
    axes.set_xscale("log")
    if points:
        axes.plot(*zip(*points, strict=True), "o", markersize=4)
    axes.grid(alpha=0.3)


def draw_values(axes: Axes, layers: Sequence[LayerQuantization]) -> None:
    """Where values lie, each layer in parts of its own range, which ends at the lines."""
    axes.set_title("values / length of the range")
    for row, layer in enumerate(layers):
        length = layer.high - layer.low or 1.0
        edges = [edge / length for edge in layer.histogram.edges]
        most = max(*layer.histogram.counts, 1)
        heights = [0.9 * (count / most) ** 0.25 for count in layer.histogram.counts]
        # Of the fourth root: a bin with a thousandth of the most is still seen.
        axes.bar(
            edges[:-1],
            [-height for height in heights],
            edges[1] - edges[0],
            [row + 0.45] * len(heights),
            align="edge",
            color="tab:gray",
        )
        ends = layer.low / length, layer.high / length
        axes.vlines(ends, row - 0.45, row + 0.45, colors="tab:red", linewidth=1)
