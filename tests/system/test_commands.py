"""The commands beside run, against NumPy and SciPy.

    python3 -m unittest tests/system/test_commands.py
"""

import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
import unittest
from pathlib import Path

import h5py
import numpy as np
from scipy.optimize import linear_sum_assignment

sys.path.insert(0, str(Path(__file__).parent))
import program  # noqa: E402 (it lies beside this file)
from program import boltzmap  # noqa: E402


def wrapped(difference, period):
    return difference if period is None else difference - period * np.round(difference / period)


def exact_w2(x, y, period=None):
    cost = (wrapped(x[:, None] - y[None], period) ** 2).sum(-1)
    return float(np.sqrt(cost[linear_sum_assignment(cost)].mean()))


def without_times(line):
    return {key: value for key, value in line.items() if not key.startswith("seconds")}


class Commands(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.place = tempfile.TemporaryDirectory()
        cls.folder = Path(cls.place.name)
        cls.deck = program.write_deck(cls.folder)
        done = boltzmap("run", cls.deck, "--out", cls.folder / "out", "--case", "b")
        if done.returncode:
            raise AssertionError(done.stderr)
        cls.case = cls.folder / "out" / "b"
        random = np.random.default_rng(7)
        cls.x, cls.y = random.standard_normal((120, 3)), 1.3 * random.standard_normal((120, 3)) + 0.5
        np.save(cls.folder / "x.npy", cls.x)
        np.save(cls.folder / "y.npy", cls.y.astype("f4"))
        cls.y = cls.y.astype("f4").astype(float)

    @classmethod
    def tearDownClass(cls):
        cls.place.cleanup()

    def ask(self, *arguments, ranks=None):
        done = boltzmap(*arguments, ranks=ranks)
        self.assertEqual((done.returncode, done.stderr), (0, ""), done.stderr)
        return done.stdout

    def distance(self, *arguments, ranks=None):
        return json.loads(self.ask("distance", self.folder / "x.npy", self.folder / "y.npy", *arguments,
                                   "--json", ranks=ranks))

    def test_exact_distance_is_scipys(self):
        found = self.distance()
        self.assertAlmostEqual(found["w2"], exact_w2(self.x, self.y), delta=1e-11)
        self.assertLess(found["gap"], 1e-9)
        self.assertEqual((found["kind"], found["n"], found["d"]), ("exact", 120, 3))
        self.assertIn("seconds", found)

    def test_exact_distance_on_a_torus_is_scipys(self):
        found = self.distance("--period", 2.5, "--columns", "2,0")
        expected = exact_w2(self.x[:, [2, 0]], self.y[:, [2, 0]], 2.5)
        self.assertAlmostEqual(found["w2"], expected, delta=1e-11)

    def test_the_pairing_is_written_and_has_the_cost_claimed(self):
        plan = self.folder / "plan.h5"
        found = self.distance("--plan", plan, ranks=2)
        with h5py.File(plan, "r") as file:
            pairing = file["pairing"][:]
        self.assertEqual(sorted(pairing), list(range(120)))
        squares = ((self.x - self.y[pairing]) ** 2).sum(1)
        self.assertAlmostEqual(found["w2"], np.sqrt(squares.mean()), delta=1e-12)
        self.assertIn("checksum good", self.ask("info", plan))

    def test_a_list_of_pairs_gives_a_line_each(self):
        x, y = self.folder / "x.npy", self.folder / "y.npy"
        (self.folder / "pairs").write_text(f"# two\n{x} {y}\n\n {y}\t{x} \n{x} {x}")
        for ranks in (None, 2):
            lines = self.ask("distance", "--pairs", self.folder / "pairs", "--json", ranks=ranks).splitlines()
            found = [json.loads(line) for line in lines]
            self.assertEqual([line["a"] for line in found], [str(x), str(y), str(x)])
            self.assertAlmostEqual(found[0]["w2"], exact_w2(self.x, self.y), delta=1e-11)
            self.assertAlmostEqual(found[1]["w2"], found[0]["w2"], delta=1e-11)
            self.assertEqual(found[2]["w2"], 0.0)

    def test_a_gap_above_the_tolerance_is_told_and_fails_where_asked(self):
        x = np.random.default_rng(3).standard_normal((3000, 3))
        names = [self.folder / name for name in ("near-a.npy", "near-b.npy")]
        np.save(names[0], x)
        np.save(names[1], x[::-1] + 1e-3 * np.random.default_rng(4).standard_normal((3000, 3)))
        found = json.loads(self.ask("distance", *names, "--json"))
        self.assertLess(found["gap"], 1e-9)
        self.assertGreater(found["rounding"], 0.0)
        for tolerance in (0.0, found["rounding"] / 2):
            done = boltzmap("distance", *names, "--tolerance", tolerance)
            self.assertEqual(done.returncode, 0)
            self.assertIn("only known to lie between", done.stderr)
            done = boltzmap("distance", *names, "--tolerance", tolerance, "--strict")
            self.assertEqual((done.returncode, done.stdout), (65, ""))
        done = boltzmap("distance", *names, "--tolerance", 1.01 * (found["gap"] + found["rounding"]), "--strict")
        self.assertEqual((done.returncode, done.stderr), (0, ""))

    def test_a_stopped_distance_goes_on_to_the_same_bits(self):
        names = [self.folder / name for name in ("many-a.npy", "many-b.npy")]
        for seed, name in enumerate(names):
            np.save(name, np.random.default_rng(seed).standard_normal((30000, 5)))
        whole = json.loads(self.ask("distance", *names, "--json"))
        checkpoint = self.folder / "distance.h5"
        arguments = ("distance", *names, "--json", "--checkpoint", checkpoint)
        stops = 0
        for ranks in (2, None, 1, 3):
            process = program.start(*arguments, ranks=ranks)
            time.sleep(0.7 + 0.3 * stops)
            process.send_signal(signal.SIGUSR1)
            process.wait(60)
            stops += checkpoint.exists()
        found = json.loads(self.ask(*arguments))
        self.assertFalse(checkpoint.exists())
        self.assertGreater(stops, 0)
        self.assertEqual(without_times(found), without_times(whole))

    def test_debiased_distance_of_gaussians_is_the_closed_form(self):
        random = np.random.default_rng(11)
        names = [self.folder / name for name in ("normal-a.npy", "normal-b.npy")]
        np.save(names[0], random.standard_normal((10000, 4)))
        np.save(names[1], 1.2 * random.standard_normal((10000, 4)) + 0.1)
        for kind in ("exact", "sliced"):
            found = json.loads(self.ask("distance", *names, "--kind", kind, "--debias", "--json"))
            truth = (0.04 + 0.01) * (4 if kind == "exact" else 1)
            self.assertLess(abs(found["w2_squared_debiased"] - truth), 5.5 * found["w2_squared_debiased_error"])
            self.assertLess(found["w2_squared_debiased_error"], 0.2 * truth)

    def test_max_sliced_is_at_least_every_marginal(self):
        found = self.distance("--kind", "max-sliced")
        for column in range(3):
            marginal = self.distance("--kind", "marginal", "--columns", column)
            self.assertGreaterEqual(found["w2"], marginal["w2"])
        self.assertLessEqual(found["w2"], self.distance()["w2"])

    def test_marginal_distance_is_that_of_sorted_values(self):
        found = self.distance("--kind", "marginal", "--columns", "1")
        expected = np.sqrt(np.mean((np.sort(self.x[:, 1]) - np.sort(self.y[:, 1])) ** 2))
        self.assertAlmostEqual(found["w2"], expected, delta=1e-12)

    def test_sliced_distance_lies_where_the_mean_of_marginals_does(self):
        found = self.distance("--kind", "sliced", "--projections", 4000)
        v = np.random.default_rng(1).standard_normal((4000, 3))
        v /= np.linalg.norm(v, axis=1, keepdims=True)
        squares = np.mean((np.sort(self.x @ v.T, 0) - np.sort(self.y @ v.T, 0)) ** 2, 0)
        error = 2.0 * squares.std() / np.sqrt(4000) / (2.0 * np.sqrt(squares.mean()))
        self.assertLess(abs(found["w2"] - np.sqrt(squares.mean())), 5.5 * error)

    def test_distances_do_not_depend_on_ranks(self):
        for arguments in (["--kind", "sliced"], ["--subsample", 40, "--repeats", 5]):
            one, three = self.distance(*arguments), self.distance(*arguments, ranks=3)
            self.assertEqual(without_times(one), without_times(three))

    def test_generated_samples_depend_on_their_number_alone(self):
        for name, samples, ranks in (("few", 150, 1), ("many", 1000, 3)):
            self.ask("generate", self.case / "model.h5", "--samples", samples, "--out",
                     self.folder / f"{name}.h5md", "--seed", 3, ranks=ranks)
        with h5py.File(self.folder / "few.h5md", "r") as file:
            known = dict(file["parameters"].attrs)
            for key in ("model", "seed", "ranks", "host_type", "libraries", "mpi", "kernel"):
                self.assertIn(key, known)
            self.assertRegex(known["model_xxh64"], "^[0-9a-f]{16}$")
        few, many = (program.data_sets(self.folder / f"{name}.h5md") for name in ("few", "many"))
        position = "particles/all/position/value"
        self.assertEqual(len(many[position]), 1000)
        self.assertTrue(np.array_equal(few[position], many[position][:150]))
        # the run's own file is made with the run's seed
        own = program.data_sets(self.case / "generated.h5md")
        self.assertTrue(np.array_equal(own[position], many[position][:300]))

    @unittest.skipIf(program.SANITIZED, "sanitizers keep memory that is given back")
    def test_generation_takes_no_more_memory_for_more_samples(self):
        """0.3 MB is what repetitions differ by; one float64 kept a sample would be 5.6 MB a rank."""
        for ranks in (None, 2):
            peaks = []
            for samples in (100000, 1500000):
                code, peak = program.peak_memory("generate", self.case / "model.h5", "--samples", samples, "--out",
                                                 self.folder / "stream.h5md", ranks=ranks)
                self.assertEqual(code, 0)
                peaks.append(peak)
            self.assertLess(peaks[1] - peaks[0], 4e6)
            self.assertLess(peaks[1], 2e8)
        (self.folder / "stream.h5md").unlink()

    def test_a_stopped_generation_leaves_no_file(self):
        out = self.folder / "stopped.h5md"
        for ranks, number in ((None, signal.SIGTERM), (None, signal.SIGUSR1), (2, signal.SIGUSR1)):
            process = program.start("generate", self.case / "model.h5", "--samples", 50000000, "--out", out,
                                    ranks=ranks)
            while not list(self.folder.glob("stopped*.part")):
                time.sleep(0.01)
            time.sleep(0.5)
            process.send_signal(number)
            self.assertEqual(process.wait(30), 75)
            self.assertEqual(list(self.folder.glob("stopped*")), [])

    def test_density_is_the_generators(self):
        self.ask("density", self.case / "model.h5", "--in", self.case / "generated.h5md", "--out",
                 self.folder / "density.h5md", ranks=2)
        column = "observables/log_density/value"
        given = program.data_sets(self.case / "generated.h5md")[column]
        found = program.data_sets(self.folder / "density.h5md")[column]
        self.assertLess(np.quantile(np.abs(found - given), 0.99), 1e-3)
        printed = self.ask("density", self.case / "model.h5", "--in", self.case / "generated.h5md")
        self.assertTrue(np.allclose([float(line) for line in printed.splitlines()], found, rtol=1e-9))

    def test_energies_and_forces_are_the_formulas(self):
        lines = [json.loads(line) for line in
                 self.ask("energy", self.deck, "--case", "b", "--forces", "--in",
                          self.case / "reference.h5md").splitlines()]
        x = program.data_sets(self.case / "reference.h5md")["particles/all/position/value"][:, :, :2]
        soft = np.sqrt(((x[:, 0] - x[:, 1]) ** 2).sum(1) + 0.1 ** 2)
        energy = ((x[:, :, 0] ** 2 - 1) ** 2 + x[:, :, 1] ** 2).sum(1) + 0.7 / soft
        self.assertEqual([line["frame"] for line in lines], list(range(len(x))))
        self.assertTrue(np.allclose([line["energy"] for line in lines], energy, rtol=1e-12))
        pull = 0.7 * (x[:, 0] - x[:, 1]) / soft[:, None] ** 3
        gradient = np.stack([4 * x[..., 0] * (x[..., 0] ** 2 - 1), 2 * x[..., 1]], -1)
        gradient += np.stack([-pull, pull], 1)
        self.assertTrue(np.allclose([line["forces"] for line in lines], -gradient.reshape(-1, 4),
                                    rtol=1e-10, atol=1e-12))

    def test_info_knows_every_kind_of_file(self):
        self.assertIn("RealNVP in 4 dimensions", self.ask("info", self.case / "model.h5"))
        self.assertIn("400 rows in 4 columns, 20 walkers", self.ask("info", self.case / "reference.h5md"))
        self.assertIn("no checksum", self.ask("info", self.folder / "x.npy", ranks=2))

    def test_checked_deck_checks_again_and_nothing_is_touched(self):
        before = program.snapshot(self.folder)
        first = self.ask("check", self.deck, "--set", "training.epochs=5")
        self.assertEqual(before, program.snapshot(self.folder))
        self.assertRegex(first, r"epochs = 5; +# --set")
        self.assertIn("parameters", first)
        again = program.write_deck(self.folder, first, "again.cfg")
        second = self.ask("check", again)
        values = [line.split("#")[0].rstrip() for line in first.splitlines()]
        self.assertEqual(values, [line.split("#")[0].rstrip() for line in second.splitlines()])

    def test_estimates_count_the_exact_distance_and_the_users_samples(self):
        def megabytes(*changes):
            line = self.ask("check", *changes).splitlines()[-1]
            return [int(number) for number in re.findall(r"(\d+) MB", line)]

        sets = ("--set", "reference.samples=20000", "--set", "generate.samples=20000")
        exact = ("--set", "evaluate.exact_subsample=0", "--set", "evaluate.exact_repeats=1")
        without = ("--set", "evaluate.exact_w2=false")
        plain = program.write_deck(self.folder, re.sub("exact_[a-z]+ = [0-9]+;", "", program.DECK), "plain.cfg")
        self.assertGreater(megabytes(plain, *sets, *exact)[0], megabytes(plain, *sets, *without)[0] + 20)
        own = program.write_deck(self.folder, program.DECK.replace(
            "walkers = 20; samples = 400; burn_in = 300; thinning = 20;",
            f'sampler = "file"; file = "{self.case / "reference.h5md"}";'), "own.cfg")
        self.assertEqual(len(megabytes(own)), 2)

    def test_writers_of_one_file_at_once_leave_a_whole_one(self):
        out = self.folder / "at-once.h5md"
        writers = [program.start("generate", self.case / "model.h5", "--samples", 300000, "--seed", seed,
                                 "--out", out, ranks=2 if seed == 1 else None) for seed in (1, 2, 3)]
        self.assertEqual([writer.wait(120) for writer in writers], [0, 0, 0])
        self.assertIn("checksum good", self.ask("info", out))
        killed = program.start("generate", self.case / "model.h5", "--samples", 30000000, "--out", out)
        while not list(self.folder.glob("at-once*.part")):
            time.sleep(0.01)
        program.kill_group(killed)
        self.ask("generate", self.case / "model.h5", "--samples", 10, "--out", out)
        self.assertEqual(list(self.folder.glob("at-once*.part")), [])
        out.unlink()

    def test_commands_without_checkpoints_end_by_the_signal(self):
        large = self.folder / "large.npy"
        np.save(large, np.zeros((10000000, 4), "f4"))
        for line in (("energy", self.deck, "--in", large),
                     ("density", self.case / "model.h5", "--in", large), ("check", self.deck)):
            process = program.start(*line)
            time.sleep(0.5)
            process.terminate()
            self.assertIn(process.wait(5), (-15, 0) if line[0] == "check" else (-15,), line[0])
        large.unlink()

    def test_a_flow_beyond_the_memory_is_estimated(self):
        line = self.ask("check", self.deck, "--set", "flow.layers=1024", "--set",
                        "flow.hidden=[65536,65536]").splitlines()[-1]
        self.assertGreater(int(re.search(r"(\d+) MB a rank", line)[1]), 10**8)

    def predictions(self, *arguments):
        """Cells of the rows of check's table, by ranks, and the text."""
        text = self.ask("check", self.deck, *arguments)
        rows = [line[1:].split() for line in text.splitlines() if re.match(r"#\s+\d+\s+\d+ ", line)]
        return {int(row[0]): row for row in rows}, text

    def test_many_ranks_are_predicted(self):
        rows, text = self.predictions("--ranks", 48, "--network", "infiniband-hdr", "--cores-per-node", 16)
        self.assertEqual(list(rows), sorted([*(2**i for i in range(13)), 48]))
        self.assertEqual([rows[ranks][1] for ranks in (1, 16, 32, 48, 4096)], ["1", "1", "2", "3", "256"])
        self.assertEqual((rows[1][-4], rows[1][-1]), ("100%", "100%"))
        memory = [int(row[-3]) for row in rows.values()]
        self.assertEqual(memory, sorted(memory, reverse=True))
        self.assertIn("8 of 48 ranks have a shard", text)
        self.assertIn("(1.2 us, 24 GB/s; ", text)
        self.assertRegex(text, r"more ranks stop paying \(efficiency below 50%\) after \d+")
        self.assertRegex(text, r"48 ranks pay, at \d+%, with training.shards = 48|no minibatch up to \d+ rows")
        self.assertTrue(all(line.startswith("#") for line in text[text.index("# a on 48 ranks"):].splitlines()))

    def test_help_names_every_network(self):
        done = boltzmap("check", self.deck, "--ranks", "4", "--network", "carrier-pigeon")
        names = re.search(r"there are (.*)", done.stderr)[1].replace(" and ", ", ").rstrip(".").split(", ")
        self.assertGreater(len(names), 5)
        text = boltzmap("check", "--help").stdout
        for name in names:
            self.assertRegex(text, rf"\b{re.escape(name)}\b")

    def test_networks_and_ranks_that_are_none_are_named(self):
        for line, expected in (
                (["--ranks", "4", "--network", "infiniband-hrd"], "did you mean infiniband-hdr?"),
                (["--ranks", "4", "--network", "carrier-pigeon"], "there are shared-memory, ethernet-1g"),
                (["--ranks", "0"], "a whole number from 1 to 4096"),
                (["--ranks", "4097"], "a whole number from 1 to 4096"),
                (["--ranks", "2", "--cores-per-node", "0"], "a whole number from 1 to 4096"),
                (["--network", "infiniband-hdr"], "--network goes with --ranks"),
                (["--cores-per-node", "4"], "--cores-per-node goes with --ranks")):
            with self.subTest(line):
                done = boltzmap("check", self.deck, *line)
                self.assertEqual((done.returncode, done.stdout), (64, ""))
                self.assertIn(expected, done.stderr)

    def test_training_takes_about_what_check_predicts(self):
        settings = ["--set", "training.epochs=300", "--set", "flow.layers=4", "--set", "flow.hidden=[64,64]"]
        run = ["run", self.deck, "--out", self.folder / "timed", "--case", "b", *settings, "--stage"]
        self.assertEqual(boltzmap(*run, "sample").returncode, 0)
        before = os.times()
        self.assertEqual(boltzmap(*run, "train").returncode, 0)
        after = os.times()
        took = after.children_user + after.children_system - before.children_user - before.children_system
        text = self.ask("check", self.deck, *settings, "--ranks", 1)
        predicted = float(re.search(r"training .*\((\S+) s\)", text)[1])
        # processor time, so that neighbours do not count; a start and half a second of products besides
        self.assertGreater(took, 0.5 * predicted)
        self.assertLess(took, 2.0 * predicted + 1.5)

    def test_output_that_does_not_arrive_is_an_error(self):
        model, reference = self.case / "model.h5", self.case / "reference.h5md"
        for line in (["--version"], ["--help"], ["distance", "--help"], ["check", self.deck],
                     ["density", model, "--in", reference], ["info", model],
                     ["distance", self.folder / "x.npy", self.folder / "y.npy"],
                     ["energy", self.deck, "--in", reference]):
            with self.subTest(line[0]), open("/dev/full", "w", encoding="ascii") as full:
                done = subprocess.run(program.command(*line), stdout=full, stderr=subprocess.PIPE,
                                      text=True, env=program.ENVIRONMENT, timeout=60, check=False)
                self.assertEqual(done.returncode, 74, done.stderr)
                self.assertIn("standard output", done.stderr)

    def test_help_and_version(self):
        self.assertRegex(self.ask("--version"), r"^boltzmap \d+\.\d+\.\d+ \(.+\)\n.*HDF5")
        names = [line.split()[0] for line in self.ask("--help").splitlines()
                 if line.startswith("  ") and line.split()]
        for name in ("run", "check", "energy", "distance", "generate", "density", "info"):
            self.assertIn(name, names)
            self.assertIn(f"boltzmap {name}", self.ask(name, "--help"))


if __name__ == "__main__":
    unittest.main()
