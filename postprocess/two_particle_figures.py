"""Figures 1 and 2 of the two-particle experiment."""

import matplotlib.pyplot as plt
import numpy as np
from scipy.stats import norm

import two_particle_truth
from figure_style import BLACK, BLUE, GREEN, ORANGE, PURPLE, VERMILLION, panel_letter, save
from two_particle_table import is_singular

TAIL = 1.0  # upper end of the small-r view
ACF_LAGS = 50  # of the generated sequence
ACF_LEVEL = 0.01  # white noise leaves the band anywhere with this probability
SHOWN = 2500  # points of a scatter plot
NO_DYNAMICS = "An independent sequence has no dynamics: its order means nothing."


def figure_1(cases, labels, folder):
    """Distributions of r: histograms above, the cumulative share at small r below."""
    figure, axes = plt.subplots(2, len(cases), squeeze=False, sharex="row", sharey="row",
                                figsize=(max(7.0, 4.4 * len(cases)), 8.6))
    singular_r = next((distance(case, "reference.h5md") for case in cases if is_singular(case)), None)
    most = 1
    for column, (case, label) in enumerate(zip(cases, labels)):
        curves = distance_curves(case, singular_r)
        most = max(most, *(len(r) for _, r, _, _ in curves))
        draw_density(axes[0, column], case, curves)
        draw_tail(axes[1, column], case, curves)
        axes[0, column].set_title(label)
    axes[0, 0].set_ylabel("density of r")
    axes[1, 0].set_ylabel("share of samples below r")
    axes[1, 0].set_ylim(0.4 / most, 0.3)
    entries = {}
    for panel in axes[0]:
        for handle, name in zip(*panel.get_legend_handles_labels()):
            entries.setdefault(name, handle)
    figure.legend(entries.values(), entries.keys(), loc="lower center", ncol=5,
                  bbox_to_anchor=(0.5, 1.0))
    return save(figure, folder, "figure1")


def distance(case, name):
    return np.sort(case.frames(name, ("r",)).observables["r"])


def distance_curves(case, singular_r):
    """[(name, sorted r, colour, line style)] in the paper's colours."""
    curves = []
    if singular_r is not None:
        curves.append(("singular reference", singular_r, BLACK, "-"))
    if not is_singular(case):
        curves.append(("reference of the case", distance(case, "reference.h5md"), BLUE, (0, (5, 1.5))))
    colour, name = (VERMILLION, "generated, unregularised") if is_singular(case) else \
        (GREEN, "generated, regularised")
    return curves + [(name, distance(case, "generated.h5md"), colour, "-")]


def draw_density(axes, case, curves):
    bins = np.arange(0.0, 3.6, 0.06)
    for name, r, colour, style in curves:
        counts, _ = np.histogram(r, bins)
        axes.stairs(counts / (len(r) * np.diff(bins)), bins, color=colour, label=name,
                    linestyle=style, linewidth=2.0)
    truth = two_particle_truth.lookup(case.system)
    if truth is not None:
        axes.plot(truth.r, truth.density, color=PURPLE, linewidth=1.3, label="truth (quadrature)")
    axes.set_xlim(0.0, 3.4)
    axes.set_xticks(range(4))
    axes.set_xlabel("distance r (reduced units)")


def draw_tail(axes, case, curves):
    """Steps of 1/n: a curve begins at the smallest distance of its samples."""
    for _, r, colour, style in curves:
        few = r[r < 1.05 * TAIL]
        if len(few):
            shares = np.arange(1, len(few) + 1) / len(r)
            kept = np.unique(np.geomspace(1, len(few), 600).astype(int)) - 1
            axes.step(few[kept], shares[kept], where="post", color=colour, linestyle=style)
            axes.plot(few[0], shares[0], "o", color=colour, markersize=7)
    truth = two_particle_truth.lookup(case.system)
    if truth is not None:
        axes.plot(truth.r[1:], truth.cumulative()[1:], color=PURPLE, linewidth=1.3)
    axes.set_yscale("log")
    axes.set_xlim(0.0, TAIL)
    axes.set_xticks(np.arange(0.0, 0.99 * TAIL, 0.2))
    axes.set_xlabel("distance r (reduced units)")


