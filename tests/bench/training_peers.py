#!/usr/bin/env python3
"""Training and generation beside JAX and PyTorch: the same work, in turns, in one run.

    training_peers.py BENCH_TRAINING [--quick] [--case NAME[:BATCH]…] [--cores N…] [--seconds 1]
                      [--repeats 3] [--venv FOLDER] [--resume FILE] [--write FILE]

Peers: JAX, installed into a local virtual environment, jitted with donated buffers, the better of a
call a step and of a scan over many; PyTorch, the best of eager, traced and (from 2.0) compiled, of
the first python3 that has it (Debian: python3-torch); each clock takes its best way. All have the
same networks, float32, minibatches gathered in a new random order each epoch, clipping by the global
norm, and Adam. N cores are N ranks of ours and N threads of a peer on the same processors. Losses
and gradients of all have to agree, for the same parameters and rows, before anything is measured.

--resume keeps measured cases in a file and takes from it those of the same revision and settings.
--write puts the tables into a Markdown file, and a plot beside it. Nine minutes or so in full.
"""

import argparse
import datetime
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from bench_results import CORES, environment_of, machine, table_of, write_section

FOLDER = Path(__file__).resolve().parent
FLOWS = ("dihedral: d = 2, 6 coupling layers, hidden [64]; two-particle: d = 4, 8 of [256, 256]; alanine: d = 66, 12 of "
         "[512, 512]")
HEADING = "## Training and generation beside JAX and PyTorch"
TOLERANCE = 1e-4  # relative, of losses and norms of gradients in float32
SAME = ("loss", "gradient_norm", "generated_loss", "generated_gradient_norm")
OURS = "boltzmap"
JAX = "jax==0.10.2"

CASES = ("dihedral:512", "two-particle:256", "two-particle:1024", "alanine:256", "alanine:1024")
QUICK = ("dihedral:512", "two-particle:256", "alanine:256")
TITLES = {
    "training": "Training: gather, gradient of the NLL, clipping, Adam",
    "penalty": "Gradient of the NLL and of a loss on as many generated rows",
    "generation": "Generation: push-forward and log density",
}

# --- programs -------------------------------------------------------------------------------------


def settings_of(cores):
    """Threads that wait sleep: PyTorch's OpenMP beside OpenBLAS's threads is up to ten times slower on two
    cores where they spin."""
    eigen = "true" if cores > 1 else "false"
    return {"env": dict(os.environ, JAX_PLATFORMS="cpu", OMP_NUM_THREADS=str(cores),
                        OMP_WAIT_POLICY="PASSIVE", OPENBLAS_NUM_THREADS=str(cores),
                        XLA_FLAGS=f"--xla_cpu_multi_thread_eigen={eigen} "
                                  f"intra_op_parallelism_threads={cores}"),
            "preexec_fn": lambda: os.sched_setaffinity(0, CORES[:cores])}


class Ours:
    """A process for each measurement."""

    def __init__(self, program, case, cores):
        name, batch = case.split(":")
        self.command = [os.environ.get("MPIRUN", "mpirun"), "-n", str(cores), program, "--case", name,
                        "--batch", batch]
        self.settings = settings_of(cores)
        self.rates, self.flop = {}, {}

    def ask(self, *arguments):
        return json.loads(subprocess.run([*self.command, *arguments], check=True,
                                         stdout=subprocess.PIPE, **self.settings).stdout)

    def measure(self, what, seconds):
        answer = self.ask("--what", what, "--seconds", str(seconds))
        for name, rate in answer["rates_gflops"].items():
            self.rates[name] = max(rate, self.rates.get(name, 0.0))
        for kind in {what, "nll"} & set(answer):
            self.flop[kind] = answer[kind]["flop_per_sample"]
            yield kind, OURS, {clock: answer[kind][clock]["all"] for clock in ("wall_s", "processor_s")}


