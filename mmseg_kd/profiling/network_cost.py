"""What a network costs to run: parameters, MACs, latency, memory and energy."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from mmseg.registry import MODELS
from torch import nn

from ..distillers.inference import image_channels, image_size
from ..distillers.teacher import build_teachers, in_precision, scaled_size
from ..io.checkpoint import load_weights
from ..io.configs import outer_preprocessor, segmentor_config
from .complexity import complexity
from .energy import energy_tracker, measure_energy
from .latency import measure_latency
from .memory import peak_memory

Size = tuple[int, int]


class Network:
    """A segmentor, or several that answer together, ready to be measured.

    Args:
        name: in the tables.
        modules: the segmentors.
        scales: how much larger than asked for each of them sees the images, on a side.
        weights: where they come from, in a word.
        dtypes: precision that each of them runs in; float32 by default.
    """

    def __init__(
        self,
        name: str,
        modules: Sequence[nn.Module],
        scales: Sequence[float],
        weights: str,
        dtypes: Sequence[torch.dtype | None] | None = None,
    ) -> None:
        self.name, self.weights = name, weights
        self._dtypes = dtypes or [None] * len(modules)
        self._modules = [module.eval().requires_grad_(False) for module in modules]
        self._scales = list(scales)

    @property
    def training_size(self) -> Size:
        """Height and width of training images, where the preprocessor fixes them, or 512 x 512."""
        return image_size(self._modules[0].get_submodule('data_preprocessor'))

    def to(self, device: torch.device) -> 'Network':
        """Move it."""
        for module in self._modules:
            module.to(device)
        return self

    def cost(self, size: Size) -> tuple[int, int]:
        """Parameters, and MACs (which MMEngine calls FLOPs) for one image of the size (H, W)."""
        counts = [complexity(module, scaled_size(size, scale)) for module, scale in zip(self._modules, self._scales)]
        return sum(parameters for parameters, _ in counts), sum(macs for _, macs in counts)

    def bytes(self) -> int:
        """Of parameters and buffers."""
        return sum(tensor.nbytes for module in self._modules for tensor in (*module.parameters(), *module.buffers()))

    def runner(self, batch: int, size: Size, device: torch.device) -> Callable[[], None]:
        """A call that makes label maps of ``batch`` preprocessed images (H, W) on the device, and waits for them."""
        generator = torch.Generator().manual_seed(0)
        images = []
        for module, scale in zip(self._modules, self._scales):
            noise = torch.randn(batch, image_channels(module), *scaled_size(size, scale), generator=generator)
            images.append(noise.to(device))

        def run() -> None:
            with torch.no_grad():
                for module, inputs, dtype in zip(self._modules, images, self._dtypes):
                    with in_precision(dtype, device.type):
                        module(inputs, mode='predict')
            if device.type == 'cuda':
                torch.cuda.synchronize(device)

        return run


def load_networks(config: Config, checkpoint: str | None = None) -> list[Network]:
    """Student and teachers of a distiller, or a plain segmentor.

    Weights hardly matter to what a network costs: those that are not at hand are left random, and none is downloaded.

    Args:
        config: of either.
        checkpoint: of the student, or of the segmentor.
    """
    distilled = 'teacher' in config.model
    module = MODELS.build(segmentor_config(config))
    if checkpoint is not None:
        load_weights(module, checkpoint)
    weights = 'random' if checkpoint is None else 'trained'
    networks = [Network('student' if distilled else 'network', [module], [1], weights)]
    teachers = build_teachers(_at_hand(config.model.teacher), outer_preprocessor(config)) if distilled else {}
    for name, teacher in teachers.items():
        kinds = {'trained' if member.checkpoint else 'random' for member in teacher.members}
        networks.append(
            Network(
                f'teacher {name}'.strip(),
                [member.module for member in teacher.members],
                [member.scale for member in teacher.members],
                ' and '.join(sorted(kinds)),
                [member.dtype for member in teacher.members],
            )
        )
    return networks


def _at_hand(spec: Any) -> Any:
    """A teacher's specification, without the checkpoints that are no local file."""
    if isinstance(spec, (list, tuple)):
        return [_at_hand(member) for member in spec]
    if not isinstance(spec, dict):
        return spec
    if not {'config', 'model'} & spec.keys():
        return {name: _at_hand(member) for name, member in spec.items()}
    found = Path(spec.get('checkpoint') or '').is_file()
    return dict(spec, checkpoint=spec['checkpoint'] if found else None)


@dataclass
class NetworkCost:
    """What was measured of a network; the keys of dicts are sizes (H, W), or batch and size.

    Args:
        name: of the network.
        weights: where they came from.
        parameters: of what is deployed.
        macs: MACs for one image.
        latency: median seconds for one batch.
        memory: bytes of weights and of the most that was allocated beside them.
        images: that were seen while energy was measured.
        energy: that was measured, if it was.
    """

    name: str
    weights: str
    parameters: int
    macs: dict[Size, int] = field(default_factory=dict)
    latency: dict[tuple[int, Size], float] = field(default_factory=dict)
    memory: dict[tuple[int, Size], int] = field(default_factory=dict)
    images: int = 0
    energy: Any = None  # an Energy once it was measured

    @property
    def kwh(self) -> float:
        """Energy of one image."""
        return self.energy.kwh / self.images

    @property
    def co2(self) -> float:
        """Kilograms of one image."""
        return self.energy.co2 / self.images


def measure_networks(
    networks: Sequence[Network],
    batches: Sequence[int],
    sizes: Sequence[Size],
    device: torch.device,
    seconds: float,
    country: str | None = None,
    report: Callable[[str], None] = lambda text: None,
) -> list[NetworkCost]:
    """Measure everything but training. Energy: at the first batch and size.

    Args:
        networks: to measure; they take turns where time is measured.
        batches: numbers of images at once.
        sizes: (H, W) of the images, as the network sees them.
        device: to measure on.
        seconds: that each time measurement, and each energy measurement of a network, takes at least.
        country: see :func:`energy_tracker`; None measures no energy.
        report: is told what is measured next.

    Raises:
        ImportError: if codecarbon is not installed, but there is a country.
        ValueError: if a number is too small, or the country unknown.
    """
    if not batches or min(batches) < 1 or not sizes or min(map(min, sizes)) < 1 or seconds <= 0:
        raise ValueError(
            'batches and sizes must be >= 1, and seconds > 0, but they are '
            f'{list(batches)}, {list(sizes)} and {seconds}'
        )
    if country:
        energy_tracker(country)  # a missing package or a wrong country is told before minutes of measuring
    results = [NetworkCost(network.name, network.weights, network.cost(sizes[0])[0]) for network in networks]
    for size in sizes:
        report(f'MACs at {size_text(size)}')
        for network, result in zip(networks, results):
            result.macs[size] = network.cost(size)[1]
        for batch in batches:
            report(f'time and memory of {batch} x {size_text(size)}')
            runs = {network.name: network.to(device).runner(batch, size, device) for network in networks}
            times = measure_latency(runs, seconds)
            for network, result in zip(networks, results):
                result.latency[batch, size] = times[network.name]
                result.memory[batch, size] = network.bytes() + peak_memory(runs[network.name], device)
    for network, result in zip(networks, results) if country else ():
        report(f'energy of the {network.name}')
        run = network.runner(batches[0], sizes[0], device)
        run()
        calls, result.energy = measure_energy(run, seconds, str(country))
        result.images = calls * batches[0]
    return results


def size_text(size: Size) -> str:
    return f'{size[0]}x{size[1]}'
