#!/usr/bin/env python3
"""Exact W2 on one and two ranks, and what the measured parts say of many.

    transport_scaling.py BOLTZMAP [--points 30000] [--columns 60] [--repeats 3] [--latency-us 1.5]
                         [--bandwidth-GBs 12] [--write FILE]

Pricing is shared by ranks, the rest is rank 0's alone. With p ranks
    time(p) = rest + pricing(1)/p + log2(p) · (messages · latency + bytes / bandwidth),
the bytes those of the duals, thresholds and points sent out and of the pairs that come back (about
120 a point and pricing, eight pricings a level or less). Latency and bandwidth are those of the
network named; the default is HDR InfiniBand (NVIDIA's data sheets). Prints the measured ratio of
two ranks to one beside the predicted one, and the prediction to 512 ranks.
"""

import argparse
import json
import math
import os
import subprocess
import tempfile
from pathlib import Path

import numpy as np

from bench_results import write_section

BYTES, PRICINGS = 120, 8
HEADING = "## Exact W2 on many ranks"
RANKS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512)


def measure(program, folder, ranks, repeats):
    """The run of least time."""
    command = [os.environ.get("MPIRUN", "mpirun"), "-n", str(ranks), program, "distance", folder / "a.npy",
               folder / "b.npy", "--json"]
    settings = dict(os.environ, OMP_NUM_THREADS="1")
    lines = [json.loads(subprocess.run(command, check=True, capture_output=True, text=True, env=settings).stdout)
             for _ in range(repeats)]
    assert len({line["w2"] for line in lines}) == 1
    return min(lines, key=lambda line: line["seconds"])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program", type=Path)
    parser.add_argument("--points", type=int, default=30000)
    parser.add_argument("--columns", type=int, default=60)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--latency-us", type=float, default=1.5)
    parser.add_argument("--bandwidth-GBs", type=float, default=12.0)
    parser.add_argument("--write", type=Path, help="replace this section of a Markdown file")
    options = parser.parse_args()
    n, d = options.points, options.columns
    with tempfile.TemporaryDirectory() as place:
        folder, random = Path(place), np.random.default_rng(1)
        np.save(folder / "a.npy", random.standard_normal((n, d)))
        np.save(folder / "b.npy", 1.05 * random.standard_normal((n, d)) + 0.1)
        one, two = (measure(options.program.resolve(), folder, ranks, options.repeats) for ranks in (1, 2))
    assert one["w2"] == two["w2"], "the distance depends on the number of ranks"
    rest = one["seconds"] - one["seconds_pricing"]

    def predicted(ranks):
        rounds = math.log2(ranks)
        traffic = PRICINGS * (5 * options.latency_us * 1e-6 + BYTES * n / (options.bandwidth_GBs * 1e9))
        return rest + one["seconds_pricing"] / ranks + rounds * traffic

    lines = [f"n = {n}, d = {d}, one thread a rank: 1 rank {one['seconds']:.2f} s, of which pricing "
             f"{one['seconds_pricing']:.2f} s; 2 ranks {two['seconds']:.2f} s: "
             f"{one['seconds'] / two['seconds']:.2f} times as fast, predicted "
             f"{one['seconds'] / predicted(2):.2f}.", "",
             "| ranks | predicted s | times one rank | efficiency |", "|--:|--:|--:|--:|"]
    lines += [f"| {p} | {predicted(p):.3f} | {one['seconds'] / predicted(p):.1f} "
              f"| {one['seconds'] / predicted(p) / p:.0%} |" for p in RANKS]
    text = "\n".join(lines) + "\n"
    print(text)
    if options.write:
        write_section(options.write, HEADING, text)


if __name__ == "__main__":
    main()
