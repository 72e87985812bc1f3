#!/usr/bin/env python3
"""Make the tables, figures and report.html of a finished run.

    python3 postprocess/report.py out/two-particle

Everything is written into the run's folder: report.html (one file, needs nothing else),
figures/*.png and *.pdf, and the tables of the experiment. Exit codes: 0 made; 1 a Python package is missing;
64 wrong usage; 65 the folder lacks something or holds something damaged; 74 cannot write.
"""

import argparse
import os
import sys
from pathlib import Path

EXIT_FAILED, EXIT_USAGE, EXIT_DATA, EXIT_IO = 1, 64, 65, 74
PACKAGES = ("numpy", "scipy", "h5py", "matplotlib")


def main(arguments=None):
    folder = parse(arguments).folder
    try:
        import run_report  # only here, so that --help needs no packages
    except ImportError as error:
        print(f"report.py: {missing_package(error)}", file=sys.stderr)
        return EXIT_FAILED
    try:
        table = run_report.make(folder)
    except run_report.RunError as error:
        print(f"report.py: {error}", file=sys.stderr)
        return EXIT_DATA
    except OSError as error:
        print(f"report.py: cannot write the report: {error}", file=sys.stderr)
        return EXIT_IO
    sys.stdout.reconfigure(errors="replace")
    print(table)
    print("figures:", os.path.join(folder, "figures"))
    print(os.path.join(folder, "report.html"))
    return 0


def missing_package(error):
    """Which one an ImportError is about, in words; raised again where it is none that the user has to bring."""
    package = (error.name or "").split(".")[0]
    if package not in PACKAGES:
        raise error
    return (f"the Python package {package} is missing for {sys.executable} (Debian: apt install "
            f"python3-{package}, which /usr/bin/python3 finds)")


def parse(arguments):
    parser = argparse.ArgumentParser(prog="report.py", description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="folder of a finished run, such as out/two-particle")
    try:
        return parser.parse_args(arguments)
    except SystemExit as stop:
        sys.exit(EXIT_USAGE if stop.code else 0)


if __name__ == "__main__":
    sys.exit(main())
