"""Flows of molecules through the real program: the shipped decks made tiny give the same bits on any number of
ranks and after an interruption, their files are what readers of molecules expect, and bad decks are told.

    python3 -m unittest tests/system/test_flow_molecule.py
"""

import re
import signal
import sys
import tempfile
import time
import unittest
import warnings
from pathlib import Path

import h5py
import numpy as np

sys.path.insert(0, str(Path(__file__).parent))
import program  # noqa: E402 (it lies beside this file)
from program import TOP, boltzmap, metrics, same_data, start, write_deck  # noqa: E402

STOPPED = 75
INPUT = TOP / "input"
TINY = {
    "reference.walkers": 6, "reference.samples": 240, "reference.frame_ps": 0.1, "reference.burn_in_ps": 1.0,
    "flow.layers": 2, "flow.hidden": "[16]", "training.epochs": 200, "training.batch": 32,
    "generate.samples": 200, "evaluate.distance_samples": 100, "evaluate.average_samples": 300,
    "evaluate.floor_pairs": 2, "evaluate.lipschitz": "false", "evaluate.sliced_projections": 10}
# deck and its cases: those with a term have all that the plain ones have
CARTESIAN = ("alanine-cartesian.cfg", ("penalty", "energy"))
DIHEDRAL = ("alanine-dihedral.cfg", ("flat", "torus"))
LAYERS, HIDDEN = 2, 16


def changes(**more):
    """--set of a tiny run; dots of keys are written as two underscores."""
    values = {**TINY, **{key.replace("__", "."): value for key, value in more.items()}}
    return [text for key, value in values.items() for text in ("--set", f"{key}={value}")]


def chosen(cases):
    return [text for case in cases for text in ("--case", case)]


