#!/usr/bin/env python3
"""The truth of the two-particle system by deterministic quadrature, without any sampling.

    tests/golden/quadrature.py      writes quadrature.json beside this file and
                                    postprocess/two_particle_truth.json; a few seconds

Needs NumPy alone; the data were made with Python 3.11.2 and NumPy 1.24.2 (Debian 12).

U of equations 15 and 16 of the paper at beta = 5, coupling = 0.7. In centre and relative coordinates,
m = (x1 + y1)/2, u = x1 - y1, c = (x2 + y2)/2, v = x2 - y2 (Jacobian 1),

    U = 2 (m^2 + u^2/4 - 1)^2 + 2 m^2 u^2 + 2 c^2 + v^2/2 + coupling/sqrt(r^2 + softening^2),

with r^2 = u^2 + v^2. The integral over c is Gaussian; (u, v) = r (cos phi, sin phi) makes the pair
term and every indicator of r a function of r alone, and "both in one well" is |m| > u/2. What is left
are nested integrals of smooth functions, over m, phi and r, all by composite Gauss-Legendre rules. The
angular means over m and phi do not depend on the softening.

Each number is computed at two resolutions; `error` in the file is the largest relative difference of
any number of that case (1e-13 where it is less). A plain sum over a grid in (x1, y1, v), which shares
nothing with this but U, has to agree as well.
"""

import json
import sys
from pathlib import Path

import numpy as np

BETA, COUPLING = 5.0, 0.7
SOFTENINGS = (1e-8, 0.03, 0.1, 0.5)
R_MAX = 5.0  # the density of r there is under 1e-25
M_MAX = 2.5  # of |m|, beyond u/2: exp(-2 beta (M_MAX^2 - 1)^2) is under 1e-100
QUANTITIES = ("log_z", "mean_r", "prob_r_below_0.8", "prob_r_below_0.4", "prob_same_well", "var_x1")
# What an even grid can do: all digits of smooth integrals (where r counts that is a cone at softening
# 0.5), step^2 where an edge runs along the grid, and the fluctuation of cells cut by a sphere.
PLAIN_STEP = 0.025
PLAIN_ERROR = dict(zip(QUANTITIES, (1e-9, 1e-8, 2e-3, 5e-2, 1e-4, 1e-9)))
TOP = Path(__file__).resolve().parents[2]


def gauss(edges, nodes):
    """Composite Gauss-Legendre rule: points and weights on the panels between `edges`."""
    x, w = np.polynomial.legendre.leggauss(nodes)
    half = np.diff(edges)[:, None] / 2
    return (edges[:-1, None] + half * (x + 1)).ravel(), (half * w).ravel()


def over_m(u, nodes):
    """Integrals over m of exp(-beta U_wells): of 1, of m^2, and of 1 over |m| > u/2. u >= 0."""
    inside, inside_weights = gauss(np.linspace(0.0, 1.0, 5), nodes)
    outside, outside_weights = gauss(np.linspace(0.0, M_MAX, 9), nodes)

    def integrals(m, weights):
        m2, u2 = m**2, u[..., None]**2
        density = 2 * weights * np.exp(-2 * BETA * ((m2 + u2 / 4 - 1)**2 + m2 * u2))
        return density.sum(-1), (density * m2).sum(-1)

    half = u[..., None] / 2
    apart = integrals(half * inside, half * inside_weights)
    together = integrals(half + outside, outside_weights)
    return apart[0] + together[0], apart[1] + together[1], together[0]


def angular(r, nodes):
    """Functions of r: the integrals over m, c and phi of exp(-beta U without the pair term) times
    r times 1, times x1^2, and times the indicator of one shared well."""
    phi, weights = gauss(np.linspace(0.0, np.pi / 2, 5), nodes)
    u, v = r[:, None] * np.cos(phi), r[:, None] * np.sin(phi)
    gaussian = np.exp(-BETA * v**2 / 2) * np.sqrt(np.pi / (2 * BETA))
    measure = 4 * weights * gaussian * r[:, None]
    one, m2, same = over_m(u, nodes)
    # x1 = m + u/2, and the mixed term cancels between m and -m
    return tuple((measure * f).sum(-1) for f in (one, m2 + u**2 / 4 * one, same))


