"""Figures of a molecule's backbone and energy."""

from itertools import cycle

import matplotlib.pyplot as plt
import numpy as np

from figure_style import BLACK, BLUE, GREEN, ORANGE, PURPLE, SKY, VERMILLION, save

BINS = 60  # of 6 degrees
HIGHEST = 8.0  # kT, of the colour scale
WALKERS = 6  # shown in traces
POINTS = 2000  # of a trace, at most
COLOURS = (BLUE, VERMILLION, GREEN, ORANGE, PURPLE, SKY)
TICKS = (-180, -90, 0, 90, 180)


def ramachandran(cases, folder):
    figure, panels = plt.subplots(1, len(cases), squeeze=False, figsize=(6.6 * len(cases), 5.6))
    edges = np.linspace(-180.0, 180.0, BINS + 1)
    for axes, (_, label, backbone) in zip(panels[0], cases):
        counts, _, _ = np.histogram2d(np.degrees(backbone.phi.ravel()), np.degrees(backbone.psi.ravel()),
                                      bins=(edges, edges))
        with np.errstate(divide="ignore"):
            surface = -np.log(counts / counts.max())
        surface[~np.isfinite(surface)] = np.nan
        shown = axes.pcolormesh(edges, edges, surface.T, cmap="viridis", vmin=0.0, vmax=HIGHEST,
                                rasterized=True)
        axes.set(title=label, xlabel="φ (degrees)", ylabel="ψ (degrees)", xticks=TICKS, yticks=TICKS,
                 aspect="equal")
        axes.grid(False)
        figure.colorbar(shown, ax=axes, label="free energy (kT)", extend="max")
    return save(figure, folder, "ramachandran")


def traces(cases, folder):
    figure, panels = plt.subplots(2, len(cases), squeeze=False, sharex="col", figsize=(9.0 * len(cases), 6.0))
    for column, (_, label, backbone) in zip(panels.T, cases):
        frames = backbone.phi.shape[1]
        stride = max(1, frames // POINTS)
        time = np.arange(0, frames, stride) * backbone.interval * 1e-3
        for axes, angle, name in zip(column, (backbone.phi, backbone.psi), ("φ", "ψ")):
            for walker, colour in zip(angle[:WALKERS], COLOURS):
                axes.plot(time, np.degrees(walker[::stride]), ".", markersize=1.6, color=colour,
                          rasterized=True)
            axes.set(ylabel=f"{name} (degrees)", yticks=TICKS, ylim=(-180, 180))
        column[0].set_title(label)
        column[1].set_xlabel("time of the walker (ns)")
    return save(figure, folder, "torsions")


def energies(cases, folder):
    figure, axes = plt.subplots(figsize=(8.0, 4.6))
    low, high = np.percentile(np.concatenate([b.energy.ravel() for _, _, b in cases]), (0.01, 99.99))
    edges = np.linspace(low, high, 81)
    for (_, label, backbone), colour in zip(cases, cycle((BLACK, *COLOURS))):
        for walker in backbone.energy[:WALKERS]:
            draw_density(axes, walker, edges, color=colour, linewidth=0.6, alpha=0.5)
        draw_density(axes, backbone.energy.ravel(), edges, color=colour, linewidth=2.0, label=label)
    axes.set(xlabel="potential energy (kJ/mol)", ylabel="density (mol/kJ)")
    axes.set_ylim(bottom=0.0)
    axes.legend()
    return save(figure, folder, "energy")


def draw_density(axes, values, edges, **look):
    density, _ = np.histogram(values, edges, density=True)
    axes.plot(0.5 * (edges[1:] + edges[:-1]), density, **look)
