"""Runs through the real program: the same bits on any number of ranks and after any interruption, and
what becomes of an existing output folder.

    python3 -m unittest tests/system/test_run.py
"""

import os
import pty
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest
from pathlib import Path

import h5py
import MDAnalysis
import numpy as np

sys.path.insert(0, str(Path(__file__).parent))
import program  # noqa: E402 (it lies beside this file)
from program import boltzmap, differences, snapshot, start, write_deck  # noqa: E402

STOPPED = 75


class Runs(unittest.TestCase):
    """One uninterrupted run on one rank that all others are compared with."""

    @classmethod
    def setUpClass(cls):
        cls.place = tempfile.TemporaryDirectory()
        cls.folder = Path(cls.place.name)
        cls.deck = write_deck(cls.folder)
        cls.whole = cls.folder / "whole"
        begun = time.monotonic()
        done = boltzmap("run", cls.deck, "--out", cls.whole)
        cls.seconds = time.monotonic() - begun
        if done.returncode:
            raise AssertionError(done.stderr)

    @classmethod
    def tearDownClass(cls):
        cls.place.cleanup()

    def out(self):
        return self.folder / self.id().rsplit(".", 1)[1]

    def run_deck(self, out, *arguments, code=0, ranks=None):
        done = boltzmap("run", self.deck, "--out", out, *arguments, ranks=ranks)
        self.assertEqual(done.returncode, code, done.stdout + done.stderr)
        return done

    def copy(self):
        shutil.copytree(self.whole, self.out())
        return self.out()


