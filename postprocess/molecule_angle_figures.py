"""Figures of backbone angles: the paper's Figure 3, and free-energy surfaces of reference and generated
samples with their difference."""

import matplotlib.pyplot as plt
import numpy as np

from figure_style import BLACK, BLUE, GREEN, VERMILLION, save

TICKS = (-180, -90, 0, 90, 180)
SHOWN = 6000  # points of a scatter plot
GAS_CONSTANT = 8.31446261815324e-3  # kJ/mol/K
HIGHEST, WIDEST = 20.0, 5.0  # kJ/mol, of the colour scales
FINE, COARSE, ENOUGH = 60, 36, 30000  # bins along an axis, and samples from which they are the fine ones
LEAST = 5  # samples in a bin of both sets from which their difference is drawn


def scatter(subjects, residue, folder, stem):
    """Reference and generated samples of each case, side by side."""
    shown = [subject for subject in subjects if "generated" in subject.angles]
    panels_of = [("reference", shown[0].angles["reference"][residue], BLUE)]
    panels_of += [(subject.label, subject.angles["generated"][residue], VERMILLION) for subject in shown]
    columns = min(3, len(panels_of)) if len(panels_of) != 4 else 4
    rows = -(-len(panels_of) // columns)
    figure, panels = plt.subplots(rows, columns, squeeze=False, sharex=True, sharey=True,
                                  figsize=(4.4 * columns, 4.5 * rows))
    for axes in panels.flat[len(panels_of):]:
        axes.set_visible(False)
    for axes, (title, angles, colour) in zip(panels.flat, panels_of):
        few = angles[:, ::max(1, angles.shape[1] // SHOWN)]
        axes.plot(*few, ".", markersize=2.4, markeredgewidth=0, alpha=0.5, color=colour, rasterized=True)
        axes.set_title(title)
        square(axes)
    label(panels)
    return save(figure, folder, stem)


def square(axes):
    axes.set(xlim=(-180, 180), ylim=(-180, 180), xticks=TICKS, yticks=TICKS, aspect="equal")


def label(panels):
    """ψ at the left; φ below whatever hangs lowest in a column."""
    for row in panels:
        row[0].set_ylabel("ψ (degrees)")
    for column in panels.T:
        lowest = [axes for axes in column if axes.get_visible()][-1]
        lowest.set_xlabel("φ (degrees)")
        lowest.tick_params(labelbottom=True)


def surfaces(subjects, residue, folder, stem):
    """Rows are cases; columns are reference, generated and their difference."""
    shown = [subject for subject in subjects if "generated" in subject.angles]
    figure, panels = plt.subplots(len(shown), 3, squeeze=False, sharex=True, sharey=True,
                                  figsize=(14.4, 0.8 + 4.4 * len(shown)))
    for subject, row in zip(shown, panels):
        thermal = GAS_CONSTANT * float(subject.case.system.get("temperature_K") or 300.0)
        counts, edges = histograms([subject.angles[of][residue] for of in ("reference", "generated")])
        energies = [surface(each, thermal) for each in counts]
        for axes, energy, of in zip(row, energies, ("reference", "generated")):
            height = axes.pcolormesh(edges, edges, energy.T, cmap="viridis", vmin=0.0, vmax=HIGHEST,
                                     rasterized=True)
            axes.set_title(f"{subject.label}: {of}" if len(shown) > 1 else of)
        with np.errstate(divide="ignore", invalid="ignore"):
            difference = -thermal * np.log(counts[1] / counts[1].sum() / (counts[0] / counts[0].sum()))
        difference[np.minimum(*counts) < LEAST] = np.nan
        apart = row[2].pcolormesh(edges, edges, difference.T, cmap="PuOr", vmin=-WIDEST, vmax=WIDEST,
                                  rasterized=True)
        row[2].set_facecolor("#d9d9d9")
        row[2].set_title("generated − reference")
        for axes in row:
            square(axes)
            axes.grid(False)
        figure.colorbar(height, ax=row[1], label="F (kJ/mol)", extend="max", shrink=0.85)
        figure.colorbar(apart, ax=row[2], label="ΔF (kJ/mol)", extend="both", shrink=0.85)
    label(panels)
    return save(figure, folder, stem)


def histograms(sets):
    """Counts of both sets in the same bins."""
    few = min(angles.shape[1] for angles in sets)
    edges = np.linspace(-180.0, 180.0, (FINE if few >= ENOUGH else COARSE) + 1)
    return [np.histogram2d(*angles, bins=(edges, edges))[0] for angles in sets], edges


def surface(counts, thermal):
    """−kT ln p from zero at its lowest bin, not a number where nothing is."""
    with np.errstate(divide="ignore"):
        energy = -thermal * np.log(counts / max(1.0, counts.max()))
    energy[~np.isfinite(energy)] = np.nan
    return energy


def marginals(subjects, residue, folder, stem):
    """Densities of φ and ψ on a logarithmic axis, so that rare regions are seen."""
    shown = [subject for subject in subjects if "generated" in subject.angles]
    figure, panels = plt.subplots(1, 2, figsize=(13.0, 4.8), sharey=True)
    edges = np.linspace(-180.0, 180.0, 73)
    looks = [("reference", shown[0].angles["reference"][residue], BLACK, "-")]
    looks += [(subject.label, subject.angles["generated"][residue], colour, style)
              for subject, (colour, style) in zip(shown, ((VERMILLION, "-"), (GREEN, (0, (5, 1.5))),
                                                          (BLUE, (0, (1, 1)))))]
    for axes, k, name in zip(panels, (0, 1), ("φ", "ψ")):
        for title, angles, colour, style in looks:
            counts, _ = np.histogram(angles[k], edges)
            axes.stairs(np.where(counts > 0, counts / (angles.shape[1] * np.diff(edges)), np.nan), edges,
                        color=colour, linestyle=style, linewidth=1.8, label=title)
        axes.set(xlabel=f"{name} (degrees)", xticks=TICKS, xlim=(-180, 180))
    panels[0].set_ylabel("density (1/degree)")
    panels[0].set_yscale("log")
    figure.legend(*panels[0].get_legend_handles_labels(), loc="lower center", ncol=4,
                  bbox_to_anchor=(0.5, 1.0))
    return save(figure, folder, stem)
