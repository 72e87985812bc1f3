#!/usr/bin/env python3
"""Time of a step of alanine dipeptide beside OpenMM's, on one core, in one run; energy drift.

    dynamics_openmm.py BENCH_DYNAMICS [--repeats 5] [--molecule alanine-dipeptide] [--drift]
                       [--venv FOLDER] [--write FILE]

The programs take turns; figures are microseconds of CPU a step of one replica (of wall time for
OpenMM's CPU platform, which has threads of its own), least and median of all turns. OpenMM is
installed into a local virtual environment; where that is impossible, the own figures stand alone.
--drift adds the drift of the energy without thermostat, some minutes.
"""

import argparse
import datetime
import json
import os
import statistics
import subprocess
import sys
import time
import warnings
from pathlib import Path

from bench_results import environment_of, machine, table_of, write_section

HEADING = "## Molecular dynamics beside OpenMM"
OPENMM = "openmm==8.6.1"
TOP = Path(__file__).resolve().parents[2]


def own(program, molecule):
    lines = subprocess.run([program, molecule], check=True, capture_output=True, text=True,
                           env=dict(os.environ, BM_TOP=str(TOP))).stdout.splitlines()
    return {f"boltzmap {row['precision']}, {kind}": row[f"{kind}_us"]
            for row in map(json.loads, lines) for kind in ("constrained", "free")}


class Peer:
    """A platform of OpenMM, ready to step."""

    def __init__(self, platform, molecule, constrained):
        import openmm
        import openmm.app as app
        warnings.filterwarnings("ignore", "Non-optimal GB parameters")  # those of amber99_obc, as meant
        stem = str(TOP / "input" / molecule)
        topology = app.AmberPrmtopFile(f"{stem}.prmtop")
        system = topology.createSystem(
            nonbondedMethod=app.NoCutoff, implicitSolvent=app.OBC2, solventDielectric=78.3,
            gbsaModel="ACE", constraints=app.HBonds if constrained else None,
            removeCMMotion=False)
        self.name = f"OpenMM {platform}, {'constrained' if constrained else 'free'}"
        self.clock = time.process_time if platform == "Reference" else time.perf_counter
        self.steps = 4000 if platform == "Reference" else 400
        self.integrator = openmm.LangevinMiddleIntegrator(300.0, 91.0 if constrained else 1.0,
                                                          0.002 if constrained else 0.001)
        properties = {} if platform == "Reference" else {"Threads": "1"}
        self.context = openmm.Context(system, self.integrator,
                                      openmm.Platform.getPlatformByName(platform), properties)
        self.context.setPositions(app.AmberInpcrdFile(f"{stem}.rst7").positions)
        self.integrator.step(200)

    def time(self):
        start = self.clock()
        self.integrator.step(self.steps)
        self.context.getState(getEnergy=True)
        return {self.name: 1e6 * (self.clock() - start) / self.steps}


def peers_of(molecule):
    return [Peer(platform, molecule, constrained) for platform in ("Reference", "CPU")
            for constrained in (True, False)]


def in_environment(folder):
    """Start over with the Python that has OpenMM; whether there is one."""
    python = environment_of(folder, "OpenMM", (OPENMM,))
    if python and Path(sys.prefix) != python.parents[1]:
        os.execv(python, [python, *sys.argv])
    return python is not None


def rows_of(times):
    """Ratios are those of the same constraints."""
    peers = [name for name in times if name.startswith("OpenMM")]
    for name, values in times.items():
        cells = [name, f"{min(values):.3f}", f"{statistics.median(values):.3f}"]
        for platform in ("Reference", "CPU"):
            peer = f"OpenMM {platform}, {name.split(', ')[-1]}"
            cells.append(f"{min(times[peer]) / min(values):.1f}" if peer in peers else "missing")
        yield cells


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--molecule", default="alanine-dipeptide")
    parser.add_argument("--drift", action="store_true")
    parser.add_argument("--venv", type=Path, default=Path("build/bench-env"), help="folder of the environments")
    parser.add_argument("--write", type=Path, metavar="FILE", help="a Markdown file for the table")
    arguments = parser.parse_args()
    peers = peers_of(arguments.molecule) if in_environment(arguments.venv.resolve()) else []
    before = machine()
    times = {}
    for _ in range(arguments.repeats):
        turn = own(arguments.program, arguments.molecule)
        for peer in peers:
            turn.update(peer.time())
        for name, value in turn.items():
            times.setdefault(name, []).append(value)
    head = ["program", "least µs", "median µs", "OpenMM Reference / it", "OpenMM CPU / it"]
    text = (f"- machine: {before}\n- versions: {OPENMM.replace('==', ' ') if peers else 'OpenMM missing'}\n"
            f"- date: {datetime.date.today()}; {arguments.repeats} turns, {arguments.molecule}, one core\n\n"
            f"Microseconds a step of one replica.\n\n{table_of(head, list(rows_of(times)), 1)}\n")
    if arguments.drift:
        lines = subprocess.run([arguments.program, "--drift"], check=True, capture_output=True, text=True,
                               env=dict(os.environ, BM_TOP=str(TOP))).stdout.splitlines()
        text += "\nDrift of the energy without thermostat:\n\n" + "".join(f"- {line}\n" for line in lines)
    print(f"{HEADING}\n\n{text}")
    if arguments.write:
        write_section(arguments.write, HEADING, text)


if __name__ == "__main__":
    main()
