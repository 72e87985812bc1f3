"""The theorems of the paper's section 5 where a transport map has a closed form: on a line, where the Moser and the
Brenier map are the same monotone one. Densities and slopes are logarithms, so that a core of e^-3500 is a number.

The system is one coordinate between walls, U(x) = (x² - 1)² + λ/√(x² + ε²), the distance of a pair in one dimension
(paper eq. 16), or with the cut-off of Theorem 1 in the place of the soft core. It is even, as the base is, a standard
normal density between the same walls: the half line x > 0 says it all.
"""

from dataclasses import dataclass

import numpy as np
from scipy.special import erf, erfinv, logsumexp

COUPLING, BETA, WALL = 0.7, 5.0, 1.5
POINTS = 100_001     # of the half line
CROWDING = 16.0      # the first cells are e^-16 of the last ones
STARTS = 2_001       # of the flow that is followed in steps
TINY = -60.0         # log of a mass up to which the base is flat


@dataclass(frozen=True)
class Density:
    """Logarithms on the half line: of the density, normalised over the whole line, and of the mass from 0 to x."""

    log_value: np.ndarray
    log_mass: np.ndarray


def half_line():
    s = np.linspace(0.0, 1.0, POINTS)
    return WALL * np.sinh(CROWDING * s) / np.sinh(CROWDING)


X = half_line()
BASE = erf(WALL / np.sqrt(2.0))  # mass of the normal density between the walls


def soft_core(epsilon):
    """U with the soft core of eq. 16; epsilon 0: the singular one."""
    with np.errstate(divide="ignore"):
        return (X * X - 1.0) ** 2 + COUPLING / np.hypot(X, epsilon)


def cut_off(delta):
    """The singular U, changed only where it is above 1/delta and constant above 2/delta (Theorem 1)."""
    energy = soft_core(0.0)
    t = np.clip(energy * delta - 1.0, 0.0, 1.0)
    zeta = t * t * (3.0 - 2.0 * t)
    return np.where(t < 1.0, (1.0 - zeta) * np.where(t < 1.0, energy, 0.0), 0.0) + zeta * 2.0 / delta


def density(energy):
    log_value = -BETA * energy
    with np.errstate(divide="ignore"):
        cells = np.logaddexp(log_value[1:], log_value[:-1]) + np.log(0.5 * np.diff(X))
    log_mass = np.concatenate(([-np.inf], np.logaddexp.accumulate(cells)))
    total = np.log(2.0) + logsumexp(cells)
    return Density(log_value - total, log_mass - total)


def base_log_value(z):
    return -0.5 * z * z - 0.5 * np.log(2.0 * np.pi) - np.log(BASE)


def base_mass(x):
    """From 0 to x."""
    return 0.5 * erf(x / np.sqrt(2.0)) / BASE


def base_point(log_mass):
    """z with so much mass from 0 on."""
    return np.where(log_mass < TINY, np.exp(log_mass - base_log_value(0.0)),
                    np.sqrt(2.0) * erfinv(np.minimum(2.0 * BASE * np.exp(log_mass), BASE)))


def log_lipschitz(energy):
    """Logarithm of the largest slope of the monotone map from the base: T'(z) = base(z)/target(T(z))."""
    target = density(energy)
    return float(np.max(base_log_value(base_point(target.log_mass)) - target.log_value))


def distance_in_l1(energy, other):
    difference = np.abs(np.exp(density(energy).log_value) - np.exp(density(other).log_value))
    return float(np.sum((difference[1:] + difference[:-1]) * np.diff(X)))  # trapezia, twice for the other half


def error_of_steps(energy, steps):
    """Root mean square distance, over the base, of the composition of the steps x + v(x, k/l)/l, k = 1..l, from the map
    (paper section 4.1)."""
    target = density(energy)
    mass = np.exp(target.log_mass)
    x = np.linspace(0.0, WALL, STARTS)
    weight = np.exp(base_log_value(x))
    exact = np.interp(base_mass(x), mass, X)
    for k in range(1, steps + 1):
        t = k / steps
        flux = base_mass(x) - np.interp(x, X, mass)
        mixed = (1.0 - t) * np.exp(base_log_value(x)) + t * np.exp(np.interp(x, X, target.log_value))
        x = np.clip(x + flux / (steps * mixed), 0.0, WALL)
    return float(np.sqrt(np.sum(weight * (x - exact) ** 2) / np.sum(weight)))


def slope_of(x, y):
    """Of the straight line through the points, by least squares, with its standard error."""
    x, y = np.asarray(x, float), np.asarray(y, float)
    away = x - x.mean()
    slope = np.sum(away * y) / np.sum(away * away)
    rest = y - y.mean() - slope * away
    error = np.sqrt(np.sum(rest * rest) / max(len(x) - 2, 1) / np.sum(away * away))
    return float(slope), float(error)
