#!/usr/bin/env python3
"""Make alanine-dipeptide.{prmtop,rst7,pdb}, or a longer alanine peptide, from OpenMM's force field.

    make-alanine-dipeptide.py [--alanines N] [--name NAME] [--folder FOLDER]

Heavy atoms are placed from ideal geometry, hydrogens are added, and the energy is minimised with
AMBER99SB-ILDN in the GB-OBC2 solvent of amber99_obc.xml. The .prmtop carries its solvation radii and
scale factors. Needs OpenMM and ParmEd (pip install openmm parmed); boltzmap itself does not.
"""

import argparse
import math
import random
from pathlib import Path

import numpy as np
import openmm
import openmm.app as app
import openmm.unit as unit
import parmed

# Ideal geometry: bond lengths in nm, angles and torsions in degrees (extended peptide).
BOND = {("CH3", "C"): 0.1522, ("C", "O"): 0.1229, ("C", "N"): 0.1335, ("N", "CA"): 0.1449,
        ("CA", "CB"): 0.1526, ("CA", "C"): 0.1522, ("N", "CN"): 0.1449}
PHI, PSI = -85.0, 80.0


def place(a, b, c, length, angle, torsion):
    """The point at a length from c, at an angle to c-b and a torsion around b-c from a."""
    angle, torsion = math.radians(angle), math.radians(torsion)
    axis = (c - b) / np.linalg.norm(c - b)
    normal = np.cross(b - a, axis)
    normal /= np.linalg.norm(normal)
    return c + length * (-math.cos(angle) * axis
                         + math.sin(angle) * math.cos(torsion) * np.cross(normal, axis)
                         + math.sin(angle) * math.sin(torsion) * normal)


def heavy_atoms(alanines):
    """(residue name, [(atom name, element, position)]) of ACE-ALA…-NME."""
    methyl, carbon = np.zeros(3), np.array([BOND["CH3", "C"], 0.0, 0.0])
    oxygen = carbon + BOND["C", "O"] * np.array([math.cos(math.radians(60)),
                                                 math.sin(math.radians(60)), 0.0])
    residues = [("ACE", [("CH3", "C", methyl), ("C", "C", carbon), ("O", "O", oxygen)])]
    before, last = methyl, carbon
    psi = 180.0
    for _ in range(alanines):
        nitrogen = place(residues[-1][1][-1][2] if len(residues) == 1 else residues[-1][1][0][2],
                         before, last, BOND["C", "N"], 116.6, psi)
        if len(residues) == 1:
            nitrogen = place(oxygen, methyl, carbon, BOND["C", "N"], 116.6, 180.0)
        alpha = place(before, last, nitrogen, BOND["N", "CA"], 121.9, 180.0)
        carbonyl = place(last, nitrogen, alpha, BOND["CA", "C"], 110.1, PHI)
        beta = place(last, nitrogen, alpha, BOND["CA", "CB"], 109.7, PHI - 122.0)
        oxygen = place(nitrogen, alpha, carbonyl, BOND["C", "O"], 120.4, PSI + 180.0)
        residues.append(("ALA", [("N", "N", nitrogen), ("CA", "C", alpha), ("CB", "C", beta),
                                 ("C", "C", carbonyl), ("O", "O", oxygen)]))
        before, last, psi = alpha, carbonyl, PSI
    nitrogen = place(residues[-1][1][0][2], before, last, BOND["C", "N"], 116.6, PSI)
    residues.append(("NME", [("N", "N", nitrogen),
                             ("C", "C", place(before, last, nitrogen, BOND["N", "CN"], 121.9,
                                              180.0))]))
    return residues


def peptide(alanines):
    """OpenMM topology and positions (nm) of the heavy atoms."""
    topology = app.Topology()
    chain = topology.addChain()
    positions = []
    for name, atoms in heavy_atoms(alanines):
        residue = topology.addResidue(name, chain)
        for atom, element, position in atoms:
            topology.addAtom(atom, app.Element.getBySymbol(element), residue)
            positions.append(openmm.Vec3(*position))
    topology.createStandardBonds()
    return topology, positions * unit.nanometer


def minimise(topology, positions, system):
    context = openmm.Context(system, openmm.VerletIntegrator(0.001),
                             openmm.Platform.getPlatformByName("Reference"))
    context.setPositions(positions)
    openmm.LocalEnergyMinimizer.minimize(context, 0.01)
    positions = context.getState(getPositions=True).getPositions(asNumpy=True)
    return positions - positions.mean(axis=0)


def write(alanines, stem):
    random.seed(1)
    field = app.ForceField("amber99sbildn.xml", "amber99_obc.xml")
    platform = openmm.Platform.getPlatformByName("Reference")
    modeller = app.Modeller(*peptide(alanines))
    modeller.addHydrogens(field, platform=platform)
    system = field.createSystem(modeller.topology, nonbondedMethod=app.NoCutoff)
    positions = minimise(modeller.topology, modeller.positions, system)
    structure = parmed.openmm.load_topology(modeller.topology, system, xyz=positions)
    solvent = next(f for f in system.getForces() if isinstance(f, openmm.GBSAOBCForce))
    for index, atom in enumerate(structure.atoms):
        _, radius, scale = solvent.getParticleParameters(index)
        atom.solvent_radius = radius.value_in_unit(unit.angstrom)
        atom.screen = scale
    structure.save(f"{stem}.prmtop", format="amber", overwrite=True)
    structure.save(f"{stem}.rst7", format="rst7", overwrite=True)
    structure.save(f"{stem}.pdb", format="pdb", overwrite=True)
    print(f"{stem}: {len(structure.atoms)} atoms")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--alanines", type=int, default=1, metavar="N")
    parser.add_argument("--name", default="alanine-dipeptide")
    parser.add_argument("--folder", type=Path, default=Path(__file__).resolve().parent)
    arguments = parser.parse_args()
    write(arguments.alanines, str(arguments.folder / arguments.name))


if __name__ == "__main__":
    main()
