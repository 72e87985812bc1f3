"""What the numbers of a two-particle run say, sentence by sentence. Where numbers are missing, a
sentence says less or nothing; none claims what was not measured."""

import math
from html import escape

import own_data
import truth_check
import two_particle_table as table_1
import two_particle_truth
from distance_floor import KIND_NAMES, KINDS
from distance_report import distance_sentences
from flow_verdict import headline
from html_page import lead_word
from quantity import count, number, percent
from run_tables import LOW_ESS
from truth_check import AGREES

CHANCE = 0.01  # probability of calling chance a leak, over all cases
TRUTH_CHECKS = (("mean_r", "E[r]", "mean_r"),
                ("prob_r_below_0.8", "P(r < 0.8)", "prob_r_below"),
                ("prob_same_well", "P(same well)", "prob_same_well"),
                ("var_x1", "Var(x₁)", "var_x1"))
NAMES = [(metric, name) for metric, name, _ in TRUTH_CHECKS]


def answer(run, labels, verdicts):
    """All sentences in the order of reading. verdicts: on the distances to the own references."""
    cases = run.cases
    checks = generated_checks(cases, labels)
    sentences = [headline(verdicts, checks, [leaks(cases)]), *distance_sentences(verdicts),
                 truth_check.generated_sentence(checks)]
    sentences += [make(cases, labels) for make in
                  (leak_sentence, lipschitz_sentence, reference_sentence, weights_sentence)]
    sentences += [own_data.sentence(run, case, label) for case, label in zip(cases, labels)]
    return [sentence for sentence in sentences if sentence]


def leaks(cases):
    """How many flows leak, of how many, in words of the headline."""
    found = [leaks_more_than_chance(case, CHANCE / len(cases)) for case in cases
             if case.metric("fraction_below_min_r_reference")]
    return sum(found), len(found), f"flows leak{'s' if sum(found) == 1 else ''} into the collision"


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
    most = f"at most {percent(max(shares))}" if max(shares) > 1e-8 else "none"
    return f"; exact sampling would put {most} there"


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


def known(case):
    """{metric: truth} of the case's own system."""
    return attributes(two_particle_truth.lookup(case.system))


def known_of_target(case):
    """{metric: truth} of the system that the weights aim at."""
    return attributes(weights_truth(case))


def attributes(truth):
    return {} if truth is None else {metric: getattr(truth, attribute)
                                     for metric, _, attribute in TRUTH_CHECKS}


def generated_checks(cases, labels):
    return truth_check.checks_of(cases, labels, NAMES, known)


def reference_checks(cases, labels):
    """Of the references and their replicas."""
    return [check for of in ("reference", "replicas")
            for check in truth_check.checks_of(cases, labels, NAMES, known, of)]


def reference_sentence(cases, labels):
    checks = reference_checks(cases, labels)
    if checks and not truth_check.counted(checks):
        return lead_word("Reference.", "Its averages have no errors, so the reference is set beside the "
                                       "quadrature in the <a href=\"#reference\">table</a> but not judged.")
    checks = truth_check.counted(checks)
    if not checks:
        return lead_word("Reference.", "There is no quadrature for these parameters, so the reference "
                                       "is not checked against the truth.")
    worst = max(checks, key=lambda check: abs(check.z))
    off = sum(check.off for check in checks)
    head = (f"All {len(checks)} numbers of the references and their replicas agree with quadrature within "
            f"{AGREES} standard errors" if not off else
            f"{off} of {len(checks)} numbers of the references and their replicas do not agree with the "
            f"quadrature within {AGREES} standard errors")
    runs = 1.0 / (len(checks) * truth_check.chance(AGREES))
    runs -= runs % 10.0 ** math.floor(math.log10(runs))
    return lead_word("Reference.", (
        f"{head} (that wide, so that chance exceeds it in fewer than one of {count(runs)} runs); "
        f"{truth_check.how_many(checks)}; the largest deviation is {number(abs(worst.z), 1)} standard errors "
        f"({escape(worst.name)}, {worst.of}, {escape(worst.label)}: {worst.deviation})"
        f"{paper_reference(cases, labels)}."))


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
    checks = truth_check.counted(reweighted_checks(cases, labels))
    tail = ""
    if checks:
        worst = max(checks, key=lambda check: abs(check.z))
        good = sum(not check.off for check in checks)
        tail = (f"; {good} of {len(checks)} reweighted numbers agree with the truth within {AGREES} "
                f"standard errors ({truth_check.how_many(checks)}; largest deviation "
                f"{number(abs(worst.z), 1)}, {escape(worst.name)}, {escape(worst.label)})")
    if low[0] < LOW_ESS:
        tail += (f". Below {percent(LOW_ESS)} either the flow or the data differ much from exp(−βU) of the "
                 "target" if any(case.from_file for case in cases) else
                 f". Below {percent(LOW_ESS)} a flow differs much from exp(−βU) of the target")
    return lead_word("Weights.", f"Importance weights towards the target have {head}{tail}.")


def weights_truth(case):
    """The weights aim at the deck's own system, the singular one; its truth, where there is one."""
    softening = two_particle_truth.singular().softening
    return two_particle_truth.lookup({**case.system, "softening": softening})


def reweighted_checks(cases, labels):
    return truth_check.checks_of(cases, labels, NAMES, known_of_target, "reweighted")


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
