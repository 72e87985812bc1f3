"""The report of a molecule's reference: where its backbone is, whether the walkers agree on it, energies."""

from dataclasses import dataclass
from html import escape

import numpy as np

import any_system
import molecule_figures
import run_tables
from html_page import Report, Section, definitions, figure, lead_word, paragraph, table
from quantity import count, in_words, number, with_error
from run_folder import RunError
from run_tables import RHAT_LIMIT

KIND = "amber"
REFERENCE = "reference.h5md"
TERMS = ("bond", "angle", "torsion", "nonbonded", "solvation")
CORE = (np.radians(20.0), np.radians(120.0))  # of phi > 0, between which a walker counts as over


@dataclass
class Backbone:
    """phi, psi (radians), energy (kJ/mol) of a case's reference, [walkers][frames], ps between frames."""

    phi: np.ndarray
    psi: np.ndarray
    energy: np.ndarray
    interval: float

    @property
    def crossings(self):
        """Passages of phi between its negative side and the core of the positive one, over all walkers."""
        total = 0
        for row in self.phi:
            state = np.where((row > CORE[0]) & (row < CORE[1]), 1, np.where(row < 0.0, -1, 0))
            state = state[state != 0]
            total += int(np.count_nonzero(np.diff(state)))
        return total

    @property
    def nanoseconds(self):
        return self.phi.size * self.interval * 1e-3


def report(run, folder) -> Report:
    labels = [case.name for case in run.cases]
    backbones = backbones_of(run.cases, labels)
    sections = [
        Section("figures", "Figures", figures(run.cases, labels, backbones, folder / "figures")),
        Section("basins", "Basins and energies", basin_table(run.cases, labels, backbones)),
        Section("reference", "Can it be trusted?",
                run_tables.diagnostics(run.cases, labels) + quantity_table(run.cases, labels)),
        Section("method", "What the numbers mean", notes() + run_tables.all_metrics(run.cases, labels)),
    ]
    return Report(title=f"Run “{escape(run.name)}”", lead=lead(run, backbones),
                  answer=answer(run, labels, backbones), sections=sections,
                  table=any_system.metrics_text(run.cases, labels))


def backbones_of(cases, labels):
    return {label: backbone_of(case) for case, label in zip(cases, labels)}


def sections_of(cases, labels, folder):
    """What is known of references that flows have been trained on. folder: of figures."""
    backbones = backbones_of(cases, labels)
    sentences = [sentence for case, label in zip(cases, labels)
                 for sentence in case_answer(case, label, backbones[label]) if sentence]
    return ("".join(map(paragraph, sentences)) + figures(cases, labels, backbones, folder)
            + basin_table(cases, labels, backbones) + quantity_table(cases, labels) + notes())


def backbone_of(case):
    """phi and psi of the first residue; None where there is no reference or no backbone."""
    for names in (("phi", "psi"), ("phi_1", "psi_1")):
        try:
            frames = case.frames(REFERENCE, (*names, "energy"))
            break
        except RunError:
            continue
    else:
        return None
    shape = (frames.walkers or 1, -1)
    interval = float(frames.time[1] - frames.time[0]) if len(frames.time) > 1 else 0.0
    return Backbone(*(frames.observables[name].reshape(shape) for name in (*names, "energy")), interval)


def lead(run, backbones):
    case = run.cases[0]
    sampler = case.setting("reference.sampler")
    length = sum(one.nanoseconds for one in backbones.values() if one is not None)
    constraints = case.system.get("constraints") or "none"
    return (f"{escape(str(case.system.get('topology', '')).rsplit('/', 1)[-1])} at "
            f"{number(case.system.get('temperature_K', 300.0))} K, sampler {escape(str(sampler))}, "
            f"constraints: {escape(str(constraints))}. {number(length)} ns of frames.")


def answer(run, labels, backbones):
    return [sentence for case, label in zip(run.cases, labels)
            for sentence in case_answer(case, label, backbones[label]) if sentence]


def case_answer(case, label, backbone):
    rhat = case.value("rhat_max")
    alpha, positive = case.metric("prob_alpha_reference"), case.metric("prob_phi_positive_reference")
    verdict = "R̂ needs at least two walkers with four frames each: whether they agree is not known."
    if rhat is not None:
        worst = worst_quantity(case)
        verdict = (f"The walkers agree: the largest R̂ is {number(rhat, 4)} ({worst})."
                   if rhat <= RHAT_LIMIT else
                   f"The walkers do not agree yet: R̂ of {worst} is {number(rhat, 4)}, above {RHAT_LIMIT}. "
                   "Populations below are not settled; parallel tempering "
                   "(<code>reference.sampler = \"tempering\"</code>) crosses the barriers of φ.")
    found = []
    if alpha is not None:
        over = with_error(positive) if positive is not None and positive.value else "none"
        found.append(f"{with_error(alpha)} of the frames are in the α basin and {over} at φ > 0")
    if backbone is not None:
        passages = backbone.crossings
        found.append(f"φ went {count(passages)} times between its two sides" if passages else
                     "φ never went over to its positive side: what no walker has seen, R̂ cannot miss")
    return [lead_word(escape(label) + ".", verdict), (in_words(found) + "." if found else ""),
            temperature_sentence(case)]


