"""What a job does after its run, with a program and a SLURM that only play their parts; tests/slurm has the real ones.

    python3 -m unittest tests/system/test_jobs.py
"""

import os
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
import program  # noqa: E402 (it lies beside this file)

JOB = program.TOP / "jobs" / "run-deck.sh"
SCONTROL = """#!/bin/sh
[ "$1" != requeue ] || echo "$2" >> "$PLAYED/requeued"
echo "JobId=7 JobState=RUNNING Reason=None Restarts=${SLURM_RESTART_COUNT:-0} "
"""


class Jobs(unittest.TestCase):
    def setUp(self):
        self.place = tempfile.TemporaryDirectory()
        self.addCleanup(self.place.cleanup)
        self.folder = Path(self.place.name)
        self.script("scontrol", SCONTROL)
        self.script("squeue", "#!/bin/sh\nexit 1\n")

    def script(self, name, text):
        path = self.folder / name
        path.write_text(text, encoding="utf-8")
        path.chmod(0o755)
        return path

    def run_job(self, code, saves, restarts=0):
        """Exit code, output, and how often the job was queued again."""
        out = self.folder / "out"
        save = f"echo $$ > {out}/a/checkpoint-$$.h5;" if saves else ""
        played = self.script("played", f"#!/bin/sh\nmkdir -p {out}/a; {save} echo ran >> {out}/log.txt; exit {code}\n")
        environment = dict(os.environ, PATH=f"{self.folder}:{os.environ['PATH']}", PLAYED=str(self.folder),
                           SLURM_JOB_ID="7", SLURM_RESTART_COUNT=str(restarts), BOLTZMAP=str(played), LAUNCH="env")
        for name in ("DECK", "OUT", "REQUEUES", "SLURM_ARRAY_TASK_ID"):
            environment.pop(name, None)
        done = subprocess.run(["bash", JOB, "deck.cfg", out], capture_output=True, text=True, env=environment,
                              timeout=60, check=False)
        queued = self.folder / "requeued"
        times = len(queued.read_text().splitlines()) if queued.exists() else 0
        queued.unlink(missing_ok=True)
        return done.returncode, done.stdout + done.stderr, times

    def test_what_is_queued_again(self):
        for code, saves, times in ((75, True, 1), (75, False, 1), (137, True, 1), (137, False, 0), (74, True, 1),
                                   (74, False, 0), (70, True, 1), (70, False, 0), (65, True, 0), (64, True, 0),
                                   (134, True, 0), (139, True, 0)):
            self.assertEqual(self.run_job(code, saves)[::2], (code, times), (code, saves))

    def test_requeues_are_bounded(self):
        self.assertEqual(self.run_job(75, True, restarts=99)[2], 1)
        code, text, times = self.run_job(75, True, restarts=100)
        self.assertEqual((code, times), (75, 0))
        self.assertIn("REQUEUES=100", text)

    def test_a_stop_file_of_while_the_job_waited_is_obeyed(self):
        (self.folder / "out").mkdir()
        (self.folder / "out" / "stop").touch()
        code, text, times = self.run_job(0, True, restarts=1)
        self.assertEqual((code, times), (75, 0))
        self.assertIn("while it waited", text)
        self.assertFalse((self.folder / "out" / "log.txt").exists())

    def test_a_stop_file_during_the_run_ends_the_job(self):
        out = self.folder / "out"
        self.run_job(0, True)
        (out / "stop").touch()
        code, text, times = self.run_job(75, True)
        self.assertEqual((code, times), (75, 0))
        self.assertIn(f"{out}/stop", text)


if __name__ == "__main__":
    unittest.main()
