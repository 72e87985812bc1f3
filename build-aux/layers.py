#!/usr/bin/env python3
"""Fail where a file includes from a layer that is not below its own.

    layers.py TOP
"""

import re
import sys
from pathlib import Path

# Folder to layer; a file includes from its own folder and from lower layers.
LAYERS = {"base": 0, "parallel": 1, "io": 2, "model": 3, "flow": 3, "geometry": 3, "sample": 4,
          "transport": 4, "train": 5, "generate": 5, "analyse": 6, "app": 7}
WITHOUT_MPI = ("base", "model", "flow", "geometry")
INCLUDE = re.compile(r'^\s*#\s*include\s*[<"]([^>"]+)[>"]', re.MULTILINE)


def mistakes(path, folder):
    text = path.read_text(encoding="utf-8")
    for included in INCLUDE.findall(text):
        if included.startswith("boltzmap/"):
            other = included.split("/")[1]
            if other not in LAYERS:
                yield f"{path}: includes {included}, which is in no layer"
            elif other != folder and LAYERS[other] >= LAYERS[folder]:
                yield f"{path}: layer {folder} includes {included} of layer {other}"
        elif included == "mpi.h" and folder in WITHOUT_MPI:
            yield f"{path}: layer {folder} uses MPI"
    if folder in WITHOUT_MPI and re.search(r"\bMPI_[A-Z]\w*\(", text):
        yield f"{path}: layer {folder} calls MPI"
    if "MPI_COMM_WORLD" in text and path.name != "main.c":
        yield f"{path}: only main.c names MPI_COMM_WORLD"


def main():
    top = Path(sys.argv[1])
    found = []
    for root in (top / "src", top / "include" / "boltzmap"):
        for path in sorted(root.glob("*/*.[ch]")):
            folder = path.parent.name
            if folder not in LAYERS:
                found.append(f"{path}: folder {folder} is in no layer")
            else:
                found += mistakes(path, folder)
    print("\n".join(found) if found else "layers: every include goes down")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
