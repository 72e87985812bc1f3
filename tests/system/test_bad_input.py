"""Bad input of every kind: one line that says what, where and what to do; the right exit code; nothing
written or changed.

    python3 -m unittest tests/system/test_bad_input.py
"""

import shutil
import sys
import tempfile
import unittest
from pathlib import Path

import h5py
import numpy as np

sys.path.insert(0, str(Path(__file__).parent))
import program  # noqa: E402 (it lies beside this file)

USAGE, DATA, IO = 64, 65, 74

GOOD = ('run: { name = "x"; };\nsystem: { kind = "coulomb-double-well"; };\n'
        'reference: { walkers = 4; samples = 40; };\n')
# name, lines behind (or in place of) the good ones, words of the message; the error is on line 4
DECKS = (
    ("unknown group", "trainign: { epochs = 3; };", "deck.cfg:4", "trainign", "training"),
    ("unknown key", "training: { epoch = 3; };", "deck.cfg:4", "training.epoch", "training.epochs"),
    ("unknown key of the system", "flow: { layer = 3; };", "deck.cfg:4", "flow.layers"),
    ("text for a number", 'training: { epochs = "many"; };', "deck.cfg:4", "training.epochs"),
    ("number for a text", "flow: { activation = 3; };", "deck.cfg:4", "flow.activation"),
    ("unknown choice", 'flow: { activation = "relo"; };', "deck.cfg:4", "relu"),
    ("unknown loss", 'training: { loss = "mse"; };', "deck.cfg:4", "nll"),
    ("below the range", "training: { epochs = 0; };", "deck.cfg:4", "training.epochs"),
    ("above the range", "training: { learning_rate = 11.0; };", "deck.cfg:4", "learning_rate"),
    ("not finite", "training: { learning_rate = 1e400; };", "deck.cfg:4", "learning_rate"),
    ("a fraction for a whole number", "training: { epochs = 2.5; };", "deck.cfg:4", "epochs"),
    ("beyond 64 bits", "training: { epochs = 99999999999999999999; };", "deck.cfg:4"),
    ("a list for a number", "training: { epochs = [3]; };", "deck.cfg:4", "epochs"),
    ("a number for a list", "flow: { hidden = 64; };", "deck.cfg:4", "flow.hidden"),
    ("an empty list", "flow: { hidden = []; };", "deck.cfg:4", "flow.hidden"),
    ("too many hidden layers", "flow: { hidden = [2,2,2,2,2,2,2,2,2]; };", "deck.cfg:4", "at most 8"),
    ("a width of zero", "flow: { hidden = [8, 0]; };", "deck.cfg:4", "flow.hidden"),
    ("a group for a number", "training: { epochs = { a = 1; }; };", "deck.cfg:4", "epochs"),
    ("a number for a group", "training = 3;", "deck.cfg:4", "training"),
    ("true for a number", "training: { epochs = true; };", "deck.cfg:4", "epochs"),
    ("a number for true", "evaluate: { lipschitz = 1; };", "deck.cfg:4", "lipschitz"),
    ("the same key twice", "training: { epochs = 1; epochs = 2; };", "deck.cfg:4"),
    ("no closing brace", "training: { epochs = 1;", "deck.cfg:"),
    ("no equals sign", "training: { epochs 1; };", "deck.cfg:4"),
    ("more shards than rows", "training: { batch = 4; shards = 8; };", "deck.cfg:4", "shards"),
    ("more steps than are counted",
     "evaluate: { trajectory_frames = 100000000; trajectory_stride = 10000000; };", "deck.cfg:4",
     "trajectory_stride"),
    ("one pair of floors", "evaluate: { floor_pairs = 1; };", "deck.cfg:4", "at least 2"),
    ("no cases", "cases: ();", "deck.cfg:4", "cases"),
    ("a case without a name", "cases: ( { flow: { layers = 2; }; } );", "deck.cfg:4", "name"),
    ("two cases of one name", 'cases: ( { name = "a"; }, { name = "a"; } );', "deck.cfg:4", "a"),
    ("a case with a path for a name", 'cases: ( { name = "../a"; } );', "deck.cfg:4"),
    ("a case with a wrong key", 'cases: ( { name = "a"; flow: { depth = 2; }; } );', "deck.cfg:4", "a"),
    ("a case that changes the run", 'cases: ( { name = "a"; run: { seed = 2; }; } );', "deck.cfg:4"),
    ("a key of another system", "system2: { };", "deck.cfg:4"),
    ("an include that is not there", '@include "nowhere.cfg"', "deck.cfg:4", "nowhere.cfg"),
    ("an include of itself", '@include "deck.cfg"', "deck.cfg"),
)
# whole decks
WHOLE = (
    ("no kind", 'run: { name = "x"; };\n', "system.kind"),
    ("no name", 'system: { kind = "gaussian"; };\n', "run.name"),
    ("unknown kind", 'run: { name = "x"; };\nsystem: { kind = "gausian"; };\n', "deck.cfg:2", "gaussian"),
    ("a name with a slash", 'run: { name = "x/y"; };\nsystem: { kind = "gaussian"; };\n', "deck.cfg:1"),
    ("a key of another kind", 'run: { name = "x"; };\nsystem: { kind = "gaussian"; softening = 0.1; };\n',
     "deck.cfg:2", "system.softening"),
    ("one coordinate", 'run: { name = "x"; };\nsystem: { kind = "gaussian"; dimension = 1; };\n',
     "at least 2 coordinates"),
    ("not a multiple of the walkers",
     GOOD.replace("samples = 40", "samples = 42"), "deck.cfg:3", "40", "44"),
    ("fewer samples than walkers", GOOD.replace("samples = 40", "samples = 3"), "deck.cfg:3", "4"),
    ("symmetries of a system that has none",
     'run: { name = "x"; };\nsystem: { kind = "gaussian"; };\ntraining: { augment = "symmetries"; };\n',
     "deck.cfg:3", "training.augment", "symmetries"),
    ("unknown sampler", GOOD.replace("walkers = 4", 'sampler = "gibbs"; walkers = 4'), "deck.cfg:3",
     "metropolis"),
    ("a key of another sampler", GOOD.replace("walkers = 4", "leapfrog_steps = 4; walkers = 4"),
     "deck.cfg:3", "leapfrog_steps"),
    ("a file without a name", GOOD.replace("walkers = 4; samples = 40", 'sampler = "file"'),
     "reference.file"),
    ("a softening below zero", GOOD.replace('well"', 'well"; softening = -0.1'), "deck.cfg:2",
     "system.softening"),
    ("an empty deck", "", "deck.cfg"),
    ("bytes", "\x00\x01\x02\x03", "deck.cfg"),
)
# Decks of molecules: name, text in MOLECULE, what stands there instead, exit code, words. Groups stand on
# lines of their own, so that the place is told to the line.
MOLECULE = f"""run: {{ name = "x"; }};
system: {{ kind = "amber";
  topology = "{program.TOP}/input/alanine-dipeptide.prmtop";
  coordinates = "{program.TOP}/input/alanine-dipeptide.rst7";
  constraints = "h-bonds"; }};
reference: {{
  sampler = "langevin-middle"; walkers = 2; samples = 20;
  frame_ps = 0.2; }};
"""
MOLECULES = (
    ("no topology there", "dipeptide.prmtop", "dipeptide.gone", IO, "dipeptide.gone"),
    ("no coordinates there", "dipeptide.rst7", "dipeptide.gone", IO, "dipeptide.gone"),
    ("a topology that is a PDB", "dipeptide.prmtop", "dipeptide.pdb", DATA, "deck.cfg:3",
     "system.topology", "dipeptide.pdb:1", "not a prmtop file"),
    ("coordinates that are a topology", "dipeptide.rst7", "dipeptide.prmtop", DATA, "deck.cfg:4",
     "system.coordinates", "dipeptide.prmtop:2", "neither"),
    ("coordinates of another molecule", "dipeptide.rst7", "tripeptide.rst7", DATA, "deck.cfg:4",
     "system.coordinates", "32 atoms", "22"),
    ("constraints with a sampler that cannot keep them",
     'sampler = "langevin-middle"; walkers = 2; samples = 20;\n  frame_ps = 0.2;',
     'sampler = "hmc"; walkers = 2; samples = 20;', DATA, "deck.cfg:7", "reference.sampler", "constraints"),
    ("a frame that is no multiple of the time step", "frame_ps = 0.2", "frame_ps = 0.0031", DATA,
     "deck.cfg:8", "reference.frame_ps", "time step"),
    ("a ladder that goes down", '"langevin-middle"; walkers = 2; samples = 20;\n',
     '"tempering"; walkers = 2; samples = 20;\n  temperature_max_K = 299.0;', DATA, "deck.cfg:8",
     "reference.temperature_max_K", "300 K"),
    ("a ladder of one temperature twice", '"langevin-middle"; walkers = 2; samples = 20;\n',
     '"tempering"; walkers = 2; samples = 20;\n  temperature_max_K = 300.0;', DATA, "deck.cfg:8",
     "reference.temperature_max_K", "300 K"),
    ("molecular dynamics of two particles", MOLECULE[MOLECULE.index("system"):MOLECULE.index("reference")],
     'system: { kind = "coulomb-double-well"; };\n', DATA, "deck.cfg:4", "reference.sampler", "amber"),
    ("an unknown kind of constraints", '"h-bonds"', '"all-bonds"', DATA, "deck.cfg:5",
     "system.constraints", "h-bonds"),
    ("a dielectric constant of a vacuum", '"h-bonds"',
     '"h-bonds"; implicit_solvent = "none"; solvent_dielectric = 80.0', DATA, "deck.cfg:5",
     "system.solvent_dielectric"),
    ("a temperature of zero", '"h-bonds"', '"h-bonds"; temperature_K = 0.0', DATA, "deck.cfg:5",
     "system.temperature_K"),
)
# exit code, command line (F: the folder), words
COMMANDS = (
    (USAGE, [], "no command"),
    (USAGE, ["rnu"], "rnu"),
    (USAGE, ["run"], "DECK"),
    (USAGE, ["run", "F/good.cfg", "more"], "more"),
    (USAGE, ["run", "F/good.cfg", "--ste", "a=1"], "--ste", "--set"),
    (USAGE, ["run", "F/good.cfg", "--reset-all=3"], "--reset-all", "run --help"),
    (USAGE, ["distance", "F/a.npy", "F/b.npy", "--subsamples=3"], "--subsample"),
    (USAGE, ["run", "F/good.cfg", "--set"], "--set"),
    (USAGE, ["run", "F/good.cfg", "--set", "epochs"], "epochs"),
    (USAGE, ["run", "F/good.cfg", "--stage", "smaple"], "smaple"),
    (USAGE, ["run", "F/good.cfg", "--case", "nobody"], "nobody"),
    (USAGE, ["run", "F/good.cfg", "--force=yes"], "--force"),
    (DATA, ["run", "F/good.cfg", "--set", "training.epoch=3"], "training.epochs"),
    (DATA, ["run", "F/good.cfg", "--set", "training.epochs=x"], "training.epochs"),
    (IO, ["run", "F/none.cfg"], "none.cfg"),
    (IO, ["run", "F"], "F"),
    (IO, ["run", "F/good.cfg", "--restart", "F/none.h5"], "none.h5"),
    (DATA, ["run", "F/good.cfg", "--restart", "F/a.npy"], "a.npy"),
    (IO, ["run", "F/good.cfg", "--out", "F/a.npy/out"], "a.npy"),
    (IO, ["run", "F/file.cfg"], "none.npy"),
    (IO, ["run", "F/target.cfg"], "none.npy"),
    (DATA, ["run", "F/columns.cfg"], "columns.cfg:2", "2 columns"),
    (DATA, ["check", "F/bad.cfg"], "bad.cfg:1"),
    (USAGE, ["distance", "F/a.npy"], "B"),
    (USAGE, ["distance", "F/a.npy", "F/b.npy", "--kind", "exakt"], "exakt"),
    (USAGE, ["distance", "F/a.npy", "F/b.npy", "--columns", "0;1"], "--columns"),
    (USAGE, ["distance", "F/a.npy", "F/b.npy", "--period", "-1"], "--period"),
    (USAGE, ["distance", "F/a.npy", "F/b.npy", "--repeats", "3"], "--subsample"),
    (USAGE, ["distance", "F/a.npy", "F/b.npy", "--period", "1e-300"], "--period"),
    (DATA, ["distance", "F/a.npy", "F/b.npy", "--period", "1e-90"], "row 0", "--period"),
    (DATA, ["distance", "F/a.npy", "F/b.npy", "--kind", "marginal", "--columns", "0", "--period", "1e-12"],
     "--period"),
    (DATA, ["distance", "F/a.npy", "F/b.npy", "--subsample", "99"], "99"),
    (DATA, ["distance", "F/a.npy", "F/b.npy", "--columns", "7"], "column 7"),
    (DATA, ["distance", "F/a.npy", "F/b.npy", "--kind", "marginal"], "--columns"),
    (DATA, ["distance", "F/a.npy", "F/three.npy"], "3 columns"),
    (DATA, ["distance", "F/a.npy", "F/short.npy"], "--subsample"),
    (USAGE, ["distance", "F/a.npy", "F/b.npy", "--kind", "sliced", "--plan", "F/p.h5"], "--plan", "exact"),
    (USAGE, ["distance", "F/a.npy", "F/b.npy", "--kind", "sliced", "--strict"], "--strict", "exact"),
    (USAGE, ["distance", "F/a.npy", "F/b.npy", "--projections", "9"], "--projections", "sliced"),
    (USAGE, ["distance", "F/a.npy", "F/b.npy", "--plan", "F/a.npy"], "--plan"),
    (USAGE, ["distance", "F/a.npy", "F/b.npy", "--plan", "F/p.h5", "--subsample", "5"], "--plan"),
    (USAGE, ["distance", "F/a.npy", "F/b.npy", "--debias", "--subsample", "9", "--repeats", "2"], "--debias"),
    (USAGE, ["distance", "F/a.npy", "F/b.npy", "--tolerance", "-1"], "--tolerance"),
    (USAGE, ["distance", "F/a.npy", "--pairs", "F/pairs"], "--pairs"),
    (IO, ["distance", "--pairs", "F/nowhere"], "nowhere"),
    (IO, ["distance", "F/a.npy", "F/b.npy", "--plan", "F/nowhere/p.h5"], "nowhere"),
    (DATA, ["distance", "--pairs", "F/empty.npy"], "empty.npy", "no text"),
    (DATA, ["distance", "--pairs", "F/no-pairs"], "no pairs"),
    (DATA, ["distance", "--pairs", "F/good.cfg"], "good.cfg:1", "two files"),
    (USAGE, ["distance", "F/a.npy", "F/b.npy", "--checkpoint", "F/a.npy"], "--checkpoint", "a.npy"),
    (DATA, ["distance", "F/a.npy", "F/b.npy", "--checkpoint", "F/good.cfg"], "good.cfg"),
    (DATA, ["distance", "F/a.npy", "F/short.npy", "--kind", "max-sliced"], "--subsample"),
    (DATA, ["distance", "F/nan.npy", "F/b.npy"], "nan.npy", "row 7, column 1"),
    (DATA, ["distance", "F/empty.npy", "F/b.npy"], "empty.npy"),
    (DATA, ["distance", "F/cut.npy", "F/b.npy"], "cut.npy"),
    (DATA, ["distance", "F/fortran.npy", "F/b.npy"], "fortran.npy"),
    (DATA, ["distance", "F/text.npy", "F/b.npy"], "text.npy"),
    (DATA, ["distance", "F/notes.txt", "F/b.npy"], "notes.txt"),
    (DATA, ["distance", "F/two.h5", "F/b.npy"], "--dataset"),
    (DATA, ["distance", "F/two.h5", "F/b.npy", "--dataset", "z"], "'z'"),
    (DATA, ["distance", "F/flipped.h5md", "F/flipped.h5md"], "flipped.h5md", "checksum"),
    (IO, ["distance", "F/none.npy", "F/b.npy"], "none.npy"),
    (USAGE, ["generate", "F/model.h5"], "--samples"),
    (USAGE, ["generate", "F/model.h5", "--samples", "0", "--out", "F/x.h5md"], "--samples"),
    (DATA, ["generate", "F/a.npy", "--samples", "5", "--out", "F/x.h5md"], "a.npy"),
    (USAGE, ["generate", "F/model.h5", "--samples", "5", "--out", "F/x.npy"], "x.npy", ".h5md"),
    (USAGE, ["density", "F/model.h5", "--in", "F/a.npy", "--out", "F/x.npy"], "x.npy", ".h5md"),
    (DATA, ["generate", "F/whole.h5md", "--samples", "5", "--out", "F/x.h5md"], "is not a model"),
    (DATA, ["generate", "F/cut.h5", "--samples", "5", "--out", "F/x.h5md"], "cut.h5"),
    (IO, ["generate", "F/model.h5", "--samples", "5", "--out", "F/none/x.h5md"], "none"),
    (DATA, ["density", "F/model.h5", "--in", "F/three.npy"], "3 columns"),
    (USAGE, ["density", "F/model.h5"], "--in"),
    (DATA, ["energy", "F/good.cfg", "--in", "F/three.npy"], "3 columns"),
    (IO, ["info", "F/none"], "none"),
    (USAGE, ["run", "F/good.cfg", "--out", ""], "--out"),
    (USAGE, ["generate", "F/model.h5", "--samples", "5", "--out="], "--out"),
    (USAGE, ["density", "F/model.h5", "--in", ""], "--in"),
    (USAGE, ["distance", "", "F/b.npy"], "A is an empty text"),
    (USAGE, ["info", ""], "FILE"),
    (IO, ["generate", "F/model.h5", "--samples", "5", "--out", "F"], "F", "folder"),
    (IO, ["generate", "F/model.h5", "--samples", "5", "--out", "/dev/null"], "/dev/null", "device"),
    (IO, ["generate", "F/model.h5", "--samples", "1000000000000", "--out", "F/none/x.h5md"], "none"),
    (IO, ["density", "F/model.h5", "--in", "F/far.npy", "--out", "F/new/"], "new/"),
    (USAGE, ["generate", "F/model.h5", "--samples", "5", "--out", "F/model.h5"], "would replace"),
    (USAGE, ["density", "F/model.h5", "--in", "F/whole.h5md", "--out", "F/whole.h5md"],
     "would replace"),
    (USAGE, ["distance", "F/a.npy", "F/b.npy", "--dataset", "x"], "--dataset x", "a.npy"),
    (USAGE, ["energy", "F/good.cfg", "--in", "F/far.npy", "--dataset", "x"], "--dataset x"),
    (USAGE, ["info", "F/model.h5", "--dataset", "x"], "--dataset x", "model.h5"),
    (DATA, ["density", "F/model.h5", "--in", "F/far.npy"], "far.npy", "row 0"),
    (DATA, ["density", "F/model.h5", "--in", "F/far.npy", "--out", "F/x.h5md"], "far.npy", "row 0"),
    (DATA, ["energy", "F/good.cfg", "--in", "F/far.npy", "--forces"], "far.npy", "row 0"),
    (DATA, ["distance", "F/a.npy", "F/hollow.h5"], "hollow.h5", "'particles' is empty"),
    (DATA, ["distance", "F/a.npy", "F/broken.h5"], "broken.h5"),
    (DATA, ["info", "F/spoilt.h5"], "spoilt.h5"),
    (DATA, ["info", "F/huge.h5"], "huge.h5", "10000000000000 rows"),
    (DATA, ["run", "F/good.cfg", "--set", "reference.samples=999999999980"], "reference.samples", "GB"),
    (DATA, ["run", "F/good.cfg", "--set", "flow.layers=1024", "--set", "flow.hidden=[65536,65536]"],
     "flow.hidden", "GB"),
    (DATA, ["distance", "F/tiny.npy", "F/tiny.npy"], "underflow"),
    (IO, ["info", "F/two\nlines"], "two?lines"),
    (DATA, ["info", "F/notes.txt"], "notes.txt"),
    (DATA, ["info", "F/cut.h5"], "cut.h5"),
    (USAGE, ["generate", "F/model.h5", "--samples", "1000000000001", "--out", "F/x.h5md"],
     "--samples", "from 1 to 1000000000000"),
)
ON_RANKS = (0, 1, 12, 16, 20, 21, 35, 37, 45, 54, 55)  # rows of COMMANDS also run on three ranks