def parameters(d, layers, hidden, masked=False):
    """Of networks from the kept coordinates to the others, or from all to all as with a mask."""
    kept, moved = (d, d) if masked else (d // 2, d - d // 2)
    total = 0
    for layer in range(layers):
        widths = [kept, *hidden, moved] if layer % 2 == 0 or masked else [moved, *hidden, kept]
        total += 2 * sum(a * b + b for a, b in zip(widths, widths[1:]))
    return total


WHOLE = {}  # deck: output of one run on one rank, that all others are compared with


def setUpModule():
    place = tempfile.TemporaryDirectory()
    unittest.addModuleCleanup(place.cleanup)
    for deck, cases in (CARTESIAN, DIHEDRAL):
        WHOLE[deck] = Path(place.name) / f"whole-{deck}"
        done = boltzmap("run", INPUT / deck, "--out", WHOLE[deck], *changes(), *chosen(cases))
        if done.returncode:
            raise AssertionError(done.stderr)


class Place(unittest.TestCase):
    def setUp(self):
        place = tempfile.TemporaryDirectory()
        self.addCleanup(place.cleanup)
        self.folder = Path(place.name)

    def run_deck(self, deck, out, *arguments, code=0, ranks=None, **more):
        done = boltzmap("run", INPUT / deck, "--out", out, *changes(**more), *arguments, ranks=ranks)
        self.assertEqual(done.returncode, code, done.stdout + done.stderr)
        return done

    def assert_same(self, deck, cases, out):
        whole = WHOLE[deck]
        one, two = metrics(whole), metrics(out)
        for case in cases:
            self.assertEqual(one[case], two[case])
            for name in ("model.h5", "reference.h5md", "generated.h5md"):
                self.assertTrue(same_data(whole / case / name, out / case / name), f"{case}/{name}")
            self.assertEqual((whole / case / "history.csv").read_bytes(),
                             (out / case / "history.csv").read_bytes())


class SameBits(Place):
    def test_any_number_of_ranks(self):
        for deck, cases in (CARTESIAN, DIHEDRAL):
            for ranks in (2, 3):
                out = self.folder / f"{deck}-{ranks}"
                self.run_deck(deck, out, *chosen(cases), ranks=ranks)
                self.assert_same(deck, cases, out)

    def test_a_training_that_was_stopped_goes_on(self):
        for deck, case in ((CARTESIAN[0], "energy"), (DIHEDRAL[0], "torus")):
            out = self.folder / f"{deck}-stopped"
            # a checkpoint a step: the training is slow enough to be met
            process = start("run", INPUT / deck, "--out", out, *changes(run__checkpoint_every_min=0.0),
                            "--case", case, ranks=2)
            while not list(out.glob(f"{case}/checkpoint-*.h5")):
                self.assertIsNone(process.poll(), "the training ended by itself")
                time.sleep(0.01)
            process.send_signal(signal.SIGUSR1)
            self.assertEqual(process.wait(program.TIME_LIMIT_S), STOPPED)
            self.assertFalse((out / case / "model.h5").exists())
            done = self.run_deck(deck, out, "--case", case, ranks=3)
            self.assertIn("going on", done.stdout)
            self.assert_same(deck, (case,), out)


class Floors(Place):
    def test_halves_are_of_whole_trajectories(self):
        """Of seven, six are split: no half has a part of one."""
        self.run_deck(CARTESIAN[0], self.folder / "odd", "--case", "likelihood", reference__walkers=7,
                      reference__samples=280, training__epochs=2, evaluate__distance_samples=0)
        found = metrics(self.folder / "odd")["likelihood"]
        self.assertEqual(found["w2_exact"]["n"], 3 * 40)


class Contents(Place):
    def test_parameters_are_those_of_the_paper(self):
        found = metrics(WHOLE[CARTESIAN[0]])["energy"]
        self.assertEqual(found["parameters"]["value"], parameters(66, LAYERS, [HIDDEN]))
        self.assertEqual(found["parameters_masked_equivalent"]["value"],
                         parameters(66, LAYERS, [HIDDEN], masked=True))
        self.assertEqual(parameters(66, 12, [512, 512], masked=True), 7939632)
        for deck, case, number in ((CARTESIAN[0], "likelihood", parameters(66, 12, [512, 512])),
                                   (DIHEDRAL[0], "flat", 2316)):
            done = boltzmap("check", INPUT / deck, "--case", case)
            self.assertEqual(done.returncode, 0, done.stderr)
            said = set(re.findall(r"^# .*: (\d+) parameters", done.stdout, re.MULTILINE))
            self.assertEqual(said, {str(number)})

    def test_generated_molecules_have_the_bonds_of_the_topology(self):
        import MDAnalysis
        for case in CARTESIAN[1]:
            path = WHOLE[CARTESIAN[0]] / case
            lengths = {}
            for name in ("reference", "generated"):
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    universe = MDAnalysis.Universe(str(INPUT / "alanine-dipeptide.prmtop"),
                                                   str(path / f"{name}.h5md"))
                    # MDAnalysis has its lengths in Å
                    lengths[name] = 0.1 * np.array([universe.bonds.values() for _ in universe.trajectory])
            self.assertEqual(lengths["reference"].shape, (240, 21))
            self.assertEqual(lengths["generated"].shape, (200, 21))
            self.assertGreater(lengths["reference"].min(), 0.08)
            self.assertLess(lengths["reference"].max(), 0.18)
            # a map of 4,420 parameters that saw 200 frames makes bonds, not good ones
            self.assertLess(np.abs(lengths["generated"].mean(axis=0) - lengths["reference"].mean(axis=0)).max(),
                            0.03)
            self.assertLess(lengths["generated"].max(), 0.5)

    def test_generated_samples_are_aligned_molecules(self):
        """Per volume of whole configurations: density and energy beside them give the weights."""
        path = WHOLE[CARTESIAN[0]] / "penalty"
        with h5py.File(path / "generated.h5md", "r") as file:
            x = file["particles/all/position/value"][...]
            density, weight, energy = (np.ravel(file[f"observables/{name}/value"])
                                       for name in ("log_density", "log_weight", "energy"))
        self.assertEqual(x.shape, (200, 22, 3))
        self.assertLess(np.abs(x.mean(axis=1)).max(), 1e-6)
        beta = 1.0 / (8.31446261815324e-3 * 300.0)
        self.assertLess(np.abs(weight + beta * energy + density).max(), 1e-6 * np.abs(beta * energy).max())

    def test_generated_angles_are_two_a_sample(self):
        for case, inside in (("flat", False), ("torus", True)):
            with h5py.File(WHOLE[DIHEDRAL[0]] / case / "generated.h5md", "r") as file:
                phi, psi = (np.ravel(file[f"observables/{name}/value"]) for name in ("phi", "psi"))
                x = file["particles/all/position/value"][...]
            self.assertEqual(x.shape[:2], (200, 2))
            self.assertLessEqual(max(np.abs(phi).max(), np.abs(psi).max()), np.pi)
            self.assertTrue(not inside or np.abs(x).max() <= np.pi)
            for column, angle in enumerate((phi, psi)):
                self.assertLess(np.abs(np.exp(1j * x[:, column, 0]) - np.exp(1j * angle)).max(), 1e-6)

    def test_density_does_not_depend_on_how_a_molecule_lies(self):
        random = np.random.default_rng(5)
        path = WHOLE[CARTESIAN[0]] / "penalty"
        with h5py.File(path / "reference.h5md", "r") as file:
            x = file["particles/all/position/value"][...].astype(float)
        quaternions = random.standard_normal((len(x), 4))
        quaternions /= np.linalg.norm(quaternions, axis=1)[:, None]
        w, q = quaternions[:, :1, None], quaternions[:, None, 1:]
        across = np.cross(q, x)
        turned = x + 2.0 * (w * across + np.cross(q, across)) + random.standard_normal((len(x), 1, 3))
        np.save(self.folder / "turned.npy", turned.reshape(len(x), -1))
        densities = []
        for name in (path / "reference.h5md", self.folder / "turned.npy"):
            done = boltzmap("density", path / "model.h5", "--in", name)
            self.assertEqual(done.returncode, 0, done.stderr)
            densities.append(np.array([float(line) for line in done.stdout.split()]))
        self.assertEqual(densities[0].shape, (240,))
        self.assertGreater(densities[0].std(), 1.0)
        # roundings of float32 in coordinates of the flow, whose densities change by tens
        self.assertLess(np.abs(densities[0] - densities[1]).max(), 1e-3)

    def test_density_of_a_mirror_image_is_refused(self):
        path = WHOLE[CARTESIAN[0]] / "penalty"
        with h5py.File(path / "reference.h5md", "r") as file:
            x = file["particles/all/position/value"][...].astype(float)
        x[201] *= -1.0
        np.save(self.folder / "mirrored.npy", x.reshape(len(x), -1))
        for ranks in (None, 2):
            done = boltzmap("density", path / "model.h5", "--in", self.folder / "mirrored.npy", ranks=ranks)
            said = [line for line in done.stderr.splitlines() if line.startswith("boltzmap:")]
            self.assertEqual(done.returncode, 65, done.stderr)
            self.assertEqual(len(said), 1, done.stderr)
            self.assertIn("mirrored.npy: configuration 201 ", said[0])


DECK = f"""run: {{ name = "x"; }};
system: {{ kind = "amber";
  topology = "{INPUT}/alanine-dipeptide.prmtop";
  coordinates = "{INPUT}/alanine-dipeptide.rst7"; }};
reference: {{ sampler = "langevin-middle"; walkers = 2; samples = 20; }};
flow: {{ coordinates = "cartesian"; }};
training: {{ loss = "nll"; }};
"""
PLANE = 'run: { name = "x"; };\nsystem: { kind = "coulomb-double-well"; };\nreference: { walkers = 4; samples = 40; };\n'
# name, deck, words; the error is on the line of the key
BAD = (
    ("coordinates of two particles", PLANE + 'flow: { coordinates = "cartesian"; };\n', "deck.cfg:4",
     "flow.coordinates"),
    ("coordinates that there are none", DECK.replace('"cartesian"', '"polar"'), "deck.cfg:6", "flow.coordinates",
     "torus"),
    ("a torus without a backbone", DECK.replace(f"{INPUT}/alanine-dipeptide.prmtop", "no-backbone.prmtop")
     .replace('"cartesian"', '"torus"'), "deck.cfg:6", "flow.coordinates", "backbone"),
    ("an energy of angles", DECK.replace('"cartesian"', '"dihedrals"').replace('"nll"', '"energy"'), "deck.cfg:7",
     "training.loss", "flow.coordinates"),
    ("a penalty of angles", DECK.replace('"cartesian"', '"torus"').replace('"nll"', '"penalty"'), "deck.cfg:7",
     "training.loss", "flow.coordinates"),
    ("no noise", DECK.replace('"cartesian"', '"cartesian"; noise_nm = 0.0'), "deck.cfg:6", "flow.noise_nm"),
    ("noise of principal directions", DECK.replace('"cartesian"', '"whitened"; noise_nm = 0.02'), "deck.cfg:6",
     "flow.noise_nm"),
    ("a weight of another loss", DECK.replace('"nll"', '"nll"; penalty_weight = 1.0'), "deck.cfg:7",
     "training.penalty_weight"),
    ("a distance of pairs that have their own", DECK.replace('"nll"', '"pair-penalty"; penalty_distance = 0.2'),
     "deck.cfg:7", "training.penalty_distance"),
    ("pairs of a system without", 'run: { name = "x"; };\nsystem: { kind = "gaussian"; };\n'
     'training: { loss = "penalty"; };\n', "deck.cfg:3", "training.loss", "no pairs"),
    ("overdamped dynamics of a molecule", DECK + "evaluate: { trajectory_frames = 10; };", "deck.cfg:8",
     "evaluate.trajectory_frames", "molecule"),
    ("fewer samples than shards", DECK.replace('"nll"', '"energy"; generated = 4; shards = 8'), "deck.cfg:7",
     "training.generated"),
)


MIXED = DECK.replace('"cartesian"', '"dihedrals"') + f"""cases: (
  {{ name = "angles"; }},
  {{ name = "atoms"; flow: {{ coordinates = "cartesian"; }}; }},
  {{ name = "longer"; flow: {{ coordinates = "whitened"; }};
    system: {{ topology = "{INPUT}/alanine-tripeptide.prmtop"; coordinates = "{INPUT}/alanine-tripeptide.rst7"; }}; }}
);
"""


class Mixtures(Place):
    def test_weights_of_cases_that_share_no_coordinates_aim_at_their_own_systems(self):
        out = self.folder / "out"
        done = boltzmap("run", write_deck(self.folder, MIXED), "--out", out, *changes(training__epochs=2))
        self.assertEqual(done.returncode, 0, done.stderr)
        beta = 1.0 / (8.31446261815324e-3 * 300.0)
        for case, atoms in (("atoms", 22), ("longer", 32)):
            with h5py.File(out / case / "generated.h5md", "r") as file:
                self.assertEqual(file["particles/all/position/value"].shape, (200, atoms, 3))
                density, weight, energy = (np.ravel(file[f"observables/{name}/value"])
                                           for name in ("log_density", "log_weight", "energy"))
            self.assertLess(np.abs(weight + beta * energy + density).max(), 1e-6 * np.abs(beta * energy).max())
            self.assertFalse([name for name in metrics(out)[case] if "_singular" in name])
        with h5py.File(out / "angles" / "generated.h5md", "r") as file:
            self.assertNotIn("log_weight", file["observables"])


class Constraints(Place):
    def test_whole_configurations_with_constraints_are_warned_of_and_have_no_weights(self):
        out = self.folder / "out"
        done = self.run_deck(CARTESIAN[0], out, "--case", "likelihood", training__epochs=2,
                             system__constraints='"h-bonds"')
        self.assertIn("12 bonds of the reference are constrained", done.stdout + done.stderr)
        self.assertNotIn("importance_ess", metrics(out)["likelihood"])
        with h5py.File(out / "likelihood" / "generated.h5md", "r") as file:
            self.assertNotIn("log_weight", file["observables"])
            self.assertIn("log_density", file["observables"])


class BadDecks(Place):
    def test_bad_decks_are_told_with_line_and_key(self):
        topology = (INPUT / "alanine-dipeptide.prmtop").read_text(encoding="ascii")
        (self.folder / "no-backbone.prmtop").write_text(topology.replace("CA  ", "CX  ", 1), encoding="ascii")
        for name, text, *words in BAD:
            with self.subTest(name):
                deck = write_deck(self.folder, text)
                done = boltzmap("run", deck, "--out", self.folder / "out")
                self.assertEqual(done.returncode, 65, done.stderr)
                self.assertEqual(len(done.stderr.splitlines()), 1, done.stderr)
                for word in words:
                    self.assertIn(word, done.stderr)
                self.assertFalse((self.folder / "out").exists())


if __name__ == "__main__":
    unittest.main()
