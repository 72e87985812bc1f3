"""Trajectories that other programs made: postprocess/convert_trajectory.py and the runs on what it makes.

    python3 -m unittest tests/system/test_own_trajectory.py
"""

import os
import re
import resource
import shutil
import subprocess
import sys
import tempfile
import unittest
import warnings
from pathlib import Path

import h5py
import MDAnalysis
import numpy as np

sys.path.insert(0, str(Path(__file__).parent))
from program import TOP, boltzmap, metrics, same_data, write_deck  # noqa: E402 (it lies beside this file)

INPUT = TOP / "input"
EXAMPLE = INPUT / "alanine-tripeptide-trajectory"
WALKERS, FRAMES, ATOMS = 8, 240, 32
OUT = "alanine-tripeptide.h5md"  # as the deck of the example says
ERRORS = 5.5  # standard errors
ENERGY = (-11.72, 0.19)  # kJ/mol and error: langevin-middle of boltzmap, 64 walkers of 600 ps, same settings


class Converted(unittest.TestCase):
    """A folder of one's own with topology, walkers and deck of the example: MDAnalysis leaves files there."""

    def setUp(self):
        warnings.simplefilter("ignore")  # MDAnalysis says all that a file does not have
        place = tempfile.TemporaryDirectory()
        self.addCleanup(place.cleanup)
        self.folder = Path(place.name)
        for path in (*INPUT.glob("alanine-tripeptide.*"), *EXAMPLE.glob("walker-*.xtc")):
            shutil.copy(path, self.folder)
        self.topology = self.folder / "alanine-tripeptide.prmtop"
        self.walkers = sorted(path.name for path in self.folder.glob("walker-*.xtc"))

    def call(self, *arguments, limit=None):
        return subprocess.run(
            [sys.executable, str(TOP / "postprocess" / "convert_trajectory.py"), *map(str, arguments)],
            capture_output=True, text=True, cwd=self.folder, check=False, timeout=120,
            preexec_fn=limit and (lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))))

    def convert(self, *arguments, topology="alanine-tripeptide.prmtop"):
        """What was said, and the positions in nm."""
        done = self.call(topology, *arguments, "--out", OUT)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        with h5py.File(self.folder / OUT) as file:
            return done.stdout, file["particles/all/position/value"][...]

    def refuse(self, code, words, *arguments, limit=None):
        """One line, and nothing is left."""
        before = {path.name for path in self.folder.iterdir()}
        done = self.call(*arguments, limit=limit)
        self.assertEqual(done.returncode, code, done.stderr)
        self.assertEqual(done.stdout, "")
        self.assertRegex(done.stderr, r"\Aconvert_trajectory\.py: .*\n\Z")
        self.assertIn(words, done.stderr)
        left = {path.name for path in self.folder.iterdir()} - before
        self.assertEqual({name for name in left if "_offsets" not in name}, set())

    def frames_of(self, name):
        """Positions in ångström, as MDAnalysis reads them."""
        universe = MDAnalysis.Universe(str(self.topology), str(self.folder / name))
        return np.array([frame.positions.copy() for frame in universe.trajectory])

    def write(self, name, frames, box=None, topology=None):
        """A trajectory of these positions, ångström."""
        universe = MDAnalysis.Universe(str(topology or self.topology))
        universe.load_new(np.asarray(frames, dtype=np.float32))
        with MDAnalysis.Writer(str(self.folder / name), len(universe.atoms)) as writer:
            for frame in universe.trajectory:
                frame.dimensions = box
                writer.write(universe.atoms)
        return name


def nm(frames):
    return (0.1 * frames.astype(float)).astype(np.float32)


