"""Figures that any run has: coordinates, convergence of the training, distances over their floors, Lipschitz
constants, timings."""

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

import coordinates

from distance_floor import KIND_NAMES, KINDS
from figure_style import (BLACK, BLUE, GREEN, GREY, ORANGE, PURPLE, SKY, VERMILLION, YELLOW,
                          case_ticks, save)

# Phases of a run in the order they happen; others with the unit "s" follow.
PHASES = ("sampling_s", "training_s", "generation_s", "lipschitz_s", "distances_s")


def convergence(run, labels, folder):
    """Negative log-likelihood of training and validation sets and the norm of the gradient against
    the epoch, one column a case; None where nothing was trained."""
    found = [(case, label, case.history()) for case, label in zip(run.cases, labels)]
    found = [item for item in found if item[2] is not None]
    if not found:
        return None
    figure, panels = plt.subplots(2, len(found), squeeze=False, sharex="col", sharey="row",
                                  figsize=(max(7.0, 4.6 * len(found)), 6.6),
                                  gridspec_kw={"height_ratios": (3, 1.2)})
    for (case, label, history), (axes, below) in zip(found, panels.T):
        for column, colour, name in (("nll_train", BLUE, "training"),
                                     ("nll_validation", VERMILLION, "validation")):
            axes.plot(history["epoch"], history[column], color=colour, label=name,
                      linestyle="-" if column == "nll_train" else (0, (4, 1)))
        mark_best(axes, case, history)
        axes.set_title(label, pad=24)
        below.plot(history["epoch"], history["gradient_norm"], color=GREY, linewidth=1.2)
        limit = case.setting("training.clip_norm")
        if limit:
            below.axhline(limit, color=VERMILLION, linewidth=1.2, linestyle=(0, (4, 2)),
                          label="clipped above")
        below.set_xlabel("epoch")
        below.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    panels[0, 0].set_ylabel("negative log-likelihood\n(nats a sample)")
    panels[1, 0].set_ylabel("gradient norm")
    plain_log_axis(panels[1, 0])
    handles, names = legend_of(panels.flat)
    figure.legend(handles, names, loc="lower center", ncol=4, bbox_to_anchor=(0.5, 1.0))
    limits = settled([history[column] for _, _, history in found
                      for column in ("nll_train", "nll_validation")])
    if limits:
        panels[0, 0].set_ylim(*limits)
    return save(figure, folder, "convergence")


def plain_log_axis(axes):
    """A logarithmic y axis with numbers as people write them; few decades get more ticks."""
    axes.set_yscale("log")
    low, high = axes.get_ylim()
    wide = high > 50.0 * low
    axes.yaxis.set_major_locator(LogLocator(subs=(1.0,) if wide and high > 1e4 * low else
                                            (1.0, 3.0) if wide else (1.0, 2.0, 5.0), numticks=12))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.yaxis.set_minor_formatter(NullFormatter())


