"""Runs of one deck that differ in their seed: what of their metrics is the deck's, and what the seed's."""

import statistics
from html import escape

import guided_answer
import molecule_bounds
import molecule_distances
import plain_table
from html_page import Report, Section, details, lead_word, page, paragraph, table
from quantity import MISSING, Quantity, in_words, number, short, short_with_error
from run_folder import RunError, load_run, write_whole

__all__ = ["RunError", "make"]
FREE = ("run.seed", "run.output_dir")  # settings in which runs may differ
# Metrics of a flow, in the order of the table.
SETS = ("min_r_nonbonded", "r_nonbonded_q001", "lj_max", "lj_q999", "lj_mean", "lj_median", "energy_median",
        "energy_mean", "prob_alpha", "prob_phi_positive", "fraction_mirrored")
ALONE = ("w2_flat_deg", "w2_torus_deg", "w2_flat_deg_subsample_1000", "w2_torus_deg_subsample_1000",
         "ramachandran_kl", "w2_pca", "w2_exact", "w2_sliced", "w2_r", "w2_r_nonbonded", "w2_bond_lengths",
         "w2_bond_angles")
OTHERS = (*guided_answer.LEAKS, "mean_r_generated", "lipschitz_max", "lipschitz_p99", "inverse_lipschitz_max",
          "importance_ess", "nll_validation", "rhat_max", "spikes", "rewinds")
METRICS = (*(f"{name}_{of}" for name in SETS for of in ("reference", "generated")),
           *(f"{name}{ending}" for name in ALONE for ending in ("", "_floor")), *OTHERS)
HEADER = ("case", "metric", "unit", "mean ± s.d.", "least", "most", "s.e. within a run")
NOTE = ("“s.e. within a run”: the median of the standard errors that the runs give themselves. Where the "
        "deviation is larger, the training decides and not the number of samples.")
BOUND_HEADER = ("case", "bound", "within", "met in", "surely", "difference, mean ± s.d.")


def make(folders, out):
    """Write everything; gives the text for the terminal."""
    runs = [load_run(folder) for folder in folders]
    seeds = check_runs(runs)
    cases = common_cases(runs)
    rows, bounds = metric_rows(cases), bound_rows(runs, cases)
    header, cells = by_case(rows)
    title = f"{len(runs)} seeds of “{deck_name(runs[0])}”"
    text = plain_table.as_text(title, header, cells, [
        f"Seeds {', '.join(seeds)}. Mean ± standard deviation over the runs."])
    if bounds:
        text += "\n" + plain_table.as_text("Bounds", BOUND_HEADER, bounds)
    held = guided_answer.find(cases)
    if held:
        text += "\n" + plain_table.as_text("Beside the likelihood alone", guided_answer.HEADER,
                                           guided_answer.rows(held), [guided_answer.conclusion(held)])
    out.mkdir(parents=True, exist_ok=True)
    write_whole(out / "seeds.txt", text)
    write_whole(out / "seeds.csv", plain_table.as_csv(
        ("seed", "case", "metric", "value", "error", "unit", "n"), long_rows(runs, seeds, cases)))
    write_whole(out / "seeds.html", page(Report(
        title=title, lead=f"Runs {escape(in_words(str(run.folder) for run in runs))}.",
        answer=answer(cases, held, left_out(runs, cases)),
        sections=[*held_section(held), bounds_section(bounds),
                  Section("metrics", "Metrics", table(header, cells, "Mean ± standard deviation over seeds")
                          + details("With extremes, and beside the errors within a run",
                                    table(HEADER, rows) + paragraph(NOTE, "small")))],
        table=text)))
    return text


def deck_name(run):
    named = run.cases[0].deck.base.get("run")
    return str(named.get("name")) if isinstance(named, dict) and named.get("name") else run.name


def check_runs(runs):
    """Their seeds; RunError where decks differ in more than that, or seeds do not."""
    first = settings_of(runs[0])
    for run in runs[1:]:
        other = settings_of(run)
        for name in sorted(first.keys() | other.keys()):
            if first.get(name) != other.get(name):
                raise RunError(f"{runs[0].folder} and {run.folder}: not the same deck: {name} differs")
    seeds = [run.provenance.get("seed", "unknown") for run in runs]
    twice = sorted({seed for seed in seeds if seeds.count(seed) > 1})
    if twice:
        raise RunError(f"{', '.join(str(run.folder) for run in runs)}: seed {', '.join(twice)} is there twice")
    return seeds


def settings_of(run):
    """{path: value} of the deck as used."""
    found = {}

    def take(path, value):
        if isinstance(value, dict):
            for name, inner in value.items():
                take(f"{path}.{name}" if path else name, inner)
        elif isinstance(value, list) and any(isinstance(item, dict) for item in value):
            for number_of, item in enumerate(value):
                take(f"{path}[{number_of}]", item)
        elif path not in FREE:
            found[path] = value

    take("", run.cases[0].deck.base)
    return found