class Peer:
    """A process that waits for the next measurement. `ways`: how it can train."""

    def __init__(self, name, command, ways, cores):
        self.name, self.ways = name, ways
        self.process = subprocess.Popen(command, text=True, stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, **settings_of(cores))

    def ask(self, *words):
        print(*words, file=self.process.stdin, flush=True)
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit(f"{self.name} ended with {self.process.wait()}")
        return json.loads(line)

    def check(self, ours):
        """Its version, after a look at whether it computes what we do."""
        answer = self.ask("check")
        for key in SAME:
            if abs(answer[key] - ours[key]) > TOLERANCE * abs(ours[key]):
                raise SystemExit(f"{self.name} has {key} {answer[key]!r}, we have {ours[key]!r}")
        self.ways = [way for way in self.ways if "training" + way in answer["can"]]
        return answer["version"]

    def measure(self, what, seconds):
        if what == "training":
            for way in self.ways:
                yield what, self.name + way.replace("-", ", "), self.ask(what + way, seconds)
        else:
            for kind in ("nll", what) if what == "penalty" else (what,):
                yield kind, self.name, self.ask(kind, seconds)

    def end(self):
        self.process.stdin.close()
        self.process.wait()


def python_with_torch():
    for python in dict.fromkeys((sys.executable, shutil.which("python3"), "/usr/bin/python3")):
        if python and subprocess.run([python, "-c", "import torch"], check=False,
                                     stderr=subprocess.DEVNULL).returncode == 0:
            return python
    print("PyTorch is missing: apt-get install python3-torch", file=sys.stderr)
    return None


PEERS = {  # name: its program, ways to train
    "JAX": ("training_jax.py", ("", "-scan")),
    "PyTorch": ("training_torch.py", ("", "-traced", "-compiled")),
}

# --- measurement ----------------------------------------------------------------------------------


def measure(program, pythons, case, cores, arguments):
    """All programs in turn: {"times": {what: {program: {clock: seconds a step}}}, "versions", …}."""
    ours, times = Ours(program, case, cores), {}
    with tempfile.TemporaryDirectory() as folder:
        check = Ours(program, case, 1).ask("--what", "check", "--folder", folder)
        (Path(folder) / "case.json").write_text(json.dumps(check))
        peers = [Peer(name, [pythons[name], FOLDER / code, folder, str(cores)], ways, cores)
                 for name, (code, ways) in PEERS.items() if pythons[name]]
        versions = {peer.name: peer.check(check) for peer in peers}
        for turn in range(arguments.repeats):
            for what in TITLES:
                for one in (ours, *peers):
                    for kind, name, answer in one.measure(what, arguments.seconds):
                        of = times.setdefault(kind, {}).setdefault(name, {})
                        for clock, seconds in answer.items():
                            of.setdefault(clock, []).extend(seconds)
                        print(f"{case}, {cores} cores, turn {turn + 1}: {kind}, {name} "
                              f"{1000 * min(answer['wall_s']):.3f} ms", file=sys.stderr)
        for peer in peers:
            peer.end()
    return {"times": times, "versions": versions, "rates": ours.rates, "flop": ours.flop}


def measured(program, pythons, arguments):
    """Results by (case, cores), as far as possible from the file to resume from."""
    store, results = arguments.resume, {}
    kept = json.loads(store.read_text()) if store and store.exists() else {}
    settings = [own_version(), arguments.seconds, arguments.repeats, sorted(filter(pythons.get, pythons))]
    for case in arguments.case:
        for cores in arguments.cores:
            key = f"{case}, {cores}"
            if kept.get(key, {}).get("settings") != settings:
                kept[key] = dict(measure(program, pythons, case, cores, arguments), settings=settings)
                if store:
                    store.parent.mkdir(parents=True, exist_ok=True)
                    store.write_text(json.dumps(kept))
            results[case, cores] = kept[key]
    return results


def own_version():
    """Version of the sources, as git has it."""
    answer = subprocess.run(["git", "-C", FOLDER, "describe", "--always", "--dirty=+", "--abbrev=12"],
                            check=False, capture_output=True, text=True)
    return answer.stdout.strip() or "unknown"


# --- tables and plot ------------------------------------------------------------------------------

