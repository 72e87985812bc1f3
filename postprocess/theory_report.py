"""The page of the theorems: what each claims, what the closed forms on a line and the runs show."""

import math
import statistics
from dataclasses import dataclass
from html import escape
from typing import List, Optional, Tuple

import matplotlib.pyplot as plt
import numpy as np

import plain_table
import theory_line as line
from figure_style import BLACK, BLUE, GREEN, GREY, ORANGE, VERMILLION, apply_style, save
from html_page import Report, Section, figure, lead_word, page, paragraph, table
from quantity import Quantity, number, short_with_error, with_error
from run_folder import RunError, load_run, write_whole

__all__ = ["RunError", "make"]
EPSILONS = tuple(10.0 ** (-k / 4) for k in range(13))  # three decades
LATE = 8                                               # from here on the growth is that of small epsilon
STEPS = tuple(2 ** k for k in range(13))
LATE_STEPS = 10
STEPPED = 0.5  # soft core of the map that is taken in steps
SOFT, CUT = line.BETA * line.COUPLING, 2 * line.BETA  # exponents of 1/ε: β times the energy at the core
HEADER = ("what", "over", "claimed", "found")


@dataclass(frozen=True)
class Series:
    """Points of one experiment. `slope`: of y over x, of their logarithms where `is_power`."""

    name: str
    x_name: str
    y_name: str
    x: Tuple[float, ...]
    y: Tuple[float, ...]
    claimed: str
    slope: Optional[Quantity]
    error: Tuple[float, ...] = ()  # standard errors of y


def make(out, moser, layers):
    """Write everything; gives the text for the terminal."""
    apply_style()
    growth, nearness, steps = growths(), nearnesses(), composition()
    grid = [] if moser is None else grid_points(moser)
    flows = [] if not layers else layer_series(layers)
    found = [*growth, nearness, steps, *flows]
    rows = [(s.name, f"{s.y_name} over {s.x_name}", s.claimed, slope_text(s)) for s in found]
    text = plain_table.as_text("The theorems as numbers", HEADER, rows, notes(grid))
    out.mkdir(parents=True, exist_ok=True)
    figures = out / "figures"
    pictures = [figure(growth_figure(growth, grid, figures), GROWTH, "Lipschitz constants against the softness"),
                figure(nearness_figure(nearness, steps, figures), NEARNESS, "Distances against softness and steps")]
    if flows:
        pictures.append(figure(layers_figure(flows, figures), LAYERS, "Distances against the number of layers"))
    write_whole(out / "theory.txt", text)
    write_whole(out / "theory.csv", plain_table.as_csv(("experiment", "x", "y", "error"), [
        (s.name, x, y, s.error[i] if s.error else None) for s in found for i, (x, y) in enumerate(zip(s.x, s.y))]))
    write_whole(out / "theory.html", page(Report(
        title="The theorems as numbers", lead="Section 5 of the paper; what is claimed, and what is found.",
        answer=answer(growth, nearness, steps, flows), table=text,
        sections=[Section("table", "Table", table(HEADER, rows) + "".join(
                      paragraph(escape(note), "small") for note in notes(grid))),
                  Section("figures", "Figures", "".join(pictures))])))
    return text


def fitted(x, y):
    return Quantity(*line.slope_of(x, y))


def growths():
    """Proposition 1: no Lipschitz map as the core hardens; how fast its constant grows."""
    found = []
    for name, energy, claimed in (("soft core", line.soft_core, SOFT), ("cut-off of Theorem 1", line.cut_off, CUT)):
        inverse = tuple(1.0 / e for e in EPSILONS)
        logs = tuple(line.log_lipschitz(energy(e)) for e in EPSILONS)
        found.append(Series(f"Proposition 1, {name}", "1/ε", "log Lipschitz constant", inverse, logs,
                            f"without bound, slope {number(claimed, significant=3)}",
                            fitted(inverse[LATE:], logs[LATE:])))
    return found


def nearnesses():
    """Theorem 1: the regularised density converges in L¹."""
    singular = line.soft_core(0.0)
    away = tuple(line.distance_in_l1(line.soft_core(e), singular) for e in EPSILONS)
    return Series("Theorem 1, soft core", "log ε", "log of the L¹ distance to the singular density", EPSILONS, away,
                  "to 0", fitted(np.log(EPSILONS[LATE:]), np.log(away[LATE:])))