class BadInput(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.place = tempfile.TemporaryDirectory()
        cls.folder = Path(cls.place.name) / "bad"
        cls.folder.mkdir()
        x = np.random.default_rng(1).standard_normal((50, 2))
        holed = x.copy()
        holed[7, 1] = np.nan
        for name, values in (("a", x), ("b", x + 1), ("three", np.ones((50, 3))), ("short", x[:40]),
                             ("nan", holed), ("empty", x[:0]), ("fortran", np.asfortranarray(x)),
                             ("text", np.array(["a", "b"]))):
            np.save(cls.folder / f"{name}.npy", values)
        (cls.folder / "no-pairs").write_text("# a list of no pairs\n\n")
        whole = (cls.folder / "a.npy").read_bytes()
        (cls.folder / "cut.npy").write_bytes(whole[:-5])
        (cls.folder / "notes.txt").write_text("not numbers\n", encoding="utf-8")
        np.save(cls.folder / "far.npy", np.full((3, 4), 1e300))
        np.save(cls.folder / "tiny.npy", x * 1e-200)
        with h5py.File(cls.folder / "two.h5", "w") as file:
            file["x"], file["y"] = x, x
        with h5py.File(cls.folder / "hollow.h5", "w") as file:
            file.create_group("particles")
        with h5py.File(cls.folder / "huge.h5", "w") as file:
            file.create_dataset("x", shape=(10**13, 2), chunks=(1000, 2))
        with h5py.File(cls.folder / "spoilt.h5", "w") as file:
            place = file.create_dataset("x", data=x, chunks=(50, 2), compression="gzip").id
            start, size = place.get_chunk_info(0).byte_offset, place.get_chunk_info(0).size
        spoilt = bytearray((cls.folder / "spoilt.h5").read_bytes())
        spoilt[start:start + size] = bytes(size)
        (cls.folder / "spoilt.h5").write_bytes(spoilt)
        (cls.folder / "broken.h5").write_bytes((cls.folder / "two.h5").read_bytes()[:1000])
        for name, text in (
                ("good", GOOD), ("bad", "run: { nam = 1; };"),
                ("file", 'run: { name = "x"; };\nsystem: { kind = "gaussian"; };\n'
                         'reference: { sampler = "file"; file = "none.npy"; };'),
                ("target", 'run: { name = "x"; };\nsystem: { kind = "gaussian"; };\n'
                           'reference: { sampler = "file"; file = "none.npy"; };\n'
                           'cases: ( { name = "one"; reference: { file = "a.npy"; }; },\n'
                           '         { name = "two"; reference: { file = "b.npy"; }; } );'),
                ("columns", 'run: { name = "x"; }; system: { kind = "coulomb-double-well"; };\n'
                            'reference: { sampler = "file"; file = "a.npy"; };')):
            program.write_deck(cls.folder, text, f"{name}.cfg")
        deck = program.write_deck(cls.place.name, program.DECK)
        out = Path(cls.place.name) / "out"
        done = program.boltzmap("run", deck, "--out", out, "--case", "a")
        if done.returncode:
            raise AssertionError(done.stderr)
        shutil.copy(out / "a" / "model.h5", cls.folder)
        model = (out / "a" / "model.h5").read_bytes()
        (cls.folder / "cut.h5").write_bytes(model[:len(model) // 2])
        shutil.copy(out / "a" / "generated.h5md", cls.folder / "whole.h5md")
        sealed = bytearray((out / "a" / "generated.h5md").read_bytes())
        sealed[len(sealed) // 2] ^= 1
        (cls.folder / "flipped.h5md").write_bytes(sealed)

    @classmethod
    def tearDownClass(cls):
        cls.place.cleanup()

    def check(self, arguments, codes, words, ranks=None):
        """One line on stderr with these words, one of these exit codes, nothing written."""
        before = program.snapshot(self.folder)
        done = program.boltzmap(*arguments, ranks=ranks, cwd=self.folder)
        ours = [line for line in done.stderr.splitlines() if line.startswith("boltzmap: ")]
        self.assertIn(done.returncode, codes, done.stderr)
        self.assertEqual(len(ours), 1, done.stderr)
        if ranks is None:
            self.assertEqual(done.stderr.splitlines(), ours)
        for word in words:
            self.assertIn(word.replace("F", str(self.folder)) if word == "F" else word, ours[0])
        self.assertEqual(done.stdout, "")
        self.assertEqual(before, program.snapshot(self.folder))

    def test_decks(self):
        for name, line, *words in DECKS:
            with self.subTest(name):
                program.write_deck(self.folder, GOOD + line + "\n")
                self.check(["run", self.folder / "deck.cfg"], (DATA, IO), words)

    def test_whole_decks(self):
        for name, text, *words in WHOLE:
            with self.subTest(name):
                program.write_deck(self.folder, text)
                self.check(["run", self.folder / "deck.cfg"], (DATA,), words)

    def test_decks_of_molecules(self):
        for name, old, new, code, *words in MOLECULES:
            with self.subTest(name):
                self.assertIn(old, MOLECULE)
                program.write_deck(self.folder, MOLECULE.replace(old, new))
                self.check(["run", self.folder / "deck.cfg", "--stage", "sample"], (code,), words)

    def test_broken_files_of_molecules(self):
        """The deck's line, and the file's line behind it."""
        whole = (program.TOP / "input" / "alanine-dipeptide.prmtop").read_text(encoding="ascii")
        for name, old, new, *words in (
                ("cut off", whole[len(whole) // 2:], "", "spoilt:"),
                ("a mass that is no number", "  1.20107800E+01", "  1.2010x800E+01", "spoilt:29", "MASS"),
                ("a periodic box", "0      10       0\n", "1      10       0\n", "spoilt:9", "IFBOX")):
            with self.subTest(name):
                (self.folder / "spoilt").write_text(whole.replace(old, new, 1), encoding="ascii")
                program.write_deck(self.folder, MOLECULE.replace(
                    f"{program.TOP}/input/alanine-dipeptide.prmtop", f"{self.folder}/spoilt"))
                self.check(["run", self.folder / "deck.cfg", "--stage", "sample"], (DATA,),
                           ("deck.cfg:3", "system.topology", *words))

    def test_command_lines_and_files(self):
        for code, line, *words in COMMANDS:
            with self.subTest(" ".join(line)):
                self.check(self.filled(line), (code,), words)

    def test_said_once_on_several_ranks(self):
        for row in ON_RANKS:
            code, line, *words = COMMANDS[row]
            with self.subTest(" ".join(line)):
                self.check(self.filled(line), (code,), words, ranks=3)

    def filled(self, line):
        return [text.replace("F", str(self.folder)) if text.startswith("F") else text for text in line]


if __name__ == "__main__":
    unittest.main()
