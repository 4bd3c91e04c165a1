"""The networks of a stack in PyTorch, trained at once in two ways, for `benchmarks.stack_peers`.

A peer has the layers with weights of one of our models, of the same sizes. Its rows are random numbers of the size of
that model's features, which a stack computes once, too (`ariel_tf.training.stacked.features`).

Import this module before TensorFlow: PyTorch built for CUDA ends the process if it is loaded after it.
"""

import functools
import itertools
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import torch
import torch._dynamo  # loaded by optimisers otherwise, after TensorFlow
from torch.nn import functional


class Network(NamedTuple):
    """One network, or many side by side.

    Attributes:
        inputs: number of values of a row.
        sizes: inputs and units of each layer.
        forward: (weights, rows [..., n, inputs]) -> predictions [..., n, outputs], where ... is empty or the number of
            networks, as in every weight.
    """

    inputs: int
    sizes: Sequence[tuple[int, int]]
    forward: Callable[[Sequence[Any], Any], Any]


def layers_of(weights: Sequence[Any]) -> Iterator[Callable[[Any], Any]]:
    """Yield each dense layer as a function; convolutions whose windows do not overlap are such layers, too."""
    for kernel, bias in zip(weights[::2], weights[1::2], strict=True):
        yield functools.partial(_dense, kernel, bias)


def _dense(kernel: Any, bias: Any, x: Any) -> Any:
    return x @ kernel + bias


def dense(sizes: Sequence[tuple[int, int]], activation: Callable[[Any], Any]) -> Network:
    """Return dense layers, one after another."""

    def forward(weights: Sequence[Any], x: Any) -> Any:
        *hidden, head = layers_of(weights)
        for layer in hidden:
            x = activation(layer(x))
        return head(x)

    return Network(sizes[0][0], sizes, forward)


def cnn(sizes: Sequence[tuple[int, int]], steps: int) -> Network:
    """Return our `cnn` without stellar parameters: two convolutions, means of two windows, two dense layers."""
    window, windows = sizes[0][0], steps // sizes[0][0]

    def forward(weights: Sequence[Any], x: Any) -> Any:
        first, second, third, head = layers_of(weights)
        rows = x.shape[-2]
        x = x.unflatten(-1, (windows, window)).flatten(-3, -2)
        x = second(first(x).relu()).relu()
        x = x.unflatten(-2, (rows, windows // 2, 2)).mean(-2).flatten(-2)
        return head(third(x).relu())

    return Network(steps, sizes, forward)


def segments(sizes: Sequence[tuple[int, int]], count: int) -> Network:
    """Return our `segments` for one light curve: means of segments, the same scaled, and other features."""
    units = sizes[0][1]
    others = sizes[1][0] - count * units

    def forward(weights: Sequence[Any], x: Any) -> Any:
        each, first, second, head = layers_of(weights)
        rows = x.shape[-2]
        means = each(x[..., :count].flatten(-2).unsqueeze(-1)).relu()
        x = torch.cat([means.unflatten(-2, (rows, count)).flatten(-2), x[..., count:]], -1)
        return head(second(first(x).relu()).relu())

    return Network(count + others, sizes, forward)


def network_of(name: str, kernels: Sequence[tuple[int, ...]], steps: int) -> Network:
    """Return the peer of one of our models at its default settings.

    Args:
        name: of the model.
        kernels: shapes of its kernels, in the order of the layers.
        steps: number of time steps that it reads.

    Raises:
        ImportError: it has no peer.
    """
    sizes = [(kernel[-2] * (kernel[0] if len(kernel) == 3 else 1), kernel[-1]) for kernel in kernels]
    if name == "cnn":
        return cnn(sizes, steps)
    if name == "segments":
        return segments(sizes, 20)
    if name == "transit":  # its outputs are three layers of the same inputs
        hidden = [size for size in sizes if size[1] > 1]
        outputs = len(sizes) - len(hidden)
        return dense([*hidden, (hidden[-1][1], outputs)], functional.gelu)
    if any(len(kernel) == 3 for kernel in kernels) or any(a[1] != b[0] for a, b in itertools.pairwise(sizes)):
        raise ImportError(f"the model {name} has no peer")
    return dense(sizes, lambda x: functional.leaky_relu(x, 0.2))


class Trainer:
    """Trains all networks at once with Adam in one pass over their weights.

    Args:
        network: architecture.
        radius: [networks, rows, 1]; all networks train on the same number of rows.
        batch: rows of a batch.
        vectorised: whether to use `torch.func.vmap` of one network's gradient, or matrix products of all networks.
        device: device of the rows and the weights.
    """

    def __init__(self, network: Network, radius: Any, batch: int, vectorised: bool, device: str = "cpu"):
        torch.set_default_device(device)
        generator = torch.Generator(device).manual_seed(0)
        self.network, self.radius, self.batch = network, radius.to(device), batch
        count, rows = radius.shape[:2]
        self.x = torch.randn(count, rows, network.inputs, generator=generator)
        self.weights = []
        for first, second in network.sizes:
            kernel = torch.randn(count, first, second, generator=generator) / first**0.5
            self.weights += [kernel.requires_grad_(), torch.zeros(count, 1, second, requires_grad=True)]
        self.optimizer = torch.optim.Adam(self.weights, lr=1e-3, fused=True, capturable=device == "cuda")
        self.gradients = torch.func.vmap(torch.func.grad(self._loss)) if vectorised else None

    def _loss(self, weights: Any, x: Any, radius: Any) -> Any:
        return ((self.network.forward(weights, x).sum(-1, keepdim=True) - radius) ** 2).mean((-2, -1))

    def step(self, index: Any) -> None:
        """Train a batch of these rows."""
        x, radius = self.x[:, index], self.radius[:, index]
        if self.gradients is None:
            self.optimizer.zero_grad()
            self._loss(self.weights, x, radius).sum().backward()
        else:
            detached = [one.detach() for one in self.weights]
            for weight, gradient in zip(self.weights, self.gradients(detached, x, radius), strict=True):
                weight.grad = gradient
        self.optimizer.step()

    def epoch(self) -> None:
        order = torch.randperm(self.x.shape[1])
        for index in order.split(self.batch):
            self.step(index)


def graphed(step: Callable[[Any], None], batch: int) -> Callable[[Any], None]:
    """Return a step on the GPU as a CUDA graph, which is launched at once; a smaller batch is launched as before.

    Args:
        step: function (row numbers [batch] on the GPU) that trains a step.
        batch: rows of a batch.
    """
    numbers = torch.arange(batch, device="cuda")
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):  # PyTorch asks for a few steps before a graph is recorded
        for _ in range(3):
            step(numbers)
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        step(numbers)

    def replayed(index: Any) -> None:
        if len(index) < batch:
            step(index)
        else:
            numbers.copy_(index)
            graph.replay()

    return replayed


def ways(network: Network, radius: Any, batch: int, threads: int) -> dict[str, Callable[[], None]]:
    """Return functions that train an epoch of all networks.

    Args:
        network: architecture.
        radius: float32 [networks, rows, 1].
        batch: rows of a batch.
        threads: threads of PyTorch.
    """
    torch.set_num_threads(threads)
    radius = torch.from_numpy(radius)
    return {
        "torch vmap": Trainer(network, radius, batch, vectorised=True).epoch,
        "torch bmm": Trainer(network, radius, batch, vectorised=False).epoch,
    }
