"""The program as the system tests use it: started alone or under mpirun, on small decks; what a run left,
and damage to that. Environment: BM_TOP, BM_BUILD, MPIRUN."""

import atexit
import contextlib
import json
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections import namedtuple
from pathlib import Path

import h5py

TOP = Path(os.environ.get("BM_TOP", Path(__file__).resolve().parents[2]))
PROGRAM = Path(os.environ.get("BM_BUILD", TOP / "build")) / "boltzmap"
MPIRUN = os.environ.get("MPIRUN", "mpirun")
TIME_LIMIT_S = 300

USAGE, DATA, IO, STOPPED = 64, 65, 74, 75  # exit codes
STAGES = {"sample": "reference samples", "train": "training", "generate": "generated samples",
          "evaluate": "evaluation"}

# What a killed Open MPI job leaves behind goes with this folder.
SCRATCH = tempfile.mkdtemp(prefix="bm", dir="/dev/shm" if os.path.isdir("/dev/shm") else None)
atexit.register(shutil.rmtree, SCRATCH, ignore_errors=True)

ENVIRONMENT = {
    "OMPI_ALLOW_RUN_AS_ROOT": "1",
    "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1",
    "OMPI_MCA_rmaps_base_oversubscribe": "1",
    "OMPI_MCA_btl_vader_single_copy_mechanism": "none",
    "OMPI_MCA_btl_vader_backing_directory": SCRATCH,
    "OMPI_MCA_osc_sm_backing_directory": SCRATCH,
    "OMPI_MCA_orte_tmpdir_base": SCRATCH,
    **os.environ,
}

# Two cases, all stages long enough to be interrupted: about 3 s.
SMALL = """
run: { name = "small"; seed = 3; };
system: { kind = "coulomb-double-well"; coupling = 0.7; beta = 5.0; softening = 1e-8; };
reference: { walkers = 20; samples = 600; };
flow: { layers = 4; hidden = [16, 16]; };
training: { epochs = 24; batch = 64; };
generate: { samples = 2000; };
evaluate: { exact_subsample = 100; exact_repeats = 2; sliced_projections = 20; floor_pairs = 2;
            distance_samples = 500; average_samples = 4000; lipschitz_points = 100;
            trajectory_frames = 50; };
cases: ( { name = "a"; }, { name = "b"; system: { softening = 0.1; }; } );
"""

# One case, as little as there can be of everything: about 1 s.
TINY = """
run: { name = "tiny"; seed = 5; };
system: { kind = "coulomb-double-well"; beta = 5.0; softening = 0.1; };
reference: { walkers = 8; samples = 160; burn_in = 20; thinning = 5; };
flow: { layers = 2; hidden = [8]; };
training: { epochs = 6; batch = 32; };
generate: { samples = 150; };
evaluate: { exact_subsample = 50; exact_repeats = 2; sliced_projections = 10; floor_pairs = 0;
            average_samples = 200; lipschitz_points = 20; };
"""

Outcome = namedtuple("Outcome", "code out err text")  # text: both


