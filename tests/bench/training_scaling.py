#!/usr/bin/env python3
"""Training on one and two cores and on four ranks of two cores, beside what `boltzmap check --ranks` predicts.

    training_scaling.py BOLTZMAP [--flow NAME]… [--repeats 5] [--patience 120] [--tolerance 0.2]
                        [--cluster NETWORK] [--write FILE]

Strong scaling keeps the minibatch; weak scaling gives each rank a minibatch, in one shard. Measured is the
median over the epochs of a run, then the best of the repeats; predicted is the least of as many predictions,
made in turn with the runs. Runs in which other processes took more than a little of the machine are made
again, up to a limit of time; rows that had no quiet run are marked with * and are not judged. Fails where a prediction is off by
more than the tolerance, or where history and model of a strong run differ between numbers of ranks. Below,
what the model says of many ranks on a cluster.
"""

import argparse
import datetime
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "system"))
from bench_results import machine, write_section  # noqa: E402
import program  # noqa: E402 (how tests start the program and compare what it left)

HEADING = "## Training on many ranks"
RANKS = (1, 2, 4)
BATCH = 256
CLUSTER_CORES = 64
DISTURBED = 0.05  # of the machine, taken by other processes
# One walker of five is held out, so that an epoch has whole minibatches for one rank and for four.
FLOWS = {
    "d=4, 8 x [256, 256]": """
system: { kind = "coulomb-double-well"; coupling = 0.7; beta = 5.0; softening = 0.1; };
reference: { walkers = 5; samples = 5120; burn_in = 300; thinning = 5; };
flow: { layers = 8; hidden = [256, 256]; };
training: { epochs = 3; batch = 256; learning_rate = 1e-4; validation_fraction = 0.2; };
""",
    "d=66, 12 x [512, 512]": """
system: { kind = "gaussian"; dimension = 66; };
reference: { walkers = 5; samples = 1280; burn_in = 100; thinning = 5; };
flow: { layers = 12; hidden = [512, 512]; };
training: { epochs = 3; batch = 256; learning_rate = 1e-5; validation_fraction = 0.2; };
""",
}
STEP = re.compile(r"a step (\S+) ms: compute (\S+), memory (\S+), optimiser (\S+), latency (\S+),")


def weak_settings(ranks):
    return ("--set", f"training.batch={ranks * BATCH}", "--set", f"training.shards={ranks}")


def call(command):
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, env=program.ENVIRONMENT,
                          check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(map(str, command))}\n{done.stderr}")
    return done.stdout


def processor_seconds():
    """Of all processes of the machine, and of those that this one has started and seen end."""
    with open("/proc/stat", encoding="ascii") as file:
        user, nice, system, _, _, irq, softirq, steal = map(int, file.readline().split()[1:9])
    own = os.times()
    return ((user + nice + system + irq + softirq + steal) / os.sysconf("SC_CLK_TCK"),
            own.children_user + own.children_system)


def share_of_others(function):
    """Result of a function, and the share of the machine that other processes took in the meantime."""
    started, before = time.monotonic(), processor_seconds()
    result = function()
    after = processor_seconds()
    others = (after[0] - before[0]) - (after[1] - before[1])
    return result, others / (os.cpu_count() * (time.monotonic() - started))


def measured(binary, deck, ranks, out, settings):
    """Milliseconds of a step."""
    call([os.environ.get("MPIRUN", "mpirun"), "-n", ranks, binary, "run", deck, "--out", out, "--stage", "sample,train", "--force", *settings])
    timings = json.loads(next(out.glob("*/train.json")).read_text())["timings"]
    batch = BATCH * ranks if settings else BATCH
    return 1e3 * batch / timings["training_samples_per_s"]["value"]


def predicted(binary, deck, ranks, settings):
    """Milliseconds of a step, and its parts."""
    text = call([binary, "check", deck, "--ranks", ranks, *settings])
    return tuple(map(float, STEP.search(text).groups()))


def same_bits(outs):
    """Do history and model of all runs agree?"""
    folders = [next(out.glob("*/history.csv")).parent for out in outs]
    history = folders[0].joinpath("history.csv").read_bytes()
    return all(folder.joinpath("history.csv").read_bytes() == history and
               program.same_data(folders[0] / "model.h5", folder / "model.h5") for folder in folders[1:])


def quiet(function, repeats, patience):
    """The least of so many quiet runs, and whether there was one; the least of all where there was none."""
    runs, end = [], time.monotonic() + patience
    while sum(others < DISTURBED for _, others in runs) < repeats and (not runs or time.monotonic() < end):
        runs.append(share_of_others(function))
    calm = [result for result, others in runs if others < DISTURBED]
    return min(calm or [result for result, _ in runs]), bool(calm)


