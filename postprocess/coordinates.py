"""Coordinates of sample sets: mean, standard deviation, extremes and autocorrelation time of each."""

import math
from dataclasses import dataclass
from typing import List, Optional

import numpy as np

from quantity import Quantity
from truth_check import Check

MOST = 60  # coordinates that are looked at
SHORTEST = 8  # frames of a walker from which an autocorrelation time can be had


@dataclass(frozen=True)
class Column:
    """One coordinate of one set. tau: autocorrelation time in rows, None where frames are too few."""

    mean: Quantity
    deviation: Quantity
    least: float
    most: float
    tau: Optional[float]


def coordinates(frames):
    """[n][d]: the first coordinates of a set, without the axes that its system does not have."""
    flat = frames.positions.reshape(len(frames.positions), -1)
    return flat[:, np.ptp(flat, axis=0) > 0.0][:, :MOST].astype(float)


def columns_of(frames, independent=False) -> List[Column]:
    """Errors are from walkers, or where there is one, from its autocorrelation time. independent: rows
    are draws of their own, as generated ones are."""
    x = coordinates(frames)
    return [column(x[:, k], 1 if independent else frames.walkers or 1, independent)
            for k in range(x.shape[1])]


def column(x, walkers, independent):
    chains = x.reshape(walkers, -1) if len(x) % walkers == 0 else x[None, :]
    tau = 1.0 if independent else autocorrelation_time(chains)
    centred = (chains - x.mean()) ** 2
    deviation = math.sqrt(centred.mean())
    square_error = mean_error(centred, independent)
    return Column(Quantity(float(x.mean()), mean_error(chains, independent), n=len(x)),
                  Quantity(deviation, square_error and square_error / (2.0 * deviation), n=len(x)),
                  float(x.min()), float(x.max()), tau)


def mean_error(chains, independent):
    """Standard error of the mean: walkers are the independent units where there are several."""
    if len(chains) > 1:
        return float(chains.mean(axis=1).std(ddof=1) / math.sqrt(len(chains)))
    tau = 1.0 if independent else autocorrelation_time(chains)
    return None if tau is None else float(chains.std() * math.sqrt(tau / chains.size))


def autocorrelation_time(chains):
    """Integrated, in rows, 1 where rows are independent: 1 + 2 Σ ρ, pooled over chains [m][n], ended by
    Geyer's initial monotone sequence (Statistical Science 7, 473 (1992))."""
    n = chains.shape[1]
    if n < SHORTEST:
        return None
    centred = chains - chains.mean()
    spectrum = np.fft.rfft(centred, 2 * n, axis=1)
    covariance = np.fft.irfft((spectrum * spectrum.conj()).real, axis=1)[:, :n].mean(axis=0)
    if not covariance[0] > 0.0:
        return None
    rho = covariance / covariance[0]
    pairs = np.minimum.accumulate(rho[0:n - 1:2] + rho[1:n:2])
    ends = np.flatnonzero(pairs <= 0.0)
    return max(1.0, float(2.0 * pairs[:ends[0] if len(ends) else len(pairs)].sum() - 1.0))


def longest(columns):
    """The largest autocorrelation time of a set, or None."""
    return max((column.tau for column in columns if column.tau is not None), default=None)


def checks_of(label, names, generated, reference, truth):
    """Means and standard deviations of generated coordinates beside the truth, [Marginal] or None, else
    beside the reference."""
    checks = []
    for k, name in enumerate(names[:min(len(generated), len(reference))]):
        beside = "the truth" if truth else "the reference"
        for what, measured, own, true in (
                ("mean", generated[k].mean, reference[k].mean, truth and truth[k].mean),
                ("s.d.", generated[k].deviation, reference[k].deviation, truth and truth[k].deviation)):
            checks.append(Check(label, f"{what} of {name}", "generated", measured,
                                own if true is None else Quantity(true), beside,
                                reference[k].deviation.value if what == "mean" else None))
    return checks
