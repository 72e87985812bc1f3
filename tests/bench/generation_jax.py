#!/usr/bin/env python3
"""Generation of samples beside JAX: whole processes from the same model to files, on one processor.

    generation_jax.py BOLTZMAP MODEL [--python PYTHON] [--samples 400000] [--repeats 3]

PYTHON is an interpreter that has JAX. Both draw standard normals, push them through the flow, undo the
standardisation in float64 and write coordinates and log densities; the peer writes plain bytes, the
best of several batch sizes counts. Seconds of processor time a sample come from two numbers of samples,
so that start and compilation do not count, and are least ones. Fails where the peer's log density of our
samples is another one."""

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

BATCHES = (512, 2048, 8192)
FEW = 0.2  # of the samples, in the shorter run
CHECKED = 1000


def cut(flat, d, layers, hidden):
    """Parameters as [coupling layer][s, t][dense layer](weights [in][out], bias)."""
    position, couplings = 0, []
    for layer in range(layers):
        kept = d // 2 if layer % 2 == 0 else d - d // 2
        widths = [kept, *hidden, d - kept]
        networks = []
        for _ in "st":
            network = []
            for n, m in zip(widths, widths[1:]):
                network.append((flat[position:position + n * m].reshape(n, m),
                                flat[position + n * m:position + n * m + m]))
                position += n * m + m
            networks.append(network)
        couplings.append(networks)
    assert position == len(flat)
    return couplings


# --- the peer, run by the interpreter that has JAX ---------------------------------------------------


def peer(folder, count, batch):
    import jax
    import jax.numpy as jnp
    model = np.load(folder / "model.npz")
    d, layers, hidden, cap = int(model["d"]), int(model["layers"]), list(model["hidden"]), float(model["cap"])
    parameters = jax.tree.map(jnp.asarray, cut(model["parameters"], d, layers, hidden))
    half, offset = d // 2, 0.5 * d * np.log(2 * np.pi) + np.log(model["scale"]).sum()

    def network(dense, x):
        for weights, bias in dense[:-1]:
            x = jax.nn.relu(x @ weights + bias)
        return x @ dense[-1][0] + dense[-1][1]

    def coupling(k, parameters, a, b):
        s, t = (network(dense, a if k % 2 == 0 else b) for dense in parameters[k])
        return cap * jnp.tanh(s / cap), t

    @jax.jit
    def generate(parameters, key):
        z = jax.random.normal(key, (batch, d))
        a, b, log_det = z[:, :half], z[:, half:], 0.0
        for k in range(layers):
            s, t = coupling(k, parameters, a, b)
            a, b = (a, b * jnp.exp(s) + t) if k % 2 == 0 else (a * jnp.exp(s) + t, b)
            log_det += s.sum(1)
        return jnp.concatenate([a, b], 1), -0.5 * (z * z).sum(1) - log_det

    def density(y):
        a, b, log_det = y[:, :half], y[:, half:], 0.0
        for k in reversed(range(layers)):
            s, t = coupling(k, parameters, a, b)
            a, b = (a, (b - t) * jnp.exp(-s)) if k % 2 == 0 else ((a - t) * jnp.exp(-s), b)
            log_det += s.sum(1)
        return -0.5 * (a * a).sum(1) - 0.5 * (b * b).sum(1) - log_det

    if count == 0:
        y = (model["x"] - model["mean"]) / model["scale"]
        found = np.asarray(density(jnp.asarray(y, jnp.float32)), np.float64) - offset
        print(np.median(np.abs(found - model["log_density"])))
        return
    key = jax.random.key(1)
    with open(folder / "peer", "wb") as file:
        for i in range(count // batch):
            y, log_density = generate(parameters, jax.random.fold_in(key, i))
            file.write((model["mean"] + model["scale"] * np.asarray(y, np.float64)).tobytes())
            file.write((np.asarray(log_density, np.float64) - offset).tobytes())


# --- the driver --------------------------------------------------------------------------------------


def processor_seconds(command):
    """Of the process and all its threads, on one processor."""
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    if status != 0:
        raise SystemExit(f"failed: {' '.join(command)}")
    return usage.ru_utime + usage.ru_stime


def microseconds_a_sample(command, samples, repeats):
    few = int(FEW * samples)
    seconds = [[processor_seconds(command(count)) for count in (few, samples)] for _ in range(repeats)]
    least = np.min(seconds, axis=0)
    return 1e6 * (least[1] - least[0]) / (samples - few)


def write_model(path, boltzmap, folder):
    import h5py
    made = folder / "check.h5md"
    subprocess.run([boltzmap, "generate", path, "--samples", str(CHECKED), "--out", made], check=True,
                   stdout=subprocess.DEVNULL)
    with h5py.File(path, "r") as model, h5py.File(made, "r") as samples:
        sizes = model["flow/sizes"][:]
        np.savez(folder / "model.npz", d=sizes[0], layers=sizes[1], hidden=sizes[4:],
                 cap=model["flow/scale_cap"][0], parameters=model["flow/parameters"][:],
                 mean=model["standardisation/mean"][:], scale=model["standardisation/scale"][:],
                 x=samples["particles/all/position/value"][:, :, :sizes[3]].reshape(CHECKED, sizes[0]),
                 log_density=samples["observables/log_density/value"][:])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("boltzmap")
    parser.add_argument("model")
    parser.add_argument("--python", default=sys.executable)
    parser.add_argument("--samples", type=int, default=400000)
    parser.add_argument("--repeats", type=int, default=3)
    given = parser.parse_args()
    if subprocess.run([given.python, "-c", "import jax"], capture_output=True, check=False).returncode:
        print(f"{given.python} has no JAX: no peer of generation")
        return
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_model(given.model, given.boltzmap, folder)
        beside = [given.python, __file__, "--peer", name]
        error = float(subprocess.run([*beside, "0", "1"], check=True, capture_output=True, text=True).stdout)
        print(f"log densities of JAX and boltzmap: median difference {error:.1e}")
        ours = microseconds_a_sample(lambda count: [given.boltzmap, "generate", given.model, "--samples",
                                                    str(count), "--out", str(folder / "ours.h5md")],
                                     given.samples, given.repeats)
        print(f"boltzmap generate: {ours:.2f} us a sample")
        peers = {batch: microseconds_a_sample(lambda count, b=batch: [*beside, str(count), str(b)],
                                              given.samples, given.repeats) for batch in BATCHES}
        for batch, found in peers.items():
            print(f"JAX, batches of {batch}: {found:.2f} us a sample")
        print(f"best peer / boltzmap: {min(peers.values()) / ours:.2f}")
        if not error < 1e-3:
            raise SystemExit("the two have different densities")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--peer"]:
        peer(Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]))
    else:
        main()
