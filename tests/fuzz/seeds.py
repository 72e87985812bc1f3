#!/usr/bin/env python3
"""Make the seeds of the corpus: small good files of every kind that the readers know.

    seeds.py PROGRAM [CORPUS]

The files of CORPUS/TARGET/seed-* are made anew; others, which came of findings, stay.
"""

import os
import shutil
import struct
import subprocess
import sys
import tempfile
from pathlib import Path

import h5py
import numpy as np

TOP = Path(__file__).resolve().parents[2]
INPUT = TOP / "input"

SMALL = """reference: {{ walkers = 4; samples = 8; {reference} }};
flow: {{ layers = 2; hidden = [2]; {flow} }};
training: {{ epochs = 2; batch = 4; shards = 2; }};
generate: {{ samples = 8; }};
evaluate: {{ exact_subsample = 4; sliced_projections = 2; floor_pairs = 0; average_samples = 20;
            lipschitz_points = 10; }};
"""
PLANE = 'run: { name = "x"; };\nsystem: { kind = "double-well"; };\n' + SMALL.format(
    reference="burn_in = 10; thinning = 1;", flow="")
MOLECULE = ('run: { name = "x"; };\nsystem: { kind = "amber"; topology = "alanine-dipeptide.prmtop";\n'
            '  coordinates = "alanine-dipeptide.rst7"; };\n')
DECKS = {
    "plane": PLANE,
    "samplers": 'run: { name = "x"; seed = 7L; };\nsystem: { kind = "gaussian"; dimension = 3; };\n'
                'cases: (\n' + ",\n".join(
                    f'  {{ name = "{name}"; reference: {{ sampler = "{name}"; }}; }}'
                    for name in ("metropolis", "mala", "hmc", "langevin")) + " );\n",
    "molecule": MOLECULE + SMALL.format(
        reference='sampler = "langevin-middle"; timestep_fs = 1.0; frame_ps = 0.01;',
        flow='coordinates = "cartesian";'),
    "torus": MOLECULE + SMALL.format(
        reference='sampler = "langevin-middle"; timestep_fs = 1.0; frame_ps = 0.01;',
        flow='coordinates = "torus";'),
    "whitened": MOLECULE + 'flow: { coordinates = "whitened"; };\n',
    "losses": MOLECULE + 'cases: (\n' + ",\n".join(
        f'  {{ name = "{name}"; training: {{ loss = "{name}"; }}; }}'
        for name in ("nll", "penalty", "pair-penalty", "energy", "reverse-kl", "pair-penalty+reverse-kl")) + " );\n",
    "own": 'run: { name = "x"; output_dir = "out/\\x41"; };\nsystem: { kind = "gaussian"; dimension = 0x4; };\n'
           'reference: { sampler = "file"; file = "mine.npy"; };\n# a comment\n/* and\n another */\n',
    "include": '@include "alanine-dipeptide.rst7"\nrun: { name = "x"; };\n',
}
OVERRIDES = ("training.epochs=3", "system.mean=1e-3\nflow.hidden=[8, 0x10]", "run.name=mine",
             'flow.activation="tanh"\nreference.sampler=hmc', "evaluate.lipschitz=false\nrun.seed=7L")
RECORDS = (
    '{"fingerprint":"00ff","metrics":{"w2_exact":{"value":0.25,"error":null,"unit":"1","n":10}},'
    '"timings":{"sampling_s":{"value":1e-3,"unit":"s"}}}',
    '[null, true, "\\u00e9\\n", -0.0, 1e308, {"a": {}}]')


def write(folder, name, content):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"seed-{name}").write_bytes(content if isinstance(content, bytes) else content.encode())


