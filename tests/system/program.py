"""Starting the program in tests, alone or on ranks, and comparing what runs leave."""

import hashlib
import json
import os
import signal
import subprocess
import time
from pathlib import Path

import h5py
import numpy as np

TOP = Path(os.environ.get("BM_TOP", Path(__file__).resolve().parents[2]))
BUILD = Path(os.environ.get("BM_BUILD", TOP / "build")).resolve()
PROGRAM = BUILD / "boltzmap"
MPIRUN = os.environ.get("MPIRUN", "mpirun")
TIME_LIMIT_S = 300 * float(os.environ.get("BM_PATIENCE", "1"))
SANITIZED = b"__asan_init" in PROGRAM.read_bytes() if PROGRAM.exists() else False

# Ranks start for root and on few cores, and let each other work while they wait.
ENVIRONMENT = {**os.environ, "OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1",
               "OMPI_MCA_rmaps_base_oversubscribe": "1", "OMPI_MCA_mpi_yield_when_idle": "1",
               "OMPI_MCA_btl_vader_single_copy_mechanism": "none"}

# Two cases of the two-particle system, as small as all parts of a run allow.
DECK = """
run: { name = "tiny"; seed = 3; checkpoint_every_min = 0.0; };
system: { kind = "coulomb-double-well"; coupling = 0.7; beta = 5.0; softening = 1e-8; };
reference: { walkers = 20; samples = 400; burn_in = 300; thinning = 20; };
flow: { layers = 2; hidden = [16, 16]; };
training: { epochs = 8; batch = 64; };
generate: { samples = 300; };
evaluate: { exact_subsample = 60; exact_repeats = 2; sliced_projections = 20; floor_pairs = 2;
            average_samples = 2000; lipschitz_points = 100; trajectory_frames = 20; };
cases: ( { name = "a"; }, { name = "b"; system: { softening = 0.1; }; } );
"""


def command(*arguments, ranks=None):
    start = [] if ranks is None else [MPIRUN, "-n", str(ranks)]
    return [*start, str(PROGRAM), *map(str, arguments)]


def boltzmap(*arguments, ranks=None, cwd=None, **variables):
    """Run to the end, with these environment variables; gives the finished process with its texts."""
    return subprocess.run(command(*arguments, ranks=ranks), capture_output=True, text=True, cwd=cwd,
                          env={**ENVIRONMENT, **variables}, timeout=TIME_LIMIT_S, check=False)


def peak_memory(*arguments, ranks=None):
    """Run to the end; gives the exit code and the bytes that the largest process of all held at once."""
    process = start(*arguments, ranks=ranks)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    return process.returncode, 1024 * usage.ru_maxrss


def start(*arguments, ranks=None):
    """Start in a process group of its own, to be interrupted."""
    return subprocess.Popen(command(*arguments, ranks=ranks), stdout=subprocess.DEVNULL,
                            stderr=subprocess.DEVNULL, env=ENVIRONMENT, start_new_session=True)


def family(pid):
    """The process and all below it; mpirun puts ranks into groups of their own."""
    found = [pid]
    for path in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            children = path.read_text(encoding="ascii").split()
        except OSError:
            continue  # it has ended
        for child in children:
            found += family(int(child))
    return found


def kill_group(process):
    """As if the machine had gone: nobody gets to write anything."""
    kill_all(process, family(process.pid))


def kill_all(process, members):
    """Those that a process and all below it were."""
    for pid in members:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
    process.wait()
    while any(Path(f"/proc/{pid}/exe").exists() for pid in members[1:]):
        time.sleep(0.02)


def write_deck(folder, text=DECK, name="deck.cfg"):
    path = Path(folder) / name
    path.write_text(text, encoding="utf-8")
    return path


def results(folder):
    return json.loads((Path(folder) / "results.json").read_text(encoding="utf-8"))


def metrics(folder):
    """{case: metrics} without what depends on the clock."""
    return {case["name"]: case["metrics"] for case in results(folder)["cases"]}


def metric_lines(folder):
    """Lines of results.csv but those that depend on the clock."""
    lines = (Path(folder) / "results.csv").read_text(encoding="utf-8").splitlines()
    return [line for line in lines if ",timing," not in line]


def recorded_metrics(folder):
    """{case/stage: metrics} as the records of the stages have them."""
    return {str(path.relative_to(folder)): json.loads(path.read_text(encoding="utf-8")).get("metrics")
            for path in sorted(Path(folder).glob("*/*.json"))}


def data_sets(path):
    """Every data set of an HDF5 file by name, provenance left out."""
    found = {}

    def take(name, item):
        if isinstance(item, h5py.Dataset) and not name.startswith("provenance"):
            found[name] = item[...]

    with h5py.File(path, "r") as file:
        file.visititems(take)
    return found


def same_data(a, b):
    """Are two HDF5 files equal, bit for bit, in what was computed?"""
    one, two = data_sets(a), data_sets(b)
    return one.keys() == two.keys() and all(
        one[name].dtype == two[name].dtype and np.asarray(one[name]).tobytes() ==
        np.asarray(two[name]).tobytes() if one[name].dtype != object else one[name] == two[name]
        for name in one)


def differences(a, b, cases=("a", "b")):
    """What differs between two runs; an empty list where they are the same bits."""
    a, b = Path(a), Path(b)
    found = [what.__name__ for what in (metrics, metric_lines, recorded_metrics) if what(a) != what(b)]
    for case in cases:
        for name in ("model.h5", "reference.h5md", "generated.h5md", "trajectory.h5md"):
            if not (a / case / name).exists() and not (b / case / name).exists():
                continue
            if not same_data(a / case / name, b / case / name):
                found.append(f"{case}/{name}")
        histories = [(folder / case / "history.csv") for folder in (a, b)]
        if any(path.exists() for path in histories) and histories[0].read_bytes() != histories[1].read_bytes():
            found.append(f"{case}/history.csv")
    return found


def snapshot(folder):
    """Names and contents of all files below a folder."""
    folder = Path(folder)
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
            if path.is_file() and not path.is_symlink() else "other"
            for path in sorted(folder.rglob("*"))}
