"""What the report needs of a molecule's AMBER prmtop: names, bonds, angles, and which pairs count as
non-bonded."""

import re
from collections import deque
from dataclasses import dataclass
from pathlib import Path
from typing import List, Optional

import numpy as np

INPUT = Path(__file__).resolve().parent.parent / "input"
FORMAT = re.compile(r"%FORMAT\(\d+([aAIE])(\d+)")
PER_INDEX = 3  # prmtop counts coordinates where it means atoms
BEYOND = 2  # bonds; the deck's default


@dataclass(frozen=True)
class Topology:
    """bonds [b][2], angles [a][3] with the middle atom in the middle: numbers of atoms, from 0. atoms: names,
    with the number of the residue where another atom has the same."""

    atoms: List[str]
    residues: List[str]
    bonds: np.ndarray
    angles: np.ndarray

    def name(self, indices):
        return "–".join(self.atoms[i] for i in indices)

    def pairs_beyond(self, bonds):
        """[p][2], those more than so many bonds apart."""
        count = len(self.atoms)
        near = np.zeros((count, count), dtype=bool)
        neighbours = [[] for _ in range(count)]
        for i, j in self.bonds.tolist():
            neighbours[i].append(j)
            neighbours[j].append(i)
        for first in range(count):
            reached, edge = {first: 0}, deque([first])
            while edge:
                atom = edge.popleft()
                for other in neighbours[atom] if reached[atom] < bonds else ():
                    if other not in reached:
                        reached[other] = reached[atom] + 1
                        edge.append(other)
            near[first, list(reached)] = True
        return np.argwhere(np.triu(~near, 1))


def topology_of(case) -> Optional[Topology]:
    """Of the file that the deck names, or where that has gone one of the same name that the program comes
    with. None where there is none that can be read."""
    named = Path(str(case.system.get("topology", "")))
    for path in (named, case.folder.parent / named.name, INPUT / named.name):
        try:
            return read(path)
        except (OSError, KeyError, ValueError):
            continue
    return None


def pairs_of(case, topology):
    """The non-bonded pairs of a case."""
    return topology.pairs_beyond(int(case.system.get("nonbonded_beyond_bonds") or BEYOND))


def read(path) -> Topology:
    """OSError, KeyError and ValueError for what is no prmtop."""
    sections = sections_of(path.read_text(encoding="utf-8", errors="replace"))
    return Topology(names_of(sections), sections["RESIDUE_LABEL"], terms(sections, "BONDS", 2),
                    terms(sections, "ANGLES", 3))


def names_of(sections):
    names, first = sections["ATOM_NAME"], np.array(sections["RESIDUE_POINTER"]) - 1
    residue = np.searchsorted(first, np.arange(len(names)), side="right")
    return [name if names.count(name) == 1 else f"{name}:{number}" for name, number in zip(names, residue)]


def terms(sections, name, atoms):
    """Both lists of a kind; each entry is its atoms and a type."""
    both = [np.array(sections[f"{name}_{ending}"], dtype=int).reshape(-1, atoms + 1)
            for ending in ("INC_HYDROGEN", "WITHOUT_HYDROGEN")]
    return np.concatenate(both)[:, :atoms] // PER_INDEX


def sections_of(text):
    """Those of words and whole numbers, by their flag."""
    found = {}
    for part in text.split("%FLAG")[1:]:
        head, _, body = part.partition("\n")
        lines = [line for line in body.split("\n") if not line.startswith("%COMMENT")]
        form = FORMAT.match(lines[0])
        if form is None or form.group(1) == "E":
            continue
        width = int(form.group(2))
        cells = [line[i:i + width].strip() for line in lines[1:] for i in range(0, len(line), width)]
        found[head.strip()] = ([cell for cell in cells if cell] if form.group(1) in "aA" else
                               [int(cell) for cell in cells if cell])
    return found
