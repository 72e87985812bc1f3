#!/usr/bin/env python3
"""HDF5 files by another program than boltzmap, for test_samples.

    hdf5_files.py make FOLDER    write files as users bring them
    hdf5_files.py check FILE     look at an H5MD file as a plain reader sees it
"""

import sys
from pathlib import Path

import h5py
import numpy as np


def make(folder):
    rows = np.arange(12.0).reshape(4, 3) / 8
    with h5py.File(folder / "rows.h5", "w") as file:
        file["x"] = rows
    with h5py.File(folder / "column.h5", "w") as file:
        file["x"] = rows[:, 0]
    with h5py.File(folder / "big-endian.h5", "w") as file:
        file["x"] = rows.astype(">f4")
    with h5py.File(folder / "integers.h5", "w") as file:
        file["x"] = (rows * 8).astype(np.int16)
    with h5py.File(folder / "compressed.h5", "w") as file:
        file.create_dataset("x", data=rows, chunks=(2, 2), compression="gzip", shuffle=True,
                            fletcher32=True)
    with h5py.File(folder / "two.h5", "w") as file:
        file["x"] = rows
        file["deep/y"] = 2 * rows
        file["names"] = np.array([b"a", b"b"])
        file["z"] = 3 * rows
    with h5py.File(folder / "four-dimensions.h5", "w") as file:
        file["x"] = rows.reshape(1, 4, 3, 1)
    with h5py.File(folder / "scalar.h5", "w") as file:
        file["x"] = 1.0
    with h5py.File(folder / "empty.h5", "w") as file:
        file["x"] = rows[:0]
    with h5py.File(folder / "nothing.h5", "w"):
        pass
    with h5py.File(folder / "huge.h5", "w") as file:
        file.create_dataset("x", shape=(2**40, 2**20), chunks=(1, 2**10), dtype="f8")
    with h5py.File(folder / "foreign.h5md", "w") as file:
        position = file.create_group("particles/trajectory/position")
        position["value"] = rows.reshape(2, 2, 3).astype("f4")
        position["value"].attrs["unit"] = np.bytes_("nm")
        position["step"] = [0, 1]
        file["observables/energy/value"] = [1.5, 2.5]
        file["parameters/notes"] = "none"
    np.save(folder / "rows.npy", rows)


def text(value):
    return value.decode() if isinstance(value, bytes) else value


def check(path):
    """Five frames of two particles in the plane; x = frame + column/10."""
    with h5py.File(path, "r") as file:
        assert list(file["h5md"].attrs["version"]) == [1, 1]
        assert text(file["h5md/creator"].attrs["name"]) == "boltzmap"
        assert list(file["h5md/modules/units"].attrs["version"]) == [1, 0]
        box = file["particles/all/box"]
        assert box.attrs["dimension"] == 3 and [text(b) for b in box.attrs["boundary"]] == ["none"] * 3
        position = file["particles/all/position"]
        value = position["value"]
        frames = np.arange(5.0)[:, None] + np.arange(4) / 10
        assert value.shape == (5, 2, 3)
        np.testing.assert_array_equal(value[:, :, :2].reshape(5, 4), frames)
        np.testing.assert_array_equal(value[:, :, 2], 0.0)
        for unit, of in (("nm", value), ("ps", position["time"])):
            kind = of.attrs.get_id("unit").get_type()
            assert kind.is_variable_str() and text(of.attrs["unit"]) == unit
        assert list(position["step"]) == [0, 10, 20, 30, 40]
        np.testing.assert_array_equal(position["time"], np.arange(5) * 0.25)
        for name, unit, scale in (("energy", "kJ/mol", -1.0), ("r", "1", 2.0)):
            group = file["observables"][name]
            np.testing.assert_array_equal(group["value"], scale * np.arange(5))
            assert text(group["value"].attrs["unit"]) == unit
            assert group["step"] == position["step"] and group["time"] == position["time"]
        assert text(file["parameters"].attrs["seed"]) == "7"
        assert text(file["parameters"].attrs["fingerprint"]) == "00000000deadbeef"
        assert file["parameters"].attrs["walkers"][0] == 5


if __name__ == "__main__":
    {"make": make, "check": check}[sys.argv[1]](Path(sys.argv[2]))
