#!/usr/bin/env python3
"""Faults on purpose, through the real program: killed processes, damaged files, full and stalled disks, calls that
fail. Whatever happens, the same command given again ends with the bits of a run that nobody disturbed.

    campaign.py [--runs N] [--points N] [--flips N] [--seed N] [--ranks N…] [--tell 1] [unittest arguments]

runs are killed at random times; points are the calls, of all that a run makes, at which a fault is put; flips
are bits, of each kind of file; tell says what each failing call ended in. The seed decides every random choice. The defaults are those of `make check`;
README.md has the long campaign.
"""

import argparse
import os
import random
import re
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "system"))
import program  # noqa: E402 (in the folder of the system tests)
from program import BUILD, ENVIRONMENT, TOP, boltzmap, differences, start, write_deck  # noqa: E402

INTERPOSER = BUILD / "tests" / "fault" / "interpose.so"
DAMAGER = BUILD / "f32" / "tests" / "fault" / "load_all"
DATA, INTERNAL, DISK, STOPPED = 65, 70, 74, 75
QUICK_S = 30  # what a failing disk may take to be told, and
CALL_S = 60   # a failing call of a library
STALL_S = 4   # what the watch over files allows a disk that stalls in tests, and
WAIT_S = 15   # ranks that wait for one that has failed

# One case of alanine dipeptide with all that has a state of its own: dynamics, exchanges, training, evaluation.
MOLECULE = f"""
run: {{ name = "tiny"; seed = 5; checkpoint_every_min = 0.0; }};
system: {{ kind = "amber"; topology = "{TOP}/input/alanine-dipeptide.prmtop";
           coordinates = "{TOP}/input/alanine-dipeptide.rst7"; constraints = "h-bonds"; }};
reference: {{ sampler = "tempering"; walkers = 4; samples = 160; temperatures = 3; temperature_max_K = 500.0;
              timestep_fs = 2.0; friction_per_ps = 10.0; frame_ps = 0.1; burn_in_ps = 1.0; }};
flow: {{ layers = 2; hidden = [16]; coordinates = "torus"; }};
training: {{ epochs = 60; batch = 32; }};
generate: {{ samples = 200; }};
evaluate: {{ distance_samples = 100; average_samples = 300; floor_pairs = 2; sliced_projections = 10; }};
cases: ( {{ name = "a"; }} );
"""
# For faults of single calls: all stages, as briefly as can be.
BRIEF = program.DECK.replace("epochs = 8", "epochs = 3").replace("samples = 2000", "samples = 500").replace(
    ', { name = "b"; system: { softening = 0.1; }; }', "")
DECKS = {"two-particle": (program.DECK, ("a", "b")), "molecule": (MOLECULE, ("a",)), "brief": (BRIEF, ("a",))}
KILLED = ("two-particle", "molecule")

OPTIONS = argparse.Namespace(runs=4, points=2, flips=1000, seed=1, ranks=[1, 2, 3, 4, 8], tell=0)


def say(text):
    print(f"    {text}", flush=True)


def fault(kind, way, nth, **more):
    """Environment of a run in which the nth call of this kind goes wrong (interpose.c)."""
    wanted = {"class": kind, "way": way, "nth": nth, **more}
    return {"LD_PRELOAD": str(INTERPOSER), "BOLTZMAP_STALL_S": str(STALL_S if way == "stall" else WAIT_S),
            **{f"FAULT_{key.upper()}": str(value) for key, value in wanted.items()}}


def own_messages(text):
    """Lines of the program itself; a launcher adds its own where a rank ends the job."""
    return [line for line in text.splitlines() if line.startswith("boltzmap: ")]


def processes_of(launcher):
    """Ranks of a run: the processes below its launcher that are the program."""
    found = []
    for pid in program.family(launcher.pid):
        try:
            if os.readlink(f"/proc/{pid}/exe") == str(program.PROGRAM):
                found.append(pid)
        except OSError:
            pass
    return found


