"""The page of the theorems: closed forms on a line against quadrature, and flows of few and more layers.

    python3 -m unittest tests/system/test_theory.py
"""

import csv
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

import numpy as np
from scipy.integrate import quad
from scipy.optimize import brentq
from scipy.stats import norm

sys.path.insert(0, str(Path(__file__).parent))
from program import TOP, boltzmap  # noqa: E402 (it lies beside this file)

sys.path.insert(0, str(TOP / "postprocess"))
import theory_line as line  # noqa: E402

SMALL = ("reference.samples=400", "training.epochs=3", "training.map_cells=[16]", "generate.samples=400",
         "evaluate.average_samples=400", "evaluate.lipschitz=false", "evaluate.floor_pairs=2")
WALL, BETA, COUPLING = 1.5, 5.0, 0.7


def core(x, epsilon):
    return (x * x - 1) ** 2 + COUPLING / np.hypot(x, epsilon)


def call(*arguments):
    return subprocess.run([sys.executable, str(TOP / "postprocess" / "theory.py"), *map(str, arguments)], check=False,
                          capture_output=True, text=True)


class Line(unittest.TestCase):
    def test_the_steepest_slope_is_that_of_the_map_by_quadrature(self):
        epsilon = 0.5
        whole = quad(lambda x: np.exp(-BETA * core(x, epsilon)), -WALL, WALL, epsabs=1e-14)[0]
        base = norm.cdf(WALL) - norm.cdf(-WALL)

        def place(z):
            mass = (norm.cdf(z) - 0.5) / base
            return brentq(lambda x: quad(lambda s: np.exp(-BETA * core(s, epsilon)), 0, x, epsabs=1e-14)[0] / whole
                          - mass, 0, WALL, xtol=1e-14)

        z = np.linspace(0, 0.999 * WALL, 40)
        slopes = [norm.pdf(at) / base / (np.exp(-BETA * core(place(at), epsilon)) / whole) for at in z]
        self.assertAlmostEqual(line.log_lipschitz(line.soft_core(epsilon)), np.log(max(slopes)), delta=1e-6)

    def test_growth_and_nearness_have_the_powers_of_the_theory(self):
        inverse = np.array([100.0, 300.0, 1000.0])
        for energy, slope in ((line.soft_core, BETA * COUPLING), (line.cut_off, 2 * BETA)):
            logs = [line.log_lipschitz(energy(1 / at)) for at in inverse]
            self.assertAlmostEqual(line.slope_of(inverse, logs)[0], slope, delta=1e-3 * slope)
        away = [line.distance_in_l1(line.soft_core(e), line.soft_core(0.0)) for e in (0.01, 0.003, 0.001)]
        self.assertAlmostEqual(line.slope_of(np.log([0.01, 0.003, 0.001]), np.log(away))[0], 2.0, delta=0.01)

    def test_the_cut_off_leaves_low_energies_and_ends_high_ones(self):
        plain, cut = line.soft_core(0.0), line.cut_off(0.1)
        low, high = plain < 10, plain > 20
        self.assertTrue(np.array_equal(cut[low], plain[low]))
        self.assertTrue(np.all(cut[high] == 20.0) and high.any())

        def cut_core(x, delta=0.8):
            energy = core(x, 0)
            t = min(max(energy * delta - 1, 0), 1)
            zeta = t * t * (3 - 2 * t)
            return (1 - zeta) * energy + zeta * 2 / delta

        total = [quad(lambda x, f=f: np.exp(-BETA * f(x)), 1e-9, WALL, limit=400)[0]
                 for f in (cut_core, lambda x: core(x, 0))]
        apart = quad(lambda x: abs(np.exp(-BETA * cut_core(x)) / total[0] - np.exp(-BETA * core(x, 0)) / total[1]),
                     1e-9, WALL, limit=400)[0]
        self.assertAlmostEqual(line.distance_in_l1(line.cut_off(0.8), plain), apart, delta=1e-4 * apart)

    def test_steps_come_to_the_map_with_their_number(self):
        away = [line.error_of_steps(line.soft_core(1.0), steps) for steps in (256, 1024)]
        self.assertAlmostEqual(away[0] / away[1], 4.0, delta=0.5)


class Page(unittest.TestCase):
    def test_the_page_has_claims_and_findings_and_flows_where_there_are_runs(self):
        with tempfile.TemporaryDirectory() as place:
            folder = Path(place)
            runs = [folder / f"layers-{seed}" for seed in (1, 2)]
            for seed, out in enumerate(runs, 1):
                settings = (*SMALL, f"run.seed={seed}")
                done = boltzmap("run", TOP / "input" / "layers.cfg", "--out", out, "--case", "layers-2", "--case",
                                "layers-4", *sum((["--set", s] for s in settings), []))
                self.assertEqual(done.returncode, 0, done.stderr)
            done = call("--out", folder / "page", "--layers", *runs)
            self.assertEqual((done.returncode, done.stderr), (0, ""))
            self.assertRegex(done.stdout, r"Proposition 1, soft core .*slope 3\.50\b.* slope 3\.500")
            self.assertRegex(done.stdout, r"Theorem 2, L².*slope")
            page = (folder / "page" / "theory.html").read_text(encoding="utf-8")
            for word in ("Equation 7.", "Theorem 4, W2²", "data:image/png"):
                self.assertIn(word, page)
            with open(folder / "page" / "theory.csv", encoding="utf-8") as file:
                rows = [row for row in csv.DictReader(file) if row["experiment"].startswith("Theorem 2")]
            self.assertEqual([row["x"] for row in rows], ["2", "4"])
            self.assertTrue(all(float(row["y"]) > 0 and float(row["error"]) > 0 for row in rows))
            done = call("--out", folder / "page", "--layers", runs[0], runs[0].parent)
            self.assertEqual(done.returncode, 65, done.stderr)
            done = call("--out", folder / "page", "--moser", runs[0])
            self.assertEqual((done.returncode, "no Moser map" in done.stderr), (65, True))

    def test_one_run_of_layers_has_no_error_and_is_refused(self):
        done = call("--out", "nowhere", "--layers", "one")
        self.assertEqual(done.returncode, 64)


if __name__ == "__main__":
    unittest.main()
