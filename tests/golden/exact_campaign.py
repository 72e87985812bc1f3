#!/usr/bin/env python3
"""Set `boltzmap distance` beside POT and SciPy on many random pairs of clouds of many kinds.

    python3 -m venv venv && venv/bin/pip install POT==0.9.7 numpy scipy
    venv/bin/python tests/golden/exact_campaign.py build/boltzmap --cases 2000 --seed 1
    … --families torus,jitter          only these;  --first 77 --cases 1: one case again;
    … --keep DIR                       where the clouds of failures go

Each pair is solved by boltzmap (one process for a batch), by POT's network simplex and by SciPy's
linear_sum_assignment, whose W2 are made anew from their pairings. A case passes where W2 is that of the
cheaper peer to 1e-10 or below it, the duality gap is at most 1e-9, and the solve takes less than 20 s.
Identical clouds: W2 below 1e-12 of the scale. Peers that are beaten or differ are counted as inexact, and
solves that take more than 5 s, or three times SciPy's time from 1000 points on, as slow; they are listed
but fail nothing. Ends with a table and exit status 1 where a case failed.
"""

import argparse
import json
import math
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import ot
from scipy.optimize import linear_sum_assignment
from scipy.spatial.distance import cdist

AGREE, ZERO, GAP, SECONDS = 1e-10, 1e-12, 1e-9, 20.0
SLOW, SLOW_RATIO, SLOW_POINTS = 5.0, 3.0, 1000
BATCH = 100


# --- clouds: (generator, n, d) to x, y, period ------------------------------------------------------

def gaussian(rng, n, d):
    scale = 10.0**rng.uniform(-2, 2, 2)
    return (scale[0] * rng.normal(size=(n, d)),
            scale[rng.integers(2)] * rng.normal(size=(n, d)) + rng.normal(size=d) * rng.choice([0, 1, 30]))


def heavy(rng, n, d):
    draw = rng.choice([lambda: rng.standard_cauchy((n, d)), lambda: rng.standard_t(1.5, (n, d)),
                       lambda: rng.pareto(1.1, (n, d))])
    return draw(), draw()


def lattice(rng, n, d):
    side = int(rng.choice([2, 3, 5, 10, 40]))
    return (rng.integers(0, side, (n, d)).astype(float),
            rng.integers(0, side, (n, d)) + rng.choice([0.0, 0.5, 1.0]))


def duplicates(rng, n, d):
    def cloud(sites):
        weights = rng.dirichlet(np.full(len(sites), rng.choice([0.2, 1.0, 10.0])))
        return sites[rng.choice(len(sites), n, p=weights)]
    sites = rng.normal(size=(rng.integers(1, 40), d))
    other = sites if rng.random() < 0.5 else rng.normal(size=(rng.integers(1, 40), d))
    return cloud(sites), cloud(other)


def identical(rng, n, d):
    x = rng.choice([lambda: rng.normal(size=(n, d)), lambda: rng.integers(0, 4, (n, d)).astype(float),
                    lambda: rng.standard_cauchy((n, d)), lambda: rng.normal(size=(n, d)) + 1e6])()
    return x, rng.permutation(x)


def collinear(rng, n, d):
    line = rng.normal(size=d)
    other = line if rng.random() < 0.5 else rng.normal(size=d)
    return rng.normal(size=(n, 1)) * line, rng.normal(size=(n, 1)) * other + rng.choice([0.0, 5.0])