class Campaign(unittest.TestCase):
    """Undisturbed runs that all others are compared with, and how that is done."""

    @classmethod
    def setUpClass(cls):
        place = tempfile.TemporaryDirectory(prefix="boltzmap-fault-")
        cls.addClassCleanup(place.cleanup)
        cls.folder = Path(place.name)
        cls.decks, cls.seconds = {}, {}
        for name, (text, _) in DECKS.items():
            cls.decks[name] = write_deck(cls.folder, text, f"{name}.cfg")

    @classmethod
    def whole(cls, deck):
        """Output of a run that nobody disturbed, on one rank."""
        out = cls.folder / f"whole-{deck}"
        if not out.exists():
            begun = time.monotonic()
            done = boltzmap("run", cls.decks[deck], "--out", out)
            cls.seconds[deck] = time.monotonic() - begun
            if done.returncode:
                raise AssertionError(done.stderr)
        return out

    def setUp(self):
        self.choose = random.Random(f"{OPTIONS.seed} {self.id()}")
        self.count = 0

    def new(self):
        """A folder that is not there yet."""
        self.count += 1
        return self.folder / f"{self.id().rsplit('.', 1)[1]}-{self.count}"

    def run_deck(self, deck, out, *more, ranks=None, **variables):
        return boltzmap("run", self.decks[deck], "--out", out, *more, ranks=ranks, **variables)

    def assert_ends_alike(self, deck, out, what, ranks=(None, 2, 3)):
        """The same command, without faults, on any number of ranks."""
        done = self.run_deck(deck, out, ranks=self.choose.choice(ranks))
        self.assertEqual(done.returncode, 0, f"{what}: {done.stdout}{done.stderr}")
        self.assertEqual(differences(self.whole(deck), out, DECKS[deck][1]), [], what)
        self.assertEqual(list(out.rglob("*.part")), [], what)
        shutil.rmtree(out)

    def assert_told_once(self, done, codes, what, *words):
        """A failure with one message that says these words."""
        text = f"{what}: {done.returncode} {done.stdout}{done.stderr}"
        self.assertIn(done.returncode, codes, text)
        messages = own_messages(done.stderr)
        self.assertEqual(len(messages), 1, text)
        for word in words:
            self.assertIn(word, messages[0], text)
        return messages[0]

    def assert_checkpoints_are_whole(self, out, what):
        for path in sorted(out.rglob("checkpoint-*.h5")):
            done = boltzmap("info", path)
            self.assertEqual(done.returncode, 0, f"{what}: {done.stderr}")