class Example(Converted):
    def deck(self):
        """Without the keys of stages that are not asked for."""
        text = (INPUT / "own-trajectory.cfg").read_text(encoding="utf-8")
        return write_deck(self.folder, re.sub(r"(?m)^(flow|training): \{[^}]*\};\n", "", text))

    def test_positions_and_walkers_are_those_of_the_files(self):
        said, x = self.convert(*self.walkers)
        self.assertIn(f"{WALKERS} walkers of {FRAMES} frames, {ATOMS} atoms", said)
        self.assertEqual(len(said.splitlines()), 1)
        wanted = np.concatenate([nm(self.frames_of(name)) for name in self.walkers])
        self.assertEqual(x.dtype, np.float32)
        self.assertTrue(np.array_equal(x, wanted))
        with h5py.File(self.folder / OUT) as file:
            self.assertEqual(int(file["parameters"].attrs["walkers"]), WALKERS)
            self.assertAlmostEqual(np.diff(file["particles/all/position/time"])[0], 5.0)
        universe = MDAnalysis.Universe(str(self.topology), str(self.folder / OUT))
        self.assertEqual(len(universe.trajectory), WALKERS * FRAMES)

    def test_a_run_takes_it_on_any_number_of_ranks_to_the_same_bits(self):
        _, x = self.convert(*self.walkers)
        outs = [self.folder / f"ranks-{ranks}" for ranks in (1, 2, 3)]
        for ranks, out in enumerate(outs, 1):
            done = boltzmap("run", self.deck(), "--stage", "sample", "--out", out, ranks=ranks)
            self.assertEqual(done.returncode, 0, done.stderr)
        files = [out / "own-trajectory" / "reference.h5md" for out in outs]
        for out, path in zip(outs[1:], files[1:]):
            self.assertTrue(same_data(files[0], path))
            self.assertEqual(metrics(outs[0]), metrics(out))
        with h5py.File(files[0]) as file:
            self.assertTrue(np.array_equal(file["particles/all/position/value"][...], x))
            self.assertEqual(int(np.ravel(file["parameters"].attrs["walkers"])[0]), WALKERS)
        energy = metrics(outs[0])["own-trajectory"]["energy_mean_reference"]
        self.assertLess(abs(energy["value"] - ENERGY[0]), ERRORS * np.hypot(energy["error"], ENERGY[1]))

    def test_the_reference_must_be_made_first(self):
        done = boltzmap("run", self.deck(), "--stage", "sample", "--out", self.folder / "out")
        self.assertEqual(done.returncode, 74, done.stderr)
        self.assertIn(OUT, done.stderr)

    def test_other_formats_hold_the_same(self):
        frames = self.frames_of(self.walkers[0])
        for name in ("walker.dcd", "walker.trr", "walker.nc"):
            _, x = self.convert(self.write(name, frames))
            self.assertLess(np.abs(x - nm(frames)).max(), 1e-6, name)


class Frames(Converted):
    def setUp(self):
        super().setUp()
        self.frames = [self.frames_of(name) for name in self.walkers[:3]]

    def test_walkers_are_cut_to_the_shortest_which_is_said(self):
        short = self.write("short.dcd", self.frames[2][:100])
        said, x = self.convert(self.walkers[0], short)
        self.assertIn("2 walkers of 100 frames", said)
        self.assertIn("100 to 240 frames", said)
        self.assertTrue(np.array_equal(x[:100], nm(self.frames[0][:100])))
        self.assertLess(np.abs(x[100:] - nm(self.frames[2][:100])).max(), 1e-6)

    def test_first_and_stride_are_counted_in_each_walker(self):
        said, x = self.convert(*self.walkers[:2], "--first", 11, "--stride", 50)
        self.assertIn("2 walkers of 5 frames", said)
        wanted = np.concatenate([nm(frames[11::50]) for frames in self.frames[:2]])
        self.assertTrue(np.array_equal(x, wanted))

    def test_files_may_be_parts_of_one_walker_or_hold_several(self):
        everything = np.concatenate(self.frames)
        for count, first, stride in ((1, 0, 1), (1, 7, 100), (2, 0, 1), (5, 3, 7), (720, 0, 1)):
            said, x = self.convert(*self.walkers[:3], "--walkers", count, "--first", first, "--stride", stride)
            wanted = everything.reshape(count, -1, ATOMS, 3)[:, first::stride].reshape(-1, ATOMS, 3)
            self.assertTrue(np.array_equal(x, nm(wanted)), f"{count} walkers")
            self.assertIn(f"{count} walker", said)

    def test_the_molecule_is_selected_from_its_solvent(self):
        _, wanted = self.convert(self.walkers[0])
        topology, name = self.in_water()
        said, x = self.convert(name, "--select", "protein", topology=topology)
        self.assertIn(f"{ATOMS} atoms", said)
        self.assertLess(np.abs(x - wanted[:20]).max(), 1e-6)
        _, x = self.convert(name, topology=topology)
        self.assertEqual(x.shape, (20, ATOMS + 6, 3))

    def in_water(self):
        """Two molecules of water beside the first frames."""
        alone = MDAnalysis.Universe(str(self.topology))
        alone.load_new(self.frames[0][:1])
        water = MDAnalysis.Universe.empty(6, n_residues=2, atom_resindex=[0, 0, 0, 1, 1, 1], trajectory=True)
        water.add_TopologyAttr("names", ["O", "H1", "H2"] * 2)
        water.add_TopologyAttr("resnames", ["WAT"] * 2)
        both = MDAnalysis.Merge(alone.atoms, water.atoms)
        both.atoms.write(str(self.folder / "solvated.pdb"))
        far = np.tile(np.full((6, 3), 20.0, dtype=np.float32), (20, 1, 1))
        frames = np.concatenate([self.frames[0][:20], far], axis=1)
        return "solvated.pdb", self.write("solvated.dcd", frames, topology=self.folder / "solvated.pdb")


