"""Is a distance at its floor? The floor is what two sets of true samples of the same sizes have between
them: never zero, and different from draw to draw.

A measured distance W is called "at the floor" where W - mean lies within
    t(1 - level/(2 tests), pairs - 1) * spread * sqrt(1 + 1/pairs),
the two-sided prediction interval for one more draw of the floor, with mean and standard deviation
(spread) from `pairs` independent pairs. The distance of a run is itself one draw: hence the 1 under
the root, and no averaging over the run's own subsamples can shrink it. Dividing the level by the number
of tests (Bonferroni) keeps the probability of any false alarm in the whole family below the level.

At the floor is not without error. The squares of an error and of the floor add up on average, so that an
error W_true is as likely as not to be seen where W_true² = (mean + interval)² - mean². A smaller one is
likely to be missed: the test is inconclusive about it, not passed.
"""

import math
from dataclasses import dataclass
from typing import Optional

from scipy.stats import t as student

LEVEL = 0.01  # probability of one or more false alarms in a family of tests
KINDS = ("r", "sliced", "exact")
KIND_NAMES = {"r": "1-D of r", "sliced": "sliced", "exact": "exact"}


@dataclass(frozen=True)
class Verdict:
    """One distance against its floor. points: of each cloud; margin: half width of the interval."""

    label: str
    kind: str
    value: float
    error: Optional[float]
    points: Optional[int]
    floor: float
    spread: float
    pairs: int
    margin: float

    @property
    def excess(self):
        return self.value - self.floor

    @property
    def ratio(self):
        return self.value / self.floor if self.floor > 0.0 else math.inf

    @property
    def detectable(self):
        """The error that the test sees as often as it misses it."""
        return math.sqrt(self.margin * (self.margin + 2.0 * self.floor))

    @property
    def error_left(self):
        """What the floor leaves of the distance, an estimate of the error; 0 below the floor."""
        return math.sqrt(max(0.0, self.value ** 2 - self.floor ** 2))

    @property
    def state(self):
        if abs(self.excess) <= self.margin:
            return "at"
        return "above" if self.excess > 0.0 else "below"


def margin_of(spread, pairs, tests, level=LEVEL):
    """Half width of the prediction interval for one more draw."""
    quantile = student.ppf(1.0 - level / (2.0 * tests), pairs - 1)
    return float(quantile * spread * math.sqrt(1.0 + 1.0 / pairs))


def distance_and_floor(case, kind, singular=False):
    """The distance of a case and its floor as two quantities, or None where either is missing."""
    name = f"w2_{kind}_singular" if singular else f"w2_{kind}"
    value, floor = case.metric(name), case.metric(name + "_floor")
    if value is None or floor is None or (floor.n or 0) < 2 or floor_spread(floor) is None:
        return None
    return value, floor


def judge_all(cases, labels, find=distance_and_floor, kinds=KINDS):
    """Verdicts on every distance of every case that has a floor, one family of tests.
    `find(case, kind)` gives the distance and its floor, or None."""
    found = [(label, kind, find(case, kind))
             for case, label in zip(cases, labels) for kind in kinds]
    found = [item for item in found if item[2] is not None]
    verdicts = []
    for label, kind, (value, floor) in found:
        spread = floor_spread(floor)
        verdicts.append(Verdict(label, kind, value.value, value.error, value.n, floor.value, spread,
                                floor.n, margin_of(spread, floor.n, len(found))))
    return verdicts


def floor_spread(floor):
    """Standard deviation over the pairs; from the standard error of the mean where need be."""
    if floor.spread is not None:
        return floor.spread
    return None if floor.error is None or not floor.n else floor.error * math.sqrt(floor.n)
