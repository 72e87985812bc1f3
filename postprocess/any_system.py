"""The report of a system that has no experiment of its own here: what was sampled and generated,
coordinate by coordinate, distances, convergence and all metrics."""

from html import escape

import run_figures
import run_tables
from distance_floor import judge_all
from distance_report import distance_sentence, distance_tables
from figure_style import BLUE
from html_page import Report, Section, figure, lead_word
from quantity import in_words, number, percent

SAMPLES = ("reference.h5md", "generated.h5md")


def report(run, folder) -> Report:
    labels = [case.name for case in run.cases]
    verdicts = judge_all(run.cases, labels)
    sections = [
        Section("figures", "Figures", make_figures(run, labels, verdicts, folder / "figures")),
        Section("distances", "Distances and their floors", distance_tables(verdicts)),
        Section("reference", "The reference: diagnostics", run_tables.diagnostics(run.cases, labels)),
        Section("weights", "Importance weights", run_tables.weights(run.cases, labels)),
        Section("training", "Training", run_tables.training(run.cases, labels)),
        Section("metrics", "All metrics", run_tables.all_metrics(run.cases, labels)),
    ]
    return Report(title=f"Run “{escape(run.name)}”", lead=lead(run, labels),
                  answer=answer(run.cases, labels, verdicts), sections=sections,
                  table=metrics_text(run.cases, labels))


def lead(run, labels):
    kinds = sorted({str(case.system.get("kind", "unknown")) for case in run.cases})
    return f"System: {escape(in_words(kinds))}. Cases: {escape(in_words(labels))}."


def answer(cases, labels, verdicts):
    sentences = [distance_sentence(verdicts)]
    for word, name, text in (
            ("Likelihood.", "nll_validation", lambda metric: number(metric.value, 3) + " nats"),
            ("Weights.", "importance_ess", lambda metric: percent(metric.value)),
            ("Lipschitz constant.", "lipschitz_max", lambda metric: number(metric.value)),
            ("Walkers.", "rhat_max", lambda metric: number(metric.value, 4))):
        found = [f"{text(case.metric(name))} ({escape(label)})" for case, label in zip(cases, labels)
                 if case.metric(name)]
        if found:
            sentences.append(lead_word(word, f"{MEANING[name]}: {', '.join(found)}."))
    return sentences


MEANING = {
    "nll_validation": "Negative log-likelihood of samples that were held out of the training",
    "importance_ess": "Effective share of the generated samples after weighting (Kish, raw)",
    "lipschitz_max": "Largest Jacobian norm found of the learned map",
    "rhat_max": "Largest R̂ of the reference over coordinates and observables; 1.01 is the usual limit",
}


def make_figures(run, labels, verdicts, folder):
    body = ""
    for case, label in zip(run.cases, labels):
        if all(case.has(name) for name in SAMPLES):
            body += figure(run_figures.marginals(case, label, folder),
                           f"<strong>Coordinates, {escape(label)}.</strong> Densities of each coordinate "
                           "in reference and generated samples.", f"Densities of coordinates, {label}")
    path = run_figures.distances(labels, [("own reference", verdicts, BLUE, "o")], [], folder)
    if path:
        body += figure(path, "<strong>Distances over their floors.</strong> The band is the interval in "
                       "which one more pair of independent references would fall.",
                       "Distances over their floors")
    path = run_figures.convergence(run, labels, folder)
    if path:
        body += figure(path, "<strong>Convergence.</strong> Negative log-likelihood and norm of the "
                       "gradient against the epoch.", "Negative log-likelihood against epoch")
    return body


def metrics_text(cases, labels):
    """The metrics for a terminal."""
    rows = [("case", "metric", "value ± s.e.", "unit", "n")] + run_tables.metric_rows(cases, labels)
    widths = [max(map(len, column)) for column in zip(*rows)]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip()
                     for row in rows) + "\n"