def scale(binary, folder, deck, weak, options):
    """{ranks: (measured, whether in quiet, predicted with its parts)}"""
    found = {}
    for ranks in RANKS:
        settings = weak_settings(ranks) if weak else ()
        out = folder / f"{'weak' if weak else 'strong'}-{ranks}"
        step, calm = quiet(lambda: measured(binary, deck, ranks, out, settings), options.repeats, options.patience)
        found[ranks] = step, calm, min(predicted(binary, deck, ranks, settings) for _ in range(options.repeats))
    return found


def rows_of(name, weak, found):
    for ranks, (step, calm, (guess, compute, memory, optimiser, _)) in found.items():
        efficiency = found[1][0] / step / (1 if weak else ranks)
        yield (f"| {name} | {'weak' if weak else 'strong'} | {ranks} | {step:.2f}{'' if calm else ' *'} | {guess:.2f} "
               f"| {guess / step - 1:+.0%} | {efficiency:.0%} | {compute:.2f} | {memory:.2f} | {optimiser:.2f} |")


def cluster_lines(binary, deck, network):
    """The table of many ranks, as Markdown."""
    text = call([binary, "check", deck, "--ranks", 1, "--network", network, "--cores-per-node", CLUSTER_CORES])
    yield "| ranks | nodes | step ms | times one rank | efficiency | step ms, a minibatch each | efficiency |"
    yield "|--:|--:|--:|--:|--:|--:|--:|"
    for line in text.splitlines():
        cells = line[1:].split() if re.match(r"#\s+\d+\s+\d+ ", line) else []
        if cells:
            ranks, nodes, step = cells[:3]
            faster, efficiency, _, grown, grown_efficiency = cells[-5:]
            yield f"| {ranks} | {nodes} | {step} | {faster} | {efficiency} | {grown} | {grown_efficiency} |"
    yield ""
    yield next(line.strip("# ") for line in text.splitlines() if "stop paying" in line) + "."


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program", type=Path)
    parser.add_argument("--flow", action="append", choices=FLOWS, help="all, where none is named")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--patience", type=float, default=120.0, metavar="S", help="seconds for the runs of a row")
    parser.add_argument("--tolerance", type=float, default=0.2)
    parser.add_argument("--cluster", default="infiniband-hdr", metavar="NETWORK")
    parser.add_argument("--write", type=Path, help="replace this section of a Markdown file")
    options = parser.parse_args()
    binary = options.program.resolve()
    lines = [f"- machine: {machine()}", f"- date: {datetime.date.today()}",
             "- again: `make bench-scaling ARGS='--write FILE'`", "",
             f"{os.cpu_count()} cores, so that 4 ranks share them; a minibatch of {BATCH} rows, in 8 shards where it is shared (strong); best of "
             f"{options.repeats}. Milliseconds of a step; the parts are of the prediction. A * marks rows without a run "
             "that other processes left alone.", "",
             "| flow | scaling | ranks | measured | predicted | off by | efficiency | compute | memory | optimiser |",
             "|---|---|--:|--:|--:|--:|--:|--:|--:|--:|"]
    failures, clusters = [], []
    with tempfile.TemporaryDirectory() as place:
        for name in options.flow or FLOWS:
            folder = Path(place) / re.sub(r"\W+", "-", name)
            folder.mkdir()
            deck = program.write_deck(folder, 'run: { name = "bench"; checkpoint_every_min = 1e3; };' + FLOWS[name])
            for weak in (False, True):
                found = scale(binary, folder, deck, weak, options)
                lines += rows_of(name, weak, found)
                failures += [f"{name}, {'weak' if weak else 'strong'}, {ranks} ranks: predicted {guess[0]:.2f} ms, "
                             f"measured {step:.2f} ms" for ranks, (step, calm, guess) in found.items()
                             if calm and abs(guess[0] / step - 1) > options.tolerance]
            if not same_bits([folder / f"strong-{ranks}" for ranks in RANKS]):
                failures.append(f"{name}: history or model depend on the number of ranks")
            clusters += ["", f"Predicted for {name} on nodes of {CLUSTER_CORES} such cores, {options.cluster}:", "",
                         *cluster_lines(binary, deck, options.cluster)]
    text = "\n".join(lines + clusters) + "\n"
    print(text)
    if options.write:
        write_section(options.write, HEADING, text)
    if failures:
        raise SystemExit("\n".join(failures))


if __name__ == "__main__":
    main()
