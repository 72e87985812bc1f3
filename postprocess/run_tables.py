"""Tables that any run has: diagnostics of the sampler, training, importance weights, all metrics."""

from html import escape

from html_page import details, paragraph, table
from quantity import MISSING, count, in_words, number, percent, value_only, with_error

RHAT_LIMIT = 1.01


def diagnostics(cases, labels):
    rows = [(label, count(case.size("mean_r_reference")), count(walkers(case)),
             value_only(case.metric("rhat_max"), 4), count(case.value("ess_min")),
             value_only(case.metric("acceptance"), 3), count(case.value("burn_in")),
             count(case.value("thinning"))) for case, label in zip(cases, labels)]
    body = table(("case", "samples", "walkers", "R̂ (largest)", "ESS (smallest)", "acceptance",
                  "burn-in (steps)", "thinning (steps)"), rows, "Diagnostics of the samplers")
    high = [label for case, label in zip(cases, labels)
            if (case.value("rhat_max") or 0.0) > RHAT_LIMIT]
    if high:
        body = paragraph(f"R̂ is above {RHAT_LIMIT} in {escape(in_words(high))}: these walkers have not "
                         "mixed, and numbers that rest on them are in doubt.", "warning") + body
    return body


def walkers(case):
    return case.frames("reference.h5md").walkers if case.has("reference.h5md") else None


def training(cases, labels):
    rows = []
    for case, label in zip(cases, labels):
        history = case.history()
        rows.append((label, *(count(case.value(name)) for name in
                              ("parameters", "parameters_masked_equivalent")),
                     count(None if history is None else len(history["epoch"])),
                     count(case.value("best_epoch")), with_error(case.metric("nll_validation"), 4),
                     *(rate(case.timing(name)) for name in
                       ("training_samples_per_s", "generation_samples_per_s")),
                     share(case.timing("training_fraction_of_sgemm"))))
    return table(("case", "parameters", "masked equivalent", "epochs", "best epoch",
                  "validation NLL (nats)", "trained samples/s", "generated samples/s",
                  "share of sgemm rate"), rows)


def weights(cases, labels, true_log_z=None):
    """How much the weights leave of the generated samples; log Z beside its truth where there is one."""
    names = ("importance_ess", "importance_ess_clipped", "importance_clipped_share")
    rows = [(label, *(share(case.metric(name)) for name in names),
             with_error(case.metric("log_z_weights"), 4),
             number(true_log_z, 4) if case.metric("log_z_weights") else MISSING)
            for case, label in zip(cases, labels)]
    if all(cell == MISSING for row in rows for cell in row[1:]):
        return paragraph("This run has no importance weights.")
    return table(("case", "ESS raw (share)", "ESS clipped (share)", "weight clipped away",
                  "log Z ± s.e.", "log Z, truth"), rows, "Weights of the generated samples")


def share(quantity):
    return MISSING if quantity is None else percent(quantity.value)


def rate(timing):
    return MISSING if timing is None else number(timing.value, significant=3)


def metric_rows(cases, labels):
    return [(label, name, with_error(metric, None) if metric.error is not None
             else number(metric.value, significant=5), "" if metric.unit == "1" else metric.unit,
             count(metric.n))
            for case, label in zip(cases, labels) for name, metric in sorted(case.metrics.items())]


def all_metrics(cases, labels):
    return details("All metrics as they are in results.json", table(
        ("case", "metric", "value ± s.e.", "unit", "n"), metric_rows(cases, labels)))
