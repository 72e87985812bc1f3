"""Flows held to a transport map or to small slopes, beside the same flow by its likelihood alone, over several seeds:
what of the Lipschitz constant, of the leak and of the distances that changes.

A leak is the share of generated samples in which two particles are closer than in any sample of the reference.
"""

import math
import statistics
from dataclasses import dataclass

from quantity import MISSING, Quantity, in_words, number, short_with_error

HELD = ("transport", "transport-sobolev", "lipschitz")
LEAKS = ("fraction_below_min_r_reference", "fraction_below_min_r_nonbonded_reference")
DISTANCES = ("w2_exact", "w2_sliced", "w2_r")
LESS_SLOPE, LESS_LEAK, MORE_NLL = 10.0, 3.0, 0.03  # what is asked of a held flow: factors, and nats
NO_WORSE = 2.0  # standard errors that a distance may be larger by
HEADER = ("case", "held-out NLL, nats more", "Lipschitz constant, times smaller", "99% of slopes, times smaller",
          "leak (%)", "leak, times smaller", *(f"{name}, more" for name in DISTANCES), "training, times longer")
NOTE = ("Mean ± standard deviation over the seeds, each beside the likelihood's flow of its own seed; factors are "
        "geometric means, leaks sums over the seeds. The Lipschitz constant is the largest singular value of the "
        "Jacobian that was found, a lower bound.")


@dataclass(frozen=True)
class Held:
    """One case beside the flow of the likelihood."""

    name: str
    nll: Quantity        # difference; error: standard deviation over seeds
    slope: Quantity      # factor
    steepest: Quantity   # factor, of the 99% quantile
    leak: float          # share
    less_leak: float     # factor
    distances: tuple     # Quantity each, difference
    seeds: int
    longer: float        # factor of training time

    def fails(self):
        """What it does not reach, in words."""
        worse = [name for name, more in zip(DISTANCES, self.distances)
                 if more is not None and more.value > NO_WORSE * more.error / math.sqrt(self.seeds)]
        return [text for text, is_so in (
            (f"its Lipschitz constant is {number(self.slope.value, significant=2)} times smaller",
             self.slope.value < LESS_SLOPE),
            (f"its leak {number(self.less_leak, significant=2)} times", self.less_leak < LESS_LEAK),
            (f"its held-out likelihood {number(self.nll.value, significant=2)} nats worse",
             self.nll.value > MORE_NLL),
            (f"{in_words(worse)} larger", bool(worse))) if is_so]


def find(cases):
    """The held flows of {name: [case of each run]}; nothing where there is no likelihood beside them."""
    plain = [members for members in cases.values() if loss_of(members[0]) in (None, "nll")]
    if len(plain) != 1:
        return []
    return [held for name, members in cases.items() if loss_of(members[0]) in HELD
            for held in [beside(name, members, plain[0])] if held is not None]


def loss_of(case):
    return case.setting("training.loss")


def values(members, name):
    found = [case.value(name) for case in members]
    return None if any(value is None for value in found) else found


def spread(differences):
    return Quantity(statistics.fmean(differences), statistics.stdev(differences))


def factor(of_plain, of_held):
    """Geometric mean of ratios; error: their standard deviation, about."""
    if of_plain is None or of_held is None or min(*of_plain, *of_held) <= 0.0:
        return None
    logs = spread([math.log(a / b) for a, b in zip(of_plain, of_held)])
    return Quantity(math.exp(logs.value), math.exp(logs.value) * logs.error)


def beside(name, held, plain):
    def pair(metric):
        return values(plain, metric), values(held, metric)

    nll = pair("nll_validation")
    leaks = next((found for found in map(pair, LEAKS) if None not in found), (None, None))
    slope, steepest = (factor(*pair(metric)) for metric in ("lipschitz_max", "lipschitz_p99"))
    if None in (*nll, *leaks, slope, steepest):
        return None
    distances = tuple(None if None in found else spread([b - a for a, b in zip(*found)])
                      for found in (pair(metric) for metric in DISTANCES))
    seconds = [sum(case.timing("training_s").value for case in members) for members in (plain, held)]
    return Held(name=name, nll=spread([b - a for a, b in zip(*nll)]), slope=slope, steepest=steepest,
                leak=statistics.fmean(leaks[1]),
                less_leak=sum(leaks[0]) / sum(leaks[1]) if sum(leaks[1]) > 0.0 else math.inf,
                distances=distances, seeds=len(held), longer=seconds[1] / seconds[0])


def rows(found):
    return [(held.name, short_with_error(held.nll), short_with_error(held.slope, fallback=1),
             short_with_error(held.steepest, fallback=1), number(100.0 * held.leak, significant=2),
             number(held.less_leak, significant=2) if math.isfinite(held.less_leak) else "∞",
             *(MISSING if more is None else short_with_error(more) for more in held.distances),
             number(held.longer, significant=2)) for held in found]


def conclusion(found):
    """One sentence for each question: is there a flow that has it all, and which comes nearest?"""
    asked = (f"a Lipschitz constant {LESS_SLOPE:g} times smaller, {LESS_LEAK:g} times less leak, no W2 larger than "
             f"chance has it, and a held-out likelihood within {MORE_NLL:g} nats")
    whole = [held.name for held in found if not held.fails()]
    if whole:
        return f"Beside the likelihood alone, {in_words(whole)} reach all that is asked: {asked}."
    nearest = min(found, key=lambda held: (len(held.fails()), -held.slope.value))
    return (f"No flow here has all of this beside the likelihood alone: {asked}. Nearest comes {nearest.name}: "
            f"{in_words(nearest.fails())}.")
