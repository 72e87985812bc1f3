#!/usr/bin/env python3
"""Make the tables, figures and report.html of a finished run.

    python3 postprocess/report.py out/two-particle

Everything is written into the run's folder: report.html (one file, needs nothing else),
figures/*.png and *.pdf, and the tables of the experiment. Exit codes: 0 made; 64 wrong usage; 65 the
folder lacks something or holds something damaged; 74 cannot write.
"""

import argparse
import os
import sys
from html import escape
from pathlib import Path

try:
    import any_system
    import run_figures
    import two_particle
    from figure_style import apply_style
    from html_page import Section, details, figure, page, paragraph, table
    from quantity import MISSING, number
    from run_folder import RunError, load_run, write_whole
except ImportError as error:
    if (error.name or "").split(".")[0] not in ("numpy", "scipy", "h5py", "matplotlib"):
        raise
    sys.exit(f"report.py: the Python package {error.name} is missing "
             f"(Debian: apt install python3-{error.name.split('.')[0]})")

EXIT_USAGE, EXIT_DATA, EXIT_IO = 64, 65, 74
EXPERIMENTS = {two_particle.KIND: two_particle}


def main(arguments=None):
    folder = parse(arguments).folder
    try:
        run = load_run(folder)
        apply_style()
        made = experiment_of(run).report(run, run.folder)
        made.sections += common_sections(run, made.sizes)
        write_whole(run.folder / "report.html", page(made))
    except RunError as error:
        print(f"report.py: {error}", file=sys.stderr)
        return EXIT_DATA
    except OSError as error:
        print(f"report.py: cannot write the report: {error}", file=sys.stderr)
        return EXIT_IO
    sys.stdout.reconfigure(errors="replace")
    print(made.table)
    print("figures:", os.path.join(folder, "figures"))
    print(os.path.join(folder, "report.html"))
    return 0


def parse(arguments):
    parser = argparse.ArgumentParser(prog="report.py", description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="folder of a finished run, such as out/two-particle")
    try:
        return parser.parse_args(arguments)
    except SystemExit as stop:
        sys.exit(EXIT_USAGE if stop.code else 0)


def experiment_of(run):
    kinds = {case.system.get("kind") for case in run.cases}
    return EXPERIMENTS.get(kinds.pop(), any_system) if len(kinds) == 1 else any_system


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


if __name__ == "__main__":
    sys.exit(main())
