"""Two pictures per setting: accuracy against what it costs, and how learning went."""

from __future__ import annotations

from pathlib import Path

from benchmarks.accuracy.table import Row

COSTS = (
    (("size_kb",), "model size, kB"),
    (("latency_ms", "p50"), "one series on one core, ms"),
    (("sweep", "seconds"), "sweep, s"),
)


def scatter(found: dict[str, Row], path: Path) -> None:
    """WAPE against size, latency and sweep, all on logarithmic scales of cost."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import LogFormatter, NullFormatter

    figure = Figure(figsize=(13, 4), layout="constrained")
    for axes, (where, label) in zip(figure.subplots(1, len(COSTS)), COSTS, strict=True):
        for row in found.values():
            if cost := row.cost(*where):
                axes.plot(cost, row.wape, "o", color="tab:red" if row.method == "ours" else "tab:blue")
                axes.annotate(row.title, (cost, row.wape), xytext=(4, 4), textcoords="offset points", fontsize=8)
        axes.set(xscale="log", xlabel=label, ylabel="WAPE on the test weeks")
        axes.xaxis.set_major_formatter(LogFormatter())
        axes.xaxis.set_minor_formatter(NullFormatter())
        axes.margins(x=0.3, y=0.1)  # for the names
        axes.grid(alpha=0.3)
    figure.savefig(path, dpi=110, metadata={"Software": None})


def curves(found: dict[str, Row], path: Path) -> bool:
    """Validation WAPE by training step, of the methods that tell it; False where none does."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.subplots()
    told = False
    for row in found.values():
        for result in row.results:
            if curve := result["curve"]:
                told = True
                steps, wapes = zip(*curve, strict=True)
                axes.plot(steps, wapes, label=f"{row.title}, seed {result['seed']}")
    rival = found.get("gbm")
    if rival is not None and rival.results[0]["validation"]:
        level = rival.results[0]["validation"]["overall"]["wape"]
        axes.axhline(level, color="grey", linestyle="--", label=f"{rival.title}, tuned")
    if told:
        axes.set(xscale="log", xlabel="training steps", ylabel="validation WAPE")
        axes.legend(fontsize=8)
        axes.grid(alpha=0.3)
        figure.savefig(path, dpi=110, metadata={"Software": None})
    return told
