"""Distances of a molecule's generated samples from its reference, beside floors that are made of halves of the
reference's own trajectories."""

import math
from dataclasses import dataclass

from distance_floor import LEVEL, judge_all
from html_page import paragraph, table
from quantity import MISSING, Quantity, count, decimals_of, number, with_error

# Metric without "w2_" -> name and unit. Those of one observable have the observable's unit.
KINDS = {
    "flat_deg": ("φ, ψ in the plane", "°"),
    "torus_deg": ("φ, ψ on the torus", "°"),
    "flat_deg_subsample_1000": ("φ, ψ in the plane, 1,000 points", "°"),
    "torus_deg_subsample_1000": ("φ, ψ on the torus, 1,000 points", "°"),
    "pca": ("two principal components", ""),
    "exact": ("configurations, exact", "nm"),
    "sliced": ("configurations, sliced", "nm"),
    "bond_lengths": ("bond lengths", "nm"),
    "bond_angles": ("bond angles", "°"),
    "r_nonbonded": ("min r", "nm"),
}
ENDING = "_floor"
SURE = 2.0  # standard errors of W² by which it has to be above its floor for the rest to be a number


@dataclass(frozen=True)
class Excess:
    """What a distance has beyond its floor: squares of an error and of the floor add up on average, so it is
    √(W² − floor²). Its error has the distance's own in it and the swing of the floor, of which the distance
    has one draw. most: what it is not above, where it cannot be told from nothing."""

    value: float
    error: float
    most: float

    @property
    def is_there(self):
        return self.value > 0.0 and self.value ** 2 > SURE * 2.0 * self.value * self.error

    @property
    def text(self):
        if self.is_there:
            return with_error(Quantity(self.value, self.error))
        return f"0 to {number(self.most, significant=2)}"


def excess_of(verdict):
    square = verdict.value ** 2 - verdict.floor ** 2
    error = math.sqrt((2.0 * verdict.value * (verdict.error or 0.0)) ** 2
                      + (2.0 * verdict.floor * verdict.spread) ** 2 + 2.0 * verdict.spread ** 4)
    value = math.sqrt(max(0.0, square))
    return Excess(value, error / (2.0 * value) if value > 0.0 else math.nan,
                  math.sqrt(max(0.0, square) + SURE * error))


def kinds_of(cases):
    """Those that these cases have, the well-known ones first."""
    found = {name[len("w2_"):-len(ENDING)] for case in cases for name in case.metrics
             if name.startswith("w2_") and name.endswith(ENDING) and "_singular" not in name}
    return [kind for kind in KINDS if kind in found] + sorted(found - set(KINDS))


def judge(cases, labels):
    return judge_all(cases, labels, kinds=kinds_of(cases))


def find(verdicts, label, kind):
    return next((v for v in verdicts if v.label == label and v.kind == kind), None)


def name_of(kind):
    """'bond lengths'; observables by their own names."""
    return KINDS[kind][0] if kind in KINDS else kind.replace("phi", "φ").replace("psi", "ψ").replace("_", " ")


def unit_of(case, kind):
    if kind in KINDS:
        return KINDS[kind][1]
    metric = case.metric(f"w2_{kind}")
    return "" if metric is None or metric.unit == "1" else metric.unit


def state_words(verdict):
    if verdict.state == "at":
        return "within the floor's interval"
    return f"{verdict.state} the floor"


def floor_text(verdict):
    """Mean and standard deviation over the pairs."""
    digits = decimals_of(verdict.spread, 3)
    return f"{number(verdict.floor, digits)} ± {number(verdict.spread, digits)}"


def distances_table(cases, labels, verdicts):
    if not verdicts:
        return paragraph("No distance with a floor was measured.")
    case_of = dict(zip(labels, cases))
    rows = [(v.label, name_of(v.kind), unit_of(case_of[v.label], v.kind) or MISSING, count(v.points),
             with_error(Quantity(v.value, v.error), 4), floor_text(v), str(v.pairs), number(v.ratio, 2),
             excess_of(v).text, state_words(v)) for v in verdicts]
    return table(("case", "W2 of", "unit", "points", "W2 ± s.e.", "floor ± s.d.", "pairs", "W2/floor",
                  "beyond the floor", "verdict"), rows, "To the reference, beside the floor") + paragraph(
        f"Verdicts keep the probability of any false alarm among the {len(verdicts)} distances at {LEVEL:.0%}, "
        "with a spread that is known from few pairs only: the interval is wide, and a distance within it may "
        "lie beyond the mean of its floor by several of its errors.", "small")