def pair_factor(r, softening):
    return np.exp(-BETA * COUPLING / np.sqrt(r**2 + softening**2))


def solve(softening, r, weights, functions):
    one, x1_squared, same = (f * weights * pair_factor(r, softening) for f in functions)
    z = one.sum()
    return dict(zip(QUANTITIES, (float(value) for value in (
        np.log(z), (r * one).sum() / z, one[r < 0.8].sum() / z, one[r < 0.4].sum() / z,
        same.sum() / z, x1_squared.sum() / z))))


def solve_all(nodes):
    """Rows of quantities, one a softening. 0.4 and 0.8 are edges of panels."""
    r, weights = gauss(np.linspace(0.0, R_MAX, 51), nodes)
    functions = angular(r, nodes)
    return [solve(softening, r, weights, functions) for softening in SOFTENINGS]


def trapezoid(softening, step):
    """The quantities by plain sums over a grid in (x1, y1, v)."""
    x = np.arange(-2.4, 2.4 + step / 2, step) + step / 2  # not through 0, where wells meet
    v = np.arange(-5.0, 5.0 + step / 2, step) + step / 2
    z = sums = 0.0
    for x1 in x:
        y1, across = x[:, None], v[None, :]
        r = np.hypot(x1 - y1, across)
        density = np.exp(-BETA * ((x1**2 - 1)**2 + (y1**2 - 1)**2 + across**2 / 2
                                  + COUPLING / np.sqrt(r**2 + softening**2)))
        z += density.sum()
        sums += np.array([(density * f).sum()
                          for f in (r, r < 0.8, r < 0.4, x1 * y1 > 0, x1**2)])
    log_z = np.log(z * step**3 * np.sqrt(np.pi / (2 * BETA)))
    return dict(zip(QUANTITIES, [log_z, *(sums / z)]))


def differences(row, other):
    return {name: abs(row[name] / value - 1) for name, value in other.items()}


def grid_of_r():
    """Fine where probabilities are small: from 1e-4 up by a constant factor, then evenly."""
    return np.round(np.concatenate([[0.0], np.geomspace(1e-4, 2.5e-3, 15)[:-1],
                                    np.arange(1, 400) * 2.5e-3, np.arange(100, 401) * 1e-2]), 7)


def density_of_r(softening, r, one, log_z):
    return one * pair_factor(r, softening) / np.exp(log_z)


def compact(document):
    """JSON with one case or list a line."""
    return json.dumps(document).replace('"cases": [', '"cases": [\n').replace("}, {", "},\n{") \
        .replace('"r": ', '\n"r": ') + "\n"


def digits(value, count):
    return float(f"{value:.{count}g}")


def main():
    coarse, fine = solve_all(12), solve_all(20)
    grid = grid_of_r()
    one = angular(grid, 20)[0]
    system = {"kind": "coulomb-double-well", "beta": BETA, "coupling": COUPLING}
    source = "tests/golden/quadrature.py"
    numbers, truths = [], []
    for softening, low, row in zip(SOFTENINGS, coarse, fine):
        error = max(differences(low, row).values())
        plain = differences(trapezoid(softening, PLAIN_STEP), row)
        print(f"softening {softening:g}: {row}\n  two resolutions differ by {error:.1e}, the plain sum "
              f"by", {name: f"{value:.1e}" for name, value in plain.items()}, file=sys.stderr)
        assert error < 1e-12 and all(plain[name] < PLAIN_ERROR[name] for name in QUANTITIES)
        row = {name: digits(value, 12) for name, value in row.items()}
        numbers.append({"softening": softening, **row, "error": digits(max(error, 1e-13), 1)})
        density = density_of_r(softening, grid, one, row["log_z"])
        del row["prob_r_below_0.4"]
        truths.append({"softening": softening, **row,
                       "density_r": [digits(value, 8) for value in density]})
    document = {"source": source, "system": system}
    for path, content in ((TOP / "tests/golden/quadrature.json", {**document, "cases": numbers}),
                          (TOP / "postprocess/two_particle_truth.json",
                           {**document, "r": grid.tolist(), "cases": truths})):
        path.write_text(compact(content), encoding="utf-8")


if __name__ == "__main__":
    main()
