"""What generated conformations should keep to: how far from the reference their shortest distances and
Lennard-Jones energies may be."""

import math
from dataclasses import dataclass

from quantity import Quantity, short, short_with_error

SURE = 2.0  # standard errors that a difference has to keep from a bound
HEAVY = 5.0  # times a bound that an error may be: beyond, a few samples carry the number


@dataclass(frozen=True)
class Bound:
    """On the difference of a metric between generated samples and reference; relative: as a share of the
    reference's."""

    metric: str
    name: str
    what: str  # it repairs
    limit: float
    unit: str
    relative: bool = False

    @property
    def limit_text(self):
        return f"{100.0 * self.limit:g}%" if self.relative else f"{self.limit:g} {self.unit}"


BOUNDS = (
    Bound("r_nonbonded_q001", "min r, 0.1% quantile", "shortest distances", 0.005, "nm"),
    Bound("lj_q999", "LJ energy, 99.9% quantile", "the tail of the LJ energy", 1.0, "kJ/mol"),
    Bound("lj_mean", "LJ energy, mean", "its mean", 0.01, "kJ/mol", relative=True),
)


@dataclass(frozen=True)
class Judgement:
    bound: Bound
    reference: Quantity
    generated: Quantity

    @property
    def difference(self):
        return self.generated.value - self.reference.value

    @property
    def error(self):
        return math.hypot(self.generated.error or 0.0, self.reference.error or 0.0)

    @property
    def limit(self):
        """In the metric's own unit."""
        return self.bound.limit * (abs(self.reference.value) if self.bound.relative else 1.0)

    @property
    def met(self):
        return abs(self.difference) <= self.limit

    @property
    def sure(self):
        return abs(abs(self.difference) - self.limit) > SURE * self.error

    @property
    def verdict(self):
        """An error far beyond the bound comes from a heavy tail, which a met bound would not have."""
        if not self.met and self.error > HEAVY * self.limit:
            return "missed by a heavy tail"
        return ("met" if self.met else "missed") + ("" if self.sure else ", within its error")

    @property
    def difference_text(self):
        if self.bound.relative:
            share = 100.0 * self.difference / abs(self.reference.value)
            error = 100.0 * self.error / abs(self.reference.value)
            return short_with_error(Quantity(share, error)) + "%" if abs(share) < 1e6 else (
                f"{short(1.0 + share / 100.0)} times")
        return short_with_error(Quantity(self.difference, self.error))

    @property
    def beside(self):
        """'0.039 nm (reference 0.178)'."""
        return (f"{short(self.generated.value)} {self.bound.unit} (reference "
                f"{short(self.reference.value)})")


def judge(case):
    """Judgements on those bounds whose metrics were measured."""
    found = []
    for bound in BOUNDS:
        reference, generated = (case.metric(f"{bound.metric}_{of}") for of in ("reference", "generated"))
        if reference is not None and generated is not None:
            found.append(Judgement(bound, reference, generated))
    return found