def common_cases(runs):
    """{name: [case of each run]} of the cases that all runs have finished."""
    by_name = [{case.name: case for case in run.cases if case.name not in run.unfinished} for run in runs]
    found = {name: [cases[name] for cases in by_name] for name in by_name[0]
             if all(name in cases for cases in by_name)}
    if not found:
        raise RunError(f"{runs[0].folder}: no case is finished in all {len(runs)} runs")
    return found


def left_out(runs, cases):
    return sorted({case.name for run in runs for case in run.cases} - set(cases)
                  | {name for run in runs for name in run.unfinished})


def metric_rows(cases):
    rows = []
    for label, members in cases.items():
        for name in METRICS:
            found = [case.metric(name) for case in members]
            if any(metric is None for metric in found):
                continue
            values = [metric.value for metric in found]
            errors = [metric.error for metric in found if metric.error]
            rows.append((label, name, "" if found[0].unit == "1" else found[0].unit, spread_text(values),
                         short(min(values)), short(max(values)),
                         short(statistics.median(errors), significant=2) if errors else MISSING))
    return rows


def by_case(rows):
    """The same with a column for each case: (header, rows)."""
    labels = list(dict.fromkeys(row[0] for row in rows))
    units = {row[1]: row[2] for row in rows}
    found = {(row[0], row[1]): row[3] for row in rows}
    return (("metric", "unit", *labels),
            [(name, units[name], *(found.get((label, name), MISSING) for label in labels))
             for name in METRICS if name in units])


def spread_text(values):
    """Mean and standard deviation; equal values have none."""
    mean, deviation = statistics.fmean(values), statistics.stdev(values)
    if deviation == 0.0:
        return short(mean, significant=4)
    return short_with_error(Quantity(mean, deviation))


def bound_rows(runs, cases):
    rows = []
    verdicts = [molecule_distances.judge(run.cases, [case.name for case in run.cases]) for run in runs]
    for label, members in cases.items():
        judged = [molecule_bounds.judge(case) for case in members]
        for bound in molecule_bounds.BOUNDS:
            found = [j for own in judged for j in own if j.bound is bound]
            if len(found) < len(members):
                continue
            scale = [100.0 / abs(j.reference.value) if bound.relative else 1.0 for j in found]
            unit = "%" if bound.relative else f" {bound.unit}"
            rows.append((label, bound.name, bound.limit_text, f"{sum(j.met for j in found)} of {len(found)}",
                         str(sum(j.met and j.sure for j in found)),
                         spread_text([j.difference * factor for j, factor in zip(found, scale)]) + unit))
        rows += floor_rows(label, verdicts)
    return rows


def floor_rows(label, verdicts):
    """In how many runs a distance is not above its floor. verdicts: of each run."""
    rows = []
    for kind in ("pca", "torus_deg"):
        found = [molecule_distances.find(own, label, kind) for own in verdicts]
        if all(found):
            rows.append((label, f"W2 of {molecule_distances.name_of(kind)}", "the floor's interval",
                         f"{sum(v.state != 'above' for v in found)} of {len(found)}", MISSING,
                         spread_text([v.value for v in found])
                         + f" (floor {number(statistics.fmean(v.floor for v in found), significant=2)})"))
    return rows


def bounds_section(bounds):
    return Section("bounds", "Bounds", table(BOUND_HEADER, bounds) if bounds else paragraph(
        "No bound could be looked at: these are no conformations of a molecule."))


def held_section(held):
    if not held:
        return []
    return [Section("held", "Flows held to a transport map, beside the likelihood alone",
                    table(guided_answer.HEADER, guided_answer.rows(held)) + paragraph(guided_answer.NOTE, "small"))]


def answer(cases, held, unfinished):
    sentences = [guided_answer.conclusion(held)] if held else []
    for label, members in cases.items():
        judged = [molecule_bounds.judge(case) for case in members]
        if not all(judged):
            continue
        whole = sum(all(j.met for j in own) for own in judged)
        sentences.append(lead_word(f"{escape(label)}.", (
            f"Within all bounds in {whole} of {len(judged)} seeds.")))
    if not sentences:
        sentences.append(f"Metrics of {escape(in_words(cases))} over the seeds are below.")
    if unfinished:
        sentences.append(f"Not finished in every run, and not here: {escape(in_words(unfinished))}.")
    return sentences


def long_rows(runs, seeds, cases):
    """One number a line."""
    return [(seed, label, name, metric.value, metric.error, metric.unit, metric.n)
            for number_of, seed in enumerate(seeds) for label in cases
            for name, metric in sorted(cases[label][number_of].metrics.items()) if name in METRICS]
