#!/usr/bin/env python3
"""Exact W2 beside POT, SciPy and lapx: whole processes, start-up included, on the same files.

    transport_peers.py BOLTZMAP [--quick | --points N…] [--repeats 3] [--peer-repeats 1]
                       [--limit 400] [--peers REGEX] [--venv FOLDER] [--write FILE]

The programs take turns, each with all cores. Least and median are seconds of wall time, CPU the
least; the ratio is a peer's least over ours, that of the fastest exact peer in bold. A peer that
needs longer than the limit is stopped and not asked again for that case. Peers need 1 to 5 GB at
10,000 points. Two local virtual environments, in bench-env beside the program unless --venv says otherwise, hold
two versions of POT, one before and one after its network simplex gave up OpenMP, and lapx; where
they cannot be made, SciPy stands alone. Fails where an exact peer's W2 differs from ours by more
than 1e-9.
"""

import argparse
import datetime
import json
import os
import platform
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

from bench_results import CORES, environment_of, machine, table_of, write_section

TOLERANCE = 1e-9  # relative, of W2
HEADING = "## Exact W2 beside POT, SciPy and lapx"

# --- cases ----------------------------------------------------------------------------------------

CASES = (("iid", 4), ("iid", 60), ("clusters", 4), ("clusters", 60), ("jitter", 60))

# Made by a process of its own: a child's peak memory counts from its parent's, which stays small
# for want of numpy.
MAKE_CASE = """
import sys
import numpy as np
kind, n, d, folder = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
rng = np.random.default_rng(1)
def clusters(shares):
    '''Four of unequal counts, 5 sigma apart.'''
    label = rng.permutation(np.repeat(np.arange(4), np.rint(n * np.array(shares)).astype(int)))
    return 5 / np.sqrt(2) * np.eye(4, d)[label] + rng.normal(size=(n, d))
if kind == "iid":
    a, b = rng.normal(size=(n, d)), 1.05 * rng.normal(size=(n, d)) + 0.1
elif kind == "clusters":
    a, b = clusters([0.4, 0.3, 0.2, 0.1]), clusters([0.1, 0.3, 0.4, 0.2])
else:
    a = rng.normal(size=(n, d))
    b = rng.permutation(a) + 0.1 * rng.normal(size=(n, d))
np.save(folder + "/a.npy", a)
np.save(folder + "/b.npy", b)
"""

# --- programs -------------------------------------------------------------------------------------

ENVIRONMENTS = {"POT 0.9.5": ("POT==0.9.5",), "POT 0.9.7": ("POT==0.9.7", "lapx==0.11.1")}

LOAD = """
import sys
import numpy
from scipy.spatial.distance import cdist
a, b = map(numpy.load, sys.argv[1:])
cost = cdist(a, b, "sqeuclidean")
"""
EMD = "import ot\nw2 = ot.emd([], [], cost, numItermax=10**9, log=True{})[1]['cost'] ** 0.5"
EMD2 = "import ot\nw2 = ot.emd2([], [], cost, numItermax=10**9) ** 0.5"
SCIPY = "from scipy.optimize import linear_sum_assignment\n" \
        "w2 = cost[linear_sum_assignment(cost)].mean() ** 0.5"
LAP = "import lap\nw2 = (lap.{}(cost{})[0] / len(a)) ** 0.5"
PRINT = "\nprint(repr(float(w2)))"

WITHOUT_BACKENDS = {f"POT_BACKEND_DISABLE_{name}": "1"
                    for name in ("PYTORCH", "JAX", "TENSORFLOW", "CUPY")}

PEERS = (  # name, environment, code, whether it claims to be exact
    ("POT 0.9.5 emd", "POT 0.9.5", EMD.format(""), True),
    (f"POT 0.9.5 emd, {len(CORES)} threads", "POT 0.9.5", EMD.format(", numThreads='max'"), True),
    ("POT 0.9.7 emd", "POT 0.9.7", EMD.format(""), True),
    ("POT 0.9.7 emd2", "POT 0.9.7", EMD2, True),
    ("SciPy linear_sum_assignment", None, SCIPY, True),
    ("lapx lapjvx", "POT 0.9.7", LAP.format("lapjvx", ""), True),
    ("lapx lapjvs", "POT 0.9.7", LAP.format("lapjvs", ", prefer_float32=False"), True),
    ("lapx lapjvs, float32", "POT 0.9.7", LAP.format("lapjvs", ""), False),
)


@dataclass
class Program:
    """A program and what is known of it in one case."""
    name: str
    command: list
    exact: bool = True
    w2: float = None
    wall: list = field(default_factory=list)
    cpu: list = field(default_factory=list)
    peak_mb: float = 0.0
    stopped: bool = False

    def run(self, files, limit):
        if self.stopped:
            return
        environment = dict(os.environ, OMP_NUM_THREADS=str(len(CORES)), **WITHOUT_BACKENDS)
        start = time.perf_counter()
        with subprocess.Popen(self.command[:-1] + files + self.command[-1], env=environment,
                              stdout=subprocess.PIPE, text=True) as process:
            timer = threading.Timer(limit, os.kill, (process.pid, signal.SIGKILL))
            timer.start()
            output = process.stdout.read()
            _, status, usage = os.wait4(process.pid, 0)
            seconds = time.perf_counter() - start
            timer.cancel()
            process.returncode = os.waitstatus_to_exitcode(status)
        self.peak_mb = max(self.peak_mb, usage.ru_maxrss / 1024)
        self.stopped = seconds >= limit
        if self.stopped:
            return
        if process.returncode != 0:
            raise SystemExit(f"{self.name} failed with {process.returncode}")
        self.w2 = json.loads(output)["w2"] if output.startswith("{") else float(output)
        self.wall.append(seconds)
        self.cpu.append(usage.ru_utime + usage.ru_stime)