class PeriodicBox(Converted):
    """The molecule is up to 12 Å long: in these boxes longer than half of them."""

    BOXES = ([14.0, 15.0, 16.0, 90.0, 90.0, 90.0], [16.0, 17.0, 18.0, 70.0, 80.0, 60.0],
             [20.0, 20.0, 20.0, 109.4712, 109.4712, 109.4712])

    def cut(self, box):
        """Frames that lie anywhere in space, and the same with every atom in the box."""
        frames = self.frames_of(self.walkers[0])
        edges = MDAnalysis.lib.mdamath.triclinic_vectors(np.array(box, dtype=np.float32)).astype(float)
        moved = frames + np.random.default_rng(1).uniform(-30.0, 30.0, (len(frames), 1, 3))
        along = moved @ np.linalg.inv(edges)
        return frames, (along - np.floor(along)) @ edges

    def test_what_it_has_cut_is_made_whole(self):
        for box in self.BOXES:
            frames, inside = self.cut(box)
            said, x = self.convert(self.write("cut.dcd", inside, box))
            self.assertRegex(said, r"\n\d\d\d frames had the molecule cut")
            apart = (x - x[:, :1]) - 0.1 * (frames - frames[:, :1])
            self.assertLess(np.abs(apart).max(), 1e-5, f"box {box}")

    def test_what_may_be_cut_is_refused_where_no_bonds_are_known(self):
        frames, inside = self.cut(self.BOXES[0])
        universe = MDAnalysis.Universe(str(self.topology))
        universe.load_new(frames[:1])
        universe.atoms.write(str(self.folder / "bare.gro"))
        self.write("cut.dcd", inside, self.BOXES[0])
        self.refuse(65, "no bonds", "bare.gro", "cut.dcd", "--out", OUT)
        self.write("whole.dcd", frames, [40.0, 40.0, 40.0, 90.0, 90.0, 90.0])
        said, x = self.convert("whole.dcd", topology="bare.gro")
        self.assertNotIn("cut", said)
        self.assertLess(np.abs(x - nm(frames)).max(), 1e-6)

    def test_molecules_whose_images_nothing_tells_are_refused(self):
        frames = self.frames_of(self.walkers[0])[:5]
        one = MDAnalysis.Universe(str(self.topology))
        one.load_new(frames[:1])
        both = MDAnalysis.Merge(one.atoms, one.atoms)
        both.atoms.write(str(self.folder / "two.pdb"), bonds="all")
        box = [20.0, 20.0, 20.0, 90.0, 90.0, 90.0]
        inside = np.mod(np.concatenate([frames, frames + 9.0], axis=1), 20.0)
        self.write("two.dcd", inside, box, self.folder / "two.pdb")
        self.refuse(65, "2 molecules", "two.pdb", "two.dcd", "--out", OUT)
        _, x = self.convert("two.dcd", "--select", f"index 0:{ATOMS - 1}", topology="two.pdb")
        apart = (x - x[:, :1]) - 0.1 * (frames - frames[:, :1])
        self.assertLess(np.abs(apart).max(), 1e-5)


