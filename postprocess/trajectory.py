"""Trajectories of molecular dynamics by any program, through MDAnalysis: as walkers of equal length, with
whole molecules."""

import bisect
import itertools

import MDAnalysis
import numpy as np

from periodic_box import CutError, Molecules

PROGRAM = ("MDAnalysis", MDAnalysis.__version__)
NM = 0.1  # an ångström; MDAnalysis gives all lengths in ångström


class TrajectoryError(Exception):
    """What the files hold cannot be taken; says which file."""


class SelectionError(Exception):
    """Not a selection of atoms."""


def walkers_of(lengths, count, first, stride):
    """For each walker its frames, [(file, range of its frames)]. Each file of these lengths is a walker, cut
    to the shortest, or where there is a count, all files one after another are that many."""
    starts = [0, *itertools.accumulate(lengths)]
    length = min(lengths) if count is None else starts[-1] // count
    if count is not None and starts[-1] % count:
        raise TrajectoryError(f"the {starts[-1]} frames of all files are not {count} walkers of equal length")
    if length <= first:
        raise TrajectoryError(f"walkers have {length} frames: there is none left from frame {first} on")
    begins = starts[:-1] if count is None else range(0, starts[-1], length)
    return [pieces(starts, range(begin + first, begin + length, stride)) for begin in begins]


def pieces(starts, wanted):
    """Frames counted over all files as [(file, range of its frames)]."""
    found = []
    for file, (start, end) in enumerate(zip(starts, starts[1:])):
        part = wanted[bisect.bisect_left(wanted, start):bisect.bisect_left(wanted, end)]
        if part:
            found.append((file, range(part.start - start, part.stop - start, part.step)))
    return found


class Trajectory:
    """Files that belong to one topology. frame_ps: time between frames of the first one. mended: frames that
    were made whole so far."""

    def __init__(self, topology, files, selection):
        self.files = files
        self.universe = opened(topology, lambda: MDAnalysis.Universe(str(topology)))
        self.atoms = self.select(selection)
        self.atom_count = len(self.atoms)
        self.molecules = Molecules(self.atoms)
        self.mended = 0
        self.current = None  # the file that is open
        self.lengths = [len(self.open(file)) for file in range(len(files))]
        self.frame_ps = float(self.open(0).dt)

    def select(self, selection):
        try:
            atoms = self.universe.select_atoms(selection)
        except Exception as error:  # it raises what its parser happens to meet
            raise SelectionError(f"{selection!r}: {error}") from error
        if len(atoms) == 0:
            raise SelectionError(f"{selection!r} are none of the {len(self.universe.atoms)} atoms")
        return atoms

    def open(self, file):
        """The frames of a file."""
        path = self.files[file]
        if file != self.current:
            self.check_atoms(path)
            opened(path, lambda: self.universe.load_new(str(path)))
            self.current = file
        if len(self.universe.trajectory) == 0:
            raise TrajectoryError(f"{path}: has no frames")
        return self.universe.trajectory

    def check_atoms(self, path):
        try:
            atoms = MDAnalysis.coordinates.core.get_reader_for(str(path)).parse_n_atoms(str(path))
        except Exception:  # not every format says it, and what cannot be read is told when it is opened
            return
        if atoms != len(self.universe.atoms):
            raise TrajectoryError(f"{path}: has {atoms} atoms, the topology has {len(self.universe.atoms)}")

    def frames(self, walkers):
        """The positions of all frames of all walkers, nm, [atoms][3]."""
        for file, wanted in itertools.chain.from_iterable(walkers):
            trajectory = self.open(file)
            for number in wanted:
                frame = opened(self.files[file], lambda n=number: trajectory[n])
                yield self.positions(frame, f"{self.files[file]}: frame {number}")

    def positions(self, frame, where):
        x = self.atoms.positions.astype(float)
        bad = np.flatnonzero(~np.isfinite(x).all(axis=1))
        if len(bad):
            raise TrajectoryError(f"{where}: the position of atom {self.atoms.indices[bad[0]] + 1} is not finite")
        box = box_of(frame)
        if box is not None:
            try:
                x, mended = self.molecules.whole(x, box)
            except CutError as error:
                raise TrajectoryError(f"{where}: {error}") from error
            self.mended += mended
        return (NM * x).astype(np.float32)


def box_of(frame):
    """Its edges as rows, ångström; None where there is none, or one without volume, as some programs write."""
    box = None if frame.dimensions is None else frame.triclinic_dimensions.astype(float)
    return box if box is not None and np.linalg.det(box) > 0.0 else None


def opened(path, read):
    """What `read` gives; files that are not as they should be make MDAnalysis raise all kinds of errors."""
    try:
        return read()
    except Exception as error:
        raise TrajectoryError(f"{path}: MDAnalysis cannot read it: {error or type(error).__name__}") from error
