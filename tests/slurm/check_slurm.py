#!/usr/bin/env python3
"""Jobs of jobs/ in a real SLURM: whatever it does to them, they reach their end by themselves, with the same bits.

    check_slurm.py [TEST…]        as root; the last line is 'N passed, N failed'
"""

import contextlib
import os
import signal
import sys
import time
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
import cluster  # noqa: E402 (it lies beside this file)
from cluster import program, signal_all, wait_until  # noqa: E402

JOB = program.TOP / "jobs" / "two-particle.sbatch"
TRAINING_S = 12  # of each case of the run that is disturbed most; each wait for a checkpoint takes a part of it
SHORT = 2        # the others have so many times fewer epochs
WAIT_S = 120
OVER = ("FAILED", "COMPLETED", "CANCELLED", "TIMEOUT", "NODE_FAIL", "PREEMPTED")
EVERY = ("--set", "run.checkpoint_every_min=0.005")

DECK = """
run: { name = "slurm"; seed = 3; };
system: { kind = "coulomb-double-well"; coupling = 0.7; beta = 5.0; softening = 1e-8; };
reference: { walkers = 20; samples = 2000; burn_in = 300; thinning = 20; };
flow: { layers = 4; hidden = [64, 64]; };
training: { batch = 64; };
generate: { samples = 300; };
evaluate: { exact_subsample = 60; exact_repeats = 2; sliced_projections = 20; floor_pairs = 2;
            average_samples = 2000; lipschitz_points = 100; trajectory_frames = 20; };
cases: ( { name = "a"; }, { name = "b"; system: { softening = 0.1; }; } );
"""


class Jobs(unittest.TestCase):
    slurm = None  # the cluster of all tests
    epochs = 0

    @classmethod
    def setUpClass(cls):
        cls.folder = cls.slurm.folder
        cls.deck = program.write_deck(cls.folder, DECK)
        if not Jobs.epochs:
            Jobs.epochs = cls.epochs_for(TRAINING_S)

    @classmethod
    def epochs_for(cls, seconds):
        """Epochs that train one case for so long on this machine."""
        some = 100
        begun = time.monotonic()
        done = program.boltzmap("run", cls.deck, "--out", cls.folder / "speed", "--case", "a", "--stage",
                                "sample,train", "--set", f"training.epochs={some}", ranks=2)
        if done.returncode:
            raise AssertionError(done.stderr)
        return round(some * seconds / (time.monotonic() - begun))

    def setUp(self):
        self.out = self.folder / self.id().rsplit(".", 1)[1]
        self.short = ("--case", "a", "--set", f"training.epochs={max(1, self.epochs // SHORT)}")

    def undisturbed(self, *arguments, name="whole"):
        whole = self.out.with_name(f"{self.out.name}-{name}")
        done = program.boltzmap("run", self.deck, "--out", whole, *arguments, ranks=2)
        self.assertEqual(done.returncode, 0, done.stderr)
        return whole

    def submit(self, *arguments, options=("--ntasks=2",), python="true", **environment):
        """Submit as a user does, on the partition that can be preempted; without a report unless asked."""
        return self.slurm.submit("--partition=low", *options, JOB, *arguments, DECK=str(self.deck),
                                 OUT=str(self.out), BOLTZMAP=str(program.PROGRAM), PYTHON=python, **environment)

    def story(self, job):
        """All that is known of a job, for a failing test."""
        return "\n".join((str(self.slurm.job(job)), self.text(job), self.slurm.log("node")))

    def text(self, job):
        path = self.folder / f"two-particle-{self.slurm.job(job).get('JobId', job)}.log"
        return path.read_text(encoding="utf-8") if path.exists() else ""

    def wait(self, condition, job, what, seconds=WAIT_S):
        return wait_until(condition, seconds, lambda: f"{what}\n{self.story(job)}")

    def wait_for_state(self, job, state, seconds=WAIT_S):
        def reached():
            now = self.slurm.job(job).get("JobState")
            if now in OVER and now != state:
                self.fail(f"{now} and not {state}\n{self.story(job)}")
            return now == state
        self.wait(reached, job, state, seconds)

    def progress(self, out=None):
        """(case, step) of the newest checkpoint."""
        found = [(path.parent.name, int(path.stem.split("-")[1]))
                 for path in (out or self.out).glob("*/checkpoint-*.h5")]
        return max(found, default=("", 0))

    def wait_for_progress(self, job, out=None):
        """Wait until training has saved something more."""
        before = self.progress(out)
        self.wait(lambda: self.progress(out) > before, job, f"a checkpoint beyond {before}")

    def go_on(self, job, start):
        """Wait until a job has been queued again, and spare it the two minutes that SLURM would have it wait."""
        self.wait_for_state(job, "PENDING")
        time.sleep(2)  # SLURM tells the starts of a job apart by the second
        self.slurm.update(job, StartTime="now")
        self.wait(lambda: f", start {start}, " in self.text(job), job, f"start {start}")

    def ranks(self):
        """Numbers of the processes of the program."""
        found = []
        for pid in self.slurm.on_node():
            try:
                if os.readlink(f"/proc/{pid}/exe") == str(program.PROGRAM):
                    found.append(pid)
            except OSError:
                pass  # it has ended
        return found

    @contextlib.contextmanager
    def held(self):
        """Hold the ranks, so that the run is not over before SLURM, which takes its time, has done something."""
        ranks = self.ranks()
        signal_all(ranks, signal.SIGSTOP)
        try:
            yield
        finally:
            signal_all(ranks, signal.SIGCONT)

    def reach_time_limit(self, job):
        """Let the time limit come near; SLURM looks at it each half minute."""
        self.slurm.update(job, TimeLimit=1)
        with self.held():
            self.wait(lambda: "asked to save and stop" in self.text(job), job, "the signal before the time limit")
        self.wait_for_state(job, "PENDING")
        self.slurm.update(job, TimeLimit=60)

    def preempt(self, *jobs, grace_s):
        """A job of more weight takes both processors for a moment."""
        def is_told(job):
            now = self.slurm.job(job)
            return now["JobState"] != "RUNNING" or now["PreemptTime"] != "None"
        self.slurm.run("scontrol", "update", "PartitionName=low", f"GraceTime={grace_s}")
        with self.held():
            self.slurm.submit("--partition=high", "--ntasks=2", "--output=/dev/null", "--wrap", "sleep 1")
            for job in jobs:
                self.wait(lambda job=job: is_told(job), job, "preemption")

    def assert_log(self, job, *parts):
        """The parts are in the log, in this order."""
        text, place = self.text(job), 0
        for part in parts:
            self.assertIn(part, text[place:], f"after '{text[:place][-200:]}' in\n{text}")
            place = text.index(part, place) + len(part)


