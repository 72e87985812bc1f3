#!/usr/bin/env python3
"""An independent RealNVP: JAX in float64, automatic differentiation, Adam from Optax.

    python3 -m venv /tmp/venv && /tmp/venv/bin/pip install jax==0.10.2 optax==0.2.8 numpy==2.4.6
    /tmp/venv/bin/python tests/golden/flow_reference.py      writes flow_reference.json beside this file

The data were made with these versions and Python 3.11.7, in some minutes. Of boltzmap this knows what
include/boltzmap/flow/flow.h says: the order of columns and parameters and s = cap tanh(raw/cap).
Parameters and points are made_numbers of small seeds, so that the file need not hold them. For ReLU the
seeds are such that no pre-activation is nearer to the kink than KINK: float32 sees the same side.

    cases  small nets, every number: both directions, the negative log-likelihood and a loss on
           generated samples with all gradients, ten steps of Adam on ten batches, ten epochs of one
           batch on standardised data
    full   the two-particle experiment's net: losses, outputs, norms of each network's gradient and
           some entries
"""

import json
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax

from made_numbers import digits, made_numbers

jax.config.update("jax_enable_x64", True)

CAP = 1.5
ROWS = 13
STEPS, BATCH, RATE = 10, 20, 2.0**-8
TRAINED, HELD_OUT = 60, 20
MEAN, SCALE = (1.0, -2.0, 0.5, 100.0, -3.25), (0.5, 2.0, 1.0, 8.0, 0.25)
POINT_SCALE = 4.0
KINK = 1e-5
FULL_GAIN, FULL_FLOAT32 = 0.375, 8  # rows for which float32 is compared, too
FULL_SEEDS = {"seed": 50, "base_seed": 105, "data_seed": 64}
ACTIVATIONS = {"relu": lambda z: jnp.maximum(z, 0.0), "tanh": jnp.tanh}


class Flow:
    """F as a function of a flat parameter vector."""

    def __init__(self, d, layers, hidden, activation):
        self.d, self.layers, self.activation = d, layers, activation
        half = d // 2
        first, last = np.arange(half), np.arange(half, d)
        self.columns = [(first, last) if k % 2 == 0 else (last, first) for k in range(layers)]
        self.widths = [(len(kept), *hidden, len(moved)) for kept, moved in self.columns]
        self.network_sizes = [sum((i + 1) * o for i, o in zip(w, w[1:])) for w in self.widths]
        self.size = 2 * sum(self.network_sizes)

    def networks(self, parameters):
        """(s, t) for each layer, each a list of (weights, bias)."""
        at, pairs = 0, []
        for widths in self.widths:
            pair = []
            for _ in "st":
                net = []
                for i, o in zip(widths, widths[1:]):
                    net.append((parameters[at:at + i * o].reshape(i, o),
                                parameters[at + i * o:at + (i + 1) * o]))
                    at += (i + 1) * o
                pair.append(net)
            pairs.append(pair)
        return pairs

    def evaluate(self, net, x):
        """Output, and the smallest |pre-activation| of the hidden layers."""
        nearest = jnp.inf
        for weights, bias in net[:-1]:
            z = x @ weights + bias
            nearest = jnp.minimum(nearest, jnp.abs(z).min())
            x = ACTIVATIONS[self.activation](z)
        return x @ net[-1][0] + net[-1][1], nearest

    def conditioner(self, pair, a):
        (raw, near_s), (t, near_t) = (self.evaluate(net, a) for net in pair)
        return CAP * jnp.tanh(raw / CAP), t, jnp.minimum(near_s, near_t)

    @partial(jax.jit, static_argnums=0)
    def forward(self, parameters, x):
        log_det, nearest = jnp.zeros(len(x)), jnp.inf
        for (kept, moved), pair in zip(self.columns, self.networks(parameters)):
            s, t, near = self.conditioner(pair, x[:, kept])
            x = x.at[:, moved].set(x[:, moved] * jnp.exp(s) + t)
            log_det, nearest = log_det + s.sum(1), jnp.minimum(nearest, near)
        return x, log_det, nearest

    @partial(jax.jit, static_argnums=0)
    def inverse(self, parameters, y):
        log_det, nearest = jnp.zeros(len(y)), jnp.inf
        for (kept, moved), pair in reversed(list(zip(self.columns, self.networks(parameters)))):
            s, t, near = self.conditioner(pair, y[:, kept])
            y = y.at[:, moved].set((y[:, moved] - t) * jnp.exp(-s))
            log_det, nearest = log_det + s.sum(1), jnp.minimum(nearest, near)
        return y, log_det, nearest

    def nll(self, parameters, y):
        base, log_det, _ = self.inverse(parameters, y)
        return (0.5 * (base**2).sum(1) + self.d / 2 * jnp.log(2 * jnp.pi) + log_det).mean()

    def generated(self, parameters, x):
        """A loss on samples: mean of exp(-|y|^2/2) - log_det/4."""
        y, log_det, _ = self.forward(parameters, x)
        return (jnp.exp(-(y**2).sum(1) / 2) - log_det / 4).mean()


def gradients(loss, parameters, points):
    value, (of_parameters, of_points) = jax.value_and_grad(loss, (0, 1))(parameters, points)
    return value, of_parameters, of_points


