"""What the numbers of a two-particle run say, sentence by sentence. Where numbers are missing, a
sentence says less or nothing; none claims what was not measured."""

import math
from html import escape

import two_particle_table as table_1
import two_particle_truth
from distance_floor import KIND_NAMES, KINDS
from html_page import lead_word
from quantity import number, percent

AGREES = 5.5  # standard errors within which a number agrees with the truth
CHANCE = 0.01  # probability of calling chance a leak, over all cases
TRUTH_CHECKS = (("mean_r", "E[r]", "mean_r"),
                ("prob_r_below_0.8", "P(r < 0.8)", "prob_r_below"),
                ("prob_same_well", "P(same well)", "prob_same_well"),
                ("var_x1", "Var(x₁)", "var_x1"))


def answer(cases, labels):
    """Everything but the distances, in the order of reading."""
    sentences = [make(cases, labels) for make in
                 (leak_sentence, lipschitz_sentence, reference_sentence, generated_sentence,
                  weights_sentence)]
    return [sentence for sentence in sentences if sentence]


def leak_sentence(cases, labels):
    parts, leaks = [], 0
    for case, label in zip(cases, labels):
        least, reference = (case.value(f"min_r_{name}") for name in ("generated", "reference"))
        share = case.metric("fraction_below_min_r_reference")
        if least is None or reference is None or share is None:
            continue
        leaks += leaks_more_than_chance(case, CHANCE / len(cases))
        parts.append(f"{escape(label)} {percent(share.value)} of samples, down to r = "
                     f"{number(least, 3)} (reference {number(reference, 3)})")
    if not parts:
        return ""
    who = {0: "No flow puts", len(parts): "Every flow puts"}.get(
        leaks, f"{leaks} of the {len(parts)} flows put{'s' if leaks == 1 else ''}")
    return lead_word("Near the collision.", (
        f"{who} more samples below the smallest distance of the reference than chance allows: "
        f"{'; '.join(parts)}{expected_leak(cases)}."))


def leaks_more_than_chance(case, level):
    """Of n and m draws from one density, k or more of the n lie below all m with a probability of
    about (n/(n + m))^k."""
    share = case.metric("fraction_below_min_r_reference")
    n, m = share.n or case.size("min_r_generated"), case.size("min_r_reference")
    if not n or not m:
        return False
    return (n / (n + m)) ** round(share.value * n) < level


def expected_leak(cases):
    """What exact sampling would leave below the reference's minimum, by the quadrature."""
    shares = []
    for case in cases:
        truth = two_particle_truth.lookup(case.system)
        least = case.value("min_r_reference")
        if truth is not None and least is not None:
            shares.append(truth.probability_below(least))
    if not shares:
        return ""
    return f"; exact sampling would put at most {percent(max(shares))} there"


def lipschitz_sentence(cases, labels):
    found = [(float(case.system["softening"]), label, case.metric("lipschitz_max"),
              table_1.paper_value(case, "lipschitz_max"))
             for case, label in zip(cases, labels) if case.metric("lipschitz_max")]
    if not found:
        return ""
    found.sort(key=lambda row: row[0])
    values = [row[2].value for row in found]
    if len(found) == 1:
        trend = f"is {number(values[0], significant=3)} ({escape(found[0][1])})"
    else:
        trend = trend_words(values) + ": " + ", ".join(
            f"{number(value, significant=3)} ({escape(row[1])})" for value, row in zip(values, found))
    printed = [float(row[3]) for row in found if row[3]]
    beside = ""
    if len(printed) == len(found):
        ratios = [value / paper for value, paper in zip(values, printed)]
        low, high = (number(ratio, significant=2) for ratio in (min(ratios), max(ratios)))
        beside = f"; this is {low if low == high else f'{low} to {high}'} times the paper's"
    return lead_word("Lipschitz constant.", f"The largest Jacobian norm found {trend}{beside}.")


def trend_words(values):
    """How a series over growing softening goes."""
    steps = [b - a for a, b in zip(values, values[1:])]
    if all(step < 0 for step in steps):
        return (f"falls at every step as ε grows, by a factor of "
                f"{number(values[0] / values[-1], significant=2)} in all")
    if all(step > 0 for step in steps):
        return "grows with ε, against what the paper reports"
    return (f"does not fall steadily as ε grows (last over first: "
            f"{number(values[-1] / values[0], significant=2)})")


def truth_deviations(cases, labels):
    """[(label, name, quantity, truth, z)] of the references against the quadrature."""
    rows = []
    for case, label in zip(cases, labels):
        truth = two_particle_truth.lookup(case.system)
        if truth is None:
            continue
        for source, note in (("reference", ""), ("replicas", " (replicas)")):
            for metric, name, attribute in TRUTH_CHECKS:
                measured = case.metric(f"{metric}_{source}")
                if measured is not None:
                    rows.append((label, name + note, measured, getattr(truth, attribute),
                                 deviation(measured, getattr(truth, attribute))))
    return rows


def deviation(measured, true):
    """In standard errors; NaN where no error is known."""
    return (measured.value - true) / measured.error if measured.error else math.nan


def reference_sentence(cases, labels):
    rows = [row for row in truth_deviations(cases, labels) if math.isfinite(row[4])]
    if not rows:
        return lead_word("Reference.", "There is no quadrature for these parameters, so the reference "
                                       "is not checked against the truth.")
    worst = max(rows, key=lambda row: abs(row[4]))
    off = [row for row in rows if abs(row[4]) > AGREES]
    head = (f"All {len(rows)} numbers of the references checked against quadrature agree within "
            f"{AGREES} standard errors" if not off else
            f"{len(off)} of {len(rows)} numbers of the references do not agree with the quadrature "
            f"within {AGREES} standard errors")
    return lead_word("Reference.", (
        f"{head}; the largest deviation is {number(abs(worst[4]), 1)} standard errors "
        f"({worst[1]}, {escape(worst[0])}){paper_reference(cases, labels)}."))


