"""The truth of the two-particle system: numbers by deterministic quadrature, kept in
two_particle_truth.json, for the parameters of the paper (beta = 5, coupling = 0.7)."""

import json
import math
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Optional

import numpy as np

SINGULAR = 1e-6  # a softening up to here stands for the singular potential


@dataclass(frozen=True)
class Truth:
    """exp(-beta U) of one softening: moments, probabilities and the density of r on a grid."""

    softening: float
    log_z: float
    mean_r: float
    prob_r_below: float  # P(r < 0.8)
    prob_same_well: float
    var_x1: float
    r: np.ndarray
    density: np.ndarray

    def cumulative(self):
        """P(r < grid point), [len(r)]."""
        steps = np.diff(self.r) * (self.density[1:] + self.density[:-1]) / 2.0
        total = np.concatenate([[0.0], np.cumsum(steps)])
        return total / total[-1]

    def quantile(self, probability):
        """r at given probabilities; between grid points the logarithm of P is interpolated."""
        cumulative = self.cumulative()
        rising = np.concatenate([[False], np.diff(cumulative) > 0.0]) & (cumulative > 0.0)
        return np.interp(np.log(probability), np.log(cumulative[rising]), self.r[rising])

    def probability_below(self, r):
        return float(np.interp(r, self.r, self.cumulative()))

    def smallest_of(self, n):
        """Median and the 5% and 95% points of the smallest r among n independent draws."""
        levels = np.array([0.5, 0.05, 0.95])
        return self.quantile(-np.expm1(np.log1p(-levels) / n))


def lookup(system) -> Optional[Truth]:
    """The truth for a case's system, or None where no quadrature was made for its parameters."""
    document, truths = load()
    made_for = document["system"]
    same = all(math.isclose(float(system.get(key, math.nan)), made_for[key], rel_tol=1e-9)
               for key in ("beta", "coupling"))
    if system.get("kind") != made_for["kind"] or not same or system.get("energy_cutoff"):
        return None
    softening = float(system.get("softening", math.nan))
    if softening <= SINGULAR:
        return singular()
    return next((truth for truth in truths
                 if math.isclose(truth.softening, softening, rel_tol=1e-9)), None)


def singular() -> Truth:
    return min(load()[1], key=lambda truth: truth.softening)


def source() -> str:
    return load()[0]["source"]


@lru_cache(maxsize=1)
def load():
    path = Path(__file__).with_name("two_particle_truth.json")
    document = json.loads(path.read_text(encoding="utf-8"))
    r = np.array(document["r"])
    truths = [Truth(case["softening"], case["log_z"], case["mean_r"], case["prob_r_below_0.8"],
                    case["prob_same_well"], case["var_x1"], r, np.array(case["density_r"]))
              for case in document["cases"]]
    return document, truths


def w2_of_r(a, b):
    """1-D W2 of r between two densities: what a perfect flow for a has to b."""
    levels = (np.arange(20000) + 0.5) / 20000.0
    return float(np.sqrt(np.mean((a.quantile(levels) - b.quantile(levels)) ** 2)))