def train(flow, parameters, batches):
    """Losses before each step, and the parameters in the end."""
    adam = optax.adam(RATE, b1=0.9, b2=0.999, eps=1e-8)
    state, losses = adam.init(parameters), []
    step = jax.jit(jax.value_and_grad(flow.nll))
    for batch in batches:
        loss, gradient = step(parameters, batch)
        change, state = adam.update(gradient, state, parameters)
        parameters = optax.apply_updates(parameters, change)
        losses.append(loss)
    return losses, parameters


def loss_entry(loss, parameters, points):
    value, of_parameters, of_points = gradients(loss, parameters, points)
    return {"loss": digits(value, 15), "gradient": digits(of_parameters, 13),
            "input_gradient": digits(of_points, 13)}


def check_kinks(flow, parameters, x, y):
    if flow.activation == "relu":
        nearest = min(flow.forward(parameters, x)[2], flow.inverse(parameters, y)[2])
        assert nearest > KINK, f"pre-activation at {nearest}: take another seed"


def points(seed, *shape):
    return jnp.array(made_numbers(seed, POINT_SCALE, *shape))


def case(d, layers, hidden, activation, seed):
    flow = Flow(d, layers, hidden, activation)
    parameters = jnp.array(made_numbers(seed, 1.0, flow.size))
    seeds = {"seed": seed, "base_seed": seed + 1, "data_seed": seed + 2, "batches_seed": seed + 3,
             "training_seed": seed + 4}
    x, y = points(seeds["base_seed"], ROWS, d), points(seeds["data_seed"], ROWS, d)
    check_kinks(flow, parameters, x, y)
    forward, inverse = flow.forward(parameters, x), flow.inverse(parameters, y)
    losses, stepped = train(flow, parameters, points(seeds["batches_seed"], STEPS, BATCH, d))
    rows = points(seeds["training_seed"], TRAINED + HELD_OUT, d)
    epochs, trained = train(flow, parameters, [rows[:TRAINED]] * STEPS)
    units = np.log(SCALE[:d]).sum()
    return {
        "d": d, "layers": layers, "hidden": hidden, "activation": activation, **seeds,
        "forward": {"points": digits(forward[0], 13), "log_det": digits(forward[1], 13)},
        "inverse": {"points": digits(inverse[0], 13), "log_det": digits(inverse[1], 13)},
        "nll": loss_entry(flow.nll, parameters, y),
        "generated": loss_entry(flow.generated, parameters, x),
        "adam": {"losses": digits(losses, 15), "parameters": digits(stepped, 13)},
        "training": {"nll_train": digits(np.array(epochs) + units, 15),
                     "nll_validation": digits(flow.nll(trained, rows[TRAINED:]) + units, 15)},
    }


def network_norms(flow, gradient):
    """Norm of the gradient of each network, layer after layer, s then t."""
    cuts = np.cumsum(np.repeat(flow.network_sizes, 2))[:-1]
    return [np.linalg.norm(part) for part in np.split(np.asarray(gradient), cuts)]


def full_loss(flow, loss, parameters, points):
    value, of_parameters, of_points = gradients(loss, parameters, points)
    return {"loss": digits(value, 15), "norms": digits(network_norms(flow, of_parameters), 13),
            "entries": digits(of_parameters[::flow.size // 23], 13),
            "input_gradient": digits(of_points, 13)}


def full(rows, seeds):
    flow = Flow(4, 8, [256, 256], "relu")
    parameters = jnp.array(made_numbers(seeds["seed"], FULL_GAIN, flow.size))
    x, y = points(seeds["base_seed"], rows, 4), points(seeds["data_seed"], rows, 4)
    if rows <= FULL_FLOAT32:
        check_kinks(flow, parameters, x, y)
    forward, inverse = flow.forward(parameters, x), flow.inverse(parameters, y)
    return {"rows": rows, **seeds, "stride": flow.size // 23,
            "forward": {"points": digits(forward[0], 13), "log_det": digits(forward[1], 13)},
            "inverse": {"points": digits(inverse[0], 13), "log_det": digits(inverse[1], 13)},
            "nll": full_loss(flow, flow.nll, parameters, y),
            "generated": full_loss(flow, flow.generated, parameters, x)}


def main():
    document = {
        "source": "tests/golden/flow_reference.py",
        "made_with": {"jax": jax.__version__, "optax": optax.__version__},
        "scale_cap": CAP, "point_scale": POINT_SCALE, "rows": ROWS,
        "steps": STEPS, "batch": BATCH, "learning_rate": RATE,
        "trained": TRAINED, "held_out": HELD_OUT, "mean": MEAN, "scale": SCALE,
        "cases": [case(4, 2, [12, 9], "relu", 10), case(4, 3, [12, 9], "tanh", 20),
                  case(5, 3, [9, 12], "relu", 30), case(5, 2, [17], "tanh", 40)],
        "full_gain": FULL_GAIN, "full": [full(rows, FULL_SEEDS) for rows in (FULL_FLOAT32, 50)],
    }
    text = json.dumps(document, separators=(",", ":")).replace(',"', ',\n"')
    Path(__file__).with_suffix(".json").write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