def deficient(rng, n, d):
    basis = rng.normal(size=(2, rng.integers(1, max(2, d // 2 + 1)), d))
    return tuple(rng.normal(size=(n, basis.shape[1])) @ basis[k * rng.integers(2)] for k in range(2))


def clusters(rng, n, d):
    apart = 10.0**rng.uniform(1, 6)
    sites = apart * rng.normal(size=(rng.integers(2, 7), d))

    def cloud():
        return sites[rng.choice(len(sites), n, p=rng.dirichlet(np.ones(len(sites))))] + rng.normal(size=(n, d))
    return cloud(), cloud()


def offset(rng, n, d):
    x, y = rng.normal(size=(2, n, d)) * 10.0**rng.uniform(-3, 1)
    away = 1e6 * rng.normal(size=d)
    return x + away, y + (away if rng.random() < 0.5 else 1e6 * rng.normal(size=d))


def scales(rng, n, d):
    scale = rng.choice([1e-8, 1e-30, 1e30, 1e8, 1e-140, 1e140])
    x, y = rng.normal(size=(2, n, d)) + rng.choice([0.0, 1e3])
    return scale * x, scale * y


def jitter(rng, n, d):
    x = rng.choice([1.0, 100.0]) * rng.normal(size=(n, d))
    return x, rng.permutation(x + rng.choice([1e-1, 1e-3, 1e-6, 1e-8]) * rng.normal(size=(n, d)))


def torus(rng, n, d):
    d, period = 1 + d % 6, rng.choice([1.0, 360.0, 2.0 * np.pi])
    width, turns = 10.0**rng.uniform(-2, 0.5, 2), rng.choice([0, 0, 3, 1000])
    x, y = (period * (rng.random((n, d)) if rng.random() < 0.3 else rng.random(d) + w * rng.normal(size=(n, d)))
            for w in width)
    if rng.random() < 0.2:
        x, y = (np.round(c / period * 12) * (period / 12) for c in (x, y))
    return x + turns * period, y, period


def sphere(rng, n, d):
    x, y = rng.normal(size=(2, n, d + 1))
    y[:, 0] += rng.choice([0.0, 2.0])
    return tuple(c / np.linalg.norm(c, axis=1, keepdims=True) for c in (x, y))


def outlier(rng, n, d):
    x, y = rng.normal(size=(2, n, d))
    x[rng.integers(n)] += 1e6 * rng.normal(size=d)
    if rng.random() < 0.3:
        y[rng.integers(n)] += 1e6 * rng.normal(size=d)
    return x, y


def mixture(rng, n, d):
    def cloud():
        return 10.0**rng.integers(-6, 5, (n, 1 if rng.random() < 0.5 else d)) * rng.normal(size=(n, d))
    return cloud(), cloud()


def cube(rng, n, d):
    return rng.random((n, d)), rng.random((n, d))


def wide(rng, n, d):
    x, y = rng.normal(size=(2, n, d))
    pair = (x, y * 10.0**rng.uniform(1, 6))
    return pair if rng.random() < 0.5 else pair[::-1]


def point(rng, n, d):
    x, y = np.tile(rng.normal(size=d) * rng.choice([1.0, 1e3]), (n, 1)), rng.normal(size=(n, d))
    if rng.random() < 0.3:
        y = np.tile(y[:1], (n, 1))
    return (x, y) if rng.random() < 0.5 else (y, x)


def atoms(rng, n, d):
    """Much of the mass on a few points, the rest spread out."""
    x, y = rng.normal(size=(2, n, d))
    for cloud in (x, y):
        cloud[rng.random(n) < rng.random()] = rng.choice([0.0, 1.0])
    return x, y


def orthogonal(rng, n, d):
    """In orthogonal subspaces: every pairing costs the same."""
    d = max(d, 2)
    x, y = rng.normal(size=(2, n, d)) if rng.random() < 0.7 else rng.integers(0, 2, (2, n, d)).astype(float)
    x[:, d // 2:] = 0.0
    y[:, :d // 2] = 0.0
    return x, y


def moons(rng, n, d):
    d, noise = max(d, 2), rng.choice([0.0, 0.01, 0.1])
    angle = rng.uniform(0, np.pi, (2, n))
    x, y = noise * rng.normal(size=(2, n, d))
    x[:, :2] += np.stack([np.cos(angle[0]), np.sin(angle[0])], 1)
    y[:, :2] += np.stack([1 - np.cos(angle[1]), 0.5 - np.sin(angle[1])], 1)
    return x, y


FAMILIES = {f.__name__: f for f in (gaussian, heavy, lattice, duplicates, identical, collinear, deficient,
                                    clusters, offset, scales, jitter, torus, sphere, outlier, mixture, cube,
                                    wide, point, atoms, orthogonal, moons)}


class Case:
    def __init__(self, seed, number, names, largest):
        rng = np.random.default_rng([seed, number])
        self.number, self.family = number, names[number % len(names)]
        kind = rng.random()
        n = int(10**rng.uniform(0, 2.78) if kind < 0.75 else
                rng.integers(513, 1000) if kind < 0.88 else rng.integers(1000, 3001))
        n = min(n, largest)
        d = int(rng.choice([1, 2, 3, rng.integers(1, 11), rng.integers(1, 67)]))
        x, y, *period = FAMILIES[self.family](rng, n, d)
        self.clouds = [np.ascontiguousarray(c, dtype=np.float64) for c in (x, y)]
        self.period = float(period[0]) if period else 0.0
        self.n, self.d = self.clouds[0].shape
        self.found, self.problems, self.notes = None, [], []

    def __str__(self):
        return f"case {self.number}: {self.family}, n={self.n}, d={self.d}, period={self.period:g}"


# --- peers --------------------------------------------------------------------------------------------

def wrap(difference, period):
    return difference - period * np.rint(difference / period) if period > 0 else difference


def costs(x, y, period):
    if period == 0:
        return cdist(x, y, "sqeuclidean")
    return sum(wrap(np.subtract.outer(x[:, k], y[:, k]), period)**2 for k in range(x.shape[1]))


def peers(case):
    """W2 of POT's pairing and of SciPy's, and SciPy's seconds. Scaled by a power of two: no digit lost."""
    x, y = case.clouds
    reach = max(np.abs(np.concatenate((x, y)) - x[0]).max() if case.period == 0 else case.period, 1e-300)
    unit = 2.0**np.floor(np.log2(reach))
    x, y = x / unit, y / unit
    cost = costs(x, y, case.period / unit)

    def w2(pairing):
        return unit * np.sqrt((wrap(x - y[pairing], case.period / unit)**2).sum(1).mean())
    started = time.perf_counter()
    scipy = w2(linear_sum_assignment(cost)[1])
    seconds = time.perf_counter() - started
    plan = ot.emd([], [], cost, numItermax=10**7)
    pot = plan.argmax(axis=1)
    return w2(pot) if len(set(pot)) == case.n else np.inf, scipy, seconds


# --- boltzmap -----------------------------------------------------------------------------------------

def solve(binary, cases, folder):
    """One process for all; where it fails or hangs, the first without an answer is to blame."""
    while cases:
        for case in cases:
            for side, cloud in zip("ab", case.clouds):
                np.save(folder / f"{case.number}{side}.npy", cloud)
        (folder / "list").write_text("".join(f"{folder}/{c.number}a.npy {folder}/{c.number}b.npy\n"
                                             for c in cases), encoding="utf-8")
        command = [binary, "distance", "--kind", "exact", "--pairs", folder / "list", "--json"]
        command += ["--period", repr(cases[0].period)] if cases[0].period > 0 else []
        try:
            run = subprocess.run(command, capture_output=True, timeout=60 + 2 * len(cases))
            out, why = run.stdout, f"exit status {run.returncode}: {run.stderr.decode()[-3000:]}"
        except subprocess.TimeoutExpired as late:
            out, why = late.stdout or b"", "hangs"
        lines = [json.loads(line) for line in out.decode().splitlines() if line.endswith("}")]
        for case, line in zip(cases, lines):
            assert Path(line["a"]).name == f"{case.number}a.npy"
            case.found = line
        if len(lines) == len(cases):
            return
        cases[len(lines)].problems.append(why)
        cases = cases[len(lines) + 1:]


def judge(case):
    if case.found is None:
        return
    w2, gap, seconds = case.found["w2"], case.found["gap"], case.found["seconds"]
    pot, scipy, scipy_seconds = peers(case)
    best = min(pot, scipy)
    size = max(np.ptp(np.concatenate(case.clouds), axis=0).max(), 1e-300)
    zero = ZERO * size if case.family in ("identical", "point", "duplicates", "lattice") else 0.0
    case.found["difference"] = difference = 0.0 if abs(w2 - best) <= zero else abs(w2 - best) / best
    case.found["ratio"] = seconds / max(scipy_seconds, 1e-3) if case.n >= SLOW_POINTS else 0.0
    values = f"ours {w2:.16g} POT {pot:.16g} SciPy {scipy:.16g}"
    if not w2 <= best * (1 + AGREE) + zero:
        case.problems.append(f"wrong: {values} gap {gap:.1e}")
    elif difference > AGREE or abs(pot - scipy) > AGREE * best + zero:
        case.notes.append(f"a peer is inexact: {values} gap {gap:.1e}")
    if not gap <= GAP:
        case.problems.append(f"gap {gap:.1e}, rounding {case.found['rounding']:.1e}; {values}")
    if seconds > SECONDS:
        case.problems.append(f"took {seconds:.1f} s")
    if seconds > SLOW or (case.found["ratio"] > SLOW_RATIO and seconds > 0.3):
        case.notes.append(f"slow: {seconds:.2f} s, SciPy {scipy_seconds:.2f} s")


def report(names, cases):
    print(f"{'family':<11}{'cases':>6}{'worst W2':>10}{'gap':>9}{'rounding':>10}{'slowest':>9}{'/SciPy':>8}"
          f"{'inexact':>9}{'slow':>6}{'failed':>8}")
    for name in names + ["all"]:
        own = [c for c in cases if name in (c.family, "all")]

        def worst(key):
            return max((math.inf if c.found.get(key, 0.0) is None else c.found.get(key, 0.0) for c in own if c.found),
                   default=0.0)
        print(f"{name:<11}{len(own):>6}{worst('difference'):>10.1e}{worst('gap'):>9.1e}{worst('rounding'):>10.1e}"
              f"{worst('seconds'):>8.2f}s{worst('ratio'):>8.1f}"
              f"{sum(any('peer' in t for t in c.notes) for c in own):>9}"
              f"{sum(any('slow' in t for t in c.notes) for c in own):>6}"
              f"{sum(bool(c.problems) for c in own):>8}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("binary")
    parser.add_argument("--cases", type=int, default=2000)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--largest", type=int, default=3000, help="points of a cloud at most")
    parser.add_argument("--families", default=",".join(FAMILIES))
    parser.add_argument("--keep", type=Path, help="folder for the clouds of failures")
    options = parser.parse_args()
    names = options.families.split(",")
    done = []
    for first in range(options.first, options.first + options.cases, BATCH):
        last = min(first + BATCH, options.first + options.cases)
        batch = [Case(options.seed, number, names, options.largest) for number in range(first, last)]
        with tempfile.TemporaryDirectory() as folder:
            for period in sorted({c.period for c in batch}):
                solve(options.binary, [c for c in batch if c.period == period], Path(folder))
        for case in batch:
            judge(case)
            for text in case.problems + case.notes:
                print(f"{'FAILED' if text in case.problems else 'note'} {case}: {text}", flush=True)
            if case.problems and options.keep:
                for side, cloud in zip("ab", case.clouds):
                    np.save(options.keep / f"{options.seed}-{case.number}-{case.family}-{side}.npy", cloud)
            case.clouds = None
        done += batch
        print(f"{last - options.first} cases", file=sys.stderr, flush=True)
    report(names, done)
    sys.exit(any(c.problems for c in done))


if __name__ == "__main__":
    main()
