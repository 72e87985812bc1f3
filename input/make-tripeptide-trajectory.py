#!/usr/bin/env python3
"""Make alanine-tripeptide-trajectory/walker-*.xtc: molecular dynamics by OpenMM, as a user might bring it.

    make-tripeptide-trajectory.py [--walkers N] [--frames N] [--folder FOLDER]

Independent runs at 300 K from the structure of alanine-tripeptide.rst7 with its force field (AMBER99SB-ILDN
in GB-OBC2), on the Reference platform, whose results a seed decides: Langevin-middle dynamics, 1 fs, friction
5/ps, no constraints, the first 100 ps left out, one frame in 5 ps. Takes about nine minutes. Needs OpenMM and
MDAnalysis (pip install openmm MDAnalysis); boltzmap itself does not.
"""

import argparse
import warnings
from pathlib import Path

import MDAnalysis
import numpy as np
import openmm
import openmm.app as app
import openmm.unit as unit
from MDAnalysis.coordinates.XTC import XTCWriter

FOLDER = Path(__file__).resolve().parent
TOPOLOGY = FOLDER / "alanine-tripeptide.prmtop"
START = FOLDER / "alanine-tripeptide.rst7"
TEMPERATURE = 300.0 * unit.kelvin
FRICTION = 5.0 / unit.picosecond
TIMESTEP = 1.0 * unit.femtosecond
EQUILIBRATION_STEPS, FRAME_STEPS, FRAME_PS = 100_000, 5_000, 5.0
DIGITS = 4  # of a nanometre; the usual three would add some 2% to the energy of each bond


def system_of(prmtop):
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Non-optimal GB parameters")  # OpenMM's own radii
        return prmtop.createSystem(implicitSolvent=app.OBC2, solventDielectric=78.3, gbsaModel="ACE",
                                   constraints=None, rigidWater=False, removeCMMotion=False)


def simulation_of(seed):
    prmtop = app.AmberPrmtopFile(str(TOPOLOGY))
    integrator = openmm.LangevinMiddleIntegrator(TEMPERATURE, FRICTION, TIMESTEP)
    integrator.setRandomNumberSeed(seed)
    simulation = app.Simulation(prmtop.topology, system_of(prmtop), integrator,
                                openmm.Platform.getPlatformByName("Reference"))
    simulation.context.setPositions(app.AmberInpcrdFile(str(START)).positions)
    simulation.context.setVelocitiesToTemperature(TEMPERATURE, seed)
    return simulation


def positions_angstrom(simulation):
    state = simulation.context.getState(getPositions=True)
    return np.asarray(state.getPositions(asNumpy=True).value_in_unit(unit.angstrom), dtype=np.float32)


def write_walker(path, seed, frames):
    simulation = simulation_of(seed)
    simulation.step(EQUILIBRATION_STEPS)
    molecule = MDAnalysis.Universe.empty(simulation.system.getNumParticles(), trajectory=True)
    with XTCWriter(str(path), molecule.atoms.n_atoms, precision=DIGITS) as writer:
        for frame in range(frames):
            simulation.step(FRAME_STEPS)
            molecule.atoms.positions = positions_angstrom(simulation)
            molecule.trajectory.ts.frame, molecule.trajectory.ts.time = frame, frame * FRAME_PS
            writer.write(molecule)
    print(f"{path}: {frames} frames, {path.stat().st_size / 1e3:.0f} kB")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--walkers", type=int, default=8, metavar="N")
    parser.add_argument("--frames", type=int, default=240, metavar="N")
    parser.add_argument("--folder", type=Path, default=FOLDER / "alanine-tripeptide-trajectory")
    arguments = parser.parse_args()
    arguments.folder.mkdir(exist_ok=True)
    for walker in range(1, arguments.walkers + 1):
        write_walker(arguments.folder / f"walker-{walker}.xtc", walker, arguments.frames)


if __name__ == "__main__":
    main()
