"""The flow of a case in JAX, for training_peers.py: training_jax.py FOLDER. See training_case.py."""

import sys

import jax
import jax.numpy as jnp
import numpy as np

from training_case import BETA1, BETA2, CLIP_NORM, EPSILON, LEARNING_RATE, Case, Measurement, serve

case = Case(sys.argv[1])
half = case.d // 2


def network(layers, x):
    for weights, bias in layers[:-1]:
        x = jax.nn.relu(x @ weights + bias)
    weights, bias = layers[-1]
    return x @ weights + bias


def coupling(networks, kept):
    s, t = (network(layers, kept) for layers in networks)
    return case.scale_cap * jnp.tanh(s / case.scale_cap), t


def inverse(parameters, y):
    """Base points and log|det J_F| there."""
    a, b, log_det = y[:, :half], y[:, half:], 0.0
    for k, networks in reversed(list(enumerate(parameters))):
        s, t = coupling(networks, a if k % 2 == 0 else b)
        if k % 2 == 0:
            b = (b - t) * jnp.exp(-s)
        else:
            a = (a - t) * jnp.exp(-s)
        log_det += s.sum(1)
    return jnp.concatenate([a, b], 1), log_det


def forward(parameters, x):
    """Data points and log|det J_F|."""
    a, b, log_det = x[:, :half], x[:, half:], 0.0
    for k, networks in enumerate(parameters):
        s, t = coupling(networks, a if k % 2 == 0 else b)
        if k % 2 == 0:
            b = b * jnp.exp(s) + t
        else:
            a = a * jnp.exp(s) + t
        log_det += s.sum(1)
    return jnp.concatenate([a, b], 1), log_det


def nll(parameters, y):
    x, log_det = inverse(parameters, y)
    return (0.5 * (x * x).sum(1) + log_det).mean() + 0.5 * case.d * np.log(2 * np.pi)


def generated_loss(parameters, x):
    y, log_det = forward(parameters, x)
    return (0.5 * (y * y).sum(1) + log_det).mean()


def penalised(parameters, y, x):
    return nll(parameters, y) + generated_loss(parameters, x)


def generation(parameters, x):
    """Data points and their log density."""
    y, log_det = forward(parameters, x)
    return y, -0.5 * (x * x).sum(1) - log_det - 0.5 * case.d * np.log(2 * np.pi)


def norm(gradient):
    return jnp.sqrt(sum((g * g).sum() for g in jax.tree.leaves(gradient)))


def adam(state, gradient):
    parameters, first, second, count = state
    scale = jnp.minimum(1.0, CLIP_NORM / norm(gradient))
    count += 1
    n = count.astype(jnp.float32)
    correction = jnp.sqrt(1 - BETA2**n)
    rate = LEARNING_RATE * correction / (1 - BETA1**n)
    first = jax.tree.map(lambda m, g: BETA1 * m + (1 - BETA1) * scale * g, first, gradient)
    second = jax.tree.map(lambda v, g: BETA2 * v + (1 - BETA2) * (scale * g)**2, second, gradient)
    parameters = jax.tree.map(lambda p, m, v: p - rate * m / (jnp.sqrt(v) + correction * EPSILON),
                              parameters, first, second)
    return parameters, first, second, count


def step(state, rows, order):
    chosen = order[state[3] % case.steps]
    value, gradient = jax.value_and_grad(nll)(state[0], rows[chosen])
    return adam(state, gradient), value


parameters, rows = jax.tree.map(jnp.array, case.parameters), jnp.asarray(case.rows)
some = rows[:case.batch]


class Trainer:
    """Calls of one step, or of many by a scan; the state lives on in donated buffers."""

    def __init__(self, steps_a_call):
        def scan(state, rows, order):
            return jax.lax.scan(lambda state, _: step(state, rows, order), state,
                                length=steps_a_call)
        self.steps_a_call, self.steps, self.order = steps_a_call, 0, None
        self.state = jax.tree.map(jnp.array, (parameters, *(jax.tree.map(jnp.zeros_like, parameters),) * 2,
                                              jnp.zeros((), jnp.int32)))
        self.call = jax.jit(step if steps_a_call == 1 else scan, donate_argnums=0)

    def __call__(self, count):
        for _ in range(count):
            if self.steps % case.steps == 0:
                self.order = jnp.asarray(case.order())
            self.state, value = self.call(self.state, rows, self.order)
            self.steps += self.steps_a_call
        value.block_until_ready()


def repeated(function, *arguments):
    compiled = jax.jit(function)

    def run(count):
        for _ in range(count):
            result = compiled(parameters, *arguments)
        jax.block_until_ready(result)
    return Measurement(run)


def check():
    value, gradient = jax.jit(jax.value_and_grad(nll))(parameters, some)
    generated, generated_gradient = jax.jit(jax.value_and_grad(generated_loss))(parameters, some)
    return {"loss": float(value), "gradient_norm": float(norm(gradient)),
            "generated_loss": float(generated),
            "generated_gradient_norm": float(norm(generated_gradient))}


serve(jax.__version__, check, {
    "training": Measurement(Trainer(1)),
    "training-scan": Measurement(Trainer(case.steps_a_call), case.steps_a_call),
    "nll": repeated(jax.value_and_grad(nll), some),
    "penalty": repeated(jax.value_and_grad(penalised), some, some),
    "generation": repeated(generation, some),
})
