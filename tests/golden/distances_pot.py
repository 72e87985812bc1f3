#!/usr/bin/env python3
"""Wasserstein-2 distances by POT: network simplex, the line, and slices.

    python3 -m venv /tmp/venv && /tmp/venv/bin/pip install POT==0.9.7.post1 numpy==2.4.6 scipy==1.17.1
    /tmp/venv/bin/python tests/golden/distances_pot.py       writes distances_pot.json beside this file

The data were made with these versions and Python 3.11.7. Clouds are recipes that a C test can follow to
the last bit: made numbers times scale, plus shift, and every `every`-th row plus `apart` in its first
column (0: none). Numbers are squares of distances. On a torus of a period POT gets the matrix of wrapped
squared costs.
"""

import json
from pathlib import Path

import numpy as np
import ot

from made_numbers import digits, made_numbers

A = dict(seed=1, scale=2.0, shift=0.0, every=0, apart=0.0)
B = dict(seed=2, scale=2.5, shift=0.25, every=0, apart=0.0)
CLUSTERS = (dict(A, every=2, apart=16.0), dict(B, every=3, apart=16.0))
WIDE = (dict(A, scale=900.0), dict(B, scale=300.0, shift=100.0))
EXACT = (
    dict(n=1, d=3, period=0.0, clouds=(A, B)),
    dict(n=400, d=1, period=0.0, clouds=(A, B)),
    dict(n=500, d=4, period=0.0, clouds=(A, B)),
    dict(n=300, d=60, period=0.0, clouds=(A, B)),
    dict(n=500, d=2, period=0.0, clouds=CLUSTERS),
    dict(n=400, d=2, period=360.0, clouds=WIDE),
    dict(n=200, d=5, period=1.0, clouds=(A, B)),
)
MARGINAL = (
    dict(n=1000, m=1000, period=0.0, clouds=(A, B)),
    dict(n=1000, m=701, period=0.0, clouds=(A, B)),
    dict(n=31, m=2000, period=0.0, clouds=CLUSTERS),
    dict(n=1, m=7, period=0.0, clouds=(A, B)),
    dict(n=400, m=400, period=360.0, clouds=WIDE),
    dict(n=300, m=211, period=360.0, clouds=WIDE),
)
SLICED = (
    dict(n=500, m=500, d=4, count=50, direction_seed=7, clouds=(A, B)),
    dict(n=500, m=333, d=4, count=50, direction_seed=8, clouds=CLUSTERS),
    dict(n=300, m=300, d=66, count=21, direction_seed=9, clouds=(A, B)),
)


def cloud(recipe, n, d):
    x = made_numbers(recipe["seed"], recipe["scale"], n, d) + recipe["shift"]
    if recipe["every"] > 0:
        x[::recipe["every"], 0] += recipe["apart"]
    return x


def costs(x, y, period):
    difference = x[:, None, :] - y[None, :, :]
    if period > 0:
        difference -= period * np.rint(difference / period)
    return (difference**2).sum(-1)


def transport(x, y, period):
    """By network simplex, equal weights."""
    value, log = ot.emd2([], [], costs(x, y, period), numItermax=10**7, log=True)
    assert log["warning"] is None
    return value


def exact(row):
    x, y = (cloud(recipe, row["n"], row["d"]) for recipe in row["clouds"])
    return {**row, "w2_squared": digits(transport(x, y, row["period"]), 15)}


def marginal(row):
    x, y = (cloud(recipe, row[size], 1) for recipe, size in zip(row["clouds"], "nm"))
    on_line = row["period"] == 0
    value = ot.wasserstein_1d(x[:, 0], y[:, 0], p=2) if on_line else transport(x, y, row["period"])
    return {**row, "w2_squared": digits(value, 15)}


def sliced(row):
    x, y = (cloud(recipe, row[size], row["d"]) for recipe, size in zip(row["clouds"], "nm"))
    directions = made_numbers(row["direction_seed"], 1.0, row["count"], row["d"])
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    value = ot.sliced_wasserstein_distance(x, y, projections=directions.T, p=2)
    return {**row, "w2_squared": digits(value**2, 15)}


def main():
    document = {"source": "tests/golden/distances_pot.py",
                "made_with": {"pot": ot.__version__, "numpy": np.__version__},
                "exact": [exact(row) for row in EXACT],
                "marginal": [marginal(row) for row in MARGINAL],
                "sliced": [sliced(row) for row in SLICED]}
    text = json.dumps(document).replace(', {"n":', ',\n{"n":')
    for kind in ("exact", "marginal", "sliced"):
        text = text.replace(f' "{kind}": [', f'\n"{kind}": [')
    Path(__file__).with_suffix(".json").write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
