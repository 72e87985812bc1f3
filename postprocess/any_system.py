"""The report of a system that has no experiment of its own here: what was sampled and generated,
coordinate by coordinate, beside the truth where it is known; distances, convergence and all metrics."""

from dataclasses import dataclass, field
from html import escape
from typing import List, Optional

import coordinates
import method_notes
import own_data
import run_figures
import run_tables
import system_truth
import truth_check
from distance_floor import judge_all
from distance_report import distance_sentences, distance_tables
from figure_style import BLUE
from flow_verdict import headline
from html_page import Report, Section, figure, lead_word, paragraph, table
from quantity import MISSING, in_words, number, percent, with_error
from run_tables import LOW_ESS

SAMPLES = ("reference.h5md", "generated.h5md")
NAMES = {"prob_right_well": "P(right well)"}
SHOWN = 12  # coordinates in tables and figures


@dataclass
class Subject:
    """A case with all that is looked at in it. reference, generated: columns, where both sets are there."""

    case: object
    label: str
    truth: Optional[system_truth.SystemTruth]
    names: List[str] = field(default_factory=list)
    reference: List[coordinates.Column] = field(default_factory=list)
    generated: List[coordinates.Column] = field(default_factory=list)

    @property
    def marginals(self):
        """The truth of each coordinate, where it is known for all that are shown."""
        if self.truth is None or len(self.truth.marginals) < len(self.names):
            return None
        return self.truth.marginals


def report(run, folder) -> Report:
    labels = [case.name for case in run.cases]
    subjects = [subject_of(case, label) for case, label in zip(run.cases, labels)]
    verdicts = judge_all(run.cases, labels)
    generated, others = all_checks(run, subjects)
    target = system_truth.lookup(run.target)
    sections = [
        Section("figures", "Figures", make_figures(run, subjects, verdicts, folder / "figures")),
        Section("distances", "Distances and their floors", distance_tables(verdicts)),
        Section("averages", "Averages and coordinates",
                (truth_check.check_table(generated + others, "Averages beside what they should be")
                 if generated + others else "") + coordinate_table(subjects)),
        Section("reference", "The reference: diagnostics", run_tables.diagnostics(run.cases, labels)),
        Section("weights", "Importance weights",
                run_tables.weights(run.cases, labels, target and target.log_z)),
        Section("training", "Training", run_tables.training(run.cases, labels)),
        Section("method", "What the numbers mean",
                method_notes.notes(run.cases, [(verdicts, "against own references")], truth_notes(subjects))
                + run_tables.all_metrics(run.cases, labels)),
    ]
    return Report(title=f"Run “{escape(run.name)}”", lead=lead(run, labels),
                  answer=answer(run, subjects, verdicts, generated), sections=sections,
                  table=metrics_text(run.cases, labels))


def subject_of(case, label):
    truth = system_truth.lookup(case.system)
    if not all(case.has(name) for name in SAMPLES):
        return Subject(case, label, truth)
    frames = [case.frames(name) for name in SAMPLES]
    reference, generated = coordinates.columns_of(frames[0]), coordinates.columns_of(frames[1], True)
    names = [f"coordinate {k + 1}" for k in range(min(len(reference), len(generated)))]
    if truth is not None and len(truth.marginals) >= len(names):
        names = [marginal.name for marginal in truth.marginals[:len(names)]]
    return Subject(case, label, truth, names, reference, generated)


def lead(run, labels):
    kinds = sorted({str(case.system.get("kind", "unknown")) for case in run.cases})
    return f"System: {escape(in_words(kinds))}. Cases: {escape(in_words(labels))}."


# Averages.

def all_checks(run, subjects):
    """Of generated samples, which judge the flow, and of all others where the truth is known."""
    cases, labels = run.cases, [subject.label for subject in subjects]
    names = average_names(cases)
    truths = {subject.case.name: subject.truth.averages if subject.truth else {} for subject in subjects}
    target = system_truth.lookup(run.target)
    generated = truth_check.checks_of(cases, labels, names, lambda case: truths[case.name])
    for subject in subjects:
        generated += coordinates.checks_of(subject.label, subject.names, subject.generated,
                                           subject.reference, subject.marginals)
    others = []
    for of in ("reference", "replicas"):
        others += truth_check.checks_of(cases, labels, names, lambda case: truths[case.name], of)
    others += truth_check.checks_of(cases, labels, names, lambda case: target.averages if target else {},
                                    "reweighted")
    return generated, others


def average_names(cases):
    """Averages that the system has functions for: [(metric, name)]."""
    ending = "_generated"
    found = {name.removesuffix(ending) for case in cases for name, metric in case.metrics.items()
             if name.endswith(ending) and metric.error is not None}
    return [(name, NAMES.get(name, name)) for name in sorted(found)]


