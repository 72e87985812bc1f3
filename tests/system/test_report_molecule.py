"""The report of molecular flows, from tiny runs of the decks through the real program, and of several seeds.

    python3 -m unittest tests/system/test_report_molecule.py
"""

import json
import re
import shutil
import subprocess
import sys
import tempfile
import unittest
import warnings
from pathlib import Path
from types import SimpleNamespace

import numpy as np

sys.path.insert(0, str(Path(__file__).parent))
from program import TOP, boltzmap, metrics, write_deck  # noqa: E402 (it lies beside this file)

POSTPROCESS = TOP / "postprocess"
sys.path.insert(0, str(POSTPROCESS))
import molecule_bounds  # noqa: E402 (so does the code of reports)
import molecule_conformations  # noqa: E402
import molecule_distances  # noqa: E402
import molecule_flow_answer  # noqa: E402
import molecule_paper  # noqa: E402
import molecule_topology  # noqa: E402
from distance_floor import Verdict  # noqa: E402
from quantity import Quantity, short_with_error  # noqa: E402
from run_folder import load_run  # noqa: E402

INPUT = TOP / "input"
LOSSES = ("likelihood", "penalty", "pair-penalty", "energy", "reverse-kl", "both")
TINY = ("reference.burn_in_ps=1.0", "reference.frame_ps=0.1", "training.epochs=4", "generate.samples=600",
        "evaluate.average_samples=1200", "evaluate.lipschitz_points=10", "evaluate.floor_pairs=3",
        "evaluate.sliced_projections=20")
SMALL = ("flow.layers=4", "flow.hidden=[16,16]", "evaluate.distance_samples=0", "reference.samples=1980")
TRIPEPTIDE = f"""
run: {{ name = "three"; }};
system: {{ kind = "amber"; topology = "{INPUT}/alanine-tripeptide.prmtop";
           coordinates = "{INPUT}/alanine-tripeptide.rst7"; }};
reference: {{ sampler = "langevin-middle"; walkers = 8; samples = 1200; timestep_fs = 1.0; }};
flow: {{ layers = 4; hidden = [16, 16]; coordinates = "whitened"; }};
training: {{ loss = "pair-penalty"; }};
"""


def make_run(deck, out, *settings):
    flags = [flag for setting in settings for flag in ("--set", setting)]
    done = boltzmap("run", deck, "--out", out, *flags)
    if done.returncode != 0:
        raise AssertionError(done.stdout + done.stderr)
    return out


def call(script, *arguments):
    return subprocess.run([sys.executable, str(POSTPROCESS / script), *map(str, arguments)], check=False,
                          capture_output=True, text=True)


def change_results(folder, change):
    path = folder / "results.json"
    document = json.loads(path.read_text(encoding="utf-8"))
    change(document)
    path.write_text(json.dumps(document), encoding="utf-8")


class Runs(unittest.TestCase):
    """Of each deck one tiny run, made when it is first asked for."""

    made = {}

    @classmethod
    def setUpClass(cls):
        if not Runs.made:
            Runs.place = tempfile.TemporaryDirectory()
            unittest.addModuleCleanup(Runs.place.cleanup)

    def run_of(self, name):
        if name not in Runs.made:
            out = Path(Runs.place.name) / name
            if name == "angles":
                make_run(INPUT / "alanine-dihedral.cfg", out, *TINY, "reference.samples=1200")
            elif name == "three":
                make_run(write_deck(Runs.place.name, TRIPEPTIDE, "three.cfg"), out, *TINY)
            else:
                make_run(INPUT / "alanine-cartesian.cfg", out, *TINY, *SMALL, f"run.seed={name[-1]}")
            Runs.made[name] = out
        return Runs.made[name]

    def copy_of(self, name):
        place = tempfile.TemporaryDirectory()
        self.addCleanup(place.cleanup)
        return Path(shutil.copytree(self.run_of(name), Path(place.name) / name))

    def report(self, folder):
        """The page without its pictures and style, and what was printed."""
        done = call("report.py", folder)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        page = (folder / "report.html").read_text(encoding="utf-8")
        self.assertIn("</html>", page)
        page = re.sub(r"<style>.*?</style>|data:image/png;base64,[^\"]*", "", page, flags=re.S)
        self.assertNotRegex(page, r"\b(None|nan|inf)\b")
        return page, done.stdout

    def figures(self, folder, *stems):
        for stem in stems:
            for ending in ("png", "pdf"):
                self.assertGreater((folder / "figures" / f"{stem}.{ending}").stat().st_size, 2000, stem)