def text_seeds(corpus):
    for name, text in DECKS.items():
        write(corpus / "deck", name, text)
    for number, text in enumerate(OVERRIDES):
        write(corpus / "override", str(number), text)
    for number, text in enumerate(RECORDS):
        write(corpus / "json", str(number), text)
    write(corpus / "prmtop", "dipeptide", (INPUT / "alanine-dipeptide.prmtop").read_bytes())
    write(corpus / "rst7", "dipeptide", (INPUT / "alanine-dipeptide.rst7").read_bytes())
    write(corpus / "rst7", "one", "one atom\n     1  0.5\n   1.0000000   2.0000000   3.0000000\n")
    pdb = (INPUT / "alanine-dipeptide.pdb").read_text(encoding="ascii")
    write(corpus / "pdb", "dipeptide", pdb)
    atoms = [line for line in pdb.splitlines() if line.startswith(("ATOM", "HETATM"))]
    write(corpus / "pdb", "models", "MODEL 1\n" + "\r\n".join(atoms[:2]) + "\nENDMDL\nMODEL 2\n" +
          atoms[0] + "\nENDMDL\nEND\n")


def npy_seeds(corpus):
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / "x.npy"
        for name, array in (("f8", np.arange(6.0).reshape(3, 2)), ("f4", np.ones(3, "f4")),
                            ("i2", np.arange(-2, 4, dtype="i2").reshape(2, 3)),
                            ("u1", np.arange(4, dtype="u1"))):
            np.save(path, array)
            write(corpus / "npy", name, path.read_bytes())


def h5md_seeds(corpus):
    """As other programs write them: rows at the top; positions in chunks, squeezed."""
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / "x.h5"
        with h5py.File(path, "w") as file:
            file["rows"] = np.arange(6, dtype="f4").reshape(3, 2)
        write(corpus / "h5md", "rows", path.read_bytes())
        with h5py.File(path, "w", libver="latest") as file:
            position = file.create_group("particles/all/position")
            position.create_dataset("value", data=np.ones((4, 2, 3)), chunks=(2, 2, 3), shuffle=True,
                                    compression="gzip", fletcher32=True)
            file["particles/all/position/value"].attrs["unit"] = "nm"
        write(corpus / "h5md", "positions", path.read_bytes())


def run(program, deck, out, *more):
    subprocess.run([program, "run", deck, "--out", out, *more], check=True, stdout=subprocess.DEVNULL)


def stored_seeds(program, corpus):
    """What the program itself leaves, of a system in the plane and of a molecule in two kinds of
    coordinates."""
    with tempfile.TemporaryDirectory() as scratch:
        for name in ("alanine-dipeptide.prmtop", "alanine-dipeptide.rst7"):
            shutil.copy(INPUT / name, scratch)
        for name in ("plane", "molecule", "torus"):
            deck, out = Path(scratch) / f"{name}.cfg", Path(scratch) / name
            deck.write_text(DECKS[name], encoding="ascii")
            run(program, deck, out, "--stage", "sample,train")
            write(corpus / "state", f"model-{name}", (out / "x" / "model.h5").read_bytes())
            if name == "plane":
                write(corpus / "h5md", name, (out / "x" / "reference.h5md").read_bytes())


def edit_seeds(corpus):
    """One edit each: kind, block, place, a value of 8 bytes (fuzz_edits.c)."""
    for target, blocks in (("model", 10), ("training", 7), ("distance", 12)):
        for number, (kind, value) in enumerate(((0, 1 << 62), (1, 0), (1, 0xffff), (2, 0), (3, 2),
                                                (4, 0))):
            edits = b"".join(struct.pack("<BBHQ", kind, block, block, value)
                             for block in range(number % 3, blocks, 3))
            write(corpus / target, str(number), edits)
        write(corpus / target, "as-it-was", b"")


def main():
    program = os.path.abspath(sys.argv[1])
    corpus = Path(sys.argv[2]) if len(sys.argv) > 2 else Path(__file__).parent / "corpus"
    for old in corpus.glob("*/seed-*"):
        old.unlink()
    text_seeds(corpus)
    npy_seeds(corpus)
    h5md_seeds(corpus)
    stored_seeds(program, corpus)
    edit_seeds(corpus)


if __name__ == "__main__":
    main()
