#!/usr/bin/env python3
"""Make a sample set that boltzmap reads (H5MD) from trajectories of molecular dynamics.

    convert_trajectory.py TOPOLOGY TRAJECTORY… --out mine.h5md [--select "protein"] [--first N] [--stride N]
    convert_trajectory.py mine.prmtop walker-*.xtc --out mine.h5md

Reads what MDAnalysis reads: XTC, TRR, DCD, NetCDF and others, with a topology of as many atoms (prmtop, TPR,
PSF, GRO, PDB, …). Each file is a walker, an independent run, unless --walkers says how many there are in all
files together. Molecules that a periodic box has cut are made whole. Exit codes: 0 made; 1 a Python package
is missing; 64 wrong usage; 65 the files hold something else; 74 cannot read or write.
"""

import argparse
import os
import sys
import textwrap
import warnings
from pathlib import Path

MESSAGE_MOST = 400  # letters; MDAnalysis can be wordy
EXIT_FAILED, EXIT_USAGE, EXIT_DATA, EXIT_IO, EXIT_INTERRUPTED = 1, 64, 65, 74, 130
DEBIAN = {"numpy": "python3-numpy", "h5py": "python3-h5py", "MDAnalysis": "python3-mdanalysis"}


def main(arguments=None):
    sys.stdout.reconfigure(errors="replace")
    wanted = parse(arguments)
    keep_quiet()
    try:
        import h5md_file  # only here, so that --help needs no packages
        import trajectory
    except ImportError as error:
        package = (error.name or "").split(".")[0]
        if package not in DEBIAN:
            raise
        return fail(EXIT_FAILED, f"the Python package {package} is missing for {sys.executable} (Debian: apt "
                                 f"install {DEBIAN[package]}, which /usr/bin/python3 finds; else: pip install "
                                 f"{package})")
    try:
        check_files(wanted)
        print(convert(wanted, trajectory, h5md_file))
    except UsageError as error:
        return fail(EXIT_USAGE, error)
    except trajectory.SelectionError as error:
        return fail(EXIT_USAGE, f"--select: {error}")
    except trajectory.TrajectoryError as error:
        return fail(EXIT_DATA, error)
    except OSError as error:
        return fail(EXIT_IO, f"{error.filename or wanted.out}: {error.strerror or error}")
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    return 0


def keep_quiet():
    """MDAnalysis warns of what is not used here, and its readers complain of files that they could not open."""
    warnings.showwarning = lambda *_, **__: None
    sys.unraisablehook = lambda _: None


def fail(code, message):
    print("convert_trajectory.py:", textwrap.shorten(str(message), MESSAGE_MOST, placeholder=" …"),
          file=sys.stderr)
    return code


class UsageError(Exception):
    """A wrong call that only a look at the files shows."""


class Parser(argparse.ArgumentParser):
    def error(self, message):
        sys.exit(fail(EXIT_USAGE, f"{message} (see --help)"))


def parse(arguments):
    parser = Parser(prog="convert_trajectory.py", description=__doc__.splitlines()[0],
                    epilog="The frames of --first and --stride are counted in each walker.")
    parser.add_argument("topology", type=Path, metavar="TOPOLOGY", help="prmtop, TPR, PSF, GRO, PDB, …")
    parser.add_argument("trajectories", type=Path, nargs="+", metavar="TRAJECTORY",
                        help="XTC, TRR, DCD, NetCDF, …; each is a walker, cut to the shortest")
    parser.add_argument("--out", type=Path, required=True, metavar="FILE", help="sample set to write (.h5md)")
    parser.add_argument("--select", default="all", metavar="ATOMS",
                        help='atoms to keep, in the words of MDAnalysis, as "protein"; default: all')
    parser.add_argument("--first", type=at_least(0), default=0, metavar="N",
                        help="frame to begin with, counted from 0; default 0")
    parser.add_argument("--stride", type=at_least(1), default=1, metavar="N",
                        help="keep one frame in N; default 1")
    parser.add_argument("--walkers", type=at_least(1), metavar="N",
                        help="the files, one after another, hold N walkers of equal length: 1 for the parts of "
                             "one run; default: each file is one")
    return parser.parse_args(arguments)


def at_least(least):
    def number(text):
        if not text.isdecimal() or int(text) < least:
            raise argparse.ArgumentTypeError(f"{text!r} is no whole number from {least} on")
        return int(text)
    return number


def check_files(wanted):
    """OSError where a file cannot be read or written: MDAnalysis says it in many ways, and late."""
    for path in (wanted.topology, *wanted.trajectories):
        with open(path, "rb"):
            pass
        if wanted.out.exists() and os.path.samefile(path, wanted.out):
            raise UsageError(f"--out {wanted.out}: is read, too")
    folder = wanted.out.absolute().parent
    if wanted.out.exists() and not wanted.out.is_file():
        raise OSError(0, "is a folder or device, not a file that can be replaced", str(wanted.out))
    if not os.access(folder, os.W_OK):
        raise OSError(0, f"cannot be written in folder {folder}", str(wanted.out))


def convert(wanted, trajectory, h5md_file):
    """Make the file; gives what is to be said of it."""
    source = trajectory.Trajectory(wanted.topology, wanted.trajectories, wanted.select)
    walkers = trajectory.walkers_of(source.lengths, wanted.walkers, wanted.first, wanted.stride)
    frames = sum(len(part) for _, part in walkers[0])
    origin = {"topology": wanted.topology.name, "select": wanted.select,
              "trajectories": "\n".join(path.name for path in wanted.trajectories),
              "first": str(wanted.first), "stride": str(wanted.stride)}
    shape = h5md_file.Shape(len(walkers), frames, source.atom_count, wanted.stride, source.frame_ps)
    with h5md_file.writing(wanted.out, shape, trajectory.PROGRAM, origin) as positions:
        for row, frame in enumerate(source.frames(walkers)):
            positions[row] = frame
    said = [f"{wanted.out}: {counted(shape.walkers, 'walker')} of {counted(frames, 'frame')}, "
            f"{counted(source.atom_count, 'atom')}"]
    if wanted.walkers is None and min(source.lengths) < max(source.lengths):
        said.append(f"walkers of {min(source.lengths)} to {max(source.lengths)} frames: all are cut to "
                    f"{min(source.lengths)}")
    if source.mended:
        said.append(f"{counted(source.mended, 'frame')} had the molecule cut by the periodic box: it is whole now")
    return "\n".join(said)


def counted(number, thing):
    return f"{number} {thing}" if number == 1 else f"{number} {thing}s"


if __name__ == "__main__":
    sys.exit(main())
