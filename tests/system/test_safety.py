"""What others may have put where the program writes, and what it is built with: no shell sees a deck's text,
files are the user's own, links do not lead writes out of the output folder.

    python3 -m unittest tests/system/test_safety.py
"""

import os
import re
import shutil
import stat
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
import program  # noqa: E402 (it lies beside this file)

DECK = program.DECK[:program.DECK.index("cases:")]
REPORT = program.TOP / "postprocess" / "report.py"
PRECIOUS = b"of somebody else\n"
TO_A_SHELL = re.compile(r"\b(system|popen|exec[lv]p?e?|posix_spawnp?)\b")


def outputs(folder):
    """All files below a folder, by their names from there."""
    return sorted(path.relative_to(folder) for path in folder.rglob("*") if not path.is_dir())


def readelf(*options):
    return subprocess.run(["readelf", "-W", *options, program.PROGRAM], capture_output=True, text=True,
                          check=True).stdout


class Files(unittest.TestCase):
    def setUp(self):
        self.place = tempfile.TemporaryDirectory()
        self.addCleanup(self.place.cleanup)
        self.folder = Path(self.place.name)
        self.out = self.folder / "out"

    def run_deck(self, *more, ranks=None):
        deck = program.write_deck(self.folder, DECK)
        done = program.boltzmap("run", deck, "--out", self.out, *more, ranks=ranks)
        self.assertEqual(done.returncode, 0, done.stderr)

    def make_report(self):
        subprocess.run([sys.executable, REPORT, self.out], check=True, stdout=subprocess.DEVNULL,
                       env=program.ENVIRONMENT)

    def put_links(self, names):
        """Links in place of the outputs, each to a file of its own outside; deck.cfg, by which a run knows its
        folder, to one of the same text. Gives these files with their texts."""
        outside = self.folder / "outside"
        shutil.rmtree(outside, ignore_errors=True)
        for number, name in enumerate(names):
            victim = outside / str(number)
            outside.mkdir(exist_ok=True)
            text = (self.out / name).read_bytes() if str(name) == "deck.cfg" else PRECIOUS
            victim.write_bytes(text)
            (self.out / name).unlink()
            (self.out / name).symlink_to(victim)
        return {path: path.read_bytes() for path in outside.iterdir()}

    def assert_links_replaced(self, names, victims):
        for victim, text in victims.items():
            self.assertEqual(victim.read_bytes(), text)
        for name in names:
            path = self.out / name
            self.assertTrue(path.is_file() and not path.is_symlink(), name)

    def test_outputs_replace_links_and_not_what_these_lead_to(self):
        self.run_deck()
        self.make_report()
        # the two that are kept open and added to; a run that finds a link there ends, below
        names = [name for name in outputs(self.out) if str(name) not in ("log.txt", ".lock")]
        for ranks in (None, 2):
            victims = self.put_links(names)
            self.assertGreater(len(victims), 15)
            self.run_deck("--force", ranks=ranks)
            self.make_report()
            self.assert_links_replaced(names, victims)

    def test_a_link_for_log_or_lock_is_refused(self):
        self.run_deck()
        for name in ("log.txt", ".lock"):
            victim, = self.put_links([name])
            done = program.boltzmap("run", self.folder / "deck.cfg", "--out", self.out, "--force")
            self.assertEqual(done.returncode, 74, name)
            self.assertIn(name, done.stderr)
            self.assertEqual(victim.read_bytes(), PRECIOUS)
            (self.out / name).unlink()

    def test_the_folder_of_a_case_may_lie_on_another_disk(self):
        """Links to folders are the user's own way to spread a run, and are followed."""
        elsewhere = self.folder / "elsewhere"
        self.run_deck("--stage", "sample")
        (self.out / "tiny").rename(elsewhere)
        (self.out / "tiny").symlink_to(elsewhere)
        (elsewhere / "reference.h5md").unlink()
        self.run_deck("--stage", "sample", "--force")
        self.assertTrue((self.out / "tiny").is_symlink())
        self.assertIn(Path("reference.h5md"), outputs(elsewhere))

    def test_files_have_the_rights_of_the_umask(self):
        before = os.umask(0o027)
        try:
            self.run_deck()
            self.make_report()
        finally:
            os.umask(before)
        for path in [self.out, *self.out.rglob("*")]:
            mode = stat.S_IMODE(path.stat().st_mode)
            self.assertEqual(mode, 0o750 if path.is_dir() else 0o640, path)


class Text(unittest.TestCase):
    def test_the_program_calls_no_shell_and_starts_no_program(self):
        undefined = "\n".join(line for line in readelf("--symbols").splitlines() if " UND " in line)
        self.assertIn("MPI_Init", undefined)
        self.assertIsNone(TO_A_SHELL.search(undefined))

    def test_a_shell_in_a_decks_paths_does_not_run(self):
        with tempfile.TemporaryDirectory() as scratch:
            command = "$(touch trace);`touch trace`|touch trace"
            for line in (f'reference: {{ sampler = "file"; file = "{command}"; }};',
                         f'run.output_dir = "{command}";'):
                deck = program.write_deck(scratch, 'run: { name = "x"; };\nsystem: { kind = "gaussian"; };\n'
                                          + (line if "reference" in line else ""))
                more = () if "reference" in line else ("--set", f'run.output_dir="{command}"')
                program.boltzmap("run", deck, "--stage", "sample", "--set", "generate.samples=2", *more,
                                 cwd=scratch)
                self.assertFalse((Path(scratch) / "trace").exists(), line)


class Build(unittest.TestCase):
    @unittest.skipIf(program.SANITIZED, "sanitizers have checks of their own")
    def test_release_builds_are_hardened(self):
        self.assertRegex(readelf("--file-header"), r"Type:\s+DYN \(Position-Independent Executable")
        self.assertIn("GNU_RELRO", readelf("--program-headers"))
        self.assertRegex(readelf("--dynamic"), r"Flags:.*\bNOW\b.*\bPIE\b")
        symbols = readelf("--symbols")
        self.assertIn("__stack_chk_fail", symbols)
        self.assertRegex(symbols, r"__\w+_chk\b.*GLIBC|__(memcpy|snprintf|vsnprintf)_chk")


if __name__ == "__main__":
    unittest.main()
