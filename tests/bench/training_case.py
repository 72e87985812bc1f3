"""What the peers of training share: the flow that bench_training wrote (shape, parameters, rows), and the
loop in which a peer answers its driver, training_peers.py.

A folder holds case.json, parameters.f32 and rows.f32. A peer is started once for a folder, reads commands
from its input, a line each, and answers with a line of JSON:
    check            {"version":…, "can":[WHAT…], "loss":…, "gradient_norm":…, "generated_loss":…, …}
    WHAT SECONDS     {"wall_s":[…], "processor_s":[…]}: seconds a step, block of steps by block
"""

import json
import sys
import time
from pathlib import Path

import numpy as np

BLOCK_SECONDS = 0.1  # least length of a block, about
CALL_FLOP = 2e10     # operations in a call of many steps, at most: some tenths of a second
LEARNING_RATE, BETA1, BETA2, EPSILON, CLIP_NORM = 1e-4, 0.9, 0.999, 1e-8, 10.0


class Case:
    """Shape, parameters as [coupling layer][s, t][dense layer](weights [in][out], bias), and rows."""

    def __init__(self, folder):
        folder = Path(folder)
        shape = json.loads((folder / "case.json").read_text())
        self.d, self.layers, self.hidden = shape["d"], shape["layers"], shape["hidden"]
        self.scale_cap, self.batch = shape["scale_cap"], shape["batch"]
        parameters = np.fromfile(folder / "parameters.f32", np.float32)
        self.parameters = self.cut(parameters)
        self.rows = np.fromfile(folder / "rows.f32", np.float32).reshape(-1, self.d)
        self.steps = len(self.rows) // self.batch  # an epoch
        most = max(1, CALL_FLOP / (6 * self.batch * len(parameters)))
        self.steps_a_call = max(n for n in range(1, self.steps + 1) if self.steps % n == 0 and n <= most)
        self.random = np.random.default_rng(1)

    def cut(self, flat):
        """The flat buffer of flow.h."""
        half, position, parameters = self.d // 2, 0, []
        for layer in range(self.layers):
            kept = half if layer % 2 == 0 else self.d - half
            widths = [kept, *self.hidden, self.d - kept]
            networks = []
            for _ in "st":
                network = []
                for n, m in zip(widths, widths[1:]):
                    network.append((flat[position:position + n * m].reshape(n, m),
                                    flat[position + n * m:position + n * m + m]))
                    position += n * m + m
                networks.append(network)
            parameters.append(networks)
        if position != len(flat):
            raise SystemExit(f"{len(flat)} parameters, this flow has {position}")
        return parameters

    def order(self):
        """The minibatches of an epoch: rows in a new random order, [steps][batch]."""
        return self.random.permutation(np.arange(len(self.rows), dtype=np.int32)).reshape(self.steps, self.batch)


class Measurement:
    """`step(count)` makes so many steps (or calls of `steps_a_call` each) and waits for their end."""

    def __init__(self, step, steps_a_call=1):
        self.step, self.steps_a_call, self.count = step, steps_a_call, 0

    def run(self, seconds):
        if self.count == 0:
            self.step(1)  # compiles
            start = time.perf_counter()
            self.step(1)
            self.count = max(1, round(BLOCK_SECONDS / (time.perf_counter() - start)))
        wall, processor = [], []
        steps = self.count * self.steps_a_call
        end = time.perf_counter() + seconds
        while not wall or time.perf_counter() < end:
            before = time.perf_counter(), time.process_time()
            self.step(self.count)
            wall.append((time.perf_counter() - before[0]) / steps)
            processor.append((time.process_time() - before[1]) / steps)
        return {"wall_s": wall, "processor_s": processor}


def serve(version, check, measurements):
    """Answer commands until the input ends."""
    for line in sys.stdin:
        what, *seconds = line.split()
        if what == "check":
            answer = dict(check(), version=version, can=list(measurements))
        else:
            answer = measurements[what].run(float(seconds[0]))
        print(json.dumps(answer), flush=True)