def start(*arguments, ranks=None, cwd=None):
    """Start the program, alone where ranks is None."""
    command = [] if ranks is None else [MPIRUN, "-n", str(ranks)]
    command += [str(PROGRAM), *map(str, arguments)]
    return subprocess.Popen(command, cwd=cwd, env=ENVIRONMENT, stdin=subprocess.DEVNULL,
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def finish(process):
    """Wait for the end."""
    try:
        out, err = process.communicate(timeout=TIME_LIMIT_S)
    except subprocess.TimeoutExpired:
        kill_job(process)
        process.communicate()
        raise
    return Outcome(process.returncode, out, err, out + err)


def call(*arguments, ranks=None, cwd=None):
    """Start the program and wait for its end."""
    return finish(start(*arguments, ranks=ranks, cwd=cwd))


def descendants(pid):
    """Processes that this one started, and theirs, with their names."""
    children = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            number, rest = stat.read_text().split(" (", 1)
            name, fields = rest.rsplit(") ", 1)
            children.setdefault(int(fields.split()[1]), []).append((int(number), name))
    found, todo = [], [pid]
    while todo:
        own = children.get(todo.pop(), [])
        found += own
        todo += [number for number, _ in own]
    return found


def ranks_of(process):
    """The ranks that run: the process itself where it was started alone."""
    ranks = [pid for pid, name in descendants(process.pid) if name == PROGRAM.name]
    return ranks or [process.pid]


def kill_job(process):
    """SIGKILL to mpirun and all ranks; gives when they are gone."""
    pids = [process.pid] + [pid for pid, _ in descendants(process.pid)]
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    for pid in pids[1:]:
        wait_until(lambda pid=pid: not alive(pid), f"the end of process {pid}")


def alive(pid):
    """Does the process run? A zombie does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(") ", 1)[1][0] not in "ZX"
    except OSError:
        return False


def wait_until(condition, what, process=None):
    """Wait for a condition, or for the end of the process; tells whether the condition came."""
    limit = time.monotonic() + TIME_LIMIT_S
    while not condition():
        if process is not None and process.poll() is not None:
            return condition()
        if time.monotonic() > limit:
            raise TimeoutError(what)
        time.sleep(0.002)
    return True


def write(path, text):
    """A text file; gives its path."""
    path.write_text(text)
    return path


def log_of(folder):
    """What the log of a run says; empty where there is none yet."""
    try:
        return (folder / "log.txt").read_text(errors="replace")
    except OSError:
        return ""


def metrics_of(folder):
    """The metrics of results.json by case."""
    results = json.loads((folder / "results.json").read_text())
    return {case["name"]: case["metrics"] for case in results["cases"]}


def content(path):
    """Everything an HDF5 file holds but its provenance: name -> (type, shape, bytes, unit)."""
    found = {}

    def visit(name, item):
        if isinstance(item, h5py.Dataset) and not name.startswith("provenance/"):
            found[name] = (str(item.dtype), item.shape, item[()].tobytes(), item.attrs.get("unit"))
    with h5py.File(path) as file:
        file.visititems(visit)
        for name in ("fingerprint", "walkers", "dimensions", "seed"):
            if "parameters" in file:
                found[f"/parameters/{name}"] = str(file["parameters"].attrs[name])
    return found


def outcome(folder):
    """All that equal runs have bit by bit: models, samples, histories, metrics."""
    found = {}
    for path in sorted(folder.glob("*/*")):
        name = path.relative_to(folder)
        if path.suffix in (".h5", ".h5md"):
            found |= {f"{name}:{key}": value for key, value in content(path).items()}
        elif path.suffix == ".csv":
            found[str(name)] = path.read_bytes()
    for case, metrics in metrics_of(folder).items():
        found |= {f"{case}:{name}": json.dumps(value) for name, value in metrics.items()}
    return found


def differences(one, other):
    """Names of what is not the same in two outcomes."""
    return sorted(name for name in one.keys() | other.keys() if one.get(name) != other.get(name))


def snapshot(folder, leave_out=()):
    """Every file with its place on disk, time and bytes: equal where nobody touched anything."""
    found = {}
    for path in sorted(folder.rglob("*")):
        name = str(path.relative_to(folder))
        if path.is_file() and name not in leave_out:
            stat = path.stat()
            found[name] = (stat.st_ino, stat.st_mtime_ns, path.read_bytes())
    return found


def unfinished_files(folder):
    """Temporary files that nobody renamed or removed."""
    return [str(path) for path in folder.rglob("*.part")]


def truncate(path):
    """The second half of the file is lost."""
    os.truncate(path, path.stat().st_size // 2)


def empty(path):
    """Nothing of the file is left but its name."""
    os.truncate(path, 0)


def flip(path):
    """One bit is another: of a number in the last third of a text, in the middle of another file."""
    data = bytearray(path.read_bytes())
    at = len(data) // 2
    if path.suffix in (".json", ".csv"):
        digits = [i for i, byte in enumerate(data) if chr(byte) in "2345" and i > len(data) * 2 // 3]
        at = digits[len(digits) // 2]
    data[at] ^= 1
    with open(path, "r+b") as file:
        file.write(data)


DAMAGES = (flip, truncate, empty)