def paper_reference(cases, labels):
    """The paper's mean r of the reference where it is furthest from the truth."""
    rows = [(abs(float(printed) / truth.mean_r - 1.0), label, printed, truth)
            for case, label in zip(cases, labels)
            for truth, printed in [(two_particle_truth.lookup(case.system),
                                    table_1.paper_value(case, "mean_r_reference"))] if printed]
    if not rows:
        return ""
    off, label, printed, truth = max(rows)
    return (f"; the paper's reference is off by up to {percent(off)} in mean r ({escape(label)}: "
            f"{printed} printed, {number(truth.mean_r, 4)} true)")


def generated_sentence(cases, labels):
    rows = [(metric.value / truth.mean_r - 1.0, label)
            for case, label in zip(cases, labels)
            for truth, metric in [(two_particle_truth.lookup(case.system),
                                   case.metric("mean_r_generated"))] if truth and metric]
    if not rows:
        return ""
    worst = max(rows, key=lambda row: abs(row[0]))
    within = sum(abs(row[0]) <= 0.005 for row in rows)
    where = {0: "no case", len(rows): "every case"}.get(within, f"{within} of {len(rows)} cases")
    return lead_word("Mean distance.", (
        f"The generated mean r is within 0.5% of the quadrature in {where}; "
        f"the largest difference is {number(100 * worst[0], 2)}% ({escape(worst[1])})."))


def weights_sentence(cases, labels):
    found = [(case.metric("importance_ess").value, label) for case, label in zip(cases, labels)
             if case.metric("importance_ess")]
    if not found:
        return ""
    low, high = min(found), max(found)
    if len(found) == 1:
        head = f"an effective sample size of {percent(low[0])}"
    else:
        head = (f"effective sample sizes (Kish, raw) from {percent(low[0])} ({escape(low[1])}) to "
                f"{percent(high[0])} ({escape(high[1])})")
    rows = [row for row in reweighted_deviations(cases, labels) if math.isfinite(row[4])]
    tail = ""
    if rows:
        worst = max(rows, key=lambda row: abs(row[4]))
        good = sum(abs(row[4]) <= AGREES for row in rows)
        tail = (f"; {good} of {len(rows)} reweighted numbers agree with the truth within {AGREES} "
                f"standard errors (largest deviation {number(abs(worst[4]), 1)}, {worst[1]}, "
                f"{escape(worst[0])})")
    return lead_word("Weights.", f"Importance weights towards the target have {head}{tail}.")


def weights_truth(case):
    """The weights aim at the deck's own system, the singular one; its truth, where there is one."""
    softening = two_particle_truth.singular().softening
    return two_particle_truth.lookup({**case.system, "softening": softening})


def reweighted_deviations(cases, labels):
    rows = []
    for case, label in zip(cases, labels):
        truth = weights_truth(case)
        for metric, name, attribute in TRUTH_CHECKS:
            measured = case.metric(f"{metric}_reweighted")
            if truth is not None and measured is not None:
                true = getattr(truth, attribute)
                rows.append((label, name, measured, true, deviation(measured, true)))
    return rows


def resemblance(cases, verdicts):
    """Which of the three distances the paper's column is closest to, and which it cannot be."""
    ratios = {}
    for kind in KINDS:
        logs = [abs(math.log(found[0].value / float(table_1.paper_value(case, "w2_singular"))))
                for case in cases for found in [table_1.towards_singular(case, kind)]
                if found and found[0].value > 0.0 and table_1.paper_value(case, "w2_singular")]
        if logs:
            ratios[kind] = math.exp(sum(logs) / len(logs))
    if not ratios:
        return ""
    closest = min(ratios, key=ratios.get)
    text = ("The paper does not say which distance its W2 column holds. Typical factor between its "
            "values and ours: " + ", ".join(f"{number(ratio, 1)} ({KIND_NAMES[kind]})"
                                            for kind, ratio in ratios.items())
            + f"; it is closest to the {KIND_NAMES[closest]} one.")
    for kind in ratios:
        printed = {v.label: v for v in verdicts if v.kind == kind}
        below = [float(table_1.paper_value(case, "w2_singular")) < v.floor - v.margin
                 for case, v in zip(cases, printed.values())
                 if table_1.paper_value(case, "w2_singular")]
        if below and all(below):
            text += (f" It cannot be the {KIND_NAMES[kind]} one at sizes like ours: every printed value "
                     "lies below what independent references have between them.")
    return text


def impossible(cases, labels):
    """Printed distances smaller than an exact flow for that softening could have in r."""
    rows = []
    for case, label in zip(cases, labels):
        truth, printed = (two_particle_truth.lookup(case.system),
                          table_1.paper_value(case, "w2_singular"))
        if truth is not None and printed is not None:
            limit = two_particle_truth.w2_of_r(two_particle_truth.singular(), truth)
            if float(printed) < limit:
                rows.append(f"{label}: {printed} printed, {number(limit, 3)} for r alone")
    if not rows:
        return ""
    return ("A flow that is exact for its softening still has a distance to the singular reference, "
            "since the potentials differ. Printed values below that distance in r (the exact distance "
            f"in the plane is at least 1/√2 of it): {'; '.join(rows)}.")
