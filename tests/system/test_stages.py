"""Interruptions in each stage: by a signal, a file, the end of the time allowed, and a kill. What was done is not
done again, and the results are the same bits.

    python3 -m unittest tests/system/test_stages.py
"""

import signal
import sys
import tempfile
import time
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
import program  # noqa: E402 (it lies beside this file)
from program import boltzmap, differences, start, write_deck  # noqa: E402

STOPPED = 75

# One case whose stages take long enough to be hit; each checkpoint that may be written is.
DECK = """
run: { name = "stages"; seed = 5; checkpoint_every_min = 0.0; };
system: { kind = "coulomb-double-well"; coupling = 0.7; beta = 5.0; softening = 1e-8; };
reference: { sampler = "hmc"; walkers = 20; samples = 400; burn_in = 300; thinning = 600; };
flow: { layers = 4; hidden = [32, 32]; };
training: { epochs = 20; batch = 64; };
generate: { samples = 600000; };
evaluate: { exact_subsample = 60; exact_repeats = 2; sliced_projections = 20; floor_pairs = 2;
            average_samples = 2000; lipschitz_points = 500; trajectory_frames = 20; };
"""
CASE = "stages"
TITLES = {"sample": "reference samples", "train": "training", "generate": "generated samples",
          "evaluate": "evaluation"}
SELDOM = ("--set", "run.checkpoint_every_min=5.0")
KEPT = {"sample": 3, "train": 3, "generate": 1, "evaluate": 3}  # checkpoints to wait for before a kill


