"""Measured averages beside what they should be: the truth where it is known, else the references.

An average is called off where it lies more than AGREES standard errors away. The limit is that wide so that
chance calls hardly any run off: 4·10⁻⁸ for one number, about 10⁻⁶ for the thirty of a run.
"""

import math
from dataclasses import dataclass
from html import escape
from typing import Optional

from html_page import details, lead_word, table
from quantity import MISSING, Quantity, count, decimals_of, number, percent, signed, with_error

AGREES = 5.5
FEW = (2.0, 3.0)  # standard errors that chance exceeds now and then: how often is said beside
LONG = 60  # rows from which a table is folded
BESIDE = (("replicas", "the replicas"), ("reference", "the reference"))


@dataclass(frozen=True)
class Check:
    """One average. beside: what it is compared with, in words; scale: the deviation is given in these
    where the true value may be zero."""

    label: str
    name: str
    of: str
    measured: Quantity
    true: Quantity
    beside: str
    scale: Optional[float] = None

    @property
    def difference(self):
        return self.measured.value - self.true.value

    @property
    def z(self):
        """In standard errors, those of both; NaN where none is known."""
        error = math.hypot(self.measured.error or 0.0, self.true.error or 0.0)
        return self.difference / error if self.measured.error else math.nan

    @property
    def off(self):
        return abs(self.z) > AGREES

    @property
    def deviation(self):
        """As text: percent of the true value, or in standard deviations of the coordinate."""
        if self.scale:
            return f"{signed(self.difference / self.scale, 3)} s.d."
        if self.true.value == 0.0:
            return MISSING
        share = self.difference / abs(self.true.value)
        return f"{'+' if share > 0.0 else '−' if share < 0.0 else ''}{percent(abs(share))}"

    @property
    def in_errors(self):
        return signed(self.z, 1) if math.isfinite(self.z) else MISSING


def checks_of(cases, labels, names, truth_of, of="generated"):
    """The averages with these names, [(metric, name)], of one set. truth_of(case): {metric: value}, which
    for generated samples the references stand in for where it is not known."""
    found = []
    for case, label in zip(cases, labels):
        truth = truth_of(case)
        for metric, name in names:
            measured = case.metric(f"{metric}_{of}")
            true, beside = compared_with(case, metric, truth, of)
            if measured is not None and true is not None:
                found.append(Check(label, name, of, measured, true, beside))
    return found


def compared_with(case, metric, truth, of):
    if metric in truth:
        return Quantity(truth[metric]), "the truth"
    for source, words in BESIDE if of == "generated" else ():
        stand_in = case.metric(f"{metric}_{source}")
        if stand_in is not None:
            return stand_in, words
    return None, ""


def counted(checks):
    """Those with an error, which can be judged."""
    return [check for check in checks if math.isfinite(check.z)]


def how_many(checks):
    """'2 are beyond 2 standard errors and 1 beyond 3, where chance alone gives 0.7 and 0.04'."""
    found = [sum(abs(check.z) > limit for check in checks) for limit in FEW]
    expected = [number(len(checks) * chance(limit), significant=1) for limit in FEW]
    return (f"{found[0]} {'is' if found[0] == 1 else 'are'} beyond 2 standard errors and {found[1]} beyond 3, "
            f"where chance alone gives {expected[0]} and {expected[1]}")


def chance(limit):
    """That a normal number lies further out, on either side."""
    return math.erfc(limit / math.sqrt(2.0))


def furthest(checks, most=4):
    """The furthest check of each quantity, the furthest quantity first, as text for a page."""
    worst = {}
    for check in checks:
        if check.name not in worst or abs(check.z) > abs(worst[check.name].z):
            worst[check.name] = check
    rows = sorted(worst.values(), key=lambda check: -abs(check.z))[:most]
    return "; ".join(f"{escape(check.name)} {check.deviation} ({check.in_errors} standard errors, "
                     f"{escape(check.label)})" for check in rows)


def generated_sentence(checks):
    """Averages of the generated samples, for the answer."""
    checks = counted(checks)
    if not checks:
        return ""
    beside = sorted({check.beside for check in checks})
    off = sum(check.off for check in checks)
    from_what = f"{AGREES} standard errors {'from' if off else 'of'} {' or '.join(beside)}"
    head = (f"{off} of {len(checks)} {'lies' if off == 1 else 'lie'} more than {from_what}" if off else
            f"All {len(checks)} lie within {from_what}")
    return lead_word("Averages of the generated samples.", (
        f"{head}; {how_many(checks)}. Furthest for each quantity: {furthest(checks)}; "
        'all in the <a href="#averages">table</a>.'))


def should_be(check):
    """An exact value has the digits of the measured one."""
    if check.true.error:
        return with_error(check.true, 4)
    return number(check.true.value, decimals_of(check.measured.error, 4))


def check_table(checks, caption):
    order = list(dict.fromkeys(check.label for check in checks))
    checks = sorted(checks, key=lambda check: order.index(check.label))
    rows = [(check.label, check.name, check.of, with_error(check.measured, 4), count(check.measured.n),
             should_be(check), check.beside, check.deviation, check.in_errors) for check in checks]
    made = table(("case", "quantity", "samples", "value ± s.e.", "n", "should be", "which is", "deviation",
                  "in s.e."), rows, caption)
    return made if len(rows) <= LONG else details(f"{caption} ({len(rows)} rows)", made)
