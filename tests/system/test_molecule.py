"""Molecules through the real program: the same bits on any number of ranks and after any interruption, what
the files hold, and the distribution against OpenMM's and between samplers.

    python3 -m unittest tests/system/test_molecule.py
"""

import json
import random
import signal
import subprocess
import sys
import tempfile
import time
import unittest
from pathlib import Path

import h5py
import numpy as np

sys.path.insert(0, str(Path(__file__).parent))
import program  # noqa: E402 (it lies beside this file)
from program import TOP, boltzmap, metrics, same_data, start, write_deck  # noqa: E402

STOPPED = 75
ERRORS = 5.5  # standard errors: a false alarm in ten million checks
INPUT = TOP / "input"
PHI, PSI = (4, 6, 8, 14), (6, 8, 14, 16)
BASINS = ("alpha", "beta")
TERMS = ("bond", "angle", "torsion", "nonbonded", "solvation")
FRAME = "/particles/all/position/value"


def deck_text(reference, constraints="h-bonds", name="tiny"):
    return f"""
run: {{ name = "{name}"; checkpoint_every_min = 0.005; }};
system: {{ kind = "amber"; topology = "{INPUT}/alanine-dipeptide.prmtop";
           coordinates = "{INPUT}/alanine-dipeptide.rst7"; constraints = "{constraints}"; }};
reference: {{ {reference} }};
"""


PLAIN = deck_text('sampler = "langevin-middle"; walkers = 6; samples = 1200; frame_ps = 0.2; burn_in_ps = 2.0;')
TEMPERING = deck_text('sampler = "tempering"; walkers = 3; samples = 600; temperatures = 4; '
                      'frame_ps = 0.2; burn_in_ps = 2.0;')


class Place(unittest.TestCase):
    def setUp(self):
        place = tempfile.TemporaryDirectory()
        self.addCleanup(place.cleanup)
        self.folder = Path(place.name)

    def sample(self, deck, out, *arguments, ranks=None, code=0):
        done = boltzmap("run", deck, "--stage", "sample", "--out", out, *arguments, ranks=ranks)
        self.assertEqual(done.returncode, code, done.stdout + done.stderr)
        return out / "tiny" / "reference.h5md"

    def same(self, one, two):
        return (same_data(one / "tiny" / "reference.h5md", two / "tiny" / "reference.h5md")
                and metrics(one) == metrics(two))


class SameBits(Place):
    def test_any_number_of_ranks(self):
        for text, ranks_tried in ((PLAIN, (2, 3, 4, 8)), (TEMPERING, (2, 3, 8))):
            deck = write_deck(self.folder, text)
            whole = self.folder / "whole"
            self.sample(deck, whole, "--force")
            for ranks in ranks_tried:
                out = self.folder / f"ranks-{ranks}"
                self.sample(deck, out, "--force", ranks=ranks)
                self.assertTrue(self.same(whole, out), f"{ranks} ranks")

    def test_stops_at_random_places_and_goes_on(self):
        choose = random.Random(7)
        for text in (PLAIN, TEMPERING):
            deck = write_deck(self.folder, text.replace("samples = 1200", "samples = 4800")
                              .replace("samples = 600", "samples = 1800"))
            whole = self.folder / "whole"
            begun = time.monotonic()
            self.sample(deck, whole, "--force")
            seconds = time.monotonic() - begun
            for way in ("kill", "usr1", "term", "kill"):
                out = self.folder / f"{way}-{choose.random()}"
                self.interrupt(deck, out, way, 0.3 + seconds * choose.random(), choose)
                self.sample(deck, out, ranks=choose.choice((None, 2, 3)))
                self.assertTrue(self.same(whole, out), way)
                self.assertEqual([str(path) for path in out.rglob("checkpoint*")], [])

    def interrupt(self, deck, out, way, seconds, choose):
        ranks = None if way == "term" else choose.choice((None, 2))
        process = start("run", deck, "--stage", "sample", "--out", out, ranks=ranks)
        try:
            process.wait(seconds)
            return
        except subprocess.TimeoutExpired:
            pass
        if way == "kill":
            program.kill_group(process)
        else:
            process.send_signal(signal.SIGUSR1 if way == "usr1" else signal.SIGTERM)
            process.wait(program.TIME_LIMIT_S)

    def test_a_stopped_sampling_goes_on_from_its_checkpoint(self):
        deck = write_deck(self.folder, PLAIN.replace("samples = 1200", "samples = 120000"))
        out = self.folder / "out"
        process = start("run", deck, "--stage", "sample", "--out", out)
        while not list(out.rglob("checkpoint-*.h5")) and process.poll() is None:
            time.sleep(0.05)
        process.send_signal(signal.SIGUSR1)
        self.assertEqual(process.wait(program.TIME_LIMIT_S), STOPPED)
        done = start("run", deck, "--stage", "sample", "--out", out)
        while "going on from" not in (out / "log.txt").read_text(encoding="utf-8"):
            self.assertIsNone(done.poll())
            time.sleep(0.05)
        program.kill_group(done)


