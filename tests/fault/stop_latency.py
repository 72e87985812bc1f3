#!/usr/bin/env python3
"""How long does a run take from a request to stop to its exit?

    stop_latency.py PROGRAM DECK --out DIR [--ranks 2] [--every 15] [--seed 1] [--set PATH=VALUE …]

The deck is run to its end through requests at random moments, so many seconds apart at most; the longest wait of
each stage is printed. By hand, on decks at full size: with a small training.epochs the other stages are what
they are.
"""

import argparse
import random
import re
import signal
import subprocess
import sys
import time
from collections import defaultdict
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "system"))
import program  # noqa: E402 (of the system tests)

STOPPED = 75
PROGRESS = re.compile(r"  ([a-z][\w ]*): \d")
STAGES = {"reference samples": "sample", "training": "train", "generated samples": "generate",
          "evaluation": "evaluate"}


def stage_of(log):
    """The stage that a log's last heading names, and what it showed last."""
    stage = shown = "start"
    for line in log.splitlines():
        title = line.rsplit(": ", 1)[-1]
        if title in STAGES:
            stage = shown = STAGES[title]
        elif PROGRESS.match(line):
            shown = f"{stage}, {PROGRESS.match(line)[1]}"
    return stage, shown


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("program", type=Path)
    parser.add_argument("deck", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--ranks", type=int, default=2)
    parser.add_argument("--every", type=float, default=15.0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--set", action="append", default=[], dest="values")
    asked = parser.parse_args()
    choose = random.Random(asked.seed)
    command = [program.MPIRUN, "-n", str(asked.ranks), str(asked.program), "run", str(asked.deck), "--out",
               str(asked.out), *(word for value in asked.values for word in ("--set", value))]
    waits = defaultdict(list)
    code = STOPPED
    while code == STOPPED:
        run = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                               env=program.ENVIRONMENT)
        try:
            run.wait(1.0 + asked.every * choose.random())
        except subprocess.TimeoutExpired:
            pass
        asked_at = time.monotonic()
        if run.poll() is None:
            run.send_signal(signal.SIGUSR1)
        said = run.communicate()[0]
        code = run.returncode
        if code == STOPPED:
            stage, shown = stage_of(said)
            waits[stage].append((time.monotonic() - asked_at, shown))
            print(f"{waits[stage][-1][0]:6.2f} s in {shown}", flush=True)
        elif code != 0:
            sys.exit(f"exit code {code}\n{said}")
    for stage, found in waits.items():
        longest = max(found)
        print(f"{stage}: {len(found)} stops, longest {longest[0]:.2f} s ({longest[1]})")


if __name__ == "__main__":
    main()