def composition():
    """Equation 7 with the steps of section 4.1."""
    away = tuple(line.error_of_steps(line.soft_core(STEPPED), n) for n in STEPS)
    return Series(f"equation 7, soft core {STEPPED:g}", "log ℓ", "log of the distance from the map", STEPS, away,
                  "to 0, slope −1", fitted(np.log(STEPS[LATE_STEPS:]), np.log(away[LATE_STEPS:])))


def grid_points(folder):
    """(1/ε, largest slope) of the Moser maps in four dimensions whose core is soft."""
    found = []
    for case in load_run(folder).cases:
        softening, slope = case.setting("system.softening"), case.value("lipschitz_max")
        coupling = case.setting("system.coupling")
        if case.setting("flow.kind") == "moser" and softening and slope and coupling:
            found.append((1.0 / float(softening), slope))
    if not found:
        raise RunError(f"{folder}: no Moser map with a soft core and a Lipschitz constant")
    return sorted(found)


@dataclass
class Layer:
    """Of one number of layers, over seeds."""

    layers: int
    away: List[float]  # from the map
    w2: List[float]
    floor: List[float]


def layer_series(folders):
    """Theorems 2 to 4: distance from the Moser map, and W2, against coupling layers."""
    found, names = {}, set()
    for run in map(load_run, folders):
        for case in run.cases:
            if case.setting("training.map") == "moser" and case.name not in run.unfinished:
                names.add(norm_of(case))
                layers = int(case.setting("flow.layers"))
                own = found.setdefault(layers, Layer(layers, [], [], []))
                own.away.append(distance_from_map(case))
                own.w2.append(needed(case, "w2_exact"))
                own.floor.append(needed(case, "w2_exact_floor"))
    if len(found) < 2 or any(len(own.w2) < 2 for own in found.values()) or len(names) > 1:
        raise RunError("--layers: needs flows held to a Moser map (training.map) in one norm, of two numbers of layers "
                       "or more, each finished in two runs or more")
    members = [found[layers] for layers in sorted(found)]
    counts = tuple(own.layers for own in members)
    series = []
    for name, claimed, pick in (
            (f"Theorem 2, {names.pop()}", "to 0 with enough layers", lambda own: own.away),
            ("Theorem 4, W2²", "to 0; the floor of samples is left",
             lambda own: [max(w * w - f * f, 1e-12) for w, f in zip(own.w2, own.floor)])):
        values = [pick(own) for own in members]
        means = tuple(statistics.fmean(v) for v in values)
        errors = tuple(statistics.stdev(v) / math.sqrt(len(v)) for v in values)
        series.append(Series(name, "log layers", f"log of the distance ({name.split(', ')[1]})", counts, means, claimed,
                             fitted(np.log(counts), np.log(means)), errors))
    return series


def norm_of(case):
    """In which a flow is held to its map."""
    power = case.setting("training.transport_power")
    return "L²" if power is None else f"W^{{1,{float(power):g}}}"


def distance_from_map(case):
    """Over held-out base points, at the epoch whose parameters were kept."""
    history = case.history()
    best = np.flatnonzero(history["epoch"] == needed(case, "best_epoch"))
    value = float(history["term_validation"][best[0]]) if len(best) else math.nan
    weight = float(case.setting("training.transport_weight"))
    power = float(case.setting("training.transport_power") or 2)
    if not value > 0.0 or not weight > 0.0:
        raise RunError(f"{case.folder}: no distance from the map on held-out points; is its loss_schedule constant?")
    return (value / weight) ** (1.0 / power)


def needed(case, name):
    value = case.value(name)
    if value is None:
        raise RunError(f"{case.folder}: has no {name}")
    return value


def slope_text(series):
    return f"slope {slope_of(series)}, from {short(series.y[0])} to {short(series.y[-1])}"


def slope_of(series):
    """With its error where that can be seen."""
    if series.slope.error < 1e-3 * abs(series.slope.value):
        return number(series.slope.value, significant=4)
    return with_error(series.slope)


def short(value):
    return number(value, significant=2)


def notes(grid):
    text = [f"On a line: U = (x² − 1)² + {line.COUPLING:g}/√(x² + ε²) between walls at ±{line.WALL:g}, β = "
            f"{line.BETA:g}, from a normal density between the same walls; slopes over ε from {short(EPSILONS[LATE])} "
            f"to {short(EPSILONS[-1])}, over ℓ from {STEPS[LATE_STEPS]}."]
    if grid:
        text.append("In four dimensions, by the grid: log of the largest slope found " + ", ".join(
            f"{number(math.log(slope), significant=3)} at ε = {short(1.0 / inverse)}" for inverse, slope in grid) + ".")
    return text