class Files(Place):
    def test_frames_are_what_readers_of_h5md_expect(self):
        path = self.sample(write_deck(self.folder, PLAIN), self.folder / "out")
        with h5py.File(path, "r") as file:
            position = file["/particles/all/position"]
            x, time_ps = position["value"][...], position["time"][...]
            phi, psi = (np.ravel(file[f"/observables/{name}/value"]) for name in ("phi", "psi"))
            self.assertEqual(position["value"].attrs["unit"], "nm")
            self.assertEqual(position["time"].attrs["unit"], "ps")
            self.assertEqual(file["/observables/energy/value"].attrs["unit"], "kJ/mol")
        self.assertEqual(x.shape, (1200, 22, 3))
        self.assertAlmostEqual(float(time_ps[1] - time_ps[0]), 0.2, places=9)
        for own, atoms in ((phi, PHI), (psi, PSI)):
            apart = np.angle(np.exp(1j * (dihedrals(x, atoms) - own)))
            self.assertLess(np.abs(apart).max(), 1e-4)
        lengths = np.linalg.norm(x[:, 1] - x[:, 0], axis=1)
        self.assertLess(np.abs(lengths / 0.109 - 1.0).max(), 5e-6)

    def test_energies_of_terms_are_those_of_openmm(self):
        golden = np.load(TOP / "tests" / "golden" / "force_field_alanine_tripeptide.npy")[:3]
        d = 96
        np.save(self.folder / "x.npy", golden[:, :d])
        text = deck_text('sampler = "hmc";', "none").replace("dipeptide", "tripeptide")
        done = boltzmap("energy", write_deck(self.folder, text), "--in", self.folder / "x.npy", "--forces")
        rows = [json.loads(line) for line in done.stdout.splitlines()]
        self.assertEqual(len(rows), 3)
        for row, wanted in zip(rows, golden):
            for term, value in zip(TERMS, wanted[d:]):
                self.assertAlmostEqual(row["terms"][term], value, delta=1e-6 + 1e-8 * abs(value))
            self.assertAlmostEqual(row["energy"], sum(row["terms"].values()), places=8)
            force = wanted[d + len(TERMS):]
            self.assertLess(np.linalg.norm(row["forces"] - force), 1e-6 * np.linalg.norm(force))

    def test_bad_decks_of_molecules_are_told_with_file_line_and_key(self):
        for old, new, code, wanted in (
                ("dipeptide.prmtop", "dipeptide.gone", 74, "dipeptide.gone"),
                ("dipeptide.prmtop", "dipeptide.pdb", 65, "system.topology"),
                ("dipeptide.rst7", "tripeptide.rst7", 65, "has 32 atoms, the topology has 22"),
                ("dipeptide.rst7", "dipeptide.cfg", 65, "system.coordinates"),
                ('"langevin-middle"', '"hmc"', 65, "frame_ps"),
                ('kind = "amber"', 'kind = "double-well"', 65, "system."),
                ("frame_ps = 0.2", "frame_ps = 0.0031", 65, "not a multiple of the time step"),
                ("frame_ps = 0.2", "temperatures = 4; frame_ps = 0.2", 65, "temperatures"),
                ('"h-bonds"', '"all-bonds"', 65, "h-bonds"),
                ("walkers = 6", "walkers = 7", 65, "not a multiple of the 7 walkers")):
            deck = write_deck(self.folder, PLAIN.replace(old, new))
            done = boltzmap("run", deck, "--stage", "sample", "--out", self.folder / "out", ranks=2)
            self.assertEqual(done.returncode, code, f"{new}: {done.stderr}")
            said = [line for line in done.stderr.splitlines() if line.startswith("boltzmap:")]
            self.assertEqual(len(said), 1, done.stderr)
            self.assertIn(wanted, said[0])
            self.assertFalse((self.folder / "out").exists())

    def test_samplers_say_which_systems_they_are_for(self):
        for text, wanted in (
                (deck_text('sampler = "hmc";'), "cannot keep the system's constraints"),
                (TEMPERING.replace("temperatures = 4", "temperatures = 4; temperature_max_K = 200.0"),
                 "must be above the system's temperature"),
                ('run: { name = "tiny"; }; system: { kind = "gaussian"; };'
                 ' reference: { sampler = "tempering"; };', "is for molecules")):
            done = boltzmap("check", write_deck(self.folder, text))
            self.assertEqual(done.returncode, 65)
            self.assertIn(wanted, done.stderr)
            self.assertRegex(done.stderr, r"deck.cfg:\d+: ")

    def test_a_changed_topology_is_another_deck(self):
        topology = self.folder / "own.prmtop"
        topology.write_text((INPUT / "alanine-dipeptide.prmtop").read_text(encoding="utf-8"),
                            encoding="utf-8")
        deck = write_deck(self.folder, PLAIN.replace(f"{INPUT}/alanine-dipeptide.prmtop", "own.prmtop"))
        out = self.folder / "out"
        self.sample(deck, out)
        topology.write_text(topology.read_text(encoding="utf-8").replace("3.40000000E+02", "3.50000000E+02"),
                            encoding="utf-8")
        self.sample(deck, out, code=65)

    def test_decks_that_are_shipped_are_good(self):
        decks = sorted(set(INPUT.glob("*.cfg")) - {INPUT / "own-trajectory.cfg"})  # wants its reference first
        self.assertGreaterEqual(len(decks), 5)
        for deck in decks:
            done = boltzmap("check", deck)
            self.assertEqual(done.returncode, 0, done.stderr)

    def test_a_time_step_that_is_too_long_is_told_with_replica_and_step(self):
        deck = write_deck(self.folder, PLAIN.replace("frame_ps", "timestep_fs = 20.0; frame_ps"))
        done = boltzmap("run", deck, "--stage", "sample", "--out", self.folder / "out", ranks=2)
        self.assertEqual(done.returncode, 65)
        said = [line for line in done.stderr.splitlines() if line.startswith("boltzmap:")]
        self.assertEqual(len(said), 1)
        self.assertRegex(said[0], r"replica \d+ has exploded by step \d+")

    def test_the_report_opens_with_whether_the_walkers_agree(self):
        out = self.folder / "out"
        self.sample(write_deck(self.folder, PLAIN), out)
        subprocess.run([sys.executable, TOP / "postprocess" / "report.py", out], check=True,
                       capture_output=True)
        page = (out / "report.html").read_text(encoding="utf-8")
        self.assertRegex(page, r"The walkers (agree|do not agree yet)")
        for word in ("Ramachandran surface", "Convergence of each quantity", "cos phi"):
            self.assertIn(word, page)
        for stem in ("ramachandran", "torsions", "energy"):
            self.assertTrue((out / "figures" / f"{stem}.png").is_file())


