#!/usr/bin/env python3
"""Several runs of one deck with different seeds: mean and spread of their metrics, and in how many of them
each bound is met.

    python3 postprocess/seeds.py out/seed-1 out/seed-2 out/seed-3

Writes seeds.html, seeds.txt and seeds.csv into the folder that holds the first run, or where --out says. Exit
codes: 0 made; 1 a Python package is missing; 64 wrong usage; 65 the folders lack something or are of different
decks; 74 cannot write.
"""

import argparse
import sys
from pathlib import Path

from report import EXIT_DATA, EXIT_FAILED, EXIT_IO, EXIT_USAGE, missing_package


def main(arguments=None):
    given = parse(arguments)
    try:
        import seeds_report  # only here, so that --help needs no packages
    except ImportError as error:
        print(f"seeds.py: {missing_package(error)}", file=sys.stderr)
        return EXIT_FAILED
    out = given.out or given.folders[0].resolve().parent
    try:
        text = seeds_report.make(given.folders, out)
    except seeds_report.RunError as error:
        print(f"seeds.py: {error}", file=sys.stderr)
        return EXIT_DATA
    except OSError as error:
        print(f"seeds.py: cannot write: {error}", file=sys.stderr)
        return EXIT_IO
    sys.stdout.reconfigure(errors="replace")
    print(text)
    print(out / "seeds.html")
    return 0


def parse(arguments):
    parser = argparse.ArgumentParser(prog="seeds.py", description=__doc__.split("\n\n")[0])
    parser.add_argument("folders", type=Path, nargs="+", help="folders of finished runs, two or more")
    parser.add_argument("--out", type=Path, help="folder to write into")
    try:
        given = parser.parse_args(arguments)
        if len(given.folders) < 2:
            parser.error("two runs or more are needed")
        return given
    except SystemExit as stop:
        sys.exit(EXIT_USAGE if stop.code else 0)


if __name__ == "__main__":
    sys.exit(main())
