"""Reading what a run leaves: results.json, the deck as used, sample sets (H5MD) and histories.

Everything that is missing or damaged ends in a RunError of one line that names it.
"""

import csv
import json
import math
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Dict, List, Optional

import h5py
import numpy as np

from deck_echo import DeckSettings
from quantity import Quantity

FINISHED = "evaluate.json"  # what the last stage of a case leaves
HISTORY = "history.csv"
HISTORY_COLUMNS = ("epoch", "nll_train", "nll_validation", "learning_rate", "gradient_norm")
HISTORY_TERMS = ("term_train", "term_validation")  # of losses that have one; older runs lack the columns


class RunError(Exception):
    """A run folder that no report can be made of; the text is one line for the user."""


@dataclass
class Frames:
    """A sample set: positions [n][particles][3], its observables [n] and its walkers."""

    positions: np.ndarray
    time: np.ndarray
    observables: Dict[str, np.ndarray]
    walkers: Optional[int]


@dataclass
class Case:
    """One case of a run with its numbers; sample sets and the history are read when asked for."""

    name: str
    folder: Path
    system: dict
    metrics: Dict[str, Quantity]
    timings: Dict[str, Quantity] = field(default_factory=dict)
    deck: DeckSettings = field(default_factory=lambda: DeckSettings(""))

    def setting(self, path):
        """A setting of the deck as it holds for this case, or None where the deck does not say."""
        return self.deck.get(self.name, path)

    @property
    def from_file(self) -> bool:
        """Are the reference samples the user's own?"""
        return self.setting("reference.sampler") == "file"

    def metric(self, name) -> Optional[Quantity]:
        """The metric, or None where the run did not measure it."""
        return self.metrics.get(name)

    def value(self, name) -> Optional[float]:
        """The metric's number alone, or None."""
        metric = self.metric(name)
        return None if metric is None else metric.value

    def size(self, name) -> Optional[int]:
        """From how many items the metric was taken, or None."""
        metric = self.metric(name)
        return None if metric is None else metric.n

    def timing(self, name) -> Optional[Quantity]:
        return self.timings.get(name)

    def has(self, name) -> bool:
        return (self.folder / name).is_file()

    def frames(self, name, observables=()) -> Frames:
        return read_frames(self.folder / name, observables)

    def history(self) -> Optional[Dict[str, np.ndarray]]:
        """Columns by name, or None where nothing was trained."""
        return read_history(self.folder / HISTORY) if self.has(HISTORY) else None


@dataclass
class Run:
    """unfinished: names of cases that have not been evaluated to the end and are not among `cases`,
    unless none has been."""

    folder: Path
    name: str
    provenance: Dict[str, str]
    overrides: List[str]
    deck_text: str
    cases: List[Case]
    unfinished: List[str] = field(default_factory=list)

    @property
    def target(self) -> dict:
        """The deck's own system, which importance weights aim at."""
        system = self.cases[0].deck.base.get("system")
        return system if isinstance(system, dict) else self.cases[0].system

    def require(self, *names):
        """Refuse a run whose cases lack any of these files, all of them named at once."""
        missing = [f"{case.name}/{name}" for case in self.cases for name in names
                   if not case.has(name)]
        if missing:
            raise RunError(f"{self.folder}: missing {', '.join(missing)}")


def load_run(folder) -> Run:
    folder = Path(folder)
    if not folder.is_dir():
        raise RunError(f"{folder}: no such folder")
    missing = [name for name in ("results.json", "deck.cfg") if not (folder / name).is_file()]
    if missing:
        raise RunError(f"{folder}: missing {', '.join(missing)}: no case is finished yet, or no run was made here")
    path = folder / "results.json"
    document = read_json(path)
    deck_text = (folder / "deck.cfg").read_text(encoding="utf-8", errors="replace")
    try:
        cases = [read_case(folder, entry, DeckSettings(deck_text)) for entry in document["cases"]]
    except KeyError as error:
        raise RunError(f"{path}: missing key {error}") from None
    except (TypeError, ValueError, AttributeError) as error:
        raise RunError(f"{path}: not the results of a run ({error})") from None
    if not cases:
        raise RunError(f"{path}: has no cases")
    finished = [case for case in cases if case.has(FINISHED)]
    return Run(folder=folder, name=folder.resolve().name, cases=finished or cases,
               unfinished=[case.name for case in cases if not case.has(FINISHED)],
               provenance=provenance(document),
               overrides=[str(line) for line in document.get("overrides") or []],
               deck_text=deck_text)


