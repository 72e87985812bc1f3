"""Flows held to a transport map: the same bits on any number of ranks and after a stop, closer to the map than flows
that are not held, and decks that ask for what there is not.

    python3 -m unittest tests/system/test_guided.py
"""

import csv
import re
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

import h5py
import numpy as np

sys.path.insert(0, str(Path(__file__).parent))
from program import TOP, boltzmap, differences, metrics, write_deck  # noqa: E402 (it lies beside this file)

DECK = """
run: { name = "wells"; seed = 4; };
system: { kind = "double-well"; beta = 2.0; };
reference: { walkers = 20; samples = 2000; };
flow: { layers = 4; hidden = [32]; };
training: { epochs = 60; batch = 100; learning_rate = 1e-2; };
generate: { samples = 500; };
evaluate: { exact_w2 = false; sliced_projections = 10; floor_pairs = 0; average_samples = 500; lipschitz_points = 32; };
cases: (
  { name = "likelihood"; },
  { name = "brenier"; training: { loss = "transport"; transport_weight = 20.0; pairs_renewed = 7;
                                  pairs_smoothed = 4; }; },
  { name = "moser"; training: { loss = "transport"; transport_weight = 20.0; map = "moser"; pairs = 300; }; },
  { name = "sobolev"; training: { loss = "transport-sobolev"; map = "moser"; pairs = 200; map_cells = [24, 16];
                                  transport_power = 1.5; loss_schedule = "cosine"; }; },
  { name = "steps"; training: { loss = "transport-steps"; map = "moser"; pairs = 200; transport_steps = 2; }; },
  { name = "slope"; training: { loss = "lipschitz"; lipschitz_weight = 0.05; loss_schedule = "linear"; }; },
  { name = "solved"; flow: { kind = "moser"; }; }
);
"""
POSTPROCESS = TOP / "postprocess"
GUIDED = ("brenier", "moser", "sobolev", "steps", "slope")
CASES = ("likelihood", *GUIDED, "solved")


def positions(path):
    with h5py.File(path) as file:
        return file["particles/all/position/value"][:].reshape(-1, 3)[:, :2]