class Kills(Campaign):
    def test_runs_killed_at_random_end_with_the_same_bits(self):
        blows = {}
        for i in range(OPTIONS.runs):
            choose = random.Random(f"{OPTIONS.seed} kill {i}")
            deck = choose.choice(KILLED)
            self.whole(deck)
            out, told = self.new(), []
            for _ in range(choose.choice((1, 2, 3))):
                ranks, way = choose.choice(OPTIONS.ranks), choose.choice(("all", "one", "usr1"))
                after = 0.3 + (self.seconds[deck] + 0.2 * ranks) * choose.random()
                hit = self.disturb(deck, out, ranks, way, after, choose)
                told.append(f"{way} of {ranks} after {after:.2f} s{'' if hit else ' (too late)'}")
                blows[way if hit else "too late"] = blows.get(way if hit else "too late", 0) + 1
            self.choose = choose
            self.assert_ends_alike(deck, out, f"run {i}, {deck}: {', '.join(told)}",
                                   OPTIONS.ranks)
            if (i + 1) % 10 == 0:
                say(f"{i + 1} runs killed: all bit-identical; blows: {blows}")
        say(f"{OPTIONS.runs} of {OPTIONS.runs} disturbed runs bit-identical; blows: {blows}")
        self.assertGreater(sum(blows.values()) - blows.get("too late", 0), OPTIONS.runs // 2)

    def disturb(self, deck, out, ranks, way, after, choose):
        """Start, wait, hit; was the run still under way?"""
        process = start("run", self.decks[deck], "--out", out, ranks=ranks)
        try:
            process.wait(after)
            return False
        except subprocess.TimeoutExpired:
            pass
        if way == "all":
            program.kill_group(process)
        elif way == "one":
            members = processes_of(process)
            if members:
                os.kill(choose.choice(members), signal.SIGKILL)
            else:
                process.kill()
            process.wait(CALL_S)
        else:
            members = program.family(process.pid)
            process.send_signal(signal.SIGUSR1)
            return self.has_stopped(process, members)
        return True

    def has_stopped(self, process, members):
        """After SIGUSR1: was there something to stop?"""
        try:
            process.wait(CALL_S)
        except subprocess.TimeoutExpired:
            # Open MPI 4.1 may wait for ever for ranks that the signal ended before they had started MPI
            self.assertEqual(processes_of(process), [], "not stopped")
            program.kill_group(process)
            return True
        # Before the program listens, the signal's own way ends it. A crash of the launcher itself, seen once in some
        # 700 signals, is a kill like others; one of a rank would be 128 + SIGSEGV.
        self.assertIn(process.returncode, (STOPPED, 0, -signal.SIGUSR1, 128 + signal.SIGUSR1, -signal.SIGSEGV))
        if process.returncode == -signal.SIGSEGV:
            program.kill_all(process, members)
        return process.returncode != 0


class Checkpoints(Campaign):
    def test_killed_within_the_write_of_a_checkpoint(self):
        out = self.new()
        report = self.folder / "calls"
        self.run_deck("brief", out, **fault("file", "count", -1, path="checkpoint-", report=report))
        total = int(report.read_text())
        # every call of two writes one after the other, or as many of them as there are points
        first = self.choose.randrange(total // 4, total // 2)
        span = min(60, total // 2)
        points = sorted(self.choose.sample(range(first, first + span), min(span, 3 * OPTIONS.points)))
        for nth in points:
            out = self.new()
            done = self.run_deck("brief", out, **fault("file", "kill", nth, path="checkpoint-"))
            self.assertEqual(done.returncode, -signal.SIGKILL, done.stderr)
            self.assert_checkpoints_are_whole(out, f"call {nth}")
            self.assert_ends_alike("brief", out, f"killed in call {nth}")
        say(f"killed in {len(points)} of {span} calls of a checkpoint's write: all checkpoints whole")

    def interrupted(self, deck):
        """A folder with two checkpoints."""
        end = time.monotonic() + CALL_S
        while time.monotonic() < end:
            out = self.new()
            process = start("run", self.decks[deck], "--out", out)
            while len(list(out.glob("a/checkpoint-*.h5"))) < 2 and time.monotonic() < end:
                self.assertIsNone(process.poll(), "the run ended by itself")
                time.sleep(0.01)
            program.kill_group(process)
            found = sorted(out.glob("a/checkpoint-*.h5"), key=lambda path: int(path.stem.split("-")[1]))
            if len(found) >= 2:  # a stage that ends meanwhile removes the older one
                return out, found
        raise self.failureException("no kill left two checkpoints")

    def test_a_damaged_checkpoint_gives_way_to_the_older_one(self):
        for deck in KILLED:
            ways = ("cut", "flip", "empty", "gone seal")
            for way in self.choose.sample(ways, min(len(ways), OPTIONS.points)):
                out, found = self.interrupted(deck)
                content = bytearray(found[-1].read_bytes())
                if way == "flip":
                    content[self.choose.randrange(len(content))] ^= 1 << self.choose.randrange(8)
                content = {"cut": content[:self.choose.randrange(1, len(content))], "flip": content,
                           "empty": b"", "gone seal": bytes(512) + content[512:]}[way]
                found[-1].write_bytes(content)
                done = self.run_deck(deck, out)
                self.assertEqual(done.returncode, 0, done.stderr)
                self.assertRegex(done.stderr, f"warning: .*{found[-1].name}: .*passed over")
                self.assertIn(f"going on from {found[-2]}", done.stdout)
                self.assertEqual(differences(self.whole(deck), out, DECKS[deck][1]), [], way)


class Damage(Campaign):
    def test_nothing_damaged_is_loaded(self):
        out, found = Checkpoints.interrupted(self, "two-particle")
        whole = self.whole("two-particle") / "a"
        files = [found[-1], whole / "model.h5", whole / "reference.h5md", whole / "generated.h5md",
                 *sorted(whole.glob("*.json"))]
        for path in files:
            begun = time.monotonic()
            done = subprocess.run([DAMAGER, path, str(OPTIONS.flips), str(OPTIONS.seed)], cwd=self.folder,
                                  capture_output=True, text=True, env=ENVIRONMENT, check=False)
            self.assertEqual(done.returncode, 0, f"{path.name}: {done.stdout}{done.stderr}")
            last = done.stdout.splitlines()[-1]
            total, refused = map(int, re.match(r"(\d+) damaged: (\d+) refused", last).groups())
            self.assertEqual(total, refused, f"{path.name}: {done.stdout}")
            say(f"{path.name}: {last}; {time.monotonic() - begun:.1f} s")


class Calls(Campaign):
    """The Nth call of MPI, HDF5 or the system fails, on one of two ranks."""

    def break_calls(self, kind, **options):
        """Faults at points spread over all calls of a run."""
        verdicts = {}
        for rank in (0, 1):
            report = self.folder / "calls"
            place = {"path": "tiny-out"} if kind == "file" else {}
            line = ("brief", self.folder / "tiny-out")
            shutil.rmtree(self.folder / "tiny-out", ignore_errors=True)
            self.run_deck(*line, ranks=2, **fault(kind, "count", -1, rank=rank, report=report, **place, **options))
            total = max(1, int(report.read_text()))
            few = min(total, 12)  # of a start's calls one is as likely to be wrong as of all others
            points = {self.choose.randint(1, few), *(self.choose.randint(1, total) for _ in range(OPTIONS.points - 1))}
            for nth in sorted(points):
                out = self.folder / "tiny-out"
                shutil.rmtree(out, ignore_errors=True)
                self.break_call(line, kind, nth, rank, {**place, **options}, verdicts)
        say(f"{kind} calls: {sum(verdicts.values())} faults; exit codes {dict(sorted(verdicts.items()))}")

    def break_call(self, line, kind, nth, rank, options, verdicts):
        what = f"{kind} call {nth} on rank {rank}, {options}"
        begun = time.monotonic()
        done = self.run_deck(*line, ranks=2, **fault(kind, "fail", nth, rank=rank, **options))
        self.assertLess(time.monotonic() - begun, CALL_S, what)
        verdicts[done.returncode] = verdicts.get(done.returncode, 0) + 1
        if done.returncode == 0:  # of what only tidies up
            self.assertEqual(own_messages(done.stderr), [], what)
        else:
            told = self.assert_told_once(done, (DATA, INTERNAL, DISK), what)
            if OPTIONS.tell:
                say(f"{what}: {done.returncode} {told}")
        self.assert_checkpoints_are_whole(line[1], what)
        self.assert_ends_alike(line[0], line[1], what)

    def test_mpi(self):
        self.break_calls("mpi")

    def test_the_last_ranks_fail_together(self):
        out = self.new()
        line = (program.PROGRAM, "run", self.decks["brief"], "--out", out)
        wrong = fault("mpi", "fail", 25, call="MPI_Allreduce", rank=-1)
        last = [word for name, value in wrong.items() for word in ("-x", f"{name}={value}")]
        done = subprocess.run([program.MPIRUN, "-n", "6", *line, ":", "-n", "2", *last, *line], capture_output=True,
                              text=True, env=program.ENVIRONMENT, timeout=CALL_S, check=False)
        self.assert_told_once(done, (INTERNAL,), "ranks 6 and 7 of 8")
        self.assert_ends_alike("brief", out, "ranks 6 and 7 of 8")

    def test_mpi_files(self):
        for call in self.choose.sample(("MPI_File_open", "MPI_File_set_size", "MPI_File_write_at", "MPI_File_close"),
                                       min(4, OPTIONS.points)):
            self.break_calls("mpi", call=call)

    def test_hdf5(self):
        self.break_calls("hdf5")

    def test_files(self):
        self.break_calls("file")
        self.break_calls("file", call="pwrite", errno=28)


class Disks(Campaign):
    def mounted(self, options, script, *line):
        """The script in a space of mounts of its own, where `out` is a disk in memory."""
        out = self.new()
        out.mkdir()
        alone = ["unshare", "--mount"] if os.geteuid() == 0 else ["unshare", "--user", "--map-root-user", "--mount"]
        text = f"out='{out}'; mount -t tmpfs -o {options} none \"$out\" || exit 77\n{script}"
        done = subprocess.run([*alone, "bash", "-c", text, "-", *program.command("run", *line, "--out", out)],
                              capture_output=True, text=True, env=ENVIRONMENT, timeout=CALL_S + QUICK_S, check=False)
        self.assertFalse(done.returncode == 77 or done.stderr.startswith("unshare"),
                         f"this test needs mounts: run it where `unshare --mount` works: {done.stderr}")
        return done, out

    def test_a_full_disk_in_every_write(self):
        kept = self.folder / "kept"
        script = f""""$@"; code=$?; mkdir -p '{kept}'
            mount -o remount,size=64m "$out" && cp -r "$out/." '{kept}' && exit $code"""
        codes = []
        whole = sum(path.stat().st_blocks * 512 for path in self.whole("brief").rglob("*"))
        for _ in range(OPTIONS.points):
            size = self.choose.randint(1, whole // 4096) * 4
            begun = time.monotonic()
            done, _ = self.mounted(f"size={size}k", script, self.decks["brief"])
            what = f"disk of {size} KiB"
            self.assertLess(time.monotonic() - begun, QUICK_S, what)
            codes.append(done.returncode)
            if done.returncode != 0:
                self.assert_told_once(done, (DISK,), what, "No space left", "make room")
            self.assert_checkpoints_are_whole(kept, what)
            self.assert_ends_alike("brief", kept, what)
        say(f"full disks: exit codes {codes}")
        self.assertIn(DISK, codes)

    def test_a_limit_on_the_size_of_files(self):
        codes = []
        for size in self.choose.sample(range(0, 60_000), OPTIONS.points):
            out = self.new()
            done = subprocess.run(
                program.command("run", self.decks["brief"], "--out", out),
                capture_output=True, text=True, env=ENVIRONMENT, timeout=QUICK_S, check=False,
                preexec_fn=lambda limit=size: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)))
            what = f"limit of {size} bytes"
            codes.append(done.returncode)
            if done.returncode != 0:
                self.assert_told_once(done, (DISK,), what, "File too large", "ulimit")
            self.assert_checkpoints_are_whole(out, what)
            self.assert_ends_alike("brief", out, what)
        say(f"limits on files: exit codes {codes}")
        self.assertIn(DISK, codes)

    def test_a_folder_that_cannot_be_written(self):
        done, _ = self.mounted("ro", '"$@"', self.decks["brief"])
        self.assert_told_once(done, (DISK,), "read-only", "Read-only file system", "choose another folder")
        script = """"$@" --stage sample >/dev/null && mount -o remount,ro "$out" && "$@" """
        done, _ = self.mounted("size=64m", script, self.decks["brief"])
        self.assert_told_once(done, (DISK,), "read-only since", "Read-only file system", "choose another folder")

    def test_a_file_that_one_rank_cannot_read(self):
        for deck, path in (("brief", "reference.h5md"), ("molecule", ".prmtop")):
            for rank in (0, 1):
                out = self.new()
                if path == "reference.h5md":
                    self.assertEqual(self.run_deck(deck, out, "--stage", "sample").returncode, 0)
                done = self.run_deck(deck, out, ranks=2, **fault("file", "fail", 0, call="open", path=path,
                                                                 errno=13, rank=rank))
                if path != "reference.h5md" or rank == 1:  # what rank 0 cannot read is made again
                    self.assert_told_once(done, (DISK,), f"{path} on rank {rank}", path, "Permission denied")
                self.assert_ends_alike(deck, out, f"{path} on rank {rank}")

    def test_what_is_written_wrongly_is_not_published(self):
        out = self.new()
        done = self.run_deck("brief", out, **fault("file", "corrupt", 2, call="pwrite", path="checkpoint-"))
        self.assert_told_once(done, (DISK,), "corrupt", "checkpoint-", "read back")
        self.assert_ends_alike("brief", out, "written wrongly")

    def test_short_writes_are_gone_on_with(self):
        out = self.new()
        # the program's own writes; MPI's, which lay out sample sets, fail and say so
        done = self.run_deck("brief", out, ranks=2, **fault("file", "short", 0, rank=-1, path=".h5."))
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(differences(self.whole("brief"), out, ("a",)), [])

    def test_a_disk_that_stalls(self):
        calls = ["pwrite", "fsync", "open", "rename", "posix_fallocate", "pread"]
        for call in calls if OPTIONS.points >= len(calls) else self.choose.sample(calls, OPTIONS.points):
            for rank in (0, 1) if call in ("pwrite", "fsync", "open") else (0,):
                out, nth = self.new(), self.choose.randint(1, 4)
                begun = time.monotonic()
                done = self.run_deck("brief", out, ranks=2,
                                     **fault("file", "stall", nth, call=call, rank=rank, path=".h5"))
                what = f"{call} {nth} stalls on rank {rank}"
                self.assertLess(time.monotonic() - begun, QUICK_S, what)
                self.assert_told_once(done, (DISK,), what, str(out), "stall", "BOLTZMAP_STALL_S")
                self.assert_checkpoints_are_whole(out, what)
                self.assert_ends_alike("brief", out, what)


class Others(Campaign):
    def test_a_clock_that_goes_back(self):
        out = self.new()
        process = subprocess.Popen(
            program.command("run", self.decks["two-particle"], "--out", out, ranks=2), stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL, env={**ENVIRONMENT, "LD_PRELOAD": str(INTERPOSER), "FAULT_CLOCK": "back"},
            start_new_session=True)
        time.sleep(self.choose.uniform(0.5, 1.5))
        program.kill_group(process)
        done = self.run_deck("two-particle", out, ranks=2, LD_PRELOAD=str(INTERPOSER), FAULT_CLOCK="back")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertNotRegex(done.stdout, r"in -|-\d+ (s|min) left")
        self.assertEqual(differences(self.whole("two-particle"), out), [])
        record = (out / "a" / "train.json").read_text(encoding="utf-8")
        self.assertNotRegex(record, r'_s":[^}]*"value":\s*-')

    def test_of_two_runs_in_one_folder_one_is_refused_and_a_killed_one_leaves_no_lock(self):
        out = self.new()
        process = start("run", self.decks["two-particle"], "--out", out, "--set", "training.epochs=4000", ranks=2)
        while not (out / "log.txt").exists():
            self.assertIsNone(process.poll(), "the run ended by itself")
            time.sleep(0.02)
        done = self.run_deck("two-particle", out, "--set", "training.epochs=4000", ranks=3)
        self.assert_told_once(done, (DISK,), "second run", "in use by another run")
        program.kill_group(process)
        done = self.run_deck("two-particle", out, "--force")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(differences(self.whole("two-particle"), out), [])

    def test_energies_that_are_not_numbers(self):
        bad = self.folder / "collapsed.rst7"
        lines = (TOP / "input" / "alanine-dipeptide.rst7").read_text(encoding="ascii").splitlines()
        atoms = int(lines[1].split()[0])
        rows = (3 * atoms + 5) // 6
        numbers = ["%12.7f" % 0.0] * (3 * atoms)
        lines[2:2 + rows] = ["".join(numbers[i:i + 6]) for i in range(0, len(numbers), 6)]
        bad.write_text("\n".join(lines[:2 + rows]) + "\n", encoding="ascii")
        for ranks in (1, 2):
            done = self.run_deck("molecule", self.new(), "--set", f'system.coordinates="{bad}"', ranks=ranks)
            self.assert_told_once(done, (DATA,), "all atoms in one place")

    def test_a_loss_that_is_not_a_number(self):
        wild = ["training.learning_rate=10.0", "training.clip_norm=0.0", "training.warmup_steps=0",
                "training.spike=0.0", "training.epochs=60", "flow.scale_cap=20.0"]
        for way in ("stop", "recover", "skip"):
            out, ranks = self.new(), self.choose.choice((1, 2, 3))
            changes = [text for change in (*wild, f'training.nonfinite="{way}"') for text in ("--set", change)]
            done = self.run_deck("brief", out, *changes, "--stage", "sample,train", ranks=ranks)
            if way == "stop":
                self.assert_told_once(done, (DATA,), way, "training", "not finite")
            elif done.returncode != 0:
                self.assert_told_once(done, (DATA,), way, "training.learning_rate")
            else:  # with what is left of it, and that is told
                found = program.metrics(out)["a"]
                self.assertGreater(found["skipped_steps"]["value"], 0)
                self.assertIsNotNone(found["nll_validation"]["value"], way)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name, value in vars(OPTIONS).items():
        parser.add_argument(f"--{name}", type=int, default=value, nargs="+" if isinstance(value, list) else None)
    options, rest = parser.parse_known_args()
    vars(OPTIONS).update(vars(options))
    print(f"{vars(OPTIONS)}", flush=True)
    unittest.main(argv=[sys.argv[0], "-v", *rest])


if __name__ == "__main__":
    main()
