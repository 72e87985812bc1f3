"""Molecules that a periodic box has cut, in one piece again."""

from collections import deque

import numpy as np

SAFE = 0.5  # of a box: what is smaller cannot be cut by it, for then it would reach across


class CutError(Exception):
    """Cannot be made whole; says why."""


class Molecules:
    """What is bonded to what among atoms of MDAnalysis."""

    def __init__(self, atoms):
        pairs = bonded_pairs(atoms)
        self.has_bonds = len(pairs) > 0
        self.count, self.levels = bond_levels(len(atoms), pairs)

    def whole(self, x, box):
        """Positions [atoms][3] with every molecule in one piece, and whether that moved any. box: [3][3], its
        edges as rows. Bonds say which image of an atom is the one of its molecule; between molecules nothing
        does."""
        along = x @ np.linalg.inv(box)
        if is_safe(along):
            return x, False
        if not self.has_bonds:
            raise CutError("the periodic box may have cut the molecule, and no bonds between its atoms are known: "
                           "bring a topology that has them (prmtop, TPR, PSF), or trajectories of whole molecules "
                           "(gmx trjconv -pbc whole, cpptraj autoimage)")
        images = self.images(along)
        if self.count > 1 and not is_safe(along + images):
            raise CutError(f"{self.count} molecules without a bond between them, and nothing says which of their "
                           "periodic images belong together: pick one with --select, or bring them together first "
                           "(gmx trjconv -pbc cluster, cpptraj autoimage)")
        return x + images @ box, bool(images.any())

    def images(self, along):
        """By how many boxes, [atoms][3], atoms must be moved for all bonds to be shorter than half a box."""
        moved = along.copy()
        for inner, outer in self.levels:
            moved[outer] -= np.round(moved[outer] - moved[inner])
        return np.round(moved - along)


def is_safe(along):
    """Do all atoms lie so near each other, [atoms][3] in edges of the box, that it has cut nothing?"""
    return np.ptp(along, axis=0).max() < SAFE


def bonded_pairs(atoms):
    """[bonds][2], counted among these atoms."""
    if not hasattr(atoms, "bonds") or len(atoms.bonds) == 0:
        return np.empty((0, 2), dtype=int)
    place = np.full(len(atoms.universe.atoms), -1)
    place[atoms.indices] = np.arange(len(atoms))
    pairs = place[atoms.bonds.indices]
    return pairs[(pairs >= 0).all(axis=1)]


def bond_levels(count, pairs):
    """The number of molecules, and the bonds of a tree through each of them: for every number of bonds from
    its first atom, arrays (inner, outer) of atoms."""
    neighbours = [[] for _ in range(count)]
    for one, other in pairs.tolist():
        neighbours[one].append(other)
        neighbours[other].append(one)
    depth, tree = np.full(count, -1), []
    for first in range(count):
        edge = deque([first] if depth[first] < 0 else [])
        depth[first] = max(depth[first], 0)
        while edge:
            inner = edge.popleft()
            for outer in neighbours[inner]:
                if depth[outer] < 0:
                    depth[outer] = depth[inner] + 1
                    tree.append((inner, outer))
                    edge.append(outer)
    tree = np.array(tree, dtype=int).reshape(-1, 2)
    levels = [tuple(tree[depth[tree[:, 1]] == level].T) for level in range(1, depth.max() + 1)]
    return int((depth == 0).sum()), levels