class Stages(unittest.TestCase):
    """One uninterrupted run that all others are compared with."""

    @classmethod
    def setUpClass(cls):
        cls.place = tempfile.TemporaryDirectory()
        cls.folder = Path(cls.place.name)
        cls.deck = write_deck(cls.folder, DECK)
        cls.whole = cls.folder / "whole"
        done = boltzmap("run", cls.deck, "--out", cls.whole, *SELDOM)
        if done.returncode:
            raise AssertionError(done.stderr)

    @classmethod
    def tearDownClass(cls):
        cls.place.cleanup()

    def out(self, name):
        return self.folder / f"{self.id().rsplit('.', 1)[1]}-{name}"

    @staticmethod
    def log(out):
        path = out / "log.txt"
        return path.read_text(encoding="utf-8") if path.exists() else ""

    def wait_for(self, process, is_there, what):
        end = time.monotonic() + 120
        while not is_there():
            self.assertIsNone(process.poll(), f"ended before {what}")
            self.assertLess(time.monotonic(), end, f"no {what}")
            time.sleep(0.002)

    def run_into(self, stage, out, ranks=None, checkpoints=0):
        """A run that has just begun this stage, and written so many checkpoints of it."""
        process = start("run", self.deck, "--out", out, ranks=ranks)
        self.wait_for(process, lambda: f": {TITLES[stage]}\n" in self.log(out), stage)
        seen = set()

        def enough():
            seen.update(path.name for path in out.glob(f"{CASE}/checkpoint-*.h5"))
            return len(seen) >= checkpoints

        self.wait_for(process, enough, f"checkpoint of {stage}")
        return process

    def go_on(self, out, stage, ranks):
        before = self.log(out)
        done = boltzmap("run", self.deck, "--out", out, *SELDOM, ranks=ranks)
        self.assertEqual(done.returncode, 0, done.stderr)
        said = self.log(out)[len(before):]
        self.assertIn("going on from", said, stage)
        for earlier in list(TITLES)[:list(TITLES).index(stage)]:
            self.assertNotIn(f": {TITLES[earlier]}\n", said, f"{earlier} was done")
        self.assertEqual(differences(self.whole, out, cases=(CASE,)), [], stage)
        self.assertEqual(list(out.glob(f"{CASE}/checkpoint-*")), [])

    def test_a_signal_stops_each_stage(self):
        for stage, ranks in zip(TITLES, (1, 2, 1, 2)):
            out = self.out(stage)
            process = self.run_into(stage, out, ranks, checkpoints=1)
            process.send_signal(signal.SIGUSR1)
            self.assertEqual(process.wait(10), STOPPED, stage)
            self.go_on(out, stage, 3 - ranks)

    def test_a_kill_costs_what_came_after_the_last_checkpoint(self):
        for stage, ranks in zip(TITLES, (2, 1, 2, 1)):
            out = self.out(stage)
            process = self.run_into(stage, out, ranks, checkpoints=KEPT[stage])
            program.kill_group(process)
            self.go_on(out, stage, 3 - ranks)

    def test_a_file_stops_a_run_and_is_gone_at_the_next(self):
        out = self.out("file")
        long = ("--set", "training.epochs=1000000", *SELDOM)
        process = start("run", self.deck, "--out", out, *long, ranks=2)
        self.wait_for(process, lambda: f": {TITLES['train']}\n" in self.log(out), "training")
        (out / "stop").touch()
        self.assertEqual(process.wait(10), STOPPED)
        self.assertIn("stop file", self.log(out))
        self.assertEqual(len(list(out.glob(f"{CASE}/checkpoint-*.h5"))), 1)
        done = boltzmap("run", self.deck, "--out", out, *long, "--stage", "sample")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertFalse((out / "stop").exists())

    def test_the_end_of_the_time_stops_a_run(self):
        """By the deck, and by SLURM; a short time leaves a tenth of itself for the checkpoint."""
        long = ("--set", "training.epochs=1000000", *SELDOM)
        for name, arguments in (("deck", ("--set", "run.time_limit_min=0.2")), ("slurm", ())):
            out = self.out(name)
            begun = time.time()
            environment = dict(program.ENVIRONMENT)
            if name == "slurm":
                environment["SLURM_JOB_END_TIME"] = str(int(begun) + 12)
            done = program.subprocess.run(
                program.command("run", self.deck, "--out", out, *long, *arguments), text=True,
                capture_output=True, env=environment, timeout=60, check=False)
            self.assertEqual(done.returncode, STOPPED, done.stderr)
            self.assertIn("time allowed", done.stderr)
            self.assertLess(time.time() - begun, 14.0)
            self.assertEqual(len(list(out.glob(f"{CASE}/checkpoint-*.h5"))), 1)

    def test_a_time_that_is_over_stops_a_run_at_once(self):
        out = self.out("over")
        environment = dict(program.ENVIRONMENT, SLURM_JOB_END_TIME="1")
        done = program.subprocess.run(program.command("run", self.deck, "--out", out), text=True,
                                      capture_output=True, env=environment, timeout=60, check=False)
        self.assertEqual(done.returncode, STOPPED, done.stderr)
        self.assertIn("time allowed", done.stderr)

    def test_damaged_rows_of_an_unfinished_file_are_made_again(self):
        out = self.out("rows")
        process = self.run_into("generate", out, checkpoints=1)
        process.send_signal(signal.SIGUSR1)
        self.assertEqual(process.wait(10), STOPPED)
        rows = out / CASE / "generated.h5md.unfinished"
        content = bytearray(rows.read_bytes())
        content[40000] ^= 1
        rows.write_bytes(content)
        self.go_on(out, "generate", 2)
        self.assertIn("generated.h5md.unfinished: damaged", self.log(out))
        self.assertFalse(rows.exists())

    def test_results_that_are_kept_are_not_measured_again(self):
        """An evaluation stopped at its end takes all its rows from the checkpoint."""
        out = self.out("rows")
        process = self.run_into("evaluate", out, checkpoints=8)
        process.send_signal(signal.SIGUSR1)
        self.assertEqual(process.wait(10), STOPPED)
        newest = max(out.glob(f"{CASE}/checkpoint-*.h5"), key=lambda path: int(path.stem.split("-")[1]))
        pieces = [name for name in program.data_sets(newest) if name.startswith("journal/")]
        self.assertGreaterEqual(len(pieces), 8)
        self.assertTrue(any("/own/w2_" in name for name in pieces), pieces)
        self.go_on(out, "evaluate", None)


if __name__ == "__main__":
    unittest.main()