class Disturbed(Jobs):
    def test_limits_preemption_and_a_restarted_daemon_change_no_bit(self):
        deck = ("--set", f"training.epochs={self.epochs}")
        whole = self.undisturbed(*deck)
        job = self.submit(*deck, *EVERY, python=sys.executable)
        self.wait_for_progress(job)
        self.reach_time_limit(job)
        self.go_on(job, 2)
        self.wait_for_progress(job)
        self.preempt(job, grace_s=20)
        self.go_on(job, 3)
        self.wait_for_progress(job)
        self.slurm.end_daemon("slurmd")
        self.wait_for_progress(job)
        self.slurm.start_node()
        self.wait_for_progress(job)
        self.preempt(job, grace_s=0)
        self.go_on(job, 4)
        self.wait_for_state(job, "COMPLETED", 300)
        self.assertEqual(program.differences(whole, self.out), [], self.text(job))
        self.assertTrue((self.out / "report.html").exists(), self.text(job))
        self.assert_log(job, "start 1,", "asked to save and stop", "saved and stopped", "the job is queued again",
                        "start 2,", "saved and stopped", "the job is queued again",
                        "start 3,", "saved and stopped", "preempted; SLURM has queued the job again",
                        "start 4,", "finished in")
        self.assertEqual(self.text(job).count(", start "), 4)

    def test_what_is_cancelled_stays_so_and_goes_on_when_submitted_again_even_if_the_node_is_lost(self):
        whole = self.undisturbed(*self.short)
        job = self.submit(*self.short, *EVERY)
        self.wait_for_progress(job)
        self.slurm.run("scancel", job)
        self.wait_for_state(job, "CANCELLED")
        time.sleep(2)
        self.assertEqual(self.slurm.job(job)["JobState"], "CANCELLED")
        self.assert_log(job, "saved and stopped", "cancelled: submit again to go on")
        reached = self.progress()
        done = program.boltzmap("info", self.out / "a" / f"checkpoint-{reached[1]}.h5")
        self.assertEqual(done.returncode, 0, done.stderr)

        job = self.submit(*self.short, *EVERY)
        self.wait_for_progress(job)
        self.slurm.lose_node()
        self.wait_for_state(job, "PENDING")
        self.slurm.mend_node()
        self.go_on(job, 2)
        self.wait_for_state(job, "COMPLETED")
        self.assertEqual(program.differences(whole, self.out, cases="a"), [])

    def test_killed_ranks_are_tried_again_only_as_long_as_the_run_gets_further(self):
        job = self.submit(*self.short, "--set", "run.checkpoint_every_min=60.0")
        for start in (1, 2):
            self.wait(lambda: self.text(job).count("a: training") == start, job, f"training of start {start}")
            ranks = self.ranks()
            self.assertEqual(len(ranks), 2)
            os.kill(ranks[start - 1], signal.SIGKILL)
            if start == 1:
                self.go_on(job, 2)
        self.wait_for_state(job, "FAILED")
        self.assertEqual(self.slurm.job(job)["ExitCode"], "137:0")
        self.assert_log(job, "what was saved before is good", "queued again", "start 2,", "not tried again")