def dihedrals(x, atoms):
    a, b, c, d = (x[:, i].astype(float) for i in atoms)
    first, axis, last = a - b, c - b, d - c
    normal, other = np.cross(-first, axis), np.cross(axis, last)
    length = np.linalg.norm(axis, axis=1)
    return np.arctan2(np.sum(np.cross(normal, other) * axis, axis=1) / length,
                      np.sum(normal * other, axis=1))


def ratio_of(totals, counts):
    """Mean over all frames and its standard error, by leaving out one block at a time."""
    totals, counts = np.asarray(totals), np.asarray(counts, dtype=float)
    used = counts > 0
    totals, counts = totals[used], counts[used]
    left = (totals.sum(axis=0) - totals) / (counts.sum() - counts)[:, None]
    n = len(counts)
    error = np.sqrt((n - 1) / n * np.sum((left - left.mean(axis=0))**2, axis=0))
    return totals.sum(axis=0) / counts.sum(), error


class Distribution(Place):
    """Means of the terms within each basin, which do not depend on how often walkers cross."""

    def terms_of(self, reference, constraints):
        """{basin: (means, errors)} of the terms, walkers as blocks."""
        deck = write_deck(self.folder, deck_text(reference, constraints))
        path = self.sample(deck, self.folder / "out", "--force", ranks=2)
        lines = boltzmap("energy", deck, "--in", path).stdout.splitlines()
        terms = np.array([[json.loads(line)["terms"][term] for term in TERMS] for line in lines])
        with h5py.File(path, "r") as file:
            phi, psi = (np.ravel(file[f"/observables/{name}/value"]) for name in ("phi", "psi"))
            walkers = int(np.ravel(file["/parameters"].attrs["walkers"])[0])
        psi = np.degrees(psi)
        alpha = (phi <= 0.0) & (psi > -120.0) & (psi < 50.0)
        inside = dict(alpha=alpha, beta=(phi <= 0.0) & ~alpha)
        return {basin: ratio_of([part[held].sum(axis=0) for part, held in
                                 zip(np.split(terms, walkers), np.split(inside[basin], walkers))],
                                [held.sum() for held in np.split(inside[basin], walkers)])
                for basin in BASINS}

    def agree(self, one, two):
        for basin in BASINS:
            for term, a, ea, b, eb in zip(TERMS, *one[basin], *two[basin]):
                self.assertLess(abs(a - b), ERRORS * np.hypot(ea, eb),
                                f"{basin}, {term}: {a:.3f} ± {ea:.3f} and {b:.3f} ± {eb:.3f}")

    def test_terms_in_each_basin_are_those_of_openmm(self):
        golden = json.loads((TOP / "tests" / "golden" / "alanine_dynamics_openmm.json")
                            .read_text(encoding="utf-8"))
        openmm = {}
        for basin in BASINS:
            blocks = [block[basin] for walker in golden["blocks"] for block in walker]
            counts = [block["frames"] for block in blocks]
            totals = [np.array(block["means"] or [0.0] * len(golden["names"]))[:len(TERMS)]
                      * block["frames"] for block in blocks]
            openmm[basin] = ratio_of(totals, counts)
        own = self.terms_of('sampler = "langevin-middle"; walkers = 64; samples = 19200; '
                            'friction_per_ps = 91.0; burn_in_ps = 20.0;', "h-bonds")
        self.agree(own, openmm)

    def test_dynamics_and_hmc_agree(self):
        dynamics = self.terms_of('sampler = "langevin-middle"; walkers = 64; samples = 6400; '
                                 'timestep_fs = 0.5; friction_per_ps = 5.0; burn_in_ps = 20.0;', "none")
        exact = self.terms_of('sampler = "hmc"; walkers = 64; samples = 6400; leapfrog_steps = 60; '
                              'step_size = 0.001; burn_in = 400; thinning = 5;', "none")
        self.agree(dynamics, exact)


if __name__ == "__main__":
    unittest.main()