HEAD = ["flow:batch, cores", "program", "least ms", "median ms", "samples/s", "per CPU s", "GFLOP/s",
        "of FMA", "of sgemm", "time / ours", "CPU / ours"]


def head_of(what):
    return HEAD + ["CPU / NLL alone"] if what == "penalty" else HEAD


def least(times, name, clock):
    """Of all ways of a program; None where it was not measured."""
    return min((min(seconds[clock]) for way, seconds in times.items() if way.split(",")[0] == name), default=None)


def median(times, name):
    """Of the way that is quickest by it."""
    return min(statistics.median(seconds["wall_s"]) for way, seconds in times.items() if way.split(",")[0] == name)


def digits(value):
    """Four of them."""
    return f"{value:.4g}" if value < 1000 else f"{float(f'{value:.4g}'):,.0f}"


def rows_of(what, results):
    for (case, cores), result in results.items():
        times, batch = result["times"][what], int(case.split(":")[1])
        for name in (OURS, *PEERS):
            wall, processor = least(times, name, "wall_s"), least(times, name, "processor_s")
            if wall is None:
                yield [f"{case}, {cores}", name, "missing"] + ["-"] * (len(head_of(what)) - 3)
                continue
            gflops = 1e-9 * batch * result["flop"][what] / processor
            cells = [f"{case}, {cores}", name, digits(1000 * wall), digits(1000 * median(times, name)),
                     digits(batch / wall), digits(batch / processor), digits(gflops),
                     f"{gflops / result['rates']['peak']:.2f}", f"{gflops / result['rates']['sgemm_rows']:.2f}",
                     f"{wall / least(times, OURS, 'wall_s'):.2f}",
                     f"{processor / least(times, OURS, 'processor_s'):.2f}"]
            if what == "penalty":
                cells.append(f"{processor / least(result['times']['nll'], name, 'processor_s'):.2f}")
            yield cells


def rate_rows(results):
    for (case, cores), result in results.items():
        yield [f"{case}, {cores}"] + [digits(result["rates"][name])
                                      for name in ("peak", "sgemm", "sgemm_rows", "sgemm_shard")]


def answer_of(results):
    """How many times as long the faster peer takes, by medians; least and most over the cases."""
    parts = []
    for what, name in (("training", "Training"), ("generation", "Generation")):
        factors = []
        for result in results.values():
            times = result["times"][what]
            peers = [median(times, peer) for peer in PEERS if least(times, peer, "wall_s") is not None]
            factors += [min(peers) / median(times, OURS)] if peers else []
        if factors:
            parts.append(f"{name} is {min(factors):.2f} to {max(factors):.2f} times as fast as the faster peer")
    return "; ".join(parts) + " (medians by the clock, over all rows of the tables)."


def text_of(results, machine_before, arguments):
    versions = {name: version for result in results.values() for name, version in result["versions"].items()}
    names = [f"{name} {versions.get(name, 'missing')}" for name in PEERS]
    parts = [f"- machine: {machine_before}, {os.getloadavg()[0]:.1f} after\n"
             f"- versions: boltzmap {own_version()}, {', '.join(names)}\n"
             f"- date: {datetime.date.today()}; {arguments.repeats} turns of {arguments.seconds:g} s\n"
             "- again: `make bench-training ARGS='--write FILE'`\n\n"
             f"{answer_of(results)}\n\n"
             f"Flows (batch behind the colon): {FLOWS}. A step is a minibatch on all cores; least and median of blocks "
             "of steps, of the way a peer is quickest in (JAX: a call a step or a scan over many; PyTorch: eager or "
             "traced). CPU seconds are those of all cores together; GFLOP/s, of dense products alone, are of a core "
             "and its CPU time. *of FMA* and *of sgemm*: GFLOP/s over the rate of multiply-adds in registers, and over "
             "that of OpenBLAS on the training products of a rank's rows (beyond 1 where these are small), both below. "
             "*time / ours* and *CPU / ours*: a peer's least over ours, above 1 where boltzmap is faster. All programs "
             "have the same loss and gradients for the same parameters and rows."]
    for what, title in TITLES.items():
        parts.append(f"### {title}\n\n{table_of(head_of(what), list(rows_of(what, results)))}")
    head = ["flow:batch, cores", "FMA peak", "sgemm 1024³", "sgemm, a rank's rows", "sgemm, a shard"]
    parts.append("### Rates of a core in these runs, GFLOP/s\n\n" + table_of(head, list(rate_rows(results)), 1))
    if arguments.write:
        parts.append("![Samples a second of boltzmap, JAX and PyTorch](training.png)")
    return "\n\n".join(parts) + "\n"