def temperature_sentence(case):
    measured, wanted = case.metric("temperature_K"), case.system.get("temperature_K", 300.0)
    if measured is None:
        return ""
    off = ""
    if measured.error:
        away = (measured.value - wanted) / measured.error
        off = f", {number(abs(away), significant=2)} standard errors {'above' if away > 0 else 'below'} the deck's"
    return f"The kinetic temperature is {with_error(measured)} K{off}."


def worst_quantity(case):
    values = {name[len("rhat_"):]: case.value(name) for name in case.metrics
              if name.startswith("rhat_") and name != "rhat_max" and case.value(name) is not None}
    return escape(max(values, key=values.get).replace("_", " ")) if values else "any quantity"


def figures(cases, labels, backbones, folder):
    there = [(case, label, backbones[label]) for case, label in zip(cases, labels)
             if backbones[label] is not None]
    if not there:
        return paragraph("The molecule has no backbone torsions to draw.")
    return (figure(molecule_figures.ramachandran(there, folder),
                   "<strong>Ramachandran surface.</strong> Free energy −ln p of the backbone torsions in kT, "
                   "from zero at its lowest bin; white where no frame has been. Bins of 6°.",
                   "Free energy over phi and psi")
            + figure(molecule_figures.traces(there, folder),
                     "<strong>Traces.</strong> φ and ψ of up to six walkers against time: few passages between "
                     "basins mean that few independent visits carry their populations.",
                     "Phi and psi against time")
            + figure(molecule_figures.energies(there, folder),
                     "<strong>Potential energy.</strong> Density over all frames, and of each of up to six "
                     "walkers (thin).", "Histogram of the potential energy"))


def basin_table(cases, labels, backbones):
    rows = []
    for case, label in zip(cases, labels):
        for name, metric in (("P(α)", "prob_alpha"), ("P(φ > 0)", "prob_phi_positive"),
                             ("potential energy (kJ/mol)", "energy_mean")):
            rows.append((label, name, with_error(case.metric(f"{metric}_reference"))))
        rows += [(label, f"{term} energy (kJ/mol)", with_error(case.metric(f"energy_{term}_mean_reference")))
                 for term in TERMS]
        if backbones[label] is not None:
            rows.append((label, "passages of φ", count(backbones[label].crossings)))
        rows += [(label, name, with_error(case.metric(metric)))
                 for name, metric in (("least exchange acceptance", "exchange_acceptance"),
                                      ("round trips of replicas", "round_trips"))
                 if case.metric(metric) is not None]
    return table(("case", "what", "mean ± standard error between walkers"), rows, "Averages over the reference")


def quantity_table(cases, labels):
    rows = []
    for case, label in zip(cases, labels):
        for name in sorted(case.metrics):
            if name.startswith("rhat_") and name != "rhat_max":
                quantity = name[len("rhat_"):]
                rows.append((label, quantity.replace("_", " "), number(case.value(name), 4),
                             count(case.value(f"ess_{quantity}")), count(case.value(f"ess_tail_{quantity}"))))
    return table(("case", "quantity", "R̂", "ESS (bulk)", "ESS (tail)"), rows,
                 "Convergence of each quantity") if rows else ""


def notes():
    return definitions([
        ("basins", "α: φ ≤ 0 and ψ within −120…50°; the rest of φ ≤ 0 is β. A passage of φ is one between "
                   "φ < 0 and the core 20…120° of its positive side."),
        ("standard errors", "come from the means of walkers, which are independent: with few walkers they are "
                            "themselves uncertain, and walkers that all miss a basin do not know of it."),
        ("R̂ and ESS", "rank-normalised split R̂ and effective sample sizes (Vehtari et al. 2021) of sine and "
                       "cosine of each torsion, the shortest distance of atoms more than two bonds apart, and "
                       f"the energy. Above {RHAT_LIMIT} the walkers have not mixed."),
        ("time step", "Langevin-middle dynamics has an error of the order of the square of its time step; "
                      "the deck's HMC has none. Constraints take the stretching of bonds to hydrogen out, and "
                      "half a kT of energy with each."),
    ])