class Guided(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.place = tempfile.TemporaryDirectory()
        cls.folder = Path(cls.place.name)
        cls.deck = write_deck(cls.folder, DECK)
        cls.whole = cls.folder / "whole"
        done = boltzmap("run", cls.deck, "--out", cls.whole)
        if done.returncode:
            raise AssertionError(done.stderr)

    @classmethod
    def tearDownClass(cls):
        cls.place.cleanup()

    def test_ranks_and_stops_do_not_change_the_bits(self):
        out = self.folder / "ranks"
        stopped = 0
        for ranks in (3, 2, 1, 2, 3):
            done = boltzmap("run", self.deck, "--out", out, "--set", "run.time_limit_min=0.03", ranks=ranks)
            self.assertIn(done.returncode, (0, 75), done.stderr)
            stopped += done.returncode == 75
        done = boltzmap("run", self.deck, "--out", out, ranks=2)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertGreater(stopped, 0)
        self.assertEqual(differences(self.whole, out, CASES), [])

    def test_a_flow_that_is_held_to_a_map_comes_nearer_to_it(self):
        """Samples of all models of this deck come from the same base points."""
        solved = positions(self.whole / "solved" / "generated.h5md")
        away = {case: np.mean(np.sum((positions(self.whole / case / "generated.h5md") - solved) ** 2, axis=1))
                for case in ("likelihood", "moser")}
        self.assertLess(away["moser"], 0.5 * away["likelihood"], away)

    def test_the_term_goes_down_with_training_and_is_what_the_schedule_leaves(self):
        for case in GUIDED:
            with open(self.whole / case / "history.csv") as file:
                rows = list(csv.DictReader(file))
            first, last = (float(rows[i]["term_train"]) for i in (0, -1))
            self.assertGreater(last, 0, case)
            if case != "slope":  # the slopes of the first flow, near the identity, are small
                self.assertLess(last, first, case)
            at_the_end = float(rows[-1]["term_validation"])
            self.assertEqual(at_the_end == 0, case in ("sobolev", "slope"), case)

    def test_bad_decks_are_refused(self):
        for wrong, right, words in (
                ('loss = "transport";', 'loss = "transport-sobolev";', ("training.map", "brenier")),
                ('map = "moser"; pairs = 300;', 'map_cells = [24];', ("training.map_cells", "training.map")),
                ("map_cells = [24, 16];", "map_cells = [24, 16, 8];", ("training.map_cells", "2 coordinates")),
                ("map_cells = [24, 16];", "map_cells = [100000];", ("training.map_cells",)),
                ("transport_steps = 2;", "transport_steps = 5;", ("training.transport_steps", "flow.layers")),
                ('kind = "moser"; }; }', 'kind = "moser"; }; training: { loss = "transport"; }; }',
                 ("training.loss", "not trained")),
                ('loss = "lipschitz";', 'loss = "lipschitz"; transport_weight = 1.0;', ("training.transport_weight",)),
                ('kind = "double-well"; beta = 2.0;', 'kind = "gaussian"; dimension = 5;',
                 ("training.map", "at most 4 coordinates"))):
            text = DECK.replace(wrong, right, 1)
            if "dimension" in right:
                text = text.replace('{ name = "solved"; flow: { kind = "moser"; }; }', '{ name = "solved"; }')
            self.assertNotEqual(text, DECK)
            deck = write_deck(self.folder, text, name="bad.cfg")
            done = boltzmap("check", deck)
            self.assertEqual(done.returncode, 65, (words, done.stdout))
            for word in words:
                self.assertIn(word, done.stderr)


PAIR = """
run: { name = "pair"; };
system: { kind = "coulomb-double-well"; beta = 5.0; softening = 0.1; };
reference: { walkers = 20; samples = 1000; };
flow: { layers = 4; hidden = [16]; };
training: { epochs = 10; batch = 100; learning_rate = 5e-3; };
generate: { samples = 1000; };
evaluate: { sliced_projections = 10; floor_pairs = 2; average_samples = 4000; lipschitz_points = 32; };
cases: (
  { name = "likelihood"; },
  { name = "brenier"; training: { loss = "transport"; transport_weight = 50.0; }; },
  { name = "slope"; training: { loss = "lipschitz"; lipschitz_weight = 0.1; }; }
);
"""


class Answer(unittest.TestCase):
    """Two seeds of likelihood, map and slopes, side by side."""

    def test_what_a_map_changes_is_told_with_its_spread(self):
        with tempfile.TemporaryDirectory() as place:
            folder = Path(place)
            deck = write_deck(folder, PAIR)
            runs = [folder / f"seed-{seed}" for seed in (1, 2)]
            for seed, out in enumerate(runs, 1):
                done = boltzmap("run", deck, "--out", out, "--set", f"run.seed={seed}", ranks=2)
                self.assertEqual(done.returncode, 0, done.stderr)
            done = subprocess.run([sys.executable, str(POSTPROCESS / "seeds.py"), *map(str, runs)], check=False,
                                  capture_output=True, text=True)
            self.assertEqual((done.returncode, done.stderr), (0, ""))
            found = [metrics(out) for out in runs]
            self.assertIn("Flows held to a transport map", (folder / "seeds.html").read_text(encoding="utf-8"))
        table = done.stdout.split("Beside the likelihood alone")[1]
        cells = {line.split()[0]: re.split(r"\s{2,}", line.strip()) for line in table.splitlines() if line.strip()}

        def value(run, case, name):
            return run[case][name]["value"]

        for case in ("brenier", "slope"):
            factors = [value(run, "likelihood", "lipschitz_max") / value(run, case, "lipschitz_max") for run in found]
            shown = float(cells[case][2].split(" ± ")[0])
            self.assertAlmostEqual(shown / np.exp(np.mean(np.log(factors))), 1.0, delta=0.1)
            more = [value(run, case, "nll_validation") - value(run, "likelihood", "nll_validation") for run in found]
            self.assertAlmostEqual(float(cells[case][1].split(" ± ")[0].replace("\u2212", "-")), np.mean(more),
                                   delta=0.1 * np.std(more) + 1e-3)
            leaks = [value(run, case, "fraction_below_min_r_reference") for run in found]
            self.assertAlmostEqual(float(cells[case][4]), 100 * np.mean(leaks), delta=3e-2 * 100 * np.mean(leaks))
        self.assertRegex(table, "is asked|likelihood alone: a Lipschitz")


if __name__ == "__main__":
    unittest.main()
