"""The two-particle experiment (paper section 6.1): Table 1, Figures 1 and 2, and what they say.

Every statement here is made from the numbers of the run; nothing is claimed by fixed text.
"""

import math
from html import escape

import numpy as np

import method_notes
import run_figures
import run_tables
import truth_check
import two_particle_figures as figures
import two_particle_table as table_1
import two_particle_truth
from distance_floor import KINDS, judge_all
from distance_report import distance_tables
from figure_style import BLACK, BLUE, VERMILLION
from html_page import Report, Section, figure, paragraph, table
from quantity import MISSING, count, in_words, number, percent, with_error
from run_folder import RunError, write_whole
from two_particle_answer import (TRUTH_CHECKS, answer, generated_checks, impossible, reference_checks,
                                 resemblance, reweighted_checks, weights_truth)

KIND = "coulomb-double-well"
FILES = ("reference.h5md", "generated.h5md")
PAPER_SIZES = (("epochs", "epochs", 400), ("parameters", "parameters (masked equivalent)", 1089600),
               ("reference", "reference samples", 10000), ("generated", "generated samples", 10000))
PAPER_SINGULAR_REFERENCE = 12000


def report(run, folder) -> Report:
    run.require(*FILES)
    require_softening(run)
    labels = case_labels(run.cases)
    own = judge_all(run.cases, labels)
    singular = judge_all(run.cases, labels, table_1.towards_singular)
    blocks = table_1.make_blocks(run.cases, labels, singular)
    title, notes = table_title(run), table_1.notes(run.cases)
    below = [resemblance(run.cases, singular), impossible(run.cases, labels)]
    sections = [
        Section("table1", "Table 1", table_1.as_html(blocks, notes, title)
                + "".join(paragraph(escape(text)) for text in below if text)),
        Section("figures", "Figures", make_figures(run, labels, own, singular, folder / "figures")),
        Section("distances", "Distances and their floors", distance_tables(own, singular)),
        Section("averages", "Averages of the generated samples",
                check_table(generated_checks(run.cases, labels)
                            + reweighted_checks(run.cases, labels),
                            "Generated and reweighted samples beside the truth")),
        Section("reference", "The reference: truth and diagnostics",
                check_table(reference_checks(run.cases, labels),
                            "Reference samples against deterministic quadrature")
                + run_tables.diagnostics(run.cases, labels)),
        Section("weights", "Importance weights", weights_tables(run.cases, labels)),
        Section("training", "Training", run_tables.training(run.cases, labels)),
        Section("method", "What the numbers mean", method_notes.notes(
            run.cases, [(own, "against own references"),
                        (singular, "against the singular one, a family of their own")], own_notes())
                + run_tables.all_metrics(run.cases, labels)),
    ]
    text = table_1.as_text(f"Table 1. {title}", blocks, notes)
    write_whole(folder / "table1.txt", text)
    write_whole(folder / "table1.tex", table_1.as_tex(title, blocks, notes))
    write_whole(folder / "table1.csv", table_1.as_csv(run.cases))
    return Report(title="Two particles, one Coulomb singularity", lead=lead(run),
                  answer=answer(run, labels, own), sections=sections,
                  table=text, sizes=size_table(run.cases, labels))


def require_softening(run):
    nameless = [case.name for case in run.cases if "softening" not in case.system]
    if nameless:
        raise RunError(f"{run.folder}/results.json: missing system.softening of {', '.join(nameless)}")


def case_labels(cases):
    """'unregularised', 'ε = 0.03'; the cases' names where that would not tell them apart."""
    labels = ["unregularised" if table_1.is_singular(case) else f"ε = {case.system['softening']:g}"
              for case in cases]
    return labels if len(set(labels)) == len(labels) else [case.name for case in cases]


def table_title(run):
    system = run.cases[0].system
    return (f"Two-particle Coulomb system, soft-core regularisation "
            f"(β = {system.get('beta', '?')}, λ = {system.get('coupling', '?')})")


def lead(run):
    """One line under the title: which run, and whether it is a reduced one."""
    reduced = (f"{len(run.overrides)} setting{'s' if len(run.overrides) != 1 else ''} of the deck "
               "overridden, see <a href=\"#reduced\">below</a>" if run.overrides
               else "deck as it stands, nothing overridden")
    return (f"Run “{escape(run.name)}”: {escape(in_words(case.name for case in run.cases))}; "
            f"{reduced}; seed {escape(run.provenance.get('seed', 'not kept'))}.")


