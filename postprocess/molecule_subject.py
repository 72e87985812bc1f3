"""A case of a molecule's flow with what is worked out from its frames."""

from dataclasses import dataclass, field
from typing import Dict, List, Optional

import h5py
import numpy as np

import molecule_conformations as shapes
import molecule_topology
from run_folder import RunError

REFERENCE, GENERATED = shapes.REFERENCE, shapes.GENERATED
ANGULAR = ("dihedrals", "torus")  # flow.coordinates of flows in backbone angles
BACKBONES = 4  # residues whose angles are drawn


@dataclass
class Subject:
    """angles: {set: [residues][2][n]}, φ and ψ in degrees. energy: {set: [n]}, kJ/mol. What a set does not
    have, its dictionary does not have."""

    case: object
    label: str
    loss: str
    angular: bool
    topology: Optional[molecule_topology.Topology] = None
    sets: Dict[str, shapes.Conformations] = field(default_factory=dict)
    points: Dict[str, np.ndarray] = field(default_factory=dict)
    angles: Dict[str, np.ndarray] = field(default_factory=dict)
    energy: Dict[str, np.ndarray] = field(default_factory=dict)
    residues: List[str] = field(default_factory=list)

    @property
    def generated(self):
        """Has it samples to look at?"""
        return self.case.has(GENERATED)


def subjects_of(run, labels) -> List[Subject]:
    """What cases share, their reference, is looked at once."""
    known = {}
    return [subject_of(case, label, known) for case, label in zip(run.cases, labels)]


def subject_of(case, label, known):
    angular = is_angular(case)
    subject = Subject(case, label, str(case.setting("training.loss") or "nll"), angular,
                      molecule_topology.topology_of(case))
    for name, file in (("reference", REFERENCE), ("generated", GENERATED)):
        if not case.has(file):
            continue
        residues, angles = backbone(case, file)
        if angles is not None:
            subject.residues, subject.angles[name] = residues, angles
        if angular:
            continue
        energy = observable(case, file, "energy")
        if energy is not None:
            subject.energy[name] = energy
        key = (fingerprint(case, file), file, case.system.get("nonbonded_beyond_bonds"))
        if key not in known or key[0] is None:
            known[key] = shapes.conformations(case, file, subject.topology)
        if known[key] is not None:
            subject.sets[name] = known[key]
    if not angular:
        project(subject, known)
    return subject


def is_angular(case):
    return case.setting("flow.coordinates") in ANGULAR


def project(subject, known):
    """Onto the principal components of the reference, which cases with the same map's structure share."""
    case, frame = subject.case, shapes.frame_of(subject.case)
    if frame is None or not case.has(REFERENCE) or not case.has(GENERATED):
        return
    key = ("projection", fingerprint(case, REFERENCE), frame.tobytes())
    if key not in known or key[1] is None:
        known[key] = shapes.Projection(case)
    subject.points = {"reference": known[key].reference, "generated": known[key].of(case, GENERATED)}


def fingerprint(case, file):
    """Of the stage and settings that made a file, or None."""
    try:
        with h5py.File(case.folder / file, "r") as opened:
            found = opened["parameters"].attrs.get("fingerprint") if "parameters" in opened else None
    except OSError:
        return None
    return None if found is None else str(found)


def references(cases, labels):
    """The cases that have a reference of their own, [(case, label)]; 'reference' where all have the same."""
    found, seen = [], set()
    for case, label in zip(cases, labels):
        mark = fingerprint(case, REFERENCE) if case.has(REFERENCE) else None
        if mark is None or mark not in seen:
            found.append((case, label))
        seen.add(mark)
    return [(found[0][0], "reference")] if len(found) == 1 < len(cases) else found


def observable(case, file, name):
    try:
        return case.frames(file, (name,)).observables[name]
    except RunError:
        return None


def backbone(case, file):
    """Names of residues, and φ and ψ of each in degrees: [residues][2][n]; None where there are none."""
    names = [name for name in observables_of(case, file) if name == "phi" or name.startswith("phi_")]
    rows, found = [], []
    for name in names[:BACKBONES]:
        pair = [observable(case, file, angle) for angle in (name, name.replace("phi", "psi", 1))]
        if all(angle is not None for angle in pair):
            found.append(name.removeprefix("phi").removeprefix("_"))
            rows.append(np.degrees(pair))
    return found, np.array(rows) if rows else None


def observables_of(case, file):
    try:
        with h5py.File(case.folder / file, "r") as opened:
            return sorted(opened["observables"]) if "observables" in opened else []
    except OSError as error:
        reason = str(error).splitlines()[0]
        raise RunError(f"{case.folder / file}: cannot be read ({reason})") from None
