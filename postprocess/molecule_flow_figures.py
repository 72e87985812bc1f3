"""Figures of generated conformations: the paper's Figure 4, Lennard-Jones and other energies, bonds and
angles, distances over their floors, the losses' own terms."""

from itertools import cycle

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.ticker import MaxNLocator

import molecule_distances
from figure_style import (BLACK, BLUE, GREEN, GREY, ORANGE, PURPLE, SKY, VERMILLION, case_ticks, save)
from quantity import superscript
from run_figures import plain_log_axis

LOOKS = ((VERMILLION, "-"), (GREEN, (0, (5, 1.5))), (BLUE, (0, (1, 1))), (ORANGE, (0, (6, 1.5, 1, 1.5))),
         (PURPLE, (0, (3, 1))), (SKY, "-"))
MARKERS = "osD^vP"
SHOWN = 4000  # points of a scatter plot
KEPT = 700  # points of a curve
WORST = 3  # bonds and angles that are drawn
LINEAR = 10.0  # kJ/mol, of the axis of mean energies
DEEP = 1e-3  # of the reference's highest density, the lowest that is drawn
TERMS = ("bond", "angle", "torsion", "nonbonded", "solvation")


def looks(subjects):
    return zip(subjects, cycle(LOOKS))


def legend_above(figure, axes, columns=5):
    handles, names = axes.get_legend_handles_labels()
    figure.legend(handles, names, loc="lower center", ncol=min(columns, len(names)),
                  bbox_to_anchor=(0.5, 1.0))


def tail(axes, values, colour, style, name, above):
    """Share of the samples above or below each value, in steps of 1/n."""
    values = np.sort(values[~np.isnan(values)])
    shares = np.arange(1, len(values) + 1) / len(values)
    if above:
        values = values[::-1]
    kept = np.unique(np.geomspace(1, len(values), KEPT).astype(int)) - 1
    axes.plot(values[kept], shares[kept], color=colour, linestyle=style, label=name)
    axes.plot(values[0], shares[0], "o", color=colour, markersize=6)


def symlog(axes, which, threshold, values):
    """An axis, "x" or "y", that holds these values: linear up to the threshold, and with few ticks beyond."""
    low, high = float(np.min(values)), float(np.max(values))
    low, high = (end * (3.0 if abs(end) > threshold else 1.0) for end in (low, high))
    room = 0.25 * threshold
    limits = (min(low, 0.0) - room, max(high, 0.0) + room)
    decades = np.log10(max(1.0, *map(abs, limits)) / threshold)
    step = 10.0 ** max(1, int(np.ceil(decades / 5.0)))
    beyond = threshold * step ** np.arange(0.0, 1.0 + max(0.0, decades) / np.log10(step))
    ticks = [value for value in (*-beyond[::-1], 0.0, *beyond) if limits[0] <= value <= limits[1]]
    getattr(axes, f"set_{which}scale")("symlog", linthresh=threshold, linscale=1.5)
    getattr(axes, f"set_{which}lim")(*limits)
    getattr(axes, f"set_{which}ticks")(ticks)
    getattr(axes, f"set_{which}ticklabels")([power(value) for value in ticks])
    axes.minorticks_off()


def power(value):
    if abs(value) < 1e5:
        return f"{value:g}".replace("-", "−")
    sign = "−" if value < 0.0 else ""
    return f"{sign}10{superscript(int(round(np.log10(abs(value)))))}"


def shortest(subjects, folder):
    """Figure 4a: distribution of the shortest non-bonded distance."""
    shown = [s for s in subjects if {"reference", "generated"} <= s.sets.keys()]
    figure, (density, share) = plt.subplots(1, 2, figsize=(14.0, 5.4))
    reference = shown[0].sets["reference"].shortest
    top = max(reference.max(), *(np.quantile(s.sets["generated"].shortest, 0.999) for s in shown))
    edges = np.linspace(0.0, 1.03 * top, 91)
    curves = [("reference", reference, BLACK, "-")]
    curves += [(s.label, s.sets["generated"].shortest, *look) for s, look in looks(shown)]
    for name, values, colour, style in curves:
        counts, _ = np.histogram(values, edges)
        density.stairs(np.where(counts > 0, counts / (len(values) * np.diff(edges)), np.nan), edges,
                       color=colour, linestyle=style, linewidth=1.9, label=name)
        tail(share, values, colour, style, name, above=False)
    density.set(yscale="log", xlabel="min r (nm)", ylabel="density (1/nm)", xlim=(0.0, edges[-1]))
    share.set(yscale="log", xlabel="min r (nm)", ylabel="share of samples below", xlim=(0.0, edges[-1]))
    legend_above(figure, density)
    return save(figure, folder, "figure4a")


