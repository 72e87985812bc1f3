#!/usr/bin/env python3
"""Energies and forces of OpenMM's Reference platform for the molecules in input/.

Writes force_field_NAME.npy, float64, a row a frame: positions (3N, nm), energies of bonds, angles,
torsions, non-bonded pairs, solvation (kJ/mol), forces (3N, kJ/mol/nm). Frames: 120 of dynamics at
300 K, 40 stretched (dynamics at 1500 K, then random displacements), 40 with two atoms brought to
0.03…0.15 nm of each other. Needs OpenMM (pip install openmm).
"""

from pathlib import Path

import numpy as np
import openmm
import openmm.app as app
import openmm.unit as unit

HERE = Path(__file__).resolve().parent
INPUT = HERE.parents[1] / "input"
TERMS = ("HarmonicBondForce", "HarmonicAngleForce", "PeriodicTorsionForce", "NonbondedForce",
         "GBSAOBCForce")
DIELECTRIC = 78.3


def system_of(name):
    """The system, each force in a group of its own, and starting positions in nm."""
    topology = app.AmberPrmtopFile(str(INPUT / f"{name}.prmtop"))
    system = topology.createSystem(nonbondedMethod=app.NoCutoff, implicitSolvent=app.OBC2,
                                   solventDielectric=DIELECTRIC, gbsaModel="ACE",
                                   constraints=None, removeCMMotion=False)
    for group, force in enumerate(system.getForces()):
        force.setForceGroup(group)
    coordinates = app.AmberInpcrdFile(str(INPUT / f"{name}.rst7"))
    return system, coordinates.positions.value_in_unit(unit.nanometer)


def dynamics(system, start, temperature, count, seed):
    integrator = openmm.LangevinMiddleIntegrator(temperature, 1.0, 0.001)
    integrator.setRandomNumberSeed(seed)
    context = openmm.Context(system, integrator, openmm.Platform.getPlatformByName("Reference"))
    context.setPositions(start)
    frames = []
    for _ in range(count):
        integrator.step(200)
        positions = context.getState(getPositions=True).getPositions(asNumpy=True)
        positions = positions.value_in_unit(unit.nanometer)
        frames.append(positions - positions.mean(axis=0))
    return frames


def collide(frame, random):
    """One atom moved along the line to another, not bonded to it, to a short distance."""
    frame = frame.copy()
    distances = np.linalg.norm(frame[:, None] - frame[None], axis=2)
    first, second = random.choice(np.argwhere(distances > 0.3))
    line = frame[second] - frame[first]
    frame[second] = frame[first] + line / np.linalg.norm(line) * random.uniform(0.03, 0.15)
    return frame


def frames_of(system, start):
    random = np.random.default_rng(1)
    warm = dynamics(system, start, 300.0, 160, 1)
    hot = dynamics(system, start, 1500.0, 40, 2)
    frames = warm[:120]
    frames += [frame + random.normal(0.0, 0.01, frame.shape) for frame in hot]
    frames += [collide(frame, random) for frame in warm[120:]]
    return [np.float32(frame).astype(float) for frame in frames]


def row_of(context, groups, frame):
    context.setPositions(frame)
    energies = [context.getState(getEnergy=True, groups=1 << group).getPotentialEnergy()
                .value_in_unit(unit.kilojoule_per_mole) for group in groups]
    forces = context.getState(getForces=True).getForces(asNumpy=True)
    forces = forces.value_in_unit(unit.kilojoule_per_mole / unit.nanometer)
    return np.concatenate([frame.ravel(), energies, forces.ravel()])


def main():
    for name in ("alanine-dipeptide", "alanine-tripeptide"):
        system, start = system_of(name)
        names = [force.getName() for force in system.getForces()]
        groups = [names.index(term) for term in TERMS]
        context = openmm.Context(system, openmm.VerletIntegrator(0.001),
                                 openmm.Platform.getPlatformByName("Reference"))
        rows = np.array([row_of(context, groups, frame) for frame in frames_of(system, start)])
        path = HERE / f"force_field_{name.replace('-', '_')}.npy"
        np.save(path, rows)
        print(path, rows.shape)


if __name__ == "__main__":
    main()
