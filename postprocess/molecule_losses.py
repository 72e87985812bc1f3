"""Losses of molecular flows: what each is, where it is known to be weak, and what of that a run shows."""

import numpy as np

import molecule_topology
from quantity import number, short

NAMES = {
    "nll": "likelihood alone",
    "penalty": "penalty of eq. 17",
    "pair-penalty": "penalty with a distance of each pair's own",
    "energy": "mean energy",
    "reverse-kl": "divergence from the target",
    "pair-penalty+reverse-kl": "penalty of each pair's own and divergence",
}
WEAKNESS = {
    "nll": "it looks at reference samples alone: what the flow makes elsewhere costs it nothing, while one "
           "close pair costs an energy of r⁻¹² everything",
    "pair-penalty": "it keeps pairs from being closer than they ever are in the reference, and says nothing "
                    "about bonds, angles and anything that is too far",
    "energy": "the energy alone is least at the minima of U: samples gather there, with too little spread and "
              "too low energies, as far as the likelihood lets them",
    "reverse-kl": "the true density is its optimum, but it averages over the flow's own samples: a region that "
                  "they leave is not missed, and its gradient is noisy where energies are huge",
    "pair-penalty+reverse-kl": "its two weights have to be balanced: much of the penalty raises energies, much of "
                               "the divergence makes the flow leave regions",
}
TINY = 0.1  # nats that a push gains, below which it is called small beside the likelihood
PUSH = 0.1  # nm


def described(subject):
    """'penalty of eq. 17'; the deck's word where it is not known here."""
    return NAMES.get(subject.loss, subject.loss)


def weakness(subject):
    if subject.loss == "penalty":
        return penalty_weakness(subject)
    return WEAKNESS.get(subject.loss, "")


def penalty_weakness(subject):
    """Equation 17 divides by the number of pairs."""
    text = "as printed it pushes each close pair with λ/|P| alone"
    weight = subject.case.setting("training.penalty_weight")
    if weight is None or subject.topology is None:
        return text
    pairs = len(molecule_topology.pairs_of(subject.case, subject.topology))
    if pairs == 0:
        return text
    gain = float(weight) * PUSH / pairs
    text += (f" = {float(weight):g}/{pairs} nats/nm: {PUSH:g} nm of a collision are worth "
             f"{number(gain, significant=2)} nats")
    return text + (", tiny beside the likelihood" if gain < TINY else "")


def collapse(subject):
    """Where energies have fallen below the reference's: words, or nothing."""
    if not {"reference", "generated"} <= subject.energy.keys():
        return ""
    reference, generated = (subject.energy[of] for of in ("reference", "generated"))
    low, middle = np.quantile(reference, (0.05, 0.5))
    median = np.median(generated)
    if median >= low:
        return ""
    return (f"the median of U, {short(float(median))} kJ/mol, is below 95% of the reference's "
            f"(median {short(float(middle))}): samples have collapsed towards minima")