def settled(curves):
    """Limits of the view: the first epochs fall from far above, the view is on where they settle."""
    usual = [curve[np.isfinite(curve)] for curve in curves]
    usual = [curve for curve in usual if len(curve)]
    if not usual:
        return None
    low = min(curve.min() for curve in usual)
    high = max(np.quantile(curve[len(curve) // 20:], 0.99) for curve in usual)
    room = 0.06 * max(high - low, 1e-3)
    return low - room, high + 2 * room


def mark_best(axes, case, history):
    """The epoch whose model was kept."""
    best = case.metric("best_epoch")
    if best is None:
        return
    row = int(np.argmin(np.abs(history["epoch"] - best.value)))
    axes.plot(best.value, history["nll_validation"][row], "o", color=BLACK, markersize=9,
              markerfacecolor="none", markeredgewidth=2,
              label="model kept")
    axes.text(0.5, 1.02, f"model of epoch {best.value:.0f}", transform=axes.transAxes, ha="center",
              va="bottom", fontsize=12.5)


def marginals(case, names, truth, folder):
    """Densities of the coordinates in reference and generated samples, the first twelve of them, with
    their truth, [Marginal], where there is one."""
    sets = [("reference", BLACK, coordinates.coordinates(case.frames("reference.h5md"))),
            ("generated", GREEN, coordinates.coordinates(case.frames("generated.h5md")))]
    shown = range(min(12, *(x.shape[1] for _, _, x in sets)))
    columns = max(1, min(len(shown), 4))
    rows = max(1, -(-len(shown) // columns))
    figure, panels = plt.subplots(rows, columns, squeeze=False,
                                  figsize=(max(7.0, 4.0 * columns), 0.8 + 3.2 * rows))
    for axes in panels.flat[len(shown):]:
        axes.set_visible(False)
    for axes, i in zip(panels.flat, shown):
        low, high = np.quantile(np.concatenate([x[:, i] for _, _, x in sets]), (0.0005, 0.9995))
        room = 0.05 * (high - low) + 1e-9
        bins = np.linspace(low - room, high + room, 61)
        for name, colour, x in sets:
            counts, _ = np.histogram(x[:, i], bins)
            axes.stairs(counts / (len(x) * np.diff(bins)), bins, color=colour, linewidth=1.8, label=name)
        if truth:
            axes.plot(truth[i].x, truth[i].density, color=PURPLE, linewidth=1.3, label="truth")
            axes.set_xlim(bins[0], bins[-1])
        axes.set_xlabel(f"{names[i]} (reduced units)")
    for row in panels:
        row[0].set_ylabel("density")
    if shown:
        figure.legend(*panels[0, 0].get_legend_handles_labels(), loc="lower center", ncol=3,
                      bbox_to_anchor=(0.5, 1.0))
    return save(figure, folder, f"coordinates-{case.name}")


def distances(labels, families, marks, folder):
    """Each kind of W2 with its error bar over the band floor ± interval.

    families: [(name, verdicts, colour, marker)], drawn side by side in each case.
    marks: [(name, {label: {kind: value}}, style)], single values beside them."""
    kinds = [kind for kind in KINDS
             if any(verdict.kind == kind for family in families for verdict in family[1])]
    if not kinds:
        return None
    figure, panels = plt.subplots(1, len(kinds), squeeze=False, figsize=(5.6 * len(kinds), 5.6))
    shifts = np.linspace(-0.2, 0.2, len(families)) if len(families) > 1 else [0.0]
    for kind, axes in zip(kinds, panels[0]):
        for (name, verdicts, colour, marker), shift in zip(families, shifts):
            draw_family(axes, [v for v in verdicts if v.kind == kind], labels, shift,
                        (name, colour, marker))
        for name, values, style in marks:
            points = [(labels.index(label) + shifts[-1], row[kind]) for label, row in values.items()
                      if kind in row]
            if points:
                axes.plot(*zip(*points), linestyle="none", label=name, **style)
        case_ticks(axes, labels)
        axes.tick_params(axis="x", rotation=25)
        axes.set_ylim(bottom=0.0)
        axes.set_title(f"$W_2$, {KIND_NAMES[kind]}")
    panels[0][0].set_ylabel("distance (reduced length unit)")
    handles, names = legend_of(panels[0])
    figure.legend(handles, names, loc="lower center", ncol=3, bbox_to_anchor=(0.5, 1.0))
    return save(figure, folder, "distances")


def draw_family(axes, verdicts, labels, shift, look):
    name, colour, marker = look
    for verdict in verdicts:
        x = labels.index(verdict.label) + shift
        low = max(0.0, verdict.floor - verdict.margin)
        axes.bar(x, verdict.floor + verdict.margin - low, bottom=low, width=0.3, color=colour,
                 alpha=0.22, linewidth=0, label=f"floor's interval, {name}")
        axes.plot([x - 0.15, x + 0.15], [verdict.floor] * 2, color=colour, linewidth=1.4,
                  label=f"floor's mean, {name}")
        axes.errorbar(x, verdict.value, yerr=verdict.error or 0.0, fmt=marker, color=colour,
                      markersize=9, capsize=5, label=f"generated, {name}")


def legend_of(panels):
    """Each name once over all panels, family by family."""
    entries = {}
    for axes in panels:
        for handle, name in zip(*axes.get_legend_handles_labels()):
            entries.setdefault(name, handle)
    family = {"own reference": 0, "singular reference": 1}
    names = sorted(entries, key=lambda name: family.get(name.rpartition(", ")[2], 2))
    return [entries[name] for name in names], names


def lipschitz(cases, labels, folder, printed=(), along="case", unit="reduced units"):
    """Largest Jacobian norms of the map and its inverse. printed: [(case number, value)] of the paper."""
    figure, axes = plt.subplots(figsize=(10, 5.8))
    drawn = False
    for name, colour, marker, text in (
            ("lipschitz_max", VERMILLION, "o", "this run: largest, by local ascent"),
            ("lipschitz_max_sampled", ORANGE, "v", "this run: largest of the generated points"),
            ("lipschitz_p99", BLUE, "s", "this run: 99% of points below"),
            ("inverse_lipschitz_max", PURPLE, "^", "this run: inverse map, largest")):
        found = [(i, case.metric(name)) for i, case in enumerate(cases) if case.metric(name)]
        if found:
            axes.plot([i for i, _ in found], [metric.value for _, metric in found], color=colour,
                      marker=marker, markersize=9, label=text)
            drawn = True
    if printed:
        axes.plot(*zip(*printed), color=BLACK, linestyle="--", marker="D", markersize=8,
                  label="paper, as printed")
    if not drawn:
        plt.close(figure)
        return None
    plain_log_axis(axes)
    case_ticks(axes, labels)
    axes.set_xlabel(along)
    axes.set_ylabel(f"Jacobian norm ({unit})")
    axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncol=2)
    return save(figure, folder, "lipschitz")


def timings(run, labels, folder):
    """Seconds of each phase, one bar a case."""
    phases = phases_of(run)
    if not phases:
        return None
    figure, axes = plt.subplots(figsize=(11, 1.6 + 0.8 * len(run.cases)))
    start = np.zeros(len(run.cases))
    colours = (BLUE, ORANGE, GREEN, SKY, VERMILLION, PURPLE, YELLOW, GREY)
    for i, phase in enumerate(phases):
        seconds = np.array([case.timing(phase).value if case.timing(phase) else 0.0
                            for case in run.cases])
        axes.barh(labels, seconds, left=start, color=colours[i % len(colours)], height=0.6,
                  edgecolor="white", label=phase_name(phase))
        start += seconds
    for row, total in enumerate(start):
        axes.text(total, row, f"  {total:.1f} s", va="center", fontsize=12.5)
    axes.set_xlim(0.0, 1.12 * max(start.max(), 1e-9))
    axes.invert_yaxis()
    axes.grid(axis="y", visible=False)
    axes.set_xlabel("wall-clock time (s)")
    axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncol=len(phases))
    return save(figure, folder, "timings")


def phases_of(run):
    found = [name for case in run.cases for name, timing in case.timings.items()
             if timing.unit == "s"]
    extra = sorted(set(found) - set(PHASES) - {"total_s"})
    return [phase for phase in (*PHASES, *extra) if phase in found]


def phase_name(phase):
    return phase.removesuffix("_s").replace("_", " ")