class SameBits(Runs):
    def test_any_number_of_ranks(self):
        for ranks in (1, 2, 3, 4, 8):
            out = self.folder / f"ranks-{ranks}"
            self.run_deck(out, ranks=ranks)
            self.assertEqual(differences(self.whole, out), [], f"{ranks} ranks")

    def test_stops_at_ten_random_places_and_goes_on(self):
        choose = random.Random(20)
        ways = ["kill", "usr1", "int", "kill", "term", "usr1", "kill", "one rank", "int", "usr1"]
        interrupted = 0
        for i, way in enumerate(ways):
            out = self.folder / f"stop-{i}"
            # a whole run takes longer on busy cores: the moments are spread over the quicker one
            interrupted += self.interrupt(out, way, 0.3 + self.seconds * choose.random(), choose)
            self.run_deck(out, ranks=choose.choice((None, 2, 3)))
            self.assertEqual(differences(self.whole, out), [], f"{way}, stop {i}")
            self.assertEqual([str(path) for path in out.rglob("*.part")], [])
        self.assertGreaterEqual(interrupted, 5)

    def interrupt(self, out, way, seconds, choose):
        """Start, wait, hit; was the run still under way?"""
        alone = way in ("int", "term")
        process = start("run", self.deck, "--out", out, ranks=None if alone else choose.choice((1, 2)))
        try:
            process.wait(seconds)
            return False  # finished before the blow
        except program.subprocess.TimeoutExpired:
            pass
        if way == "kill":
            program.kill_group(process)
            return True
        if way == "one rank":
            children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
            os.kill(int(children[0]) if children else process.pid, signal.SIGKILL)
            process.wait(60)
            return True
        sent = {"usr1": signal.SIGUSR1, "int": signal.SIGINT, "term": signal.SIGTERM}[way]
        process.send_signal(sent)
        # before the program listens, the signal's own way ends it
        self.assertIn(process.wait(120), (STOPPED, 0, -sent), way)
        return process.returncode == STOPPED

    def test_a_chain_of_interruptions(self):
        out = self.out()
        for i in range(12):
            process = start("run", self.deck, "--out", out)
            time.sleep(0.25 + 0.1 * i)
            process.send_signal(signal.SIGUSR1)
            code = process.wait(120)
            if code == 0:
                break
            # before the program listens, the signal's own way ends it
            self.assertIn(code, (STOPPED, -signal.SIGUSR1))
        self.run_deck(out)
        self.assertEqual(differences(self.whole, out), [])

    def test_a_named_checkpoint_goes_on(self):
        out = self.out()
        long = ("run", self.deck, "--out", out, "--set", "training.epochs=4000", "--case", "a")
        self.assertEqual(boltzmap(*long, "--stage", "sample").returncode, 0)
        process = start(*long)
        kept = None
        for _ in range(400):
            time.sleep(0.05)
            found = sorted(out.glob("a/checkpoint-*.h5"))
            if found:
                kept = self.folder / "kept.h5"
                try:
                    shutil.copy(found[0], kept)
                    break
                except FileNotFoundError:
                    kept = None
        program.kill_group(process)
        self.assertIsNotNone(kept)
        # of a deck with other epochs: refused by the deck that all others use
        done = boltzmap("run", self.deck, "--out", self.folder / "named", "--restart", kept)
        self.assertEqual(done.returncode, 65, done.stderr)
        self.assertIn("no checkpoint of the training of this deck", done.stderr)
        self.assertFalse((self.folder / "named").exists())

    def steps(self, out):
        """Steps of the checkpoints of case a, in order."""
        return sorted(int(path.stem.split("-")[1]) for path in out.glob("a/checkpoint-*.h5"))

    def stop_in_training(self, out, *signals):
        """Start a training that is too long to finish, stop it after its first step; gives the exit code."""
        long = ("run", self.deck, "--out", out, "--set", "training.epochs=100000")
        self.assertEqual(boltzmap(*long, "--stage", "sample").returncode, 0)  # which has checkpoints, too
        before = self.steps(out)
        process = start(*long)
        while not set(self.steps(out)) - set(before):
            self.assertIsNone(process.poll(), "the training ended by itself")
            time.sleep(0.02)
        for number in signals:
            process.send_signal(number)
            time.sleep(0.002)
        return process.wait(60)

    def test_checkpoints_are_one_an_interval(self):
        """Of two that follow each other the older is a spare: it must not be of the step before."""
        out = self.out()
        process = start("run", self.deck, "--out", out, "--stage", "sample,train", "--set", "training.epochs=100000",
                        "--set", "run.checkpoint_every_min=0.005")
        kept = set()
        end = time.monotonic() + 60
        while len(kept) < 3 and time.monotonic() < end:
            steps = self.steps(out) if out.exists() else []
            if len(steps) == 2:
                kept.add(tuple(steps))
            time.sleep(0.02)
        program.kill_group(process)
        self.assertGreaterEqual(len(kept), 3)
        for older, newer in kept:
            self.assertGreater(newer - older, 1)

    def test_a_second_signal_does_not_take_the_checkpoint_away(self):
        for signals in ((signal.SIGINT, signal.SIGTERM), (signal.SIGUSR1, signal.SIGTERM),
                        (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1)):
            out = self.out()
            self.assertEqual(self.stop_in_training(out, *signals), STOPPED, signals)
            for step in self.steps(out)[-1:]:
                done = boltzmap("info", out / "a" / f"checkpoint-{step}.h5")
                self.assertEqual(done.returncode, 0, done.stderr)
            self.assertEqual(list(out.rglob("*.part")), [])

    def test_damaged_checkpoints_do_not_push_out_whole_ones(self):
        out = self.out()
        self.assertEqual(self.stop_in_training(out, signal.SIGUSR1), STOPPED)
        content = (out / "a" / f"checkpoint-{self.steps(out)[-1]}.h5").read_bytes()
        reached = self.steps(out)[-1]
        before = self.steps(out)[0] - 1
        for step in (before, 10**9, 10**9 + 1):
            (out / "a" / f"checkpoint-{step}.h5").write_bytes(content[:len(content) // 2])
        self.assertEqual(self.stop_in_training(out, signal.SIGUSR1), STOPPED)
        self.assertGreater(self.steps(out)[-1], reached)
        self.assertEqual(len(list(out.rglob("*.h5.damaged"))), 2)  # those that were looked at before a good one
        self.assertLess(self.steps(out)[-1], 10**9)
        for step in self.steps(out):
            done = boltzmap("info", out / "a" / f"checkpoint-{step}.h5")
            self.assertEqual(done.returncode, 0, done.stderr)

    def test_stages_and_cases_in_pieces(self):
        out = self.out()
        self.run_deck(out, "--stage", "sample", "--case", "b")
        self.run_deck(out, "--stage", "sample,train")
        self.run_deck(out, "--case", "b", ranks=2)
        self.run_deck(out)
        self.assertEqual(differences(self.whole, out), [])

    def test_a_stage_without_its_input_is_refused(self):
        done = self.run_deck(self.out(), "--stage", "evaluate", code=64)
        self.assertIn("needs stage sample first", done.stderr)


class Folders(Runs):
    def test_a_finished_run_is_left_alone(self):
        out = self.copy()
        before = snapshot(out)
        done = self.run_deck(out)
        self.assertIn("finished already", done.stdout)
        after = snapshot(out)
        self.assertEqual({name for name in after if before.get(name) != after[name]}, {"log.txt"})

    def test_an_unfinished_run_goes_on_where_it_stopped(self):
        out = self.copy()
        (out / "b" / "evaluate.json").unlink()
        times = {path: path.stat().st_mtime_ns for path in out.rglob("*.h5*")
                 if path.name != "trajectory.h5md"}
        self.run_deck(out)
        self.assertEqual(times, {path: path.stat().st_mtime_ns for path in times})
        self.assertEqual(differences(self.whole, out), [])

    def test_results_that_an_interruption_left_out_are_written(self):
        for name in ("results.json", "results.csv"):
            out = self.copy()
            content = (out / name).read_bytes()
            (out / name).unlink()
            self.run_deck(out)
            self.assertEqual((out / name).read_bytes(), content)
            (out / name).write_text("{}", encoding="utf-8")
            os.utime(out / name, (0, 0))
            self.run_deck(out, ranks=2)
            self.assertEqual(differences(self.whole, out), [])
            shutil.rmtree(out)

    def test_damaged_results_are_written_again(self):
        for name in ("results.json", "results.csv"):
            out = self.copy()
            content = (out / name).read_bytes()
            for damaged in (b"", content[:-20], content[:300] + b"7" + content[301:]):
                (out / name).write_bytes(damaged)
                self.run_deck(out)
                self.assertEqual((out / name).read_bytes(), content)
            shutil.rmtree(out)

    def test_the_folder_has_the_deck_of_the_last_run(self):
        out = self.copy()
        self.run_deck(out, "--set", "run.checkpoint_every_min=7.0")
        self.assertRegex((out / "deck.cfg").read_text(encoding="utf-8"),
                         r"checkpoint_every_min = 7\.0; +# --set")
        self.run_deck(out)
        self.assertEqual((out / "deck.cfg").read_bytes(), (self.whole / "deck.cfg").read_bytes())

    def test_another_deck_is_refused_and_force_starts_over(self):
        out = self.copy()
        before = snapshot(out)
        done = self.run_deck(out, "--set", "training.epochs=9", code=65)
        self.assertIn("--force", done.stderr)
        self.run_deck(out, "--set", "training.epochs=9", "--restart", "never", code=65)
        self.assertEqual(before, snapshot(out))
        self.run_deck(out, "--set", "training.epochs=9", "--force")
        self.assertEqual(program.metrics(out)["a"]["epochs"]["value"], 9)

    def test_never_starts_over(self):
        out = self.copy()
        first = (out / "a" / "model.h5").stat().st_mtime_ns
        self.run_deck(out, "--restart", "never")
        self.assertGreater((out / "a" / "model.h5").stat().st_mtime_ns, first)
        self.assertEqual(differences(self.whole, out), [])

    def test_never_takes_no_checkpoint_of_what_starts_over(self):
        out = self.out()
        self.run_deck(out, "--stage", "sample,train,generate")
        process = start("run", self.deck, "--out", out)
        while not list(out.glob("a/checkpoint-*.h5")):
            self.assertIsNone(process.poll())
            time.sleep(0.005)
        program.kill_group(process)
        done = self.run_deck(out, "--stage", "evaluate", "--restart", "never")
        self.assertNotIn("going on", done.stdout)
        self.assertEqual(differences(self.whole, out), [])

    def test_only_what_is_selected_starts_over(self):
        for way in (("--restart", "never"), ("--force",)):
            out = self.copy()
            before = snapshot(out)
            self.run_deck(out, *way, "--case", "a", "--stage", "evaluate")
            after = snapshot(out)
            self.assertEqual({name for name in before if before[name] != after[name]
                              and not name.startswith("results.")}, {"log.txt", "a/evaluate.json"})
            self.run_deck(out, *way, "--case", "a", "--stage", "train")
            left = {path.name for path in (out / "a").glob("*.json")}
            self.assertEqual(left, {"sample.json", "train.json"})
            self.assertTrue((out / "b" / "evaluate.json").exists())
            self.run_deck(out)
            self.assertEqual(differences(self.whole, out), [])
            shutil.rmtree(out)

    def test_nothing_is_deleted_where_a_stage_has_no_input(self):
        out = self.copy()
        (out / "b" / "train.json").unlink()
        before = snapshot(out)
        for way in (("--restart", "never"), ("--force",), ()):
            done = self.run_deck(out, *way, "--stage", "evaluate", code=64)
            self.assertIn("case 'b' needs stage train first", done.stderr)
            self.assertEqual(before, snapshot(out))
        (out / "b" / "train.json").write_text("{", encoding="utf-8")
        self.run_deck(out, "--force", "--stage", "generate,evaluate", code=64)

    def test_results_of_another_deck_are_not_mixed_in(self):
        out = self.copy()
        self.run_deck(out, "--set", "training.epochs=9", "--force", "--case", "a")
        found = program.metrics(out)
        self.assertEqual(found["a"]["epochs"]["value"], 9)
        self.assertNotIn("epochs", found["b"])
        self.assertIn("mean_r_reference", found["b"])

    def test_a_folder_of_something_else_is_refused(self):
        out = self.out()
        out.mkdir()
        for name in ("thesis.txt", "deck.cfg"):
            (out / name).write_text("years of work", encoding="utf-8")
            before = snapshot(out)
            for way in ((), ("--force",)):
                done = self.run_deck(out, *way, code=65)
                self.assertIn("not the output of a run", done.stderr)
                self.assertEqual(snapshot(out), before)

    def test_a_run_killed_before_it_had_a_deck_goes_on(self):
        out = self.out()
        out.mkdir()
        (out / "deck.cfg.0123456789abcdef-1.part").write_text("# boltz", encoding="utf-8")
        self.run_deck(out, "--stage", "sample")

    def test_results_of_the_old_deck_go_when_the_run_starts_over(self):
        out = self.copy()
        process = start("run", self.deck, "--out", out, "--set", "training.epochs=100000", "--force")
        while "100000" not in (out / "deck.cfg").read_text(encoding="utf-8") or not self.started(out):
            self.assertIsNone(process.poll(), "the run ended by itself")
            time.sleep(0.02)
        program.kill_group(process)
        self.assertEqual(list(out.glob("results.*")), [])

    def started(self, out):
        return list(out.glob("a/checkpoint-*.h5"))

    def test_nothing_is_deleted_where_the_new_deck_cannot_be_written(self):
        alone = ["unshare", "--user", "--map-root-user", "--mount"]
        out = self.out()
        out.mkdir()
        script = f"""mount -t tmpfs -o size=4m none '{out}' || exit 77
            cp -r '{self.whole}/.' '{out}' && rm '{out}/log.txt' && touch '{out}/log.txt'
            cat /dev/zero >'{out}/.full' 2>/dev/null
            "$@"; code=$?
            rm '{out}/.full' '{out}/.lock' && diff -rx log.txt -x .lock '{self.whole}' '{out}' && exit $code"""
        for way in (("--force", "--set", "training.epochs=9"), ("--restart", "never")):
            done = program.subprocess.run(
                [*alone, "bash", "-c", script, "-", *program.command("run", self.deck, "--out", out, *way)],
                capture_output=True, text=True, env=program.ENVIRONMENT, timeout=60, check=False)
            if "unshare" in done.stderr or done.returncode == 77:
                self.skipTest("no mounts here")
            self.assertEqual(done.returncode, 74, done.stdout + done.stderr)
            self.assertIn("No space left", done.stderr)

    def test_of_two_decks_at_once_one_gets_the_folder(self):
        for i in range(5):
            out = self.folder / f"raced-{i}"
            others = [start("run", self.deck, "--out", out, "--stage", "sample", "--case", "a", "--set",
                            f"run.seed={seed}") for seed in (1, 2)]
            codes = sorted(other.wait(60) for other in others)
            self.assertIn(codes, ([0, 65], [0, 74]))

    def test_two_runs_at_once_are_refused(self):
        out = self.out()
        process = start("run", self.deck, "--out", out, "--set", "training.epochs=4000")
        while not (out / "log.txt").exists():
            self.assertIsNone(process.poll(), "the run ended by itself")
            time.sleep(0.02)
        done = self.run_deck(out, "--set", "training.epochs=4000", code=74)
        program.kill_group(process)
        self.assertIn("in use", done.stderr)
        # the lock went with the process
        process = start("run", self.deck, "--out", out, "--set", "training.epochs=4000")
        time.sleep(1.0)
        process.send_signal(signal.SIGTERM)
        self.assertEqual(process.wait(60), STOPPED)

    def test_damaged_files_are_made_again(self):
        for i, (name, damage) in enumerate((("a/reference.h5md", "flip"), ("b/model.h5", "cut"),
                                            ("b/generated.h5md", "empty"), ("a/train.json", "cut"),
                                            ("a/history.csv", "gone"),
                                            ("b/trajectory.h5md", "flip"),
                                            ("a/trajectory.h5md", "gone"))):
            out = self.folder / f"damaged-{i}"
            shutil.copytree(self.whole, out)
            path = out / name
            content = bytearray(path.read_bytes())
            content[len(content) // 2] ^= 4
            if damage == "gone":
                path.unlink()
            else:
                path.write_bytes({"flip": content, "cut": content[:len(content) // 2],
                                  "empty": b""}[damage])
            done = self.run_deck(out)
            if damage != "gone":
                self.assertIn(path.name, done.stderr, name)
            self.assertEqual(differences(self.whole, out), [], name)

    def test_sound_files_of_another_run_are_made_again(self):
        for name in ("model.h5", "reference.h5md", "generated.h5md", "history.csv"):
            out = self.copy()
            shutil.copy(out / "b" / name, out / "a" / name)
            (out / "a" / "evaluate.json").unlink()
            done = self.run_deck(out)
            self.assertRegex(done.stderr, f"warning: .*a/{name}: damaged, or of another run")
            self.assertEqual(differences(self.whole, out), [], name)
            shutil.rmtree(out)

    def test_pipes_in_the_place_of_files_are_not_waited_for(self):
        for name, code in (("log.txt", 74), ("deck.cfg", 74), ("a/train.json", 0), ("a/model.h5", 74),
                           ("a/reference.h5md", 74), ("results.json", 74)):
            out = self.copy()
            (out / name).unlink()
            os.mkfifo(out / name)
            begun = time.monotonic()
            done = self.run_deck(out, code=code)
            self.assertLess(time.monotonic() - begun, 60.0, name)
            self.assertIn(name, done.stderr)
            shutil.rmtree(out)

    def test_nobody_reads_what_is_printed(self):
        out = self.out()
        process = subprocess.Popen([program.PROGRAM, "run", self.deck, "--out", out], stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE, env=program.ENVIRONMENT)
        process.stdout.close()
        self.assertEqual(process.wait(120), 74)
        self.assertIn(b"standard output", process.stderr.read())
        process.stderr.close()
        self.assertEqual(differences(self.whole, out), [])


class Contents(Runs):
    def test_equal_references_are_one_file(self):
        deck = write_deck(self.folder, program.DECK.replace(
            '{ name = "b"; system: { softening = 0.1; }; }',
            '{ name = "b"; flow: { layers = 3; }; }'), "shared.cfg")
        done = boltzmap("run", deck, "--out", self.out(), "--stage", "sample")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual((self.out() / "a" / "reference.h5md").stat().st_ino,
                         (self.out() / "b" / "reference.h5md").stat().st_ino)

    def test_sample_sets_are_h5md(self):
        for name, columns in (("reference", ("r", "energy")),
                              ("generated", ("r", "energy", "log_density", "log_weight"))):
            with h5py.File(self.whole / "b" / f"{name}.h5md", "r") as file:
                self.assertEqual(list(file["h5md"].attrs["version"]), [1, 1])
                value = file["particles/all/position/value"]
                self.assertEqual(value.shape[1:], (2, 3))
                self.assertTrue(np.all(value[:, :, 2] == 0.0))
                self.assertEqual(file["particles/all/position/step"].shape, (len(value),))
                self.assertEqual(file["particles/all/box"].attrs["dimension"][0], 3)
                x = value[:, :, :2]
                r = np.hypot(*(x[:, 0] - x[:, 1]).T)
                self.assertTrue(np.allclose(file["observables/r/value"][:], r, rtol=1e-12))
                for column in columns:
                    self.assertEqual(file[f"observables/{column}/value"].shape, (len(value),))
                known = dict(file["parameters"].attrs)
                for key in ("deck", "seed", "ranks", "host_type", "libraries", "mpi", "kernel",
                            "program_revision"):
                    self.assertIn(key, known)
        universe = MDAnalysis.Universe.empty(2, trajectory=True)
        universe.load_new(str(self.whole / "b" / "reference.h5md"))
        self.assertEqual(len(universe.trajectory), 400)

    def test_samples_of_ones_own_train_a_map(self):
        with h5py.File(self.whole / "a" / "reference.h5md", "r") as file:
            rows = file["particles/all/position/value"][:, :, :2].reshape(-1, 4)
        np.save(self.folder / "mine.npy", rows)
        shutil.copy(self.whole / "a" / "reference.h5md", self.folder / "mine.h5md")
        for name in ("mine.npy", "mine.h5md"):
            deck = write_deck(self.folder, program.DECK.replace(
                "walkers = 20; samples = 400; burn_in = 300; thinning = 20;",
                f'sampler = "file"; file = "{name}";'), "file.cfg")
            out = self.folder / f"of-{name}"
            done = boltzmap("run", deck, "--out", out, "--case", "a", ranks=2)
            self.assertEqual(done.returncode, 0, done.stderr)
            found = program.metrics(out)["a"]
            self.assertGreater(found["w2_sliced_floor"]["value"], 0.0)
            self.assertNotIn("mean_r_replicas", found)

    def test_other_samples_under_the_same_name_are_another_deck(self):
        random = np.random.default_rng(3)
        np.save(self.folder / "own.npy", random.standard_normal((60, 4)))
        deck = write_deck(self.folder, program.DECK.replace(
            "walkers = 20; samples = 400; burn_in = 300; thinning = 20;",
            'sampler = "file"; file = "own.npy";'), "own.cfg")
        line = ("run", deck, "--out", self.out(), "--case", "a", "--stage", "sample")
        self.assertEqual(boltzmap(*line).returncode, 0)
        self.assertIn("finished already", boltzmap(*line, ranks=2).stdout)
        np.save(self.folder / "own.npy", random.standard_normal((60, 4)))
        before = snapshot(self.out())
        done = boltzmap(*line)
        self.assertEqual(done.returncode, 65, done.stderr)
        self.assertEqual(before, snapshot(self.out()))
        self.assertEqual(boltzmap(*line, "--force").returncode, 0)
        self.assertNotEqual(before["a/reference.h5md"], snapshot(self.out())["a/reference.h5md"])

    def test_a_few_samples_of_ones_own_are_enough_without_floors(self):
        np.save(self.folder / "few.npy", np.random.default_rng(2).standard_normal((12, 4)))
        few = 'sampler = "file"; file = "few.npy";'
        deck = write_deck(self.folder, program.DECK.replace(
            "walkers = 20; samples = 400; burn_in = 300; thinning = 20;", few), "few.cfg")
        out = self.out()
        done = boltzmap("run", deck, "--out", out, "--case", "a")
        self.assertEqual(done.returncode, 65, done.stderr)
        self.assertIn("floors need 20", done.stderr)
        self.assertFalse(out.exists())
        done = boltzmap("run", deck, "--out", out, "--case", "a", "--set", "evaluate.floor_pairs=0")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("w2_exact", program.metrics(out)["a"])

    def test_progress_tells_count_speed_and_time_left(self):
        ours, theirs = pty.openpty()
        process = program.subprocess.Popen(
            program.command("run", self.deck, "--out", self.out(), "--set", "training.epochs=123456",
                            "--case", "a"),
            stdout=program.subprocess.DEVNULL, stderr=theirs, env=program.ENVIRONMENT,
            start_new_session=True)
        wanted = re.compile(rb"training: \d+ of 123456 epochs \(\d+%\), [\d.]+ epochs/s, [\d.]+ \w+ left, "
                            rb"loss ")
        text = b""
        while not wanted.search(text) and len(text) < 1_000_000 and process.poll() is None:
            text += os.read(ours, 4096)
        program.kill_group(process)
        os.close(ours), os.close(theirs)
        self.assertRegex(text, wanted)

    def test_other_systems_and_samplers_run_to_the_end(self):
        tail = program.DECK.split("flow:")[1].split("cases:")[0]
        for kind, sampler in (("gaussian", "mala"), ("double-well", "hmc"), ("gaussian", "langevin")):
            deck = write_deck(self.folder, f"""
                run: {{ name = "other"; }};
                system: {{ kind = "{kind}"; beta = 2.0; }};
                reference: {{ sampler = "{sampler}"; walkers = 10; samples = 300; burn_in = 200;
                              thinning = 10; }};
                flow: {tail}""", "other.cfg")
            out = self.folder / f"{kind}-{sampler}"
            done = boltzmap("run", deck, "--out", out)
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertIn("w2_exact", program.metrics(out)["other"])


if __name__ == "__main__":
    unittest.main()
