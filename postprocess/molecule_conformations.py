"""Conformations of a molecule, worked out from the positions of its frames and from nothing that the program
measured: shortest non-bonded distances, the paper's Lennard-Jones energy, bonds, angles, principal
components."""

from dataclasses import dataclass
from typing import Dict, Optional

import h5py
import numpy as np

import molecule_topology
from run_folder import RunError

SIGMA, EPSILON = 0.17, 1.0  # nm, kJ/mol: of the paper's section 6.3
MOST_VALUES = 2e7  # distances of pairs that are looked at, over all frames of a set
CHUNK = 2000  # frames
REFERENCE, GENERATED = "reference.h5md", "generated.h5md"


@dataclass(frozen=True)
class Conformations:
    """One set. shortest (nm), lennard_jones (kJ/mol): [n]; bonds (nm) [n][b], angles (degrees) [n][a];
    whole: every frame was looked at, and not only some of them."""

    shortest: np.ndarray
    lennard_jones: np.ndarray
    bonds: np.ndarray
    angles: np.ndarray
    whole: bool


def conformations(case, name, topology) -> Optional[Conformations]:
    """None where there is no such file, or where it is not of this molecule."""
    x = positions(case, name)
    if x is None or topology is None or x.shape[1] != len(topology.atoms):
        return None
    pairs = molecule_topology.pairs_of(case, topology)
    stride = max(1, int(np.ceil(len(x) * (len(pairs) + len(topology.angles)) / MOST_VALUES)))
    parts = [measure(x[first:first + CHUNK * stride:stride].astype(float), topology, pairs)
             for first in range(0, len(x), CHUNK * stride)]
    return Conformations(*(np.concatenate(column) for column in zip(*parts)), stride == 1)


def positions(case, name):
    """[n][atoms][3], nm; None where there is no such file."""
    return case.frames(name).positions if case.has(name) else None


def measure(x, topology, pairs):
    shortest, energy = np.full(len(x), np.nan), np.zeros(len(x))
    if len(pairs):
        r = lengths(x, pairs)
        shortest = r.min(axis=1)
        with np.errstate(divide="ignore"):
            sixth = (SIGMA / r) ** 6
        energy = 4.0 * EPSILON * np.sum(sixth * (sixth - 1.0), axis=1)
    return shortest, energy, lengths(x, topology.bonds), np.degrees(angles(x, topology.angles))


def lengths(x, pairs):
    return np.linalg.norm(x[:, pairs[:, 0]] - x[:, pairs[:, 1]], axis=2)


def angles(x, triples):
    one, other = (x[:, triples[:, end]] - x[:, triples[:, 1]] for end in (0, 2))
    return np.arctan2(np.linalg.norm(np.cross(one, other), axis=2), np.sum(one * other, axis=2))


class Projection:
    """Two principal components of the reference, its aligned coordinates scaled to unit variance."""

    def __init__(self, case):
        x = self.aligned(case, REFERENCE)
        self.mean, self.scale = x.mean(axis=0), x.std(axis=0)
        self.scale[self.scale == 0.0] = 1.0
        scaled = (x - self.mean) / self.scale
        _, vectors = np.linalg.eigh(scaled.T @ scaled / len(x))
        directions = vectors[:, :-3:-1]
        largest = np.abs(directions).argmax(axis=0)
        self.directions = directions * np.sign(directions[largest, range(2)])
        self.reference = scaled @ self.directions

    @staticmethod
    def aligned(case, name):
        """Generated samples lie in the frame of the map's structure already: [n][3·atoms]."""
        x = positions(case, name).astype(float)
        if name == REFERENCE:
            x = align(x, frame_of(case))
        return x.reshape(len(x), -1)

    def of(self, case, name):
        """[n][2]"""
        return (self.aligned(case, name) - self.mean) / self.scale @ self.directions


def frame_of(case):
    """The structure that the case's map aligns onto, [atoms][3]; None where it has none."""
    if not case.has("model.h5"):
        return None
    try:
        with h5py.File(case.folder / "model.h5", "r") as file:
            if "chart/reference" not in file:
                return None
            return file["chart/reference"][...].reshape(-1, 3)
    except OSError as error:
        reason = str(error).splitlines()[0]
        raise RunError(f"{case.folder / 'model.h5'}: cannot be read ({reason})") from None


def align(x, onto):
    """Moved and turned onto a structure with the least sum of squared distances, by proper rotations (Kabsch,
    Acta Cryst. A 32, 922 (1976))."""
    x = x - x.mean(axis=1, keepdims=True)
    onto = onto - onto.mean(axis=0)
    u, _, v = np.linalg.svd(np.einsum("nai,aj->nij", x, onto))
    u[:, :, 2] *= np.sign(np.linalg.det(u) * np.linalg.det(v))[:, None]
    return x @ (u @ v)


def recomputed(case, sets: Dict[str, Optional[Conformations]]):
    """[(what, from the frames, from results.json)] of what both have; sets: by "reference", "generated"."""
    rows = []
    for name, found in sets.items():
        if found is None or not found.whole or np.isnan(found.shortest[0]):
            continue
        for what, metric, value in ((f"mean LJ energy, {name}", f"lj_mean_{name}", found.lennard_jones.mean()),
                                    (f"min r, {name}", f"min_r_nonbonded_{name}", found.shortest.min())):
            own = case.metric(metric)
            if own is not None:
                rows.append((what, float(value), own))
    return rows
