"""The Moser map as a flow that is computed: its densities against quadrature, the same bits on any number of ranks,
its model in other commands, and decks that ask for what it is not.

    python3 -m unittest tests/system/test_moser.py
"""

import json
import sys
import tempfile
import unittest
from pathlib import Path

import h5py
import numpy as np
from scipy.integrate import dblquad

sys.path.insert(0, str(Path(__file__).parent))
from program import boltzmap, differences, write_deck  # noqa: E402 (it lies beside this file)

BETA, BARRIER, TILT, STIFFNESS = 2.0, 1.5, 0.2, 2.0
DECK = f"""
run: {{ name = "wells"; seed = 4; }};
system: {{ kind = "double-well"; barrier = {BARRIER}; tilt = {TILT}; stiffness = {STIFFNESS}; beta = {BETA}; }};
reference: {{ walkers = 20; samples = 2000; }};
flow: {{ kind = "moser"; cells = [64, 48]; width = 4.0; }};
generate: {{ samples = 2000; }};
evaluate: {{ sliced_projections = 50; floor_pairs = 10; average_samples = 4000; lipschitz_points = 64; }};
"""
GAUSSIAN = """
run: {{ name = "bell"; }};
system: {{ kind = "gaussian"; dimension = {}; }};
reference: {{ walkers = 4; samples = 40; }};
flow: {{ kind = "moser"; cells = [{}]; }};
"""


def energy(x, y):
    return BARRIER * (x * x - 1) ** 2 + TILT * x + STIFFNESS * y * y


class Moser(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.place = tempfile.TemporaryDirectory()
        cls.folder = Path(cls.place.name)
        cls.deck = write_deck(cls.folder, DECK)
        cls.whole = cls.folder / "whole"
        done = boltzmap("run", cls.deck, "--out", cls.whole)
        if done.returncode:
            raise AssertionError(done.stderr)
        cls.metrics = json.loads((cls.whole / "results.json").read_text())["cases"][0]["metrics"]

    @classmethod
    def tearDownClass(cls):
        cls.place.cleanup()

    def value(self, name):
        return self.metrics[name]["value"]

    def test_the_map_goes_to_the_boltzmann_density(self):
        """Weights that are all the same, and the partition function."""
        self.assertGreater(self.value("importance_ess"), 0.98)
        z, _ = dblquad(lambda y, x: np.exp(-BETA * energy(x, y)), -4, 4, -4, 4)
        error = self.metrics["log_z_weights"]["error"]
        self.assertLess(abs(self.value("log_z_weights") - np.log(z)), 5.5 * error + 1e-3)  # 1e-3: outside the box

    def test_distances_are_at_their_floor(self):
        for kind in ("w2_exact", "w2_sliced"):
            floor = self.metrics[f"{kind}_floor"]
            spread = floor["error"] * np.sqrt(10)  # of one pair of sets
            self.assertLess(self.value(kind), floor["value"] + 7 * spread, kind)

    def test_densities_are_normalised_and_those_of_the_samples(self):
        model = self.whole / "wells" / "model.h5"
        with h5py.File(self.whole / "wells" / "reference.h5md") as file:
            positions = file["particles/all/position/value"][:].reshape(-1, 3)[:, :2]
        low, high = positions.min(axis=0), positions.max(axis=0)
        axes = [np.linspace(*ends, 101) for ends in zip(low, high)]
        grid = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 2)
        np.save(self.folder / "grid.npy", grid)
        done = boltzmap("density", model, "--in", self.folder / "grid.npy", "--out", self.folder / "grid.h5md")
        self.assertEqual(done.returncode, 0, done.stderr)
        with h5py.File(self.folder / "grid.h5md") as file:
            density = np.exp(file["observables/log_density/value"][:].ravel())
        self.assertLess(abs(density.sum() * np.prod((high - low) / 100) - 1), 5e-3)
        peak = np.argmin(energy(*grid.T))
        z, _ = dblquad(lambda y, x: np.exp(-BETA * energy(x, y)), -4, 4, -4, 4)
        self.assertLess(abs(density[peak] / (np.exp(-BETA * energy(*grid[peak])) / z) - 1), 5e-3)
        np.save(self.folder / "outside.npy", 2 * high[None, :])
        done = boltzmap("density", model, "--in", self.folder / "outside.npy")
        self.assertEqual(done.returncode, 65)
        self.assertIn("row 0 lies where the model's density is zero", done.stderr)

    def test_ranks_and_stages_do_not_change_the_bits(self):
        for ranks in (2, 3):
            out = self.folder / f"ranks-{ranks}"
            for stage in ("sample,train", "generate", "evaluate"):
                done = boltzmap("run", self.deck, "--out", out, "--stage", stage, ranks=ranks)
                self.assertEqual(done.returncode, 0, done.stderr)
            self.assertEqual(differences(self.whole, out, ["wells"]), [])

    def test_its_model_makes_more_samples(self):
        model = self.whole / "wells" / "model.h5"
        done = boltzmap("generate", model, "--samples", 2000, "--seed", 4, "--out", self.folder / "more.h5md", ranks=2)
        self.assertEqual(done.returncode, 0, done.stderr)
        with h5py.File(self.folder / "more.h5md") as more, h5py.File(self.whole / "wells/generated.h5md") as first:
            self.assertTrue(np.array_equal(more["observables/log_density/value"][:],
                                           first["observables/log_density/value"][:]))
        done = boltzmap("info", model)
        self.assertIn("moser/target", done.stdout)
        self.assertFalse((self.whole / "wells" / "history.csv").exists())

    def assert_refused(self, deck, options, words):
        with tempfile.TemporaryDirectory() as place:
            done = boltzmap("run", deck, "--out", Path(place) / "out", *options, ranks=2)
        self.assertEqual(done.returncode, 65, done.stderr)
        lines = [line for line in done.stderr.splitlines() if line.startswith("boltzmap: ")]
        self.assertEqual(len(lines), 1, done.stderr)
        for word in words:
            self.assertIn(word, lines[0])

    def test_what_it_cannot_do_is_refused(self):
        for change, words in (
                (('flow.cells=[64, 48, 10]',), ("flow.cells", "2 coordinates")),
                (('flow.cells=[2]',), ("flow.cells", "4")),
                (('flow.layers=3',), ("flow.layers",)),
                (('training.loss="penalty"',), ("training.loss", "not trained")),
                (('flow.cells=[4096, 4096]', 'flow.width=0.01'), ("flow.width",)),
                (('flow.margin=5.0',), ("smaller box",))):
            with self.subTest(change=change):
                options = [part for item in change for part in ("--set", item)]
                self.assert_refused(self.deck, options, words)
        for dimension, cells, words in ((5, 8, ("flow.kind", "at most 4 coordinates")), (4, 4096, ("flow.cells", "GB"))):
            with self.subTest(dimension=dimension):
                deck = write_deck(self.folder, GAUSSIAN.format(dimension, cells), f"bell-{dimension}.cfg")
                self.assert_refused(deck, [], words)

    def test_check_says_what_it_takes(self):
        done = boltzmap("check", self.deck)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertRegex(done.stdout, "# wells: a Moser map, not trained; 0.123 MB")


if __name__ == "__main__":
    unittest.main()
