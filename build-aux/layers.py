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
MADE_BY_BUILD = ("config.h", "revision.h")
INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]', re.MULTILINE)
COMMENT_OR_STRING = re.compile(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"', re.DOTALL)


def mistakes(path, folder, top):
    text = path.read_text(encoding="utf-8")
    for mark, included in INCLUDE.findall(text):
        if included.startswith("boltzmap/"):
            other = included.split("/")[1]
            if other not in LAYERS:
                yield f"includes {included}, which is in no layer"
            elif other != folder and LAYERS[other] >= LAYERS[folder]:
                yield f"layer {folder} includes {included} of layer {other}"
        elif included == "mpi.h" and folder in WITHOUT_MPI:
            yield f"layer {folder} uses MPI"
        elif mark == '"' and included not in MADE_BY_BUILD and (
                "/" in included or not (path.parent / included).exists()):
            yield f"includes {included}: neither boltzmap/… nor a file beside it"
    code = COMMENT_OR_STRING.sub(" ", text)
    if folder in WITHOUT_MPI and re.search(r"\bP?MPI_[A-Z]\w*\s*\(", code):
        yield f"layer {folder} calls MPI"
    if "MPI_COMM_WORLD" in code and path != top / "src" / "app" / "main.c":
        yield "only src/app/main.c names MPI_COMM_WORLD"


def main():
    top = Path(sys.argv[1])
    found = []
    for root in (top / "src", top / "include" / "boltzmap"):
        for path in sorted(root.rglob("*.[ch]")):
            where = path.relative_to(root).parts
            if len(where) != 2 or where[0] not in LAYERS:
                found.append(f"{path}: is in the folder of no layer")
            else:
                found += [f"{path}: {mistake}" for mistake in mistakes(path, where[0], top)]
    print("\n".join(found) if found else "layers: every include goes down")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
