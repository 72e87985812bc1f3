#!/usr/bin/env python3
"""Averages of alanine dipeptide from OpenMM with the settings of input/alanine-dipeptide.cfg.

    alanine_dynamics_openmm.py [--walkers 6] [--frames 9999]

Six Langevin-middle trajectories of 10 ns on the Reference platform (2 fs, hydrogen bonds constrained,
91/ps, 300 K, 100 ps of burn-in, a frame each picosecond). Writes alanine_dynamics_openmm.json beside
this file, for each basin (alpha: phi <= 0 and psi within -120...50 degrees; beta: other phi <= 0; positive:
phi > 0) and each block of 1 ns of each trajectory, the number of frames and the means of each family of
terms and of the kinetic temperature, since six trajectories do not settle the populations; and the
counts of phi and psi in bins of 20 degrees of each trajectory. Takes about a quarter of an hour on two
cores. Needs OpenMM (pip install openmm).
"""

import argparse
import json
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import openmm
import openmm.app as app
import openmm.unit as unit

HERE = Path(__file__).resolve().parent
STEM = HERE.parents[1] / "input" / "alanine-dipeptide"
TERMS = ("HarmonicBondForce", "HarmonicAngleForce", "PeriodicTorsionForce", "NonbondedForce",
         "GBSAOBCForce")
NAMES = ("bond", "angle", "torsion", "nonbonded", "solvation", "temperature_K")
BASINS = ("alpha", "beta", "positive")
PHI, PSI = (4, 6, 8, 14), (6, 8, 14, 16)
BURN_IN, STRIDE, BLOCKS, BINS = 50000, 500, 10, 18


def dihedral(x, atoms):
    a, b, c, d = (x[i] for i in atoms)
    first, axis, last = a - b, c - b, d - c
    normal, other = np.cross(-first, axis), np.cross(axis, last)
    return np.arctan2(np.dot(np.cross(normal, other), axis) / np.linalg.norm(axis),
                      np.dot(normal, other))


def walk(job):
    """Rows of NAMES of one trajectory, and phi, psi."""
    seed, frames = job
    topology = app.AmberPrmtopFile(f"{STEM}.prmtop")
    system = topology.createSystem(nonbondedMethod=app.NoCutoff, implicitSolvent=app.OBC2,
                                   solventDielectric=78.3, gbsaModel="ACE",
                                   constraints=app.HBonds, removeCMMotion=False)
    groups = {}
    for group, force in enumerate(system.getForces()):
        force.setForceGroup(group)
        groups[force.getName()] = 1 << group
    integrator = openmm.LangevinMiddleIntegrator(300.0, 91.0, 0.002)
    integrator.setRandomNumberSeed(seed)
    context = openmm.Context(system, integrator, openmm.Platform.getPlatformByName("Reference"))
    context.setPositions(app.AmberInpcrdFile(f"{STEM}.rst7").positions)
    context.applyConstraints(1e-8)
    context.setVelocitiesToTemperature(300.0, seed)
    freedoms = 3 * system.getNumParticles() - system.getNumConstraints()
    integrator.step(BURN_IN)
    rows = np.empty((frames, len(NAMES)))
    angles = np.empty((frames, 2))
    for row, angle in zip(rows, angles):
        integrator.step(STRIDE)
        context.applyVelocityConstraints(1e-8)
        energies = [context.getState(getEnergy=True, groups=groups[term]).getPotentialEnergy()
                    .value_in_unit(unit.kilojoule_per_mole) for term in TERMS]
        state = context.getState(getPositions=True, getVelocities=True)
        x = state.getPositions(asNumpy=True).value_in_unit(unit.nanometer)
        v = state.getVelocities(asNumpy=True).value_in_unit(unit.nanometer / unit.picosecond)
        masses = [system.getParticleMass(i).value_in_unit(unit.dalton) for i in range(len(x))]
        kinetic = 0.5 * np.sum(np.array(masses)[:, None] * v**2)
        angle[:] = dihedral(x, PHI), dihedral(x, PSI)
        row[:] = *energies, 2.0 * kinetic / (freedoms * 8.31446261815324e-3)
    return rows, angles


def basins_of(angles):
    phi, psi = angles[:, 0], np.degrees(angles[:, 1])
    alpha = (phi <= 0.0) & (psi > -120.0) & (psi < 50.0)
    return dict(zip(BASINS, (alpha, (phi <= 0.0) & ~alpha, phi > 0.0)))


def block(rows, angles):
    return {name: dict(frames=int(inside.sum()),
                       means=rows[inside].mean(axis=0).round(6).tolist() if inside.any() else None)
            for name, inside in basins_of(angles).items()}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--walkers", type=int, default=6)
    parser.add_argument("--frames", type=int, default=9999)
    arguments = parser.parse_args()
    with ProcessPoolExecutor(2) as pool:
        runs = list(pool.map(walk, [(seed + 1, arguments.frames)
                                    for seed in range(arguments.walkers)]))
    blocks = [[block(*parts) for parts in zip(np.array_split(rows, BLOCKS),
                                              np.array_split(angles, BLOCKS))]
              for rows, angles in runs]
    edges = np.linspace(-np.pi, np.pi, BINS + 1)
    counts = [np.histogram2d(*angles.T, bins=(edges, edges))[0].astype(int).tolist()
              for _, angles in runs]
    result = dict(openmm=openmm.version.version, frames=arguments.frames, names=NAMES,
                  blocks=blocks, bins=BINS, counts=counts)
    (HERE / "alanine_dynamics_openmm.json").write_text(json.dumps(result) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
