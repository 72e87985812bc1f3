#!/usr/bin/env python3
"""Convergence diagnostics of chains by ArviZ.

    python3 -m venv /tmp/venv && /tmp/venv/bin/pip install arviz==0.23.4 numpy==2.4.6 scipy==1.17.1
    /tmp/venv/bin/python tests/golden/diagnostics_arviz.py   writes diagnostics_arviz.json beside this

The data were made with these versions and Python 3.11.7. Chains are recipes that a C test can follow to
the last bit, with u one made number after the other:

    autoregressive  x = phi x + u, cut down to a multiple of 2^-20
    wells           a side of +1 or -1 that changes where u > 1/2 - hop; x = side + u'/2
    heavy           x = u/(|u| - 1/2 - 2^-10): tails like those of a Cauchy density
    trend           x = u + slope t

to which shift times the chain's number is added; where levels is not 0, values are floor(levels x).
"""

import json
from pathlib import Path

import arviz as az
import numpy as np

from made_numbers import digits, made_numbers

LAGS = 8
SETS = (
    dict(seed=1, m=4, n=250),
    dict(seed=2, m=4, n=250, phi=0.875),
    dict(seed=3, m=7, n=101, phi=-0.625),
    dict(seed=4, m=3, n=60, phi=0.5, shift=0.25),
    dict(seed=5, m=5, n=400, phi=0.75, levels=3),
    dict(seed=6, m=2, n=4),
    dict(seed=7, m=1, n=90, phi=0.75),
    dict(seed=8, m=100, n=120, phi=0.25),
    dict(seed=9, m=2, n=1501, phi=0.96875),
    dict(seed=10, m=4, n=500, kind="wells", hop=0.03125),
    dict(seed=11, m=8, n=200, kind="wells", hop=0.00390625),
    dict(seed=12, m=4, n=300, kind="wells", hop=0.25, levels=1),
    dict(seed=13, m=4, n=333, kind="heavy"),
    dict(seed=14, m=3, n=250, kind="heavy", shift=1.0),
    dict(seed=15, m=4, n=200, kind="trend", slope=0.0078125),
    dict(seed=16, m=2, n=5, phi=0.5),
    dict(seed=17, m=3, n=7, levels=2),
)
DEFAULTS = dict(kind="autoregressive", phi=0.0, shift=0.0, levels=0, hop=0.0, slope=0.0)


def chain(recipe, u):
    """One chain of the draws in u: one each, two for the wells."""
    kind, x, side, values = recipe["kind"], 0.0, 1.0, []
    for t in range(recipe["n"]):
        if kind == "autoregressive":
            x = np.floor((recipe["phi"] * x + u[t]) * 2**20) / 2**20
        elif kind == "wells":
            side = -side if u[2 * t] > 0.5 - recipe["hop"] else side
            x = side + u[2 * t + 1] / 2
        elif kind == "heavy":
            x = u[t] / (abs(u[t]) - 0.5 - 2.0**-10)
        else:
            x = u[t] + recipe["slope"] * t
        values.append(x)
    return np.array(values)


def chains(recipe):
    draws = recipe["n"] * (2 if recipe["kind"] == "wells" else 1)
    u = made_numbers(recipe["seed"], 1.0, recipe["m"], draws)
    values = np.array([chain(recipe, row) + recipe["shift"] * c for c, row in enumerate(u)])
    return np.floor(recipe["levels"] * values) if recipe["levels"] else values


def entry(recipe):
    recipe = {**DEFAULTS, **recipe}
    x = chains(recipe)
    # ArviZ has no R-hat of a single chain; NaN is null in JSON
    rhat = float(az.rhat(x)) if recipe["m"] > 1 else None
    numbers = {"rhat": rhat and digits(rhat, 14)}
    for method in ("bulk", "tail", "mean"):
        numbers[f"ess_{method}"] = digits(az.ess(x, method=method), 14)
    numbers["autocorrelation"] = digits(az.autocorr(x[0])[:LAGS], 12)
    return {**recipe, **numbers}


def main():
    document = {"source": "tests/golden/diagnostics_arviz.py",
                "made_with": {"arviz": az.__version__, "numpy": np.__version__},
                "sets": [entry(recipe) for recipe in SETS]}
    text = json.dumps(document).replace("}, {", "},\n{").replace('"sets": [', '"sets": [\n')
    Path(__file__).with_suffix(".json").write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
