"""The report of a run of any kind: the experiment's own sections, then those that every run has."""

from html import escape

import any_system
import molecule
import molecule_flow
import run_figures
import two_particle
from figure_style import apply_style
from html_page import Section, details, figure, page, paragraph, table
from quantity import MISSING, in_words, number
from run_folder import RunError, load_run, write_whole

__all__ = ["RunError", "make"]
EXPERIMENTS = {two_particle.KIND: two_particle, molecule.KIND: molecule}


def make(folder):
    """Write everything; gives the table for the terminal."""
    run = load_run(folder)
    apply_style()
    made = experiment_of(run).report(run, run.folder)
    made.sections += common_sections(run, made.sizes)
    made.warning = unfinished(run)
    write_whole(run.folder / "report.html", page(made))
    return made.table


def unfinished(run):
    """What of the run is not in the report, or only in part."""
    if not run.unfinished:
        return ""
    names = escape(in_words(run.unfinished))
    one = len(run.unfinished) == 1
    if any(case.name in run.unfinished for case in run.cases):
        return f"No case has been evaluated to the end ({names}): this report shows what is there."
    return (f"Not finished, and not in this report: {names}. <code>boltzmap run</code> with the same deck and "
            f"folder goes on with {'it' if one else 'them'}.")


def experiment_of(run):
    kinds = {case.system.get("kind") for case in run.cases}
    found = EXPERIMENTS.get(kinds.pop(), any_system) if len(kinds) == 1 else any_system
    has_flow = any(case.has("generated.h5md") for case in run.cases)
    return molecule_flow if found is molecule and has_flow else found


def common_sections(run, sizes):
    return [Section("reduced", "What is reduced", reduced(run) + sizes),
            Section("timings", "Timings", timings(run)),
            Section("provenance", "Provenance", provenance(run))]


def reduced(run):
    if not run.overrides:
        return paragraph("No setting was overridden: the run used the deck as it stands.")
    rows = "".join(f"<li><code>{escape(line)}</code></li>" for line in run.overrides)
    return paragraph("Against the deck, this run changed:") + f"<ul>{rows}</ul>"


def timings(run):
    labels = [case.name for case in run.cases]
    path = run_figures.timings(run, labels, run.folder / "figures")
    body = "" if path is None else figure(
        path, "<strong>Timings.</strong> Wall-clock time of each phase, case by case. What a case "
        "shares with an earlier one costs it nothing.", "Seconds of each phase")
    names = sorted({name for case in run.cases for name in case.timings})
    rows = [(name, *(timing_text(case.timing(name)) for case in run.cases)) for name in names]
    return body + (table(("timing", *labels), rows) if rows else paragraph("No timings were kept."))


def timing_text(timing):
    return MISSING if timing is None else f"{number(timing.value)} {timing.unit}".removesuffix(" 1")


def provenance(run):
    return table(("what", "value"), run.provenance.items()) + details("The deck as used",
                                                    f"<pre>{escape(run.deck_text)}</pre>")
