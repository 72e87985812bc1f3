"""Samples that a user brought as reference: what their rows are worth, and whether they are of the deck's
system, which nothing but the numbers can tell."""

import math
from html import escape

import numpy as np

import coordinates
from html_page import lead_word
from quantity import number
from truth_check import AGREES

SETS = ("reference.h5md", "generated.h5md")
TAU_LIMIT = 2.0  # rows: beyond it neighbouring rows of a file are far from independent
ESS_FEW = 400  # independent rows that a file should be worth
DOUBTFUL = 3.0  # standard errors between mean energies from which a file is in doubt
ENOUGH = 100  # effective samples from which the mean energy is taken


class FileRows:
    """How much the rows of a user's own file are worth. tau, worth: None where it cannot be told."""

    def __init__(self, case):
        self.tau = self.worth = self.walkers = None
        if case is not None:
            frames = case.frames("reference.h5md")
            self.walkers = frames.walkers or 1
            self.tau = coordinates.longest(coordinates.columns_of(frames))
            self.worth = self.tau and len(frames.positions) / self.tau

    def warnings(self):
        """Sentences without their capital and full stop."""
        if self.tau is None:
            yield "each walker of the file has too few rows for an autocorrelation time"
        elif self.tau > TAU_LIMIT:
            yield (f"the rows of the file are strongly correlated, over about {self.tau:.0f} of them, "
                   f"so that they are worth about {self.worth:.0f} independent ones. The floors, made of "
                   "blocks of rows, are then high and swing; held-out rows resemble those trained on. Bring "
                   "thinned rows, longer runs, or several walkers")
        if self.worth is not None and self.worth < ESS_FEW:
            yield (f"the file is worth about {self.worth:.0f} independent rows, fewer than {ESS_FEW}: "
                   "distances and floors rest on little")
        if self.walkers == 1:
            yield ("the file holds one walker, so there is no R̂, and its averages in results.json "
                   "have no error (no error: one walker)")


def sentence(run, case, label):
    """For the answer; nothing where the reference is no file."""
    if not case.from_file or not case.has(SETS[0]):
        return ""
    parts = [energy_words(run, case)] + [escape(text) for text in FileRows(case).warnings()]
    text = " ".join(text[0].upper() + text[1:] + "." for text in parts if text)
    return lead_word(f"Own data ({escape(label)}).", text)


def energy_words(run, case):
    """The mean energy of the data beside that of the weighted samples, both of the deck's system."""
    if any(run.target.get(name) != value for name, value in case.system.items()):
        return ""  # weights aim at another system than the case's
    pair = mean_energies(case)
    if pair is None:
        return ""
    data, weighted = pair
    z = abs(data[0] - weighted[0]) / math.hypot(data[1], weighted[1])
    values = (f"the mean energy U of the data, {number(data[0])}, is {number(z, 1)} standard errors from that "
              f"of the deck's system by the weights, {number(weighted[0])}")
    if z > AGREES:
        return values + ": the data are not samples of exp(−βU) of this deck"
    if z > DOUBTFUL:
        return values + ": the data may not be samples of exp(−βU) of this deck"
    return values + ", as it should be"


def mean_energies(case):
    """((mean, error) of the data, (mean, error) of the weighted samples), or None."""
    if not case.has(SETS[1]) or case.metric("importance_ess") is None:
        return None
    reference = case.frames(SETS[0], ("energy",))
    generated = case.frames(SETS[1], ("energy", "log_weight"))
    own = coordinates.column(reference.observables["energy"], reference.walkers or 1, False).mean
    energy, log_weight = generated.observables["energy"], generated.observables["log_weight"]
    weight = np.exp(log_weight - log_weight.max())
    weight /= weight.sum()
    if not own.error or 1.0 / np.sum(weight ** 2) < ENOUGH:
        return None
    mean = float(weight @ energy)
    return (own.value, own.error), (mean, math.sqrt(float((weight ** 2) @ (energy - mean) ** 2)))