def projections(subjects, folder):
    """Figure 4b: two principal components, the reference and each case; the reference behind in grey."""
    shown = [s for s in subjects if s.points]
    cells = [("reference", shown[0], None, BLUE)]
    cells += [(s.label, s, s.points["generated"], look[0]) for s, look in looks(shown)]
    columns = 3 if len(cells) in (3, 5, 6) else min(4, len(cells))
    rows = -(-len(cells) // columns)
    figure, panels = plt.subplots(rows, columns, squeeze=False, sharex=True, sharey=True,
                                  figsize=(4.4 * columns, 4.3 * rows))
    low, high = np.quantile(shown[0].points["reference"], (0.0005, 0.9995), axis=0)
    room = 0.25 * (high - low)
    for axes in panels.flat[len(cells):]:
        axes.set_visible(False)
    for axes, (name, subject, points, colour) in zip(panels.flat, cells):
        dots(axes, subject.points["reference"], BLUE if points is None else "#bdbdbd")
        title = name
        if points is not None:
            dots(axes, points, colour)
            away = np.mean(np.any((points < low - room) | (points > high + room), axis=1))
            title += f" ({100.0 * away:.2g}% outside)" if away > 0.0 else ""
        axes.set_title(title)
        axes.set(xlim=(low[0] - room[0], high[0] + room[0]), ylim=(low[1] - room[1], high[1] + room[1]))
    for row in panels:
        row[0].set_ylabel("component 2")
    for column in panels.T:
        lowest = [axes for axes in column if axes.get_visible()][-1]
        lowest.set_xlabel("component 1")
        lowest.tick_params(labelbottom=True)
    return save(figure, folder, "figure4b")


def dots(axes, points, colour):
    axes.plot(*points[::max(1, len(points) // SHOWN)].T, ".", markersize=2.6, markeredgewidth=0, alpha=0.5,
              color=colour, rasterized=True)


def lennard_jones(subjects, folder):
    shown = [s for s in subjects if {"reference", "generated"} <= s.sets.keys()]
    curves = [("reference", shown[0].sets["reference"].lennard_jones, BLACK, "-")]
    curves += [(s.label, s.sets["generated"].lennard_jones, *look) for s, look in looks(shown)]
    return energies(curves, "LJ energy (kJ/mol)", folder, "lennard-jones")


def potential(subjects, folder):
    """The force field's energy."""
    shown = [s for s in subjects if {"reference", "generated"} <= s.energy.keys()]
    curves = [("reference", shown[0].energy["reference"], BLACK, "-")]
    curves += [(s.label, s.energy["generated"], *look) for s, look in looks(shown)]
    return energies(curves, "potential energy U (kJ/mol)", folder, "potential-energy")


def energies(curves, name, folder, stem):
    """Densities where the reference is, and the tail above on an axis that holds any energy."""
    figure, (density, share) = plt.subplots(1, 2, figsize=(14.0, 5.2))
    low, high = np.quantile(curves[0][1], (0.0005, 0.9995))
    room = 0.25 * (high - low)
    edges = np.linspace(low - room, high + room, 81)
    for label, values, colour, style in curves:
        counts, _ = np.histogram(values, edges)
        inside = counts.sum() / len(values)
        text = label if inside > 0.98 else f"{label} ({100.0 * inside:.2g}% in the left view)"
        density.stairs(counts / (len(values) * np.diff(edges)), edges, color=colour, linestyle=style,
                       linewidth=1.9, label=text)
        tail(share, np.where(np.isfinite(values), values, np.finfo(float).max), colour, style, label,
             above=True)
    density.set(xlabel=name, ylabel="density (mol/kJ)", xlim=(edges[0], edges[-1]))
    share.set(yscale="log", xlabel=name, ylabel="share of samples above")
    ends = [end for _, values, *_ in curves for end in (values.min(), values[np.isfinite(values)].max())]
    symlog(share, "x", 10.0 ** np.ceil(np.log10(np.abs(curves[0][1]).max() + 1.0)), ends)
    legend_above(figure, density, 3)
    return save(figure, folder, stem)


def terms(subjects, folder):
    """Mean energies by term: generated less reference, on an axis that holds any."""
    shown = [s for s in subjects if difference(s.case, TERMS[0]) is not None]
    if not shown:
        return None
    figure, axes = plt.subplots(figsize=(11.0, 5.6))
    shifts = np.linspace(-0.3, 0.3, len(shown)) if len(shown) > 1 else [0.0]
    ends = [0.0]
    for (subject, (colour, _)), shift, marker in zip(looks(shown), shifts, cycle(MARKERS)):
        found = [(i + shift, *difference(subject.case, term)) for i, term in enumerate((*TERMS, ""))
                 if difference(subject.case, term) is not None]
        x, y, error = zip(*found)
        ends += [value + sign * off for value, off in zip(y, error) for sign in (-1.0, 1.0)]
        axes.errorbar(x, y, yerr=error, fmt=marker, color=colour, markersize=8, capsize=4,
                      label=subject.label)
    axes.axhline(0.0, color=BLACK, linewidth=1.0)
    symlog(axes, "y", LINEAR, ends)
    case_ticks(axes, ("bonds", "angles", "torsions", "non-bonded", "solvation", "all"))
    axes.set_ylabel(f"mean energy, generated − reference\n(kJ/mol; linear up to {LINEAR:g})")
    legend_above(figure, axes)
    return save(figure, folder, "energy-terms")


def difference(case, term):
    """(difference of means, its standard error), or None; the empty term is the sum of all."""
    name = f"energy_{term}_mean" if term else "energy_mean"
    one, other = (case.metric(f"{name}_{of}") for of in ("generated", "reference"))
    if one is None or other is None:
        return None
    return one.value - other.value, np.hypot(one.error or 0.0, other.error or 0.0)


def internal(subjects, deviations, folder):
    """deviations: {label: {"bonds": [b], "angles": [a]}}, 1-D W2 over the reference's standard deviation. Above
    all of them, below the densities of those that are worst in most cases."""
    shown = [s for s in subjects if s.label in deviations]
    topology = shown[0].topology
    figure = plt.figure(figsize=(15.0, 9.4))
    rows = figure.subfigures(2, 1, height_ratios=(1.15, 1.0))
    tops = rows[0].subplots(1, 2, width_ratios=(1.0, 1.4))
    below = rows[1].subplots(1, 2 * WORST)
    for axes, kind, indices, unit in ((tops[0], "bonds", topology.bonds, "nm"),
                                      (tops[1], "angles", topology.angles, "degrees")):
        shifts = np.linspace(-0.25, 0.25, len(shown)) if len(shown) > 1 else [0.0]
        for (s, (colour, _)), shift, marker in zip(looks(shown), shifts, cycle(MARKERS)):
            axes.plot(np.arange(len(indices)) + shift, deviations[s.label][kind], marker, color=colour,
                      markersize=5, label=s.label)
        plain_log_axis(axes)
        axes.set_title(f"{kind}: W2 over the reference's s.d.")
        name_ticks(axes, [topology.name(each) for each in indices])
        typical = np.median([deviations[s.label][kind] for s in shown], axis=0)
        spot = below[:WORST] if kind == "bonds" else below[WORST:]
        for panel, k in zip(spot, np.argsort(-typical)):
            draw_internal(panel, shown, kind, k, f"{topology.name(indices[k])} ({unit})")
        for panel in spot[len(typical):]:
            panel.set_visible(False)
    below[0].set_ylabel("density (1/unit)")
    legend_above(figure, tops[0])
    return save(figure, folder, "bonds-and-angles")


def name_ticks(axes, names):
    """Names of atoms where there is room for them."""
    if len(names) > 40:
        axes.set_xlabel("number, in the order of the topology")
        return
    axes.set_xticks(range(len(names)))
    axes.set_xticklabels(names, rotation=90, fontsize=8.5)
    axes.grid(axis="x", visible=False)


def draw_internal(axes, shown, kind, k, name):
    sets = [("reference", getattr(shown[0].sets["reference"], kind)[:, k], BLACK, "-")]
    sets += [(s.label, getattr(s.sets["generated"], kind)[:, k], *look) for s, look in looks(shown)]
    middle, spread = np.median(sets[0][1]), max(np.std(sets[0][1]), 1e-6)
    top, deepest = 0.0, None
    edges = np.linspace(middle - 6.0 * spread, middle + 6.0 * spread, 61)
    for _, values, colour, style in sets:
        counts, _ = np.histogram(values, edges)
        density = counts / (len(values) * np.diff(edges))
        top = max(top, density.max())
        deepest = deepest or DEEP * top
        axes.stairs(np.maximum(density, 0.1 * deepest), edges, color=colour, linestyle=style, linewidth=1.5)
    axes.set_yscale("log")
    axes.set_ylim(deepest, 2.0 * top)
    axes.set_xlabel(name, fontsize=12)
    axes.tick_params(axis="y", labelsize=10)
    axes.xaxis.set_major_locator(MaxNLocator(3))


def ratios(subjects, verdicts, folder):
    """Each distance over the mean of its floor; the band is the floor's interval."""
    kinds = list(dict.fromkeys(v.kind for v in verdicts if v.floor > 0.0))
    shown = [s for s in subjects if any(v.label == s.label for v in verdicts)]
    if not kinds:
        return None
    figure, axes = plt.subplots(figsize=(2.2 + 1.25 * len(kinds), 6.2))
    shifts = np.linspace(-0.25, 0.25, len(shown)) if len(shown) > 1 else [0.0]
    for (subject, (colour, _)), shift, marker in zip(looks(shown), shifts, cycle(MARKERS)):
        own = [v for v in verdicts if v.label == subject.label and v.floor > 0.0]
        axes.errorbar([kinds.index(v.kind) + shift for v in own], [v.ratio for v in own],
                      yerr=[(v.error or 0.0) / v.floor for v in own], fmt=marker, color=colour,
                      markersize=8, capsize=3, label=subject.label)
    lowest = min(v.ratio for v in verdicts if v.floor > 0.0)
    for i, kind in enumerate(kinds):
        own = max((v for v in verdicts if v.kind == kind), key=lambda v: v.margin / v.floor)
        share = own.margin / own.floor
        axes.bar(i, 1.0 + share - max(0.3 * lowest, 1.0 - share), bottom=max(0.3 * lowest, 1.0 - share),
                 width=0.8, color=GREY, alpha=0.28, linewidth=0, label="floor's interval" if i == 0 else None)
    axes.axhline(1.0, color=BLACK, linewidth=1.0)
    plain_log_axis(axes)
    case_ticks(axes, [molecule_distances.name_of(kind) for kind in kinds])
    plt.setp(axes.get_xticklabels(), rotation=30, ha="right", rotation_mode="anchor")
    axes.set_ylabel("W2 over the mean of its floor")
    legend_above(figure, axes)
    return save(figure, folder, "distances")


def history_terms(subjects, folder):
    """The losses' own terms against the epoch, one panel a case; None where no case has one."""
    found = [(s, s.case.history()) for s in subjects]
    found = [(s, history) for s, history in found
             if history is not None and np.isfinite(history.get("term_train", [np.nan])).any()]
    if not found:
        return None
    figure, panels = plt.subplots(1, len(found), squeeze=False, figsize=(max(7.0, 5.0 * len(found)), 4.2))
    for axes, (subject, history) in zip(panels[0], found):
        columns = (("term_train", BLUE, "training", "-"), ("term_validation", VERMILLION, "held out",
                                                           (0, (4, 1))))
        for column, colour, name, style in columns:
            there = np.isfinite(history[column])
            axes.plot(history["epoch"][there], history[column][there], color=colour, linestyle=style,
                      label=name)
        values = np.concatenate([history[column] for column, *_ in columns])
        values = values[np.isfinite(values)]
        if values.min() > 0.0:
            plain_log_axis(axes)
        elif np.ptp(values) > 1e3:
            axes.set_yscale("symlog", linthresh=100.0)
        axes.set_title(f"{subject.label} ({subject.loss})" if subject.label != subject.loss else subject.label)
        axes.set_xlabel("epoch")
        axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    panels[0, 0].set_ylabel("term of the loss (nats a sample)")
    legend_above(figure, panels[0, 0])
    return save(figure, folder, "loss-terms")