# Figures with their captions.

def make_figures(run, labels, own, singular, folder):
    cases = run.cases
    body = figure(figures.figure_1(cases, labels, folder), figure_1_caption(cases, labels),
                  "Distributions of the distance between the particles, one panel a case")
    main = min(cases, key=lambda case: float(case.system["softening"]))
    others = ""
    for case, label in zip(cases, labels):
        stem = "figure2" if case is main else f"figure2-{case.name}"
        path, facts = figures.figure_2(case, label, folder, stem)
        block = figure(path, figure_2_caption(label, facts),
                       f"Particle positions, x1 sequences and autocorrelations, {label}")
        if case is main:
            body += block
        else:
            others += block
    if others:
        body += f"<details><summary>Figure 2 for the other cases</summary>\n{others}</details>\n"
    return body + metric_figures(run, labels, own, singular, folder)


def metric_figures(run, labels, own, singular, folder):
    body = ""
    families = [("own reference", own, BLUE, "o"), ("singular reference", singular, VERMILLION, "s")]
    path = run_figures.distances(labels, families, distance_marks(run.cases, labels), folder)
    if path:
        body += figure(path, distance_caption(run.cases, own, singular), "Distances over their floors")
    printed = [(i, float(table_1.paper_value(case, "lipschitz_max"))) for i, case in enumerate(run.cases)
               if table_1.paper_value(case, "lipschitz_max")]
    path = run_figures.lipschitz(run.cases, labels, folder, printed, "softening of the potential")
    if path:
        body += figure(path, "<strong>Lipschitz constants.</strong> "
                       "Largest singular value of the exact Jacobian of the learned map (and of its "
                       "inverse), case by case, beside the paper's printed constant. The largest value "
                       "over the generated points grows with their number; local ascent from the worst "
                       "of them finds larger ones. The gap to the 99% point shows how few points carry it.",
                       "Lipschitz constants by case")
    path = run_figures.convergence(run, labels, folder)
    if path:
        body += figure(path, convergence_caption(run.cases, labels),
                       "Negative log-likelihood against epoch")
    return body


def distance_marks(cases, labels):
    """The paper's column, in every panel since its kind is not known, and the limits of exact flows."""
    printed, limits = {}, {}
    for case, label in zip(cases, labels):
        value = table_1.paper_value(case, "w2_singular")
        if value is not None:
            printed[label] = {kind: float(value) for kind in KINDS}
        truth = two_particle_truth.lookup(case.system)
        if truth is not None:
            limits[label] = {"r": two_particle_truth.w2_of_r(two_particle_truth.singular(), truth)}
    return [("paper, kind not said", printed, {"marker": "D", "color": BLACK, "markersize": 7}),
            ("perfect flow", limits, {"marker": "_", "color": BLACK, "markersize": 22,
                                                "markeredgewidth": 2})]


def figure_1_caption(cases, labels):
    sizes = "; ".join(f"{escape(label)}: {count(case.size('min_r_reference'))} reference, "
                      f"{count(case.size('min_r_generated'))} generated"
                      for case, label in zip(cases, labels))
    return ("<strong>Figure 1. Distance between the particles.</strong> Above: densities of r. Below: "
            "share of samples closer than r, on a logarithmic axis; a curve begins, with a dot, at "
            "its smallest distance and at the height 1/n. Where a coloured curve leaves the thin truth "
            f"line upwards at small r, the flow leaks into the collision. Samples: {sizes}.")


def figure_2_caption(label, facts):
    if facts["real_time"] is None:
        real = "This run kept no Langevin trajectory."
    else:
        decay = (f"falls to 1/e after {number(facts['real_decay'])} time units"
                 if facts["real_decay"] is not None else "has not fallen to 1/e at the largest lag shown")
        real = (f"The Langevin run changes sides {count(facts['real_switches'])} times in "
                f"{number(facts['real_time'], significant=4)} time units, and its autocorrelation "
                f"{decay}.")
    correlated = (
        f"none of the first {facts['lags']} lags leaves the band that white noise keeps to with 99% "
        "probability" if facts["outside"] == 0 else
        f"{facts['outside']} of the first {facts['lags']} lags leave the band that white noise keeps "
        "to with 99% probability")
    return (f"<strong>Figure 2. {escape(label)}.</strong> (a, b) positions of both particles; (c) x₁ in a "
            "real overdamped Langevin run, (d) x₁ of generated samples in the order drawn; (e, f) their "
            f"autocorrelations. {real} Of the generated sequence, "
            f"{correlated}, and it changes sides in {percent(facts['drawn_switch_share'])} of its steps "
            f"(independent draws from the same populations: {percent(facts['coin_share'])}). "
            "<em>An independent sequence has no dynamics, whatever it looks like: shuffling it changes "
            "nothing, and its index is not a time.</em>")