def figure_2(case, label, folder, stem):
    """Scatter plots, x1 against time or index, autocorrelations; with the numbers beside."""
    reference, generated = case.frames("reference.h5md"), case.frames("generated.h5md")
    drawn = generated.positions[:, 0, 0]
    figure, axes = plt.subplots(3, 2, figsize=(12, 13.2))
    draw_scatter(axes[0, 0], reference.positions, "reference samples")
    draw_scatter(axes[0, 1], generated.positions, "generated samples")
    axes[0, 0].legend(loc="lower center", ncol=2, markerscale=4, handletextpad=0.1)
    axes[1, 0].set_title("real Langevin run")
    axes[1, 0].set_xlabel("time (reduced units)")
    axes[1, 1].plot(drawn[:400], color=GREEN, linewidth=0.7, marker=".", markersize=3)
    axes[1, 1].set_title("generated, in the order drawn")
    axes[1, 1].set_xlabel("index of the sample (not a time)")
    for panel in axes[1]:
        panel.set_ylabel("x₁ (reduced units)")
        panel.set_ylim(-2.1, 2.1)
    facts = {**draw_real(axes[1:, 0], case), **draw_correlation(axes[2, 1], drawn)}
    for panel in axes[2]:
        panel.axhline(0.0, color=BLACK, linewidth=0.8)
        panel.set_ylabel("autocorrelation of x₁")
        panel.set_ylim(-0.25, 1.05)
    for letter, panel in zip("abcdef", axes.flat):
        panel_letter(panel, letter)
    figure.suptitle(f"{label}\n{NO_DYNAMICS}", fontsize=15)
    return save(figure, folder, stem), facts


def draw_scatter(axes, positions, title):
    chosen = positions[::max(1, len(positions) // SHOWN)]
    for particle, colour in ((0, BLUE), (1, ORANGE)):
        axes.plot(chosen[:, particle, 0], chosen[:, particle, 1], ".", markersize=3.2, color=colour,
                  alpha=0.6, markeredgewidth=0, rasterized=True, label=f"particle {'xy'[particle]}")
    axes.set_xlim(-2.0, 2.0)
    axes.set_ylim(-1.7, 1.7)
    axes.set_aspect("equal")
    axes.set_title(title)
    axes.set_xlabel("x₁, y₁ (reduced units)")
    axes.set_ylabel("x₂, y₂ (reduced units)")


def draw_real(panels, case):
    """x1 of the Langevin run against time, and its autocorrelation; gives what the report says."""
    panels[1].set_xlabel("lag (reduced time units)")
    if not case.has("trajectory.h5md"):
        panels[0].text(0.5, 0.5, "not in this run", ha="center", transform=panels[0].transAxes)
        return {"real_time": None}
    trajectory = case.frames("trajectory.h5md")
    rows = len(trajectory.positions) // (trajectory.walkers or 1)  # the first walker's
    time, real = trajectory.time[:rows] - trajectory.time[0], trajectory.positions[:rows, 0, 0]
    every = -(-rows // 4000)
    panels[0].plot(time[::every], real[::every], color=BLUE, linewidth=0.7)
    lags = min(rows, max(2, min(rows // 4, 1000)))
    rho = autocorrelation(real, lags)
    panels[1].plot(time[:lags], rho, color=BLUE)
    fallen = np.flatnonzero(rho < np.exp(-1.0))
    return {"real_switches": switches(real), "real_time": float(time[-1]),
            "real_decay": float(time[fallen[0]]) if len(fallen) else None}


def draw_correlation(axes, drawn):
    """Autocorrelation of the generated x1 in the band of white noise."""
    few = max(1, min(ACF_LAGS, len(drawn) - 1))
    rho = autocorrelation(drawn, few + 1)
    band = norm.ppf(1.0 - ACF_LEVEL / (2 * few)) / np.sqrt(len(drawn))
    axes.axhspan(-band, band, color=GREEN, alpha=0.2, linewidth=0, label="white noise (99%)")
    axes.vlines(np.arange(len(rho)), 0.0, rho, color=GREEN, linewidth=1.4)
    axes.plot(rho, "o", color=GREEN, markersize=4)
    axes.set_xlabel("lag (samples)")
    axes.legend(loc="upper right")
    right = float(np.mean(drawn > 0.0))
    return {"outside": int(np.sum(np.abs(rho[1:]) > band)), "lags": few,
            "drawn_switch_share": switches(drawn) / max(1, len(drawn) - 1),
            "coin_share": 2.0 * right * (1.0 - right)}


def autocorrelation(series, lags):
    """Normalised, for lags 0 … lags - 1, by Fourier transform of the padded series."""
    centred = series - series.mean()
    spectrum = np.fft.rfft(centred, 2 * len(series))
    covariance = np.fft.irfft(spectrum * spectrum.conj())[:lags]
    return covariance / covariance[0] if covariance[0] > 0.0 else np.zeros(lags)


def switches(series):
    """Changes of the well."""
    return int(np.sum(np.diff(np.sign(series)) != 0))
