#!/usr/bin/env python3
"""Time of a step of alanine dipeptide beside OpenMM's, on one core, in one run.

    dynamics_openmm.py BENCH_DYNAMICS [--repeats 5] [--molecule alanine-dipeptide]

The programs take turns; each figure is the least of all turns, in microseconds of CPU a step of one
replica (of wall time for OpenMM's CPU platform, which has threads of its own). Needs OpenMM
(pip install openmm) for the comparison; without it the own figures stand alone.
"""

import argparse
import json
import os
import subprocess
import time
from pathlib import Path

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
    try:
        return [Peer(platform, molecule, constrained) for platform in ("Reference", "CPU")
                for constrained in (True, False)]
    except ImportError:
        print("OpenMM is not installed (pip install openmm): no comparison")
        return []


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("program")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--molecule", default="alanine-dipeptide")
    arguments = parser.parse_args()
    peers = peers_of(arguments.molecule)
    least = {}
    for _ in range(arguments.repeats):
        times = own(arguments.program, arguments.molecule)
        for peer in peers:
            times.update(peer.time())
        for name, value in times.items():
            least[name] = min(value, least.get(name, value))
    print(f"{arguments.molecule}: microseconds a step of one replica, one core, "
          f"least of {arguments.repeats} turns")
    for name, value in least.items():
        ratio = ""
        reference = least.get(f"OpenMM Reference, {name.split(', ')[1]}")
        if name.startswith("boltzmap") and reference:
            ratio = f"   {reference / value:5.1f} x OpenMM Reference"
        print(f"  {name:32s} {value:8.3f}{ratio}")


if __name__ == "__main__":
    main()