def distance_caption(cases, own, singular):
    return ("<strong>Distances over their floors.</strong> Each point is the W2 between generated "
            "samples and a reference, with one standard error; the band behind it is the interval in "
            f"which one more pair {method_notes.pairs_of(cases)} would fall. Against their own reference "
            f"{inside(own)} points lie in their band, against the singular one {inside(singular)}. "
            "The short black line is where a perfect flow for that softening would be in the "
            "distribution of r, since the potentials differ.")


def inside(verdicts):
    return f"{sum(v.state == 'at' for v in verdicts)} of {len(verdicts)}"


def convergence_caption(cases, labels):
    rises = []
    for case, label in zip(cases, labels):
        history = case.history()
        validation = np.array([]) if history is None else history["nll_validation"]
        validation = validation[np.isfinite(validation)]
        rise = validation[-1] - validation.min() if len(validation) else math.nan
        if math.isfinite(rise):
            rises.append(f"{escape(label)} {number(rise, 3)}")
    return ("<strong>Convergence.</strong> Negative log-likelihood of the training and the validation "
            "set; the circle is the epoch whose model was kept. Below, the norm of the gradient (mean of an "
            f"epoch, before clipping). {run_tables.clipped_words(cases, labels)} Rise of the validation curve "
            f"from its lowest point to its end, in nats: {', '.join(rises) or MISSING}.")


# Tables.

def check_table(checks, caption):
    if not checks:
        return paragraph("No quadrature was made for these parameters.")
    return truth_check.check_table(checks, caption)


def weights_tables(cases, labels):
    target = weights_truth(cases[0])
    body = run_tables.weights(cases, labels, target and target.log_z)
    rows = []
    for metric, name, attribute in TRUTH_CHECKS:
        for case, label in zip(cases, labels):
            reweighted = case.metric(f"{metric}_reweighted")
            if reweighted is not None:
                own, target = two_particle_truth.lookup(case.system), weights_truth(case)
                rows.append((name, label, with_error(case.metric(f"{metric}_generated"), 4),
                             number(getattr(own, attribute, None), significant=4),
                             with_error(reweighted, 4),
                             number(getattr(target, attribute, None), significant=4)))
    if not rows:
        return body
    return body + paragraph("The weights aim at the singular target. log Z is the logarithm of the mean "
                            "weight; −log Z/β is the free energy.", "small") + table(
        ("quantity", "case", "generated ± s.e.", "truth of the case", "reweighted ± s.e.",
         "truth of the target"), rows, "What the weights repair")


def size_table(cases, labels):
    """This run's sizes beside the paper's."""
    rows = []
    for case, label in zip(cases, labels):
        history = case.history()
        ours = {"epochs": None if history is None else len(history["epoch"]),
                "parameters": case.value("parameters_masked_equivalent"),
                "reference": case.size("min_r_reference"), "generated": case.size("min_r_generated")}
        for key, name, paper in PAPER_SIZES:
            if key == "reference" and table_1.is_singular(case):
                paper = PAPER_SINGULAR_REFERENCE
            rows.append((label, name, count(ours[key]), count(paper)))
    return table(("case", "size", "this run", "paper"), rows, "Sizes beside the paper's")


def own_notes():
    """Terms of this experiment."""
    return [
        ("min r, mean r", "Smallest and mean distance between the particles in reference (“real”) and "
         "generated samples. A minimum depends on how many samples it is taken over; Table 1 gives the "
         "5–95% range it has for as many independent draws of the true density."),
        ("Replicas", "The independent reference sets that the floors are made of, all taken together: the "
         "same sampler with other seeds, and many more samples than the one reference, so that a wrong "
         "population would show. Floors swing mostly with the number of states that have both particles "
         "in one well."),
        ("Truth", f"Deterministic quadrature, made by {escape(two_particle_truth.source())}; no sampling "
         "in it."),
    ]