def answer(growth, nearness, steps, flows):
    soft, cut = growth
    said = [
        lead_word("Proposition 1.", f"As the core hardens, the map's Lipschitz constant grows like e^({slope_of(soft)}"
                  f")/ε, as βλ = {SOFT:g} has it; with the cut-off like e^({slope_of(cut)})/ε, "
                  f"2β = {CUT:g}."),
        lead_word("Theorem 1.", f"The price of a soft core falls with the power {slope_of(nearness)} of ε: a core "
                  "that is a tenth as soft costs a hundredth in L¹, and the map pays for it in the exponent."),
        lead_word("Equation 7.", f"Composed of ℓ explicit steps the map is missed by {short(steps.y[0])} at ℓ = 1 and "
                  f"{short(steps.y[-1])} at {STEPS[-1]}; the error falls as ℓ^{slope_of(steps)} only once steps "
                  "resolve the core.")]
    for series in flows:
        said.append(lead_word(f"{series.name}.", f"From {series.x[0]:g} to {series.x[-1]:g} coupling layers: "
                              f"{short_with_error(Quantity(series.y[0], series.error[0]))} to "
                              f"{short_with_error(Quantity(series.y[-1], series.error[-1]))}, power "
                              f"{slope_of(series)}."))
    return said


GROWTH = ("Largest slope of the monotone map to one coordinate with a repulsive core (Proposition 1: without bound as "
          "ε → 0), by its closed form in logarithms; lines: the predicted exponents. Crosses: the Moser map of two "
          "particles in four dimensions, solved for on a grid.")
NEARNESS = ("Left: L¹ distance of the density with a soft core to the singular one (Theorem 1). Right: distance of the "
            "composition of ℓ explicit steps from the Moser map (equation 7), root mean square over the base.")
LAYERS = ("Distance of the flow from the Moser map over held-out base points, in standardised coordinates, and what "
          "W2² of its samples has above the floor, against the number of coupling layers; error bars: standard errors "
          "over seeds.")


def growth_figure(growth, grid, folder):
    figure_, axes = plt.subplots(figsize=(7.6, 5.2))
    for series, colour, slope in zip(growth, (BLUE, ORANGE), (SOFT, CUT)):
        axes.loglog(series.x, series.y, "o", color=colour, label=series.name.split(", ")[1])
        axes.loglog(series.x, [slope * x for x in series.x], "-", color=colour, linewidth=1.0)
    if grid:
        axes.loglog([x for x, _ in grid], [math.log(y) for _, y in grid], "x", color=BLACK, markersize=10,
                    label="four dimensions")
    axes.set_xlabel("1/ε")
    axes.set_ylabel("log of the Lipschitz constant")
    axes.legend()
    return save(figure_, folder, "lipschitz-growth")


def nearness_figure(nearness, steps, folder):
    figure_, (left, right) = plt.subplots(1, 2, figsize=(11.0, 4.8))
    left.loglog(nearness.x, nearness.y, "o-", color=BLUE)
    left.set_xlabel("ε")
    left.set_ylabel("L¹ distance to the singular density")
    right.loglog(steps.x, steps.y, "o-", color=GREEN, base=10)
    right.loglog(steps.x, [steps.y[-1] * steps.x[-1] / n for n in steps.x], "-", color=GREY, linewidth=1.0,
                 label="1/ℓ")
    right.set_ylim(0.5 * min(steps.y), 2.0 * max(steps.y))
    right.set_xlabel("steps ℓ")
    right.set_ylabel("distance from the map")
    right.legend()
    return save(figure_, folder, "regularisation-and-steps")


def layers_figure(flows, folder):
    figure_, panels = plt.subplots(1, len(flows), figsize=(5.5 * len(flows), 4.8))
    for axes, series, colour in zip(panels, flows, (VERMILLION, BLUE)):
        axes.errorbar(series.x, series.y, yerr=series.error, fmt="o-", color=colour, capsize=4)
        axes.set_xscale("log", base=2)
        axes.set_yscale("log")
        axes.set_xticks(series.x, [str(n) for n in series.x])
        axes.set_xlabel("coupling layers")
        axes.set_ylabel(series.name.split(", ")[1])
    return save(figure_, folder, "layers")