def coordinate_table(subjects):
    rows = []
    for subject in subjects:
        for k, name in list(enumerate(subject.names))[:SHOWN]:
            for of, column in (("reference", subject.reference[k]), ("generated", subject.generated[k])):
                rows.append((subject.label, name, of, with_error(column.mean, 4),
                             with_error(column.deviation, 4), number(column.least, 3),
                             number(column.most, 3)))
            if subject.marginals:
                truth = subject.marginals[k]
                rows.append((subject.label, name, "truth", number(truth.mean, 4),
                             number(truth.deviation, 4), MISSING, MISSING))
    if not rows:
        return ""
    more = max(len(subject.names) for subject in subjects) > SHOWN
    return table(("case", "coordinate", "samples", "mean ± s.e.", "standard deviation ± s.e.", "min",
                  "max"), rows, "Coordinates") + (
        paragraph(f"The first {SHOWN} coordinates.", "small") if more else "")


# The answer.

def answer(run, subjects, verdicts, generated):
    sentences = [headline(verdicts, generated), *distance_sentences(verdicts),
                 truth_check.generated_sentence(generated),
                 *(weights_sentence(run, subject) for subject in subjects),
                 *(own_data.sentence(run, subject.case, subject.label) for subject in subjects)]
    for word, name, text in (
            ("Likelihood.", "nll_validation", lambda metric: with_error(metric) + " nats"),
            ("Lipschitz constant.", "lipschitz_max", lambda metric: number(metric.value)),
            ("Walkers.", "rhat_max", lambda metric: number(metric.value, 4))):
        found = [f"{text(subject.case.metric(name))} ({escape(subject.label)})" for subject in subjects
                 if subject.case.metric(name)]
        if found:
            sentences.append(lead_word(word, f"{MEANING[name]}: {', '.join(found)}."))
    return [sentence for sentence in sentences if sentence]


MEANING = {
    "nll_validation": "Negative log-likelihood of samples that were held out of the training",
    "lipschitz_max": "Largest Jacobian norm found of the learned map",
    "rhat_max": "Largest R̂ of the reference over coordinates and observables; 1.01 is the usual limit",
}


def weights_sentence(run, subject):
    """ESS, log Z beside its truth, and what a low ESS means."""
    ess = subject.case.metric("importance_ess")
    if ess is None:
        return ""
    text = (f"Effective share of the generated samples after weighting with exp(−βU) of the deck's system "
            f"(Kish, raw): {percent(ess.value)} ({escape(subject.label)})")
    log_z, target = subject.case.metric("log_z_weights"), system_truth.lookup(run.target)
    if log_z is not None and target is not None:
        text += f"; log Z {with_error(log_z)}, {number(target.log_z, significant=5)} in truth"
    text += "."
    if ess.value < LOW_ESS:
        text += (" That is low: either the flow or the data differ from exp(−βU)." if subject.case.from_file
                 else " That is low: the flow differs from exp(−βU).")
    return lead_word("Weights.", text)


# Figures.

def make_figures(run, subjects, verdicts, folder):
    body, labels = "", [subject.label for subject in subjects]
    for subject in subjects:
        if subject.names:
            body += figure(run_figures.marginals(subject.case, subject.names, subject.marginals, folder),
                           f"<strong>Coordinates, {escape(subject.label)}.</strong> Densities of each "
                           "coordinate in reference and generated samples"
                           + (", and the exact one (thin line)." if subject.marginals else "."),
                           f"Densities of coordinates, {subject.label}")
    path = run_figures.distances(labels, [("own reference", verdicts, BLUE, "o")], [], folder)
    if path:
        body += figure(path, "<strong>Distances over their floors.</strong> Points are distances with one "
                       f"standard error. The band is the interval in which one more pair "
                       f"{method_notes.pairs_of(run.cases)} would fall.", "Distances over their floors")
    path = run_figures.lipschitz(run.cases, labels, folder)
    if path:
        body += figure(path, "<strong>Lipschitz constants.</strong> Largest singular value of the exact "
                       "Jacobian of the learned map and of its inverse. The gap to the 99% point shows how few "
                       "points carry the largest.", "Lipschitz constants by case")
    path = run_figures.convergence(run, labels, folder)
    if path:
        body += figure(path, "<strong>Convergence.</strong> Negative log-likelihood and norm of the gradient "
                       "(mean of an epoch) against the epoch; the circle is the epoch whose model was "
                       "kept. " + run_tables.clipped_words(run.cases, labels),
                       "Negative log-likelihood against epoch")
    return body


def truth_notes(subjects):
    if not any(subject.truth for subject in subjects):
        return []
    return [("Truth", "Normal coordinates in closed form; the coordinate along a double well, its population "
             "and log Z by quadrature on a fine grid. No sampling in it.")]


def metrics_text(cases, labels):
    """The metrics for a terminal."""
    rows = [("case", "metric", "value ± s.e.", "unit", "n")] + run_tables.metric_rows(cases, labels)
    widths = [max(map(len, column)) for column in zip(*rows)]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip()
                     for row in rows) + "\n"