class Refused(Converted):
    def test_what_the_files_hold(self):
        shutil.copy(INPUT / "alanine-dipeptide.prmtop", self.folder / "other.prmtop")
        frames = self.frames_of("walker-1.xtc")
        frames[7, 4, 1] = np.nan
        self.write("nan.dcd", frames)
        for name, content in (("text.xtc", b"nothing\n"), ("empty.xtc", b""), ("x.unknown", b"nothing\n"),
                              ("cut.xtc", (self.folder / "walker-1.xtc").read_bytes()[:30001])):
            (self.folder / name).write_bytes(content)
        own = "alanine-tripeptide.prmtop"
        for words, *arguments in (
                ("walker-1.xtc: has 32 atoms, the topology has 22", "other.prmtop", "walker-1.xtc"),
                ("nan.dcd: frame 7: the position of atom 5", own, "nan.dcd"),
                ("text.xtc: ", own, "text.xtc"),
                ("empty.xtc: ", own, "empty.xtc"),
                ("x.unknown: ", own, "x.unknown"),
                ("cut.xtc: ", own, "walker-1.xtc", "cut.xtc"),
                ("text.xtc: ", "text.xtc", "walker-1.xtc"),
                ("240 frames", own, "walker-1.xtc", "--first", 240),
                ("480 frames", own, "walker-1.xtc", "walker-2.xtc", "--walkers", 7)):
            self.refuse(65, words, *arguments, "--out", OUT)

    def test_how_it_is_called(self):
        line = ("alanine-tripeptide.prmtop", "walker-1.xtc")
        for words, *arguments in (
                ("--out", *line),
                ("TRAJECTORY", line[0], "--out", OUT),
                ("--stride", *line, "--out", OUT, "--stride", 0),
                ("--first", *line, "--out", OUT, "--first", "-1"),
                ("--walkers", *line, "--out", OUT, "--walkers", "two"),
                ("--frames", *line, "--out", OUT, "--frames", 3),
                ("none of the 32 atoms", *line, "--out", OUT, "--select", "resname WAT"),
                ("--select", *line, "--out", OUT, "--select", "nameless CA"),
                ("--select", *line, "--out", OUT, "--select", "name CA and ("),
                ("is read, too", *line, "--out", "walker-1.xtc")):
            self.refuse(64, words, *arguments)

    def test_what_cannot_be_read_or_written(self):
        os.mkfifo(self.folder / "pipe")
        line = ("alanine-tripeptide.prmtop", "walker-1.xtc")
        for words, *arguments in (
                ("gone.prmtop: ", "gone.prmtop", line[1], "--out", OUT),
                ("gone.xtc: ", *line, "gone.xtc", "--out", OUT),
                (f"gone/{OUT}: ", *line, "--out", f"gone/{OUT}"),
                ("is a folder", *line, "--out", "."),
                ("device", *line, "--out", "pipe")):
            self.refuse(74, words, *arguments)
        self.refuse(74, OUT, *line, "--out", OUT, limit=10_000)

    def test_a_file_of_the_name_stays_where_there_is_no_new_one(self):
        (self.folder / OUT).write_text("old", encoding="utf-8")
        self.refuse(65, "frames", "alanine-tripeptide.prmtop", "walker-1.xtc", "--first", 240, "--out", OUT)
        self.assertEqual((self.folder / OUT).read_text(encoding="utf-8"), "old")

    def test_a_package_that_is_missing(self):
        for arguments, code, words in ((("--help",), 0, "usage"),
                                       (("a.prmtop", "b.xtc", "--out", "c"), 1, "is missing for")):
            done = subprocess.run([sys.executable, "-S", "-E", TOP / "postprocess" / "convert_trajectory.py",
                                   *arguments], capture_output=True, text=True, check=False)
            self.assertEqual(done.returncode, code, done.stderr)
            self.assertIn(words, done.stdout + done.stderr)
            self.assertLessEqual(len(done.stderr.splitlines()), 1)


if __name__ == "__main__":
    unittest.main()