def draw(folder, results):
    """Samples a second by the clock, best blocks."""
    sys.path.insert(0, str(FOLDER.parents[1] / "postprocess"))
    import figure_style
    from matplotlib import pyplot as plt
    figure_style.apply_style()
    cores = sorted({cores for _, cores in results})
    figure, panels = plt.subplots(2, len(cores), figsize=(6.4 * len(cores), 8.4), squeeze=False, sharey="row")
    looks = ((figure_style.BLUE, "o"), (figure_style.ORANGE, "s"), (figure_style.GREEN, "^"))
    for row, what in zip(panels, ("training", "generation")):
        for axes, count in zip(row, cores):
            some = {case: result for (case, n), result in results.items() if n == count}
            for i, (name, (colour, marker)) in enumerate(zip((OURS, *PEERS), looks)):
                points = [(k + 0.2 * (i - 1), int(case.split(":")[1]) / seconds) for k, (case, seconds) in
                          enumerate((case, least(result["times"][what], name, "wall_s"))
                                    for case, result in some.items()) if seconds]
                if points:
                    axes.plot(*zip(*points), marker, color=colour, markersize=10, label=name)
            axes.set_yscale("log")
            axes.set_title(f"{what}, {count} core{'s' * (count > 1)}")
            figure_style.case_ticks(axes, [case.replace(":", "\n") for case in some])
            axes.tick_params(axis="x", labelsize=10.5)
    for row in panels:
        row[0].set_ylabel("samples per second")
    panels[0][0].legend(loc="upper right")
    figure.savefig(folder / "training.png", metadata={"Software": None})


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program", type=Path)
    parser.add_argument("--quick", action="store_true", help="three cases, one turn of half a second")
    parser.add_argument("--case", nargs="+", metavar="NAME[:BATCH]", help=", ".join(CASES))
    parser.add_argument("--cores", nargs="+", type=int, default=[n for n in (1, 2) if n <= len(CORES)])
    parser.add_argument("--seconds", type=float, help="of a measurement (1)")
    parser.add_argument("--repeats", type=int, help="turns (3)")
    parser.add_argument("--venv", type=Path, default=Path("build/bench-env"), help="folder of the environments")
    parser.add_argument("--resume", type=Path, metavar="FILE", help="results of cases that are done")
    parser.add_argument("--write", type=Path, metavar="FILE", help="a Markdown file for the tables")
    arguments = parser.parse_args()
    arguments.seconds = arguments.seconds or (0.5 if arguments.quick else 1.0)
    arguments.repeats = arguments.repeats or (1 if arguments.quick else 3)
    arguments.case = [case for case in (QUICK if arguments.quick else CASES) if not arguments.case or
                      any(case == one or case.split(":")[0] == one for one in arguments.case)]
    if not arguments.case:
        parser.error(f"no such case; there are {', '.join(CASES)}")
    if max(arguments.cores) > len(CORES):
        parser.error(f"there are {len(CORES)} cores")
    before = machine()
    pythons = {"JAX": environment_of(arguments.venv.resolve(), "JAX", (JAX,)), "PyTorch": python_with_torch()}
    results = measured(arguments.program.resolve(), pythons, arguments)
    text = text_of(results, before, arguments)
    print(f"{HEADING}\n\n{text}")
    if arguments.write:
        write_section(arguments.write, HEADING, text)
        draw(arguments.write.resolve().parent, results)


if __name__ == "__main__":
    main()