class Queued(Jobs):
    def test_a_job_is_queued_again_as_often_as_allowed_and_then_fails(self):
        job = self.submit(*self.short, *EVERY, REQUEUES="1")
        self.wait_for_progress(job)
        self.slurm.run("scancel", "--signal=USR1", "--batch", job)
        self.go_on(job, 2)
        self.wait_for_progress(job)
        self.slurm.run("scancel", "--signal=USR1", "--batch", job)
        self.wait_for_state(job, "FAILED")
        self.assertEqual(self.slurm.job(job)["ExitCode"], "75:0")
        self.assert_log(job, "start 1,", "the job is queued again", "start 2,", "queued again 1 times, and REQUEUES=1")

    def test_a_stop_file_ends_a_job_for_good(self):
        job = self.submit(*self.short, *EVERY)
        self.wait_for_progress(job)
        (self.out / "stop").touch()
        self.wait_for_state(job, "FAILED")
        self.assertEqual(self.slurm.job(job)["ExitCode"], "75:0")
        self.assert_log(job, "saved and stopped", "by the file", "submit again to go on")

    def test_a_job_whose_ranks_were_not_started_is_not_finished(self):
        job = self.submit(*self.short, LAUNCH="true")
        self.wait_for_state(job, "FAILED")
        self.assert_log(job, "start 1,", "the program has not run: once more", "true does not start it")

    def test_tasks_of_an_array_are_runs_of_their_own_and_are_left_alone_when_finished(self):
        seeds = (1, 2)
        whole = {seed: self.undisturbed(*self.short, "--set", f"run.seed={seed}", name=seed) for seed in seeds}
        out = {seed: self.out.with_name(f"{self.out.name}-seed{seed}") for seed in seeds}
        array = {"options": ("--array=1-2", "--ntasks=1")}
        job = self.submit(*self.short, *EVERY, **array)
        tasks = {seed: f"{job}_{seed}" for seed in seeds}
        for seed in seeds:
            self.wait_for_progress(tasks[seed], out[seed])
        self.preempt(*tasks.values(), grace_s=20)
        for seed in seeds:
            self.go_on(tasks[seed], 2)
        for seed in seeds:
            self.wait_for_state(tasks[seed], "COMPLETED")
            self.assertEqual(self.slurm.job(tasks[seed])["Restarts"], "1")
            self.assertEqual(program.differences(whole[seed], out[seed], cases="a"), [])
        done = self.slurm.run(sys.executable, program.TOP / "postprocess" / "seeds.py", *out.values())
        self.assertIn("seeds.html", done)

        before = {seed: program.snapshot(out[seed]) for seed in seeds}
        job = self.submit(*self.short, *EVERY, **array)
        for seed in seeds:
            self.wait_for_state(f"{job}_{seed}", "COMPLETED", 30)
            self.assert_log(f"{job}_{seed}", "finished already")
            after = program.snapshot(out[seed])
            self.assertEqual({name for name in after if before[seed].get(name) != after[name]}, {"log.txt"})


def main():
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler)  # all leave by way of the cleaning up
    try:
        with cluster.Cluster() as Jobs.slurm:
            result = unittest.main(verbosity=2, exit=False).result
    except cluster.ClusterError as error:
        print(f"check-slurm: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("check-slurm: interrupted", file=sys.stderr)
        return 1
    failed = len(result.failures) + len(result.errors)
    print(f"{max(0, result.testsRun - failed)} passed, {failed} failed")
    return 1 if failed or not result.testsRun else 0


if __name__ == "__main__":
    sys.exit(main())
