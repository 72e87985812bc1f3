"""What the numbers of any report mean, term by term. An experiment adds its own terms."""

from distance_floor import LEVEL
from html_page import definitions
from truth_check import AGREES, chance

KINDS = {
    "r": "<em>1-D, of r</em>: between the distributions of r.",
    "sliced": "<em>Sliced</em>: root of the mean over directions of the squared 1-D distance of the "
              "projected positions.",
    "exact": "<em>Exact</em>: optimal assignment of whole configurations with squared Euclidean cost.",
}
FLOOR_OF = {
    "runs": "The same distance between pairs of independent reference sets of the same sizes: new runs of the "
           "sampler with other seeds.",
    "file": "The same distance between the halves of random splits of the one file that the reference is: "
          "there is no more of it. The file's walkers are split, or where they are fewer than twenty, twenty "
          "blocks of rows. The pairs share their points, so that the spread over them is somewhat too small; "
          "where rows are correlated over a good part of a block, or the file has not explored everything, "
          "halves differ by more than independent sets would, and a floor that high lets errors pass.",
    "trajectories": "The same distance between the halves of random splits of the reference's own trajectories "
                    "(of twenty blocks of frames, where there are fewer than six): new ones would cost as much "
                    "as the reference did. The pairs share frames, so that the spread over them is somewhat too "
                    "small. Where trajectories have not settled, halves differ by more than two settled "
                    "references would, and a floor that high lets errors pass.",
}
PAIRS_OF = {"runs": "of independent references", "file": "of halves of the file",
            "trajectories": "of halves of the trajectories"}


def notes(cases, families, own=()):
    """families: [(verdicts, against what)]; own: terms of the experiment, [(term, text)]."""
    verdicts = [v for family, _ in families for v in family or ()]
    terms = [*own]
    if verdicts:
        terms += distance_terms(cases, families, verdicts)
    terms += [error_bars(cases), ("Averages", (
        f"Called off where they lie more than {AGREES} standard errors from the truth (from the reference, "
        "and with its error added in squares, where no truth is known). Chance does that with a probability "
        f"of {chance_of(1)} for one number and {chance_of(32)} for the 32 of a run: the limit "
        "is wide so that hardly any good run is called off. It also lets small errors pass, so how many lie "
        "beyond 2 and 3 standard errors is said beside, with what chance alone would give."))]
    if any(case.metric("lipschitz_max") for case in cases):
        terms.append(("Lipschitz constant", (
            "Largest singular value of the exact Jacobian of the map from the base density to positions, in "
            "data units: the maximum over the generated points, then local ascent from the worst of them. It "
            "is a lower bound of the true constant and grows with the number of points searched; a maximum "
            "over pairs of samples, or a mean, would be smaller.")))
    terms += [
        ("Importance weights", (
            "log w = −βU(x) − log q(x) with the flow's density q and the energy U of the deck's own system, "
            "whatever the samples are. ESS is Kish's (Σw)²/Σw² as a share of the samples, raw and with the "
            "largest weights clipped. Where the flow gives no samples, weights cannot repair it, nor does a "
            "good ESS show it. log Z is the logarithm of the mean weight.")),
        ("R̂, ESS of walkers", (
            "Rank-normalised split R̂ and effective sample size (Vehtari et al. 2021), worst over coordinates "
            "and observables; both need two walkers or more. R̂ is 1 where walkers agree within their own "
            "scatter, 1.01 is the article's limit. They show whether walkers agree with each other, not "
            "whether they are right.")),
        ("Gradient norm", "The mean over the steps of an epoch, before clipping."),
    ]
    return definitions(terms)


def pairs_of(cases):
    """What one more draw of a floor would be a pair of."""
    kinds = {floor_kind(case) for case in cases}
    return PAIRS_OF[kinds.pop() if len(kinds) == 1 else "runs"]


def floor_kind(case):
    """What the pairs of a case's floors are."""
    if case.from_file:
        return "file"
    return "trajectories" if case.system.get("kind") == "amber" else "runs"


def distance_terms(cases, families, verdicts):
    kinds = [text for kind, text in KINDS.items() if any(v.kind == kind for v in verdicts)]
    kinds_of_floors = {floor_kind(case) for case in cases}
    floors = " ".join(text for kind, text in FLOOR_OF.items() if kind in kinds_of_floors)
    sizes = "; ".join(f"{len(family)} {against}" for family, against in families if family)
    return [
        ("W2", "Wasserstein-2 distance, in the units of the coordinates. " + " ".join(kinds)),
        ("Floor", (
            f"{floors} It is not zero and swings from pair to pair, so its mean and spread over many "
            "pairs are given. “At the floor”: the distance lies within the interval t·spread·√(1 + 1/pairs) of "
            "the floor's mean, t the two-sided quantile with pairs − 1 degrees of freedom at "
            f"{LEVEL:.0%} divided by the number of tests ({sizes}). The 1 under the root is there because "
            "the run's own distance is one draw as each pair of the floor is: repeating it on other "
            "subsamples of the same samples does not make it surer.")),
        ("What the floor hides", (
            "Squares of an error and of the floor add up on average. What the floor leaves of a distance W "
            "above it is √(W² − mean²). An error of √((mean + interval)² − mean²) brings a distance to the edge "
            "of the interval: it is seen as often as it is missed. A distance at its floor says nothing about "
            "errors smaller than that; it is inconclusive, not passed.")),
    ]


def chance_of(numbers):
    power = f"{numbers * chance(AGREES):.0e}".split("e")
    return f"{power[0]}·10<sup>{int(power[1])}</sup>".replace("-", "−")


def error_bars(cases):
    text = ("One standard error, from independent walkers, blocks or resampling; frames of one walker are "
            "not counted as independent.")
    if any(case.from_file for case in cases):
        text += (" A file of one walker (every .npy file) has no parts known to be independent, so numbers "
                 "of results.json that rest on them come without error; the table of coordinates estimates "
                 "errors from the autocorrelation time of the rows instead.")
    return "Error bars", text
