"""The flow of a case in PyTorch, for training_peers.py: training_torch.py FOLDER THREADS. See training_case.py."""

import math
import sys
from pathlib import Path

import numpy as np
import torch

from training_case import BETA1, BETA2, CLIP_NORM, EPSILON, LEARNING_RATE, Case, Measurement, serve

torch.set_num_threads(int(sys.argv[2]))
torch.set_num_interop_threads(1)
torch.set_flush_denormal(True)
case = Case(sys.argv[1])
half = case.d // 2


class Network(torch.nn.Module):
    def __init__(self, layers):
        super().__init__()
        modules = []
        for weights, bias in layers:
            linear = torch.nn.Linear(*weights.shape)
            with torch.no_grad():
                linear.weight.copy_(torch.from_numpy(weights.T.copy()))
                linear.bias.copy_(torch.from_numpy(bias.copy()))
            modules += [linear, torch.nn.ReLU(inplace=True)]
        self.layers = torch.nn.Sequential(*modules[:-1])

    def forward(self, x):
        return self.layers(x)


class Coupling(torch.nn.Module):
    def __init__(self, networks, cap):
        super().__init__()
        self.s, self.t = map(Network, networks)
        self.cap = cap

    def forward(self, kept):
        return self.cap * torch.tanh(self.s(kept) / self.cap), self.t(kept)


class Flow(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.couplings = torch.nn.ModuleList(Coupling(networks, case.scale_cap) for networks in case.parameters)

    def inverse(self, y):
        """Base points and log|det J_F| there."""
        a, b = y[:, :half], y[:, half:]
        log_det = torch.zeros(y.shape[0])
        for k, networks in reversed(list(enumerate(self.couplings))):
            s, t = networks(a if k % 2 == 0 else b)
            if k % 2 == 0:
                b = (b - t) * torch.exp(-s)
            else:
                a = (a - t) * torch.exp(-s)
            log_det = log_det + s.sum(1)
        return torch.cat([a, b], 1), log_det

    def forward(self, x):
        """Data points and log|det J_F|."""
        a, b = x[:, :half], x[:, half:]
        log_det = torch.zeros(x.shape[0])
        for k, networks in enumerate(self.couplings):
            s, t = networks(a if k % 2 == 0 else b)
            if k % 2 == 0:
                b = b * torch.exp(s) + t
            else:
                a = a * torch.exp(s) + t
            log_det = log_det + s.sum(1)
        return torch.cat([a, b], 1), log_det


class NLL(torch.nn.Module):
    def __init__(self, flow):
        super().__init__()
        self.flow = flow
        self.constant = 0.5 * case.d * math.log(2 * math.pi)

    def forward(self, y):
        x, log_det = self.flow.inverse(y)
        return (0.5 * (x * x).sum(1) + log_det).mean() + self.constant


def generated_loss(flow, x):
    y, log_det = flow(x)
    return (0.5 * (y * y).sum(1) + log_det).mean()


rows = torch.from_numpy(case.rows)
some = rows[:case.batch]


class Trainer:
    def __init__(self, faster=lambda loss: loss):
        flow = Flow()
        self.parameters = list(flow.parameters())
        self.loss = faster(NLL(flow))
        self.optimiser = torch.optim.Adam(self.parameters, lr=LEARNING_RATE, betas=(BETA1, BETA2),
                                          eps=EPSILON, foreach=True)
        self.steps, self.order = 0, None

    def __call__(self, count):
        for _ in range(count):
            if self.steps % case.steps == 0:
                self.order = torch.from_numpy(case.order().astype(np.int64))
            self.optimiser.zero_grad(set_to_none=True)
            self.loss(rows[self.order[self.steps % case.steps]]).backward()
            torch.nn.utils.clip_grad_norm_(self.parameters, CLIP_NORM)
            self.optimiser.step()
            self.steps += 1


def gradient_of(penalised):
    """Loss and gradient without the optimiser, with as many generated rows or without."""
    flow = Flow()
    loss = NLL(flow)

    def run(count):
        for _ in range(count):
            flow.zero_grad(set_to_none=True)
            value = loss(some)
            if penalised:
                value = value + generated_loss(flow, some)
            value.backward()
    return Measurement(run)


def generation():
    """Data points and their log density."""
    flow = Flow()

    @torch.no_grad()
    def run(count):
        for _ in range(count):
            _, log_det = flow(some)
            -0.5 * (some * some).sum(1) - log_det - 0.5 * case.d * math.log(2 * math.pi)
    return Measurement(run)


def check():
    answer, flow = {}, Flow()
    for name, value in (("", NLL(flow)(some)), ("generated_", generated_loss(flow, some))):
        flow.zero_grad()
        value.backward()
        answer[name + "loss"] = value.item()
        answer[name + "gradient_norm"] = math.sqrt(sum((p.grad**2).sum().item() for p in flow.parameters()))
    return answer


def blas():
    """Which library its products come from."""
    files = {Path(line.split()[-1]) for line in Path("/proc/self/maps").read_text().splitlines() if "blas" in line}
    names = {file.resolve().parent.name for file in files if file.name.startswith("libblas")}
    return " ".join(sorted(names)) or "a BLAS of its own"


measurements = {
    "training": Measurement(Trainer()),
    "training-traced": Measurement(Trainer(lambda loss: torch.jit.trace(loss, some))),
    "nll": gradient_of(False),
    "penalty": gradient_of(True),
    "generation": generation(),
}
if hasattr(torch, "compile"):
    measurements["training-compiled"] = Measurement(Trainer(torch.compile))
serve(f"{torch.__version__} with {blas()}", check, measurements)
