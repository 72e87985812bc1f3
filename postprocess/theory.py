#!/usr/bin/env python3
"""The theorems of the paper's section 5 as numbers and pictures: how transport maps stiffen as the core of a pair
hardens, how near the regularised density is, how many steps a map takes, and how flows of more layers come nearer.

    python3 postprocess/theory.py --out out/theory
    python3 postprocess/theory.py --out out/theory --moser out/moser --layers out/layers-1 out/layers-2 out/layers-3

--moser: a finished run of input/moser.cfg, for Lipschitz constants in four dimensions; --layers: runs of
input/layers.cfg, two seeds or more. Writes theory.html, theory.txt, theory.csv and figures. Exit codes: 0 made; 1 a
Python package is missing; 64 wrong usage; 65 a folder lacks something; 74 cannot write.
"""

import argparse
import sys
from pathlib import Path

from report import EXIT_DATA, EXIT_FAILED, EXIT_IO, EXIT_USAGE, missing_package


def main(arguments=None):
    given = parse(arguments)
    try:
        import theory_report  # only here, so that --help needs no packages
    except ImportError as error:
        print(f"theory.py: {missing_package(error)}", file=sys.stderr)
        return EXIT_FAILED
    try:
        text = theory_report.make(given.out, given.moser, given.layers)
    except theory_report.RunError as error:
        print(f"theory.py: {error}", file=sys.stderr)
        return EXIT_DATA
    except OSError as error:
        print(f"theory.py: cannot write: {error}", file=sys.stderr)
        return EXIT_IO
    sys.stdout.reconfigure(errors="replace")
    print(text)
    print(given.out / "theory.html")
    return 0


def parse(arguments):
    parser = argparse.ArgumentParser(prog="theory.py", description=__doc__.split("\n\n")[0])
    parser.add_argument("--out", type=Path, required=True, help="folder to write into")
    parser.add_argument("--moser", type=Path, help="folder of a finished run of input/moser.cfg")
    parser.add_argument("--layers", type=Path, nargs="+", default=[], help="folders of runs of input/layers.cfg")
    try:
        given = parser.parse_args(arguments)
        if len(given.layers) == 1:
            parser.error("--layers needs two runs or more")
        return given
    except SystemExit as stop:
        sys.exit(EXIT_USAGE if stop.code else 0)


if __name__ == "__main__":
    sys.exit(main())