def provenance(document) -> Dict[str, str]:
    """What the program says of itself and of the machine: everything but cases, overrides and the seal."""
    found = {}
    for key, value in document.items():
        if key not in ("cases", "overrides", "seal"):
            inner = value.items() if isinstance(value, dict) else [("", value)]
            found.update({f"{key} {name}".strip().replace("_", " "): str(text)
                          for name, text in inner if text is not None})
    return found


def write_whole(path, text):
    """A whole file or none: under a temporary name first, then renamed."""
    temporary = path.with_name(f".{path.name}.tmp")
    temporary.unlink(missing_ok=True)  # what lies there may be a link to elsewhere
    temporary.write_text(text, encoding="utf-8")
    os.replace(temporary, path)


def read_json(path):
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise RunError(f"{path}: cannot be read ({error})") from None


def read_case(folder, entry, deck) -> Case:
    name = str(entry["name"])
    return Case(name=name, folder=folder / name, system=dict(entry["system"]),
                metrics=read_quantities(entry["metrics"]),
                timings=read_quantities(entry.get("timings") or {}), deck=deck)


def read_quantities(table) -> Dict[str, Quantity]:
    """Named numbers; those whose value is null were not measured and are left out."""
    quantities = {}
    for name, entry in table.items():
        value = finite(entry["value"])
        if value is not None:
            n = finite(entry.get("n"))
            quantities[name] = Quantity(value, finite(entry.get("error")),
                                        str(entry.get("unit") or "1"),
                                        None if n is None else int(n), finite(entry.get("spread")))
    return quantities


def finite(value) -> Optional[float]:
    return float(value) if value is not None and math.isfinite(float(value)) else None


def read_frames(path, observables=()) -> Frames:
    try:
        with h5py.File(path, "r") as file:
            position = file["/particles/all/position"]
            positions = position["value"][...]
            time = position["time"][...]
            values = {name: np.ravel(file[f"/observables/{name}/value"][...])
                      for name in observables}
            walkers = file["/parameters"].attrs.get("walkers") if "/parameters" in file else None
    except (OSError, KeyError) as error:
        reason = str(error).strip("'\"").splitlines()[0]
        raise RunError(f"{path}: cannot be read ({reason})") from None
    if positions.ndim != 3 or len(positions) == 0:
        raise RunError(f"{path}: positions have shape {positions.shape}, not frames × particles × 3")
    check_values(path, "position", positions, len(positions))
    for name, column in values.items():
        check_values(path, name, column, len(positions))
    return Frames(positions, np.ravel(time), values,
                  None if walkers is None else int(np.ravel(walkers)[0]))


def check_values(path, name, values, rows):
    if len(values) != rows:
        raise RunError(f"{path}: {name} has {len(values)} rows, the positions have {rows}")
    if np.any(np.isnan(values)):
        raise RunError(f"{path}: {name} holds values that are not numbers")


def read_history(path) -> Dict[str, np.ndarray]:
    try:
        with open(path, newline="", encoding="utf-8") as file:
            reader = csv.DictReader(file)
            absent = [name for name in HISTORY_COLUMNS if name not in (reader.fieldnames or ())]
            if absent:
                raise RunError(f"{path}: missing column {', '.join(absent)}")
            names = HISTORY_COLUMNS + tuple(name for name in HISTORY_TERMS if name in reader.fieldnames)
            rows = [[number_or_nan(row[name]) for name in names] for row in reader]
    except (OSError, ValueError, TypeError) as error:
        raise RunError(f"{path}: cannot be read ({error})") from None
    if not rows:
        raise RunError(f"{path}: holds no epoch")
    return dict(zip(names, np.array(rows).T))


def number_or_nan(text):
    """An epoch without validation leaves its column empty."""
    return float(text) if text.strip() not in ("", "null") else math.nan
