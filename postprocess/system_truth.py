"""What is known exactly of the systems for first steps, `gaussian` and `double-well`: log Z, the density of
each coordinate, populations of wells; in closed form or by quadrature along one coordinate."""

import math
from dataclasses import dataclass, field
from typing import Dict, List, Optional

import numpy as np

GRID = 40001  # points of the quadrature
DEPTH = 60.0  # in units of 1/beta above the bottom, where the density is taken for nothing
TERMS = 20  # points of the grid that the narrowest peak has to have


@dataclass(frozen=True)
class Marginal:
    """One coordinate. Density at x; beyond the grid it is nothing."""

    name: str
    x: np.ndarray
    density: np.ndarray
    mean: float
    deviation: float


@dataclass(frozen=True)
class SystemTruth:
    log_z: float
    marginals: List[Marginal]
    averages: Dict[str, float] = field(default_factory=dict)


def lookup(system) -> Optional[SystemTruth]:
    """The truth for a `system` group, or None where none is known for it."""
    make = {"gaussian": gaussian, "double-well": double_well}.get(system.get("kind"))
    if make is None or system.get("energy_cutoff"):
        return None
    try:
        return make({name: float(value) for name, value in system.items() if name != "kind"})
    except (KeyError, TypeError, ValueError, ZeroDivisionError, OverflowError):
        return None


def gaussian(system):
    """U = Σ (x_k - mean)²/(2 s_k²), the s_k in equal ratios from the first to aspect_ratio times it."""
    d = int(system["dimension"])
    ratios = system["aspect_ratio"] ** (np.arange(d) / max(1, d - 1))
    deviations = system["standard_deviation"] * ratios / math.sqrt(system["beta"])
    return SystemTruth(float(np.sum(np.log(deviations)) + 0.5 * d * math.log(2.0 * math.pi)),
                       [normal(f"coordinate {k + 1}", system["mean"], float(deviation))
                        for k, deviation in enumerate(deviations)])


def normal(name, mean, deviation):
    z = np.linspace(-5.0, 5.0, 401)
    return Marginal(name, mean + deviation * z,
                    np.exp(-0.5 * z * z) / (deviation * math.sqrt(2.0 * math.pi)), mean, deviation)


def double_well(system):
    """U = barrier·(x² - 1)² + tilt·x + stiffness·y²: x by quadrature, y is normal."""
    beta = system["beta"]
    along, log_z = quadrature("x", lambda x: beta * (system["barrier"] * (x * x - 1.0) ** 2
                                                     + system["tilt"] * x))
    across = normal("y", 0.0, math.sqrt(0.5 / (beta * system["stiffness"])))
    right = along.x >= 0.0
    return SystemTruth(log_z + 0.5 * math.log(math.pi / (beta * system["stiffness"])), [along, across],
                       {"prob_right_well": integral(along.density[right], along.x[right])})


def quadrature(name, energy):
    """exp(-energy(x)) along one coordinate: its marginal and the logarithm of its integral. ValueError
    where the grid is too coarse for it."""
    reach = 2.0
    while min(energy(-reach), energy(reach)) < np.min(energy(np.linspace(-reach, reach, GRID))) + DEPTH:
        reach *= 1.25
        if reach > 1e6:
            raise ValueError("the density reaches too far")
    x = np.linspace(-reach, reach, GRID)
    u = energy(x)
    weight = np.exp(u.min() - u)
    if np.sum(weight > 0.5) < TERMS:
        raise ValueError("the grid is too coarse")
    total = integral(weight, x)
    density = weight / total
    mean = integral(density * x, x)
    deviation = math.sqrt(integral(density * (x - mean) ** 2, x))
    mean = mean if abs(mean) > 1e-12 * deviation else 0.0
    return Marginal(name, x, density, mean, deviation), math.log(total) - float(u.min())


def integral(values, x):
    return float(np.sum(np.diff(x) * (values[1:] + values[:-1]) / 2.0))
