"""
The same training in PyTorch, as a peer to time against: once in the usual public style, once tuned.

The usual style has W of shape (instances, n, m), the forward pass as two einsums, two draws per batch (values and
mask), and AdamW one tensor at a time. The tuned one draws mask and value at once, uses batched matrix products and the
fused optimiser. Both take fresh samples at every step and the loss summed over features.
"""

import os
import time
from collections.abc import Callable

import pytest

torch = pytest.importorskip("torch", reason="PyTorch, the peer to time against, is not installed: extra 'benchmark'")
from torch import Tensor, nn  # noqa: E402 - pytest imports every file here, with or without PyTorch

Training = Callable[..., "ToyModel"]
Watch = Callable[[int, "ToyModel"], None]


class ToyModel(nn.Module):
    """x' = ReLU(W W^T x + b) for many instances, W of shape (instances, n, m)."""

    def __init__(self, instances: int, n: int, m: int, density: float) -> None:
        super().__init__()
        self.instances, self.n, self.density = instances, n, density
        self.W = nn.Parameter(torch.empty(instances, n, m))
        # nn.init.xavier_normal_ would take the number of instances into the fan; this is one model's.
        nn.init.normal_(self.W, std=(2 / (n + m)) ** 0.5)
        self.b = nn.Parameter(torch.zeros(instances, n))

    def forward(self, features: Tensor) -> Tensor:
        hidden = torch.einsum("bif,ifh->bih", features, self.W)
        out = torch.einsum("bih,ifh->bif", hidden, self.W)
        return torch.relu(out + self.b)

    def generate_batch(self, size: int) -> Tensor:
        values = torch.rand(size, self.instances, self.n)
        active = torch.rand(size, self.instances, self.n) <= self.density
        return torch.where(active, values, torch.zeros(()))


def train_usual(
    instances: int, n: int, m: int, density: float, steps: int, batch: int = 1024, watch: Watch | None = None
) -> ToyModel:
    """Train in the usual style; ``watch`` is called after every step."""
    model = ToyModel(instances, n, m, density)
    importance = torch.ones(n)
    optimiser = torch.optim.AdamW(model.parameters(), lr=1e-3)
    for step in range(1, steps + 1):
        optimiser.zero_grad(set_to_none=True)
        features = model.generate_batch(batch)
        error = importance * (features - model(features)) ** 2
        loss = error.sum(-1).mean(0).sum()
        loss.backward()
        optimiser.step()
        if watch is not None:
            watch(step, model)
    return model


def train_tuned(
    instances: int, n: int, m: int, density: float, steps: int, batch: int = 1024, watch: Watch | None = None
) -> ToyModel:
    """Train with what PyTorch offers for speed on a CPU; ``watch`` is called after every step."""
    model = ToyModel(instances, n, m, density)
    optimiser = torch.optim.AdamW(model.parameters(), lr=1e-3, fused=True)
    features = torch.empty(instances, batch, n)
    for step in range(1, steps + 1):
        optimiser.zero_grad(set_to_none=True)
        # Given u < p, (p - u) / p is uniform: one draw for mask and value.
        features.uniform_().neg_().add_(density).clamp_(min=0).div_(density)
        bias = model.b.unsqueeze(1)
        out = torch.relu(torch.baddbmm(bias, torch.bmm(features, model.W), model.W.transpose(1, 2)))
        loss = (features - out).square_().sum() / batch
        loss.backward()
        optimiser.step()
        if watch is not None:
            watch(step, model)
    return model


def choose_threads(training: Training, shape: tuple[int, int, int], density: float) -> int:
    """Try one thread and all cores, and settle on the faster: on a busy machine several threads wait for each other."""
    seconds = {}
    for threads in {1, os.cpu_count() or 1}:
        torch.set_num_threads(threads)
        training(*shape, density, 3)
        start = time.perf_counter()
        training(*shape, density, 20)
        seconds[threads] = time.perf_counter() - start
    best = min(seconds, key=seconds.__getitem__)
    torch.set_num_threads(best)
    return best
