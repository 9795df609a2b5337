"""The cost of running a network: parameters, MACs, latency, memory and energy."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from mmseg.registry import MODELS
from torch import nn

from ..distillers.inference import image_channels, image_size
from ..distillers.teacher import build_teachers, in_precision, live_teachers, scaled_size
from ..io.arguments import build
from ..io.checkpoint import load_weights
from ..io.configs import outer_preprocessor, segmentor_config, segmentor_key
from .complexity import complexity
from .energy import energy_tracker, measure_energy
from .latency import measure_latency
from .memory import peak_memory

Size = tuple[int, int]


class Network:
    """A segmentor or an ensemble of segmentors to measure.

    Args:
        name: Name in the tables.
        modules: Segmentors.
        scales: Factor by which each segmentor resizes height and width of the images.
        weights: ``'trained'`` or ``'random'``.
        dtypes: Precision of each segmentor; float32 by default.
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
        """Height and width of training images; 512x512 if the preprocessor does not set them."""
        return image_size(self._modules[0].get_submodule('data_preprocessor'))

    def to(self, device: torch.device) -> 'Network':
        """Move all segmentors."""
        for module in self._modules:
            module.to(device)
        return self

    def cost(self, size: Size) -> tuple[int, int]:
        """Parameters, and MACs (which MMEngine calls FLOPs) for one image of the size (H, W)."""
        counts = [complexity(module, scaled_size(size, scale)) for module, scale in zip(self._modules, self._scales)]
        return sum(parameters for parameters, _ in counts), sum(macs for _, macs in counts)

    def bytes(self) -> int:
        """Bytes of parameters and buffers."""
        return sum(tensor.nbytes for module in self._modules for tensor in (*module.parameters(), *module.buffers()))

    def runner(self, batch: int, size: Size, device: torch.device) -> Callable[[], None]:
        """A function that predicts ``batch`` preprocessed images (H, W) on the device, and waits for the result."""
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

    Nothing is downloaded. Teachers without a local checkpoint get random weights, which hardly change the cost.

    Args:
        config: Config of a distiller or segmentor.
        checkpoint: Checkpoint of the student or segmentor.
    """
    distilled = 'teacher' in config.model
    module = build(MODELS, segmentor_config(config), segmentor_key(config))
    if checkpoint is not None:
        load_weights(module, checkpoint)
    weights = 'random' if checkpoint is None else 'trained'
    networks = [Network('student' if distilled else 'network', [module], [1], weights)]
    teachers = (
        build_teachers(_at_hand(live_teachers(config.model.teacher)), outer_preprocessor(config)) if distilled else {}
    )
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
    """A teacher's specification with only those checkpoints that are local files."""
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
    """Measured cost of a network. Keys of dicts are sizes (H, W), or batch and size.

    Args:
        name: Name of the network.
        weights: ``'trained'`` or ``'random'``.
        parameters: Number of deployed parameters.
        macs: MACs for one image.
        latency: Median seconds for one batch.
        memory: Bytes of the weights plus the peak of other allocations.
        images: Number of images in the energy measurement.
        energy: Measured energy; None if it was not measured.
    """

    name: str
    weights: str
    parameters: int
    macs: dict[Size, int] = field(default_factory=dict)
    latency: dict[tuple[int, Size], float] = field(default_factory=dict)
    memory: dict[tuple[int, Size], int] = field(default_factory=dict)
    images: int = 0
    energy: Any = None

    @property
    def kwh(self) -> float:
        """Energy of one image in kWh."""
        return self.energy.kwh / self.images

    @property
    def co2(self) -> float:
        """Kilograms of CO2 for one image."""
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
    """Measure the cost of inference. Energy is measured at the first batch size and image size.

    Args:
        networks: Networks to measure.
        batches: Batch sizes.
        sizes: Height and width of the preprocessed images.
        device: Device to measure on.
        seconds: Minimal duration of each measurement of time, and of each network's energy.
        country: Country code, as in :func:`energy_tracker`; None measures no energy.
        report: Function that is called with a description of the next measurement.

    Raises:
        ImportError: If a country is given but codecarbon is not installed.
        ValueError: If a number is too small, or if the country is unknown.
    """
    if not batches or min(batches) < 1 or not sizes or min(map(min, sizes)) < 1 or seconds <= 0:
        raise ValueError(
            'batches and sizes must be >= 1, and seconds must be > 0, but they are '
            f'{list(batches)}, {list(sizes)} and {seconds}'
        )
    if country:
        energy_tracker(country)  # raises errors before minutes of measuring
    results = [NetworkCost(network.name, network.weights, network.cost(sizes[0])[0]) for network in networks]
    for size in sizes:
        report(f'MACs at {size_text(size)}')
        for network, result in zip(networks, results):
            result.macs[size] = network.cost(size)[1]
        for batch in batches:
            report(f'latency and memory at batch {batch}, {size_text(size)}')
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
