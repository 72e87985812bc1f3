"""Tables that any run has: diagnostics of the sampler, training, importance weights, all metrics."""

import math
from html import escape

import numpy as np

from html_page import details, paragraph, table
from own_data import FileRows
from quantity import MISSING, count, in_words, number, percent, plain, value_only, with_error

RHAT_LIMIT, RHAT_BAD = 1.01, 1.05
LOW_ESS = 0.5  # share below which weights say that flow or data differ from the target
# What the sampler and the trainer say of themselves is not taken from so many samples.
WITHOUT_SIZE = ("acceptance", "jump_acceptance", "step_size", "burn_in", "thinning",
                "autocorrelation_steps", "parameters", "parameters_masked_equivalent", "epochs", "steps",
                "skipped_steps", "best_epoch")


def diagnostics(cases, labels):
    files = {label: FileRows(case) for case, label in zip(cases, labels)
             if case.from_file and case.has("reference.h5md")}
    none = FileRows(None)
    rows = [(label, count(samples(case)), count(walkers(case)),
             value_only(case.metric("rhat_max"), 4), count(case.value("ess_min")),
             value_only(case.metric("acceptance"), 3), count(case.value("burn_in")),
             count(case.value("thinning")), number(files.get(label, none).tau, significant=2),
             count(files.get(label, none).worth)) for case, label in zip(cases, labels)]
    body = table(("case", "samples", "walkers", "R̂ (largest)", "ESS (smallest)", "acceptance",
                  "burn-in (steps)", "thinning (steps)", "autocorrelation time (rows)",
                  "independent rows it is worth"), rows, "Diagnostics of the references")
    return rhat_warning(cases, labels) + "".join(
        paragraph(f"{escape(label)}: {escape(text)}.", "warning") for label, rows_of in files.items()
        for text in rows_of.warnings()) + body


def rhat_warning(cases, labels):
    """How far R-hat is from its limit decides what is said of it."""
    values = {label: case.value("rhat_max") or 0.0 for case, label in zip(cases, labels)}
    high = {label: value for label, value in values.items() if value > RHAT_LIMIT}
    if not high:
        return ""
    listed = in_words(f"{escape(label)} ({number(value, 4)})" for label, value in high.items())
    means = ("these walkers have not mixed, and numbers that rest on them are in doubt"
             if max(high.values()) > RHAT_BAD else
             "the walkers differ by somewhat more than their own scatter explains, and errors of the "
             "reference may be too small; more samples or a longer burn-in would tell")
    return paragraph(f"R̂ is above {RHAT_LIMIT} in {listed}: {means}.", "warning")


def samples(case):
    """Rows of the reference."""
    sizes = [case.size(name) for name in case.metrics if name.endswith("_reference")]
    found = [size for size in sizes if size]
    if found:
        return found[0]
    return len(case.frames("reference.h5md").positions) if case.has("reference.h5md") else None


def walkers(case):
    return case.frames("reference.h5md").walkers if case.has("reference.h5md") else None


def training(cases, labels):
    rows = []
    for case, label in zip(cases, labels):
        history = case.history()
        rows.append((label, *(count(case.value(name)) for name in
                              ("parameters", "parameters_masked_equivalent")),
                     count(None if history is None else len(history["epoch"])),
                     count(case.value("best_epoch")), clipped_share(case, history),
                     with_error(case.metric("nll_validation"), 4),
                     *(rate(case.timing(name)) for name in
                       ("training_samples_per_s", "generation_samples_per_s")),
                     share(case.timing("training_fraction_of_sgemm"))))
    return table(("case", "parameters", "masked equivalent", "epochs", "best epoch",
                  "epochs whose gradient is clipped", "validation NLL (nats)", "trained samples/s",
                  "generated samples/s", "share of sgemm rate"), rows)


def clipped_share(case, history):
    """Epochs whose mean gradient norm is above training.clip_norm."""
    limit = case.setting("training.clip_norm")
    if history is None or not limit:
        return MISSING
    return percent(float(np.mean(history["gradient_norm"] > limit)))


def clipped_words(cases, labels):
    """How often the training was held back by the clipping of gradients, for a caption."""
    found = [f"{clipped_share(case, case.history())} of epochs ({escape(label)})"
             for case, label in zip(cases, labels) if clipped_share(case, case.history()) != MISSING]
    return f"Mean gradient norm above the clipping threshold in: {', '.join(found)}." if found else ""


def weights(cases, labels, true_log_z=None):
    """How much the weights leave of the generated samples; log Z of the target beside its truth where
    there is one."""
    names = ("importance_ess", "importance_ess_clipped", "importance_clipped_share")
    rows = [(label, *(share(case.metric(name)) for name in names),
             with_error(case.metric("log_z_weights"), 4),
             *log_z_beside(case.metric("log_z_weights"), true_log_z))
            for case, label in zip(cases, labels)]
    if all(cell == MISSING for row in rows for cell in row[1:]):
        return paragraph("This run has no importance weights.")
    return table(("case", "ESS raw (share)", "ESS clipped (share)", "weight clipped away",
                  "log Z ± s.e.", "log Z, truth", "in s.e."), rows, "Weights of the generated samples")


def log_z_beside(measured, true):
    if measured is None or true is None:
        return MISSING, MISSING
    z = (measured.value - true) / measured.error if measured.error else math.nan
    return number(true, 4), number(z, 1)


def share(quantity):
    return MISSING if quantity is None else percent(quantity.value)


def rate(timing):
    return MISSING if timing is None else number(timing.value, significant=3)


def metric_rows(cases, labels):
    return [(label, name, with_error(metric) if metric.error else
             plain(metric.value) + reason_of_no_error(case, name), "" if metric.unit == "1" else metric.unit,
             "" if name in WITHOUT_SIZE else count(metric.n))
            for case, label in zip(cases, labels) for name, metric in sorted(case.metrics.items())]


def reason_of_no_error(case, name):
    """One walker has no independent parts that an error could be had from."""
    rests_on_walkers = name == "nll_validation" or (name.endswith("_reference")
                                                    and not name.startswith("min_"))
    return " (no error: one walker)" if rests_on_walkers and walkers(case) == 1 else ""


def all_metrics(cases, labels):
    return details("All metrics as they are in results.json", table(
        ("case", "metric", "value ± s.e.", "unit", "n"), metric_rows(cases, labels)))
