"""Sample sets in H5MD 1.1 as boltzmap writes and reads them. A file is whole or not there."""

import os
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np

OVERHEAD_BYTES = 1 << 16  # of a file beside its rows, about


@dataclass(frozen=True)
class Shape:
    """Rows are walker-major: all frames of the first walker, then those of the second."""

    walkers: int
    frames: int  # of each walker
    atoms: int
    step_stride: int  # between frames
    time_ps: float  # of a step


@contextmanager
def writing(path, shape, creator, parameters):
    """The data set of positions, nm, [walkers · frames][atoms][3], to be filled. creator: (name, version);
    parameters: {name: text}. The file appears when all went well."""
    unfinished = Path(f"{path}.{os.getpid()}.part")
    try:
        reserve(unfinished, shape)
        with h5py.File(unfinished, "w") as file:
            yield lay_out(file, shape, creator, parameters)
        sync(unfinished, os.O_RDWR)
        os.replace(unfinished, path)
        sync(Path(path).absolute().parent, os.O_RDONLY)
    finally:
        unfinished.unlink(missing_ok=True)


def reserve(path, shape):
    """OSError where the disk has no room: HDF5 does not survive that half-way."""
    rows = shape.walkers * shape.frames
    with open(path, "wb") as file:
        os.posix_fallocate(file.fileno(), 0, rows * (12 * shape.atoms + 16) + OVERHEAD_BYTES)


def lay_out(file, shape, creator, parameters):
    rows = np.arange(shape.walkers * shape.frames)
    h5md = file.create_group("h5md")
    h5md.attrs["version"] = np.array([1, 1], dtype=np.int32)
    h5md.create_group("author").attrs["name"] = "unknown"
    made_by = h5md.create_group("creator")
    made_by.attrs["name"], made_by.attrs["version"] = creator
    h5md.create_group("modules/units").attrs["version"] = np.array([1, 0], dtype=np.int32)
    box = file.create_group("particles/all/box")
    box.attrs["dimension"] = np.int32(3)
    box.attrs["boundary"] = np.array([b"none"] * 3)
    position = file.create_group("particles/all/position")
    value = position.create_dataset("value", (len(rows), shape.atoms, 3), np.float32)
    value.attrs["unit"] = "nm"
    position["step"] = rows * shape.step_stride
    position["time"] = rows * (shape.step_stride * shape.time_ps)
    position["time"].attrs["unit"] = "ps"
    known = file.create_group("parameters")
    known.attrs["walkers"], known.attrs["dimensions"] = np.int32(shape.walkers), np.int32(3)
    for name, text in parameters.items():
        known.attrs[name] = text
    return value


def sync(path, flags):
    handle = os.open(path, flags)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