class Angles(Runs):
    def test_distances_of_angles_stand_beside_floors_and_the_paper(self):
        folder = self.copy_of("angles")
        page, said = self.report(folder)
        for words in ("W2 of φ and ψ, in degrees", "on the torus", "9.21", "Floors.", "flat", "torus"):
            self.assertTrue(words in page, words)
        self.assertTrue("plane ± s.e." in said)
        self.figures(folder, "figure3", "free-energy", "angles", "distances", "convergence", "ramachandran")
        for ending in ("txt", "tex", "csv"):
            self.assertTrue((folder / f"w2-angles.{ending}").is_file())
        tex = (folder / "w2-angles.tex").read_text(encoding="utf-8")
        self.assertEqual(tex.count("{"), tex.count("}"))

    def test_the_shared_reference_is_shown_once(self):
        page, _ = self.report(self.copy_of("angles"))
        self.assertEqual(page.count("<td>P(φ &gt; 0)</td>") - page.count("<td>generated</td>") // 2, 1)


class Conformations(Runs):
    def test_table_two_and_every_bound_are_there(self):
        folder = self.copy_of("losses-1")
        page, said = self.report(folder)
        for words in ("Table 2", "What each loss repairs", "min r, 0.1% quantile", "LJ energy, 99.9% quantile",
                      "PCA W2 beyond floor", "Energies by term", "Bonds, angles and handedness", "Lipschitz",
                      "share of sgemm rate", "paper: without penalty", "1.4·10⁸", "Known weakness",
                      "Recomputed from the frames"):
            self.assertTrue(words in page, words)
        self.assertTrue("5/174" in page)
        self.assertIn("mean U (kJ/mol)", said)
        self.figures(folder, "figure3", "figure4a", "figure4b", "lennard-jones", "potential-energy",
                     "energy-terms", "bonds-and-angles", "loss-terms", "distances", "lipschitz")
        self.assertEqual(list(folder.glob(".*.tmp")), [])

    def test_energies_and_distances_of_the_frames_are_those_of_the_program(self):
        run = load_run(self.run_of("losses-1"))
        for case in run.cases:
            topology = molecule_topology.topology_of(case)
            sets = {name: molecule_conformations.conformations(case, file, topology)
                    for name, file in (("reference", "reference.h5md"), ("generated", "generated.h5md"))}
            rows = molecule_conformations.recomputed(case, sets)
            self.assertEqual(len(rows), 4)
            for what, value, own in rows:
                self.assertLess(abs(value / own.value - 1.0), 1e-9, what)

    def test_cases_that_are_not_finished_are_named_and_left_out(self):
        folder = self.copy_of("losses-1")
        (folder / "penalty" / "evaluate.json").unlink()
        (folder / "penalty" / "generated.h5md").unlink()
        page, _ = self.report(folder)
        self.assertIn("Not finished, and not in this report: penalty", page)
        self.assertNotIn("<td>penalty</td>", page)

    def test_run_of_which_no_case_is_finished_is_shown_as_far_as_it_is(self):
        folder = self.copy_of("losses-1")
        for name in LOSSES:
            (folder / name / "evaluate.json").unlink()
        (folder / "energy" / "generated.h5md").unlink()
        shutil.rmtree(folder / "pair-penalty")
        page, _ = self.report(folder)
        self.assertIn("No case has been evaluated to the end", page)

    def test_one_case_without_floors_is_enough(self):
        folder = self.copy_of("losses-1")

        def change(document):
            document["cases"] = document["cases"][:1]
            metrics = document["cases"][0]["metrics"]
            for name in [name for name in metrics if "_floor" in name or name.startswith("importance")]:
                del metrics[name]

        change_results(folder, change)
        page, _ = self.report(folder)
        self.assertIn("No distance with a floor was measured", page)

    def test_results_without_any_metric_still_have_a_report(self):
        folder = self.copy_of("losses-1")
        change_results(folder, lambda document: [case.update(metrics={}, timings={})
                                                 for case in document["cases"]])
        self.report(folder)

    def test_topology_that_has_gone_leaves_out_what_needs_it(self):
        folder = self.copy_of("losses-1")
        change_results(folder, lambda document: [case["system"].update(topology="/gone/own.prmtop")
                                                 for case in document["cases"]])
        page, _ = self.report(folder)
        self.assertIn("were not recomputed from the frames", page)
        self.assertNotIn("paper: real data", page)
        self.assertIn("Table 2", page)

    def test_huge_energies_stay_legible(self):
        folder = self.copy_of("losses-1")

        def change(document):
            for name in ("lj_mean_generated", "lj_q999_generated", "lj_max_generated", "energy_mean_generated",
                         "energy_nonbonded_mean_generated"):
                document["cases"][0]["metrics"][name].update(value=6.9e13, error=6.8e13)

        change_results(folder, change)
        page, said = self.report(folder)
        self.assertIn("(6.9 ± 6.8)·10¹³", page)
        self.assertIn("missed by a heavy tail", page)
        self.assertIn("carried by a few samples", page)
        self.assertNotIn("69 000", said.replace("\u2009", " "))

    def test_another_molecule_has_no_numbers_of_the_paper(self):
        folder = self.copy_of("three")
        page, _ = self.report(folder)
        self.assertNotIn("9.21", page)
        self.assertNotIn("paper: ", page)
        self.assertIn("residue 2", page)
        self.figures(folder, "figure3-1", "figure3-2", "figure4a", "figure4b")


class Seeds(Runs):
    def test_metrics_have_mean_and_spread_and_bounds_are_counted(self):
        one, other = self.copy_of("losses-1"), self.run_of("losses-2")
        out = one.parent / "together"
        done = call("seeds.py", one, other, "--out", out)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertRegex(done.stdout, r"lj_mean_generated +kJ/mol .* ± ")
        self.assertRegex(done.stdout, r"likelihood +min r, 0.1% quantile +0.005 nm +\d of 2")
        page = (out / "seeds.html").read_text(encoding="utf-8")
        self.assertIn("Within all bounds in", page)
        values = [metrics(run)["likelihood"]["w2_pca"]["value"] for run in (one, other)]
        row = re.search(r"<td>w2_pca</td><td></td><td>([^<]*)</td>", page)
        self.assertIn(f"{np.mean(values):.1f}", row.group(1))
        self.assertIn("w2_pca", (out / "seeds.csv").read_text(encoding="utf-8"))

    def test_what_does_not_belong_together_is_refused(self):
        one, other = self.copy_of("losses-1"), self.copy_of("losses-2")
        for arguments, code, words in (((one,), 64, "two runs"), ((one, one), 65, "seed 1 is there twice"),
                                       ((one, self.run_of("angles")), 65, "not the same deck")):
            done = call("seeds.py", *arguments)
            self.assertEqual(done.returncode, code, done.stderr)
            self.assertIn(words, done.stderr)
        deck = other / "deck.cfg"
        deck.write_text(deck.read_text(encoding="utf-8").replace("epochs = 4", "epochs = 5"), encoding="utf-8")
        done = call("seeds.py", one, other)
        self.assertEqual((done.returncode, "training.epochs differs" in done.stderr), (65, True))


class Parts(unittest.TestCase):
    def test_bonds_angles_and_names_are_those_that_mdanalysis_reads(self):
        warnings.simplefilter("ignore")  # MDAnalysis says all that a file does not have
        import MDAnalysis
        for name in ("alanine-dipeptide", "alanine-tripeptide"):
            path = INPUT / f"{name}.prmtop"
            topology, other = molecule_topology.read(path), MDAnalysis.Universe(str(path))
            self.assertEqual([atom.partition(":")[0] for atom in topology.atoms], list(other.atoms.names))
            for own, wanted in ((topology.bonds, other.bonds), (topology.angles, other.angles)):
                self.assertEqual({tuple(min(row, row[::-1])) for row in own.tolist()},
                                 {tuple(min(row, row[::-1])) for row in wanted.indices.tolist()})

    def test_pairs_are_those_further_apart_than_so_many_bonds(self):
        topology = molecule_topology.read(INPUT / "alanine-dipeptide.prmtop")
        count = len(topology.atoms)
        steps = np.full((count, count), np.inf)
        np.fill_diagonal(steps, 0)
        steps[tuple(topology.bonds.T)] = steps[tuple(topology.bonds.T[::-1])] = 1
        for k in range(count):
            steps = np.minimum(steps, steps[:, k:k + 1] + steps[k:k + 1])
        for beyond in (1, 2, 3):
            wanted = {(i, j) for i in range(count) for j in range(i + 1, count) if steps[i, j] > beyond}
            self.assertEqual({tuple(pair) for pair in topology.pairs_beyond(beyond).tolist()}, wanted)

    def test_alignment_undoes_motions_and_keeps_hands_apart(self):
        random = np.random.default_rng(3)
        onto = random.standard_normal((9, 3))
        onto -= onto.mean(axis=0)
        turn, _ = np.linalg.qr(random.standard_normal((3, 3)))
        turn *= np.sign(np.linalg.det(turn))
        moved = onto @ turn + 0.7
        self.assertLess(np.abs(molecule_conformations.align(moved[None], onto)[0] - onto).max(), 1e-12)
        mirror = molecule_conformations.align(-onto[None], onto)[0]
        self.assertGreater(np.abs(mirror - onto).max(), 0.1)

    def test_bounds_are_met_missed_and_near(self):
        def verdict(metric, reference, generated):
            bound = next(b for b in molecule_bounds.BOUNDS if b.metric == metric)
            return molecule_bounds.Judgement(bound, Quantity(*reference), Quantity(*generated)).verdict

        self.assertEqual(verdict("r_nonbonded_q001", (0.178, 1e-4), (0.179, 1e-4)), "met")
        self.assertEqual(verdict("r_nonbonded_q001", (0.178, 1e-4), (0.150, 1e-4)), "missed")
        self.assertEqual(verdict("r_nonbonded_q001", (0.178, 1e-3), (0.182, 1e-3)), "met, within its error")
        self.assertEqual(verdict("lj_q999", (-10.3, 0.02), (-9.2, 0.2)), "missed, within its error")
        self.assertEqual(verdict("lj_q999", (-10.3, 0.02), (2e8, 3e8)), "missed by a heavy tail")
        self.assertEqual(verdict("lj_mean", (-12.0, 0.0), (-12.1, 0.0)), "met")
        self.assertEqual(verdict("lj_mean", (-12.0, 0.0), (-12.2, 0.0)), "missed")

    def test_what_is_beyond_the_floor_is_found_on_average(self):
        """Squares add up: a distance √(error² + floor²) has the error beyond its floor."""
        verdict = Verdict("a", "pca", float(np.hypot(3.0, 1.0)), 0.01, 1000, 1.0, 0.05, 20, 0.2)
        excess = molecule_distances.excess_of(verdict)
        self.assertAlmostEqual(excess.value, 3.0)
        self.assertTrue(excess.is_there)
        self.assertAlmostEqual(excess.error, 0.0198, places=3)
        nothing = molecule_distances.excess_of(Verdict("a", "pca", 0.9, 0.01, 1000, 1.0, 0.05, 20, 0.2))
        self.assertEqual(nothing.value, 0.0)
        self.assertTrue(nothing.text.startswith("0 to "))

    def test_held_out_loss_that_turned_up_is_seen(self):
        epochs = np.arange(1.0, 6.0)

        def history(nll, term=None):
            found = {"epoch": epochs, "nll_validation": np.array(nll)}
            return found if term is None else {**found, "term_validation": np.array(term)}

        self.assertIsNone(molecule_flow_answer.turned(history([5.0, 4.0, 3.0, 2.5, 2.4])))
        self.assertEqual(molecule_flow_answer.turned(history([5.0, 3.0, 2.0, 2.5, 3.0]))[0], 3.0)
        self.assertIsNone(molecule_flow_answer.turned(
            history([5.0, 3.0, 2.0, 2.5, 3.0], [9.0, 5.0, 4.0, 3.0, 1.0])))
        self.assertIsNone(molecule_flow_answer.turned(history([np.nan] * 5)))

    def test_numbers_of_any_size_are_short(self):
        self.assertEqual(short_with_error(Quantity(-12.056, 0.005)), "−12.056 ± 0.005")
        self.assertEqual(short_with_error(Quantity(6.9e13, 6.9e13)), "(6.9 ± 6.9)·10¹³")
        self.assertEqual(short_with_error(Quantity(1.4e8)), "1.4·10⁸")
        self.assertEqual(short_with_error(Quantity(-2.5e9, 1e6)), "(−2.5000 ± 0.0010)·10⁹")

    def test_numbers_of_the_paper_are_for_its_molecule_alone(self):
        its, other = (SimpleNamespace(topology=molecule_topology.read(INPUT / f"alanine-{name}.prmtop"))
                      for name in ("dipeptide", "tripeptide"))
        self.assertTrue(molecule_paper.are_papers([its, its]))
        self.assertFalse(molecule_paper.are_papers([its, other]))
        self.assertFalse(molecule_paper.are_papers([SimpleNamespace(topology=None)]))

    def test_losses_that_are_not_known_are_called_as_the_deck_does(self):
        import molecule_losses
        subject = SimpleNamespace(loss="own", case=None, topology=None, energy={})
        self.assertEqual(molecule_losses.described(subject), "own")
        self.assertEqual(molecule_losses.weakness(subject), "")


if __name__ == "__main__":
    unittest.main()
