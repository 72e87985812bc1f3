#!/usr/bin/env python3
"""Set a run of input/alanine-dipeptide.cfg beside OpenMM's trajectories and MDAnalysis's torsions.

    boltzmap run input/alanine-dipeptide.cfg --stage sample --out RUN
    alanine_compare.py RUN/alanine-dipeptide/reference.h5md

Prints, for all frames and within the alpha and beta basins, how far the histograms of phi and psi (18 × 18
bins, those that hold more than 0.2%) lie apart from those of alanine_dynamics_openmm.json, in standard
errors with trajectories as units; with MDAnalysis (pip install MDAnalysis), the largest difference of its
phi and psi from those in the file.
"""

import json
import sys
from pathlib import Path

import h5py
import numpy as np

HERE = Path(__file__).resolve().parent
PHI, PSI = (4, 6, 8, 14), (6, 8, 14, 16)
LEAST_SHARE = 2e-3
LEAST_FRAMES = 500  # of a trajectory in a basin


def apart(name, one, two):
    """one, two: [trajectories][…] counts."""
    parts = [counts[counts.sum(axis=(1, 2)) > LEAST_FRAMES] for counts in (one, two)]
    shares = [counts / counts.sum(axis=(1, 2), keepdims=True) for counts in parts]
    means = [share.mean(axis=0) for share in shares]
    errors = [share.std(axis=0, ddof=1) / np.sqrt(len(share)) for share in shares]
    used = means[0] + means[1] > LEAST_SHARE
    away = np.abs(means[0] - means[1])[used] / np.hypot(*errors)[used]
    print(f"{name}: {used.sum()} bins, largest difference {away.max():.2f} standard errors, "
          f"root mean square {np.sqrt(np.mean(away**2)):.2f}")


def torsions(path, phi, psi):
    try:
        import MDAnalysis
        from MDAnalysis.lib.distances import calc_dihedrals
    except ImportError:
        print("MDAnalysis is not installed: its torsions are not compared")
        return
    universe = MDAnalysis.Universe(str(HERE.parents[1] / "input" / "alanine-dipeptide.pdb"), path)
    for name, own, atoms in (("phi", phi, PHI), ("psi", psi, PSI)):
        found = np.array([calc_dihedrals(*(frame.positions[i] for i in atoms))
                          for frame in universe.trajectory])
        print(f"MDAnalysis: {name} differs by at most "
              f"{np.abs(np.angle(np.exp(1j * (found - own)))).max():.1e} rad")


def main():
    path = sys.argv[1]
    golden = json.loads((HERE / "alanine_dynamics_openmm.json").read_text(encoding="utf-8"))
    openmm = np.array(golden["counts"], dtype=float)
    bins = golden["bins"]
    with h5py.File(path, "r") as file:
        phi, psi = (np.ravel(file[f"/observables/{name}/value"]) for name in ("phi", "psi"))
        walkers = int(np.ravel(file["/parameters"].attrs["walkers"])[0])
    edges = np.linspace(-np.pi, np.pi, bins + 1)
    own = np.array([np.histogram2d(a, b, bins=(edges, edges))[0]
                    for a, b in zip(np.split(phi, walkers), np.split(psi, walkers))])
    centres = np.degrees(0.5 * (edges[1:] + edges[:-1]))
    alpha = (centres > -120.0) & (centres < 50.0)
    negative = centres < 0.0
    apart("all frames", openmm, own)
    for name, inside in (("alpha", alpha), ("beta", ~alpha)):
        apart(name, openmm[:, negative][:, :, inside], own[:, negative][:, :, inside])
    torsions(path, phi, psi)


if __name__ == "__main__":
    main()