# --- table ----------------------------------------------------------------------------------------

def rows_of(label, ours, peers):
    exact = [peer for peer in peers if peer.wall and peer.exact]
    fastest = min(exact, key=lambda peer: min(peer.wall), default=None)
    for program in (ours, *peers):
        cells = [label, program.name]
        if program.wall:
            ratio = f"{min(program.wall) / min(ours.wall):.2f}"
            cells += [f"{len(program.wall)}", f"{min(program.wall):.2f}",
                      f"{statistics.median(program.wall):.2f}", f"{min(program.cpu):.2f}"]
            cells += [f"{program.peak_mb:.0f}", f"{abs(program.w2 / ours.w2 - 1):.0e}",
                      f"**{ratio}**" if program is fastest else ratio]
        else:
            cells += ["-", "> limit", "-", "-", f"{program.peak_mb:.0f}", "-", "-"]
        if program is ours:
            cells[-2:] = [f"W2 = {ours.w2:.10f}", ""]
        yield cells


HEAD = ["n, d, case", "program", "runs", "least s", "median s", "CPU s", "peak MB", "W2 off by",
        "peer / ours"]


def versions(program):
    own = subprocess.run([program, "--version"], check=True, capture_output=True, text=True)
    code = "import numpy, scipy; print(f'NumPy {numpy.__version__}, SciPy {scipy.__version__}')"
    theirs = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True,
                            text=True)
    packages = sorted({package.replace("==", " ") for some in ENVIRONMENTS.values()
                       for package in some})
    return ", ".join([own.stdout.splitlines()[0], *packages, theirs.stdout.strip(),
                      f"Python {platform.python_version()}"])


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("program", type=Path)
    parser.add_argument("--quick", action="store_true", help="2,000 and 5,000 points, limit 60 s")
    parser.add_argument("--points", type=int, nargs="+", default=[10000])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--peer-repeats", type=int, default=1)
    parser.add_argument("--limit", type=float, help="seconds a peer may take (400)")
    parser.add_argument("--peers", metavar="REGEX", default="", help="those whose names match")
    parser.add_argument("--venv", type=Path, help="folder of the virtual environments")
    parser.add_argument("--write", type=Path, metavar="FILE", help="a markdown file for the table")
    arguments = parser.parse_args()
    program = arguments.program.resolve()
    limit = arguments.limit or (60.0 if arguments.quick else 400.0)

    pythons = {name: environment_of((arguments.venv or program.parent / "bench-env").resolve(), name,
                                    packages) for name, packages in ENVIRONMENTS.items()}
    pythons[None] = sys.executable
    peers = [peer for peer in PEERS if pythons[peer[1]] and
             re.search(arguments.peers, peer[0])]
    facts = (f"- machine: {machine()}\n- versions: {versions(program)}\n"
             f"- date: {datetime.date.today()}; limit of a peer {limit:g} s\n"
             + (f"- only peers that match `{arguments.peers}`\n" if arguments.peers else ""))
    rows, wrong = [], []
    for n in [2000, 5000] if arguments.quick else arguments.points:
        for kind, d in CASES:
            with tempfile.TemporaryDirectory() as folder:
                subprocess.run([sys.executable, "-c", MAKE_CASE, kind, str(n), str(d), folder],
                               check=True)
                files = [f"{folder}/a.npy", f"{folder}/b.npy"]
                ours = Program("boltzmap distance", [program, "distance", ["--json"]])
                others = [Program(name, [pythons[where], "-c", LOAD + code + PRINT, []], exact)
                          for name, where, code, exact in peers]
                turns = [((i + 0.5) / arguments.repeats, ours) for i in range(arguments.repeats)]
                count = arguments.peer_repeats * len(others)
                turns += [((i + 0.5) / count, others[i % len(others)]) for i in range(count)]
                label = f"{n}, {d}, {kind}"
                for _, one in sorted(turns, key=lambda turn: turn[0]):
                    one.run(files, limit if one is not ours else 3600.0)
                    took = "stopped" if one.stopped else f"{one.wall[-1]:.2f} s"
                    print(f"{label}: {one.name} {took}", file=sys.stderr)
            rows += rows_of(label, ours, others)
            wrong += [f"{label}: {peer.name} has {peer.w2!r}, we have {ours.w2!r}"
                      for peer in others if peer.exact and peer.w2 is not None and
                      abs(peer.w2 - ours.w2) > TOLERANCE * ours.w2]
    text = f"{facts}\n{table_of(HEAD, rows)}\n"
    print(f"{HEADING}\n\n{text}")
    if arguments.write:
        write_section(arguments.write, HEADING, text)
    if wrong:
        raise SystemExit("\n".join(wrong))


if __name__ == "__main__":
    main()
