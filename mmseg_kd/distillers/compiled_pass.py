"""Forward passes of a frozen network, compiled with what is read in them."""

import logging
from collections.abc import Callable, Iterable
from typing import Any

import torch
from mmengine.logging import print_log
from torch import Tensor, nn
from torch.utils._pytree import tree_map_only

from .batch_norm_folding import output_error
from .inference import forward_inference

MOST_GRAPHS = 4  # each takes a minute or more
TOLERANCES = {torch.float32: 1e-3, torch.bfloat16: 0.1, torch.float16: 0.1}


class CompiledPass:
    """:func:`~mmseg_kd.distillers.inference.forward_inference` with ``torch.compile``.

    A pass is recorded as one graph from the images to the values that are read. The graph holds nothing else: no hooks,
    and no layer behind the deepest value. On CPUs its weights are frozen, so that batch norms are folded, and weights
    are cast to half precision and packed once instead of in each step.

    One graph is compiled for every shape of the images, list of paths and precision, at most four. The network runs
    uncompiled beyond these, or if compilation fails, or if the values of the first compiled pass differ from those of
    the network; one line of the log says which.

    Args:
        network: The frozen network in eval mode.
        key: The key of the option, for the log.
        compiler: A function that compiles a recorded graph for a type of device.

    Example:
        >>> import torch
        >>> from mmengine.registry import init_default_scope
        >>> from mmseg.registry import MODELS
        >>> from mmseg_kd.distillers.compiled_pass import CompiledPass
        >>> from mmseg_kd.testing.toys import toy_segmentor
        >>> init_default_scope('mmseg')  # a Runner does this
        >>> network = MODELS.build(toy_segmentor(num_classes=4)).eval().requires_grad_(False)
        >>> read = CompiledPass(network, compiler=lambda graph, device: graph)  # recorded only
        >>> with torch.no_grad():
        ...     read(torch.zeros(1, 3, 32, 32), ['logits'])['logits'].shape
        torch.Size([1, 4, 4, 4])
    """

    def __init__(
        self,
        network: nn.Module,
        key: str = 'model.teacher.compile',
        compiler: Callable[[nn.Module, str], Callable] | None = None,
    ) -> None:
        self._network, self._key, self._compiler = network, key, compiler or _inductor
        self._graphs: dict[tuple, Callable | None] = {}

    # A training step that is compiled as a whole must not trace the recording of a graph.
    @torch.compiler.disable
    def __call__(self, inputs: Tensor, paths: Iterable[str]) -> dict[str, Any]:
        """Values of the paths; arguments as for :func:`~mmseg_kd.distillers.inference.forward_inference`."""
        paths = list(paths)
        device = inputs.device.type
        kind = tuple(paths), inputs.shape, inputs.stride(), inputs.dtype, inputs.device, _precision(device)
        if kind not in self._graphs:
            self._graphs[kind] = self._compile(inputs, paths)
        graph = self._graphs[kind]
        if graph is None:
            return forward_inference(self._network, inputs, paths)
        # The casts are part of the graph.
        with torch.autocast(device, enabled=False):
            return dict(graph(inputs))

    def _compile(self, inputs: Tensor, paths: list[str]) -> Callable | None:
        if len(self._graphs) >= MOST_GRAPHS:
            self._tell(f'images of {tuple(inputs.shape)} would need a graph beyond the {MOST_GRAPHS} allowed')
            return None
        from torch.fx.experimental.proxy_tensor import make_fx  # takes a second

        devices = [inputs.device] if inputs.device.type == 'cuda' else []
        try:
            # Sampling in the network would otherwise change the random numbers of the training.
            with torch.random.fork_rng(devices):
                expected = forward_inference(self._network, inputs, paths)
            with torch.random.fork_rng(devices):
                graph = make_fx(lambda images: forward_inference(self._network, images, paths))(inputs)
                graph.graph.eliminate_dead_code()
                graph.recompile()
                compiled = self._compiler(graph, inputs.device.type)
                with torch.autocast(inputs.device.type, enabled=False):
                    found = dict(compiled(inputs))
        except Exception as error:
            self._tell(f'{type(error).__name__}: {str(error).strip().partition(chr(10))[0]}')
            return None
        change = output_error(expected, found)
        if not change <= TOLERANCES[_precision(inputs.device.type)]:
            self._tell(f'an output would change by {change:.1g} of its largest value')
            return None
        return compiled

    def _tell(self, why: str) -> None:
        print_log(f'{self._key}: the teacher runs uncompiled for this input; {why}', 'current', logging.WARNING)


def replayed(graph: nn.Module, device: str) -> Callable:
    """Compile a graph, and replay it as a CUDA graph on a GPU. The outputs are copied, because the next replay
    overwrites those of the graph.

    The first call runs the graph three times: PyTorch warms up, records, and replays. So its outputs are those of a
    replay, which :class:`CompiledPass` compares with the network's.

    Args:
        graph: The recorded graph.
        device: The type of the device.
    """
    if device != 'cuda':
        return _inductor(graph, device)
    compiled = torch.compile(graph, dynamic=False, mode='reduce-overhead')
    runs = iter([3])

    def replay(images: Tensor) -> Any:
        for _ in range(next(runs, 1)):
            outputs = compiled(images)
        return tree_map_only(Tensor, torch.clone, outputs)

    return replay


def _inductor(graph: nn.Module, device: str) -> Callable:
    compiled = torch.compile(graph, dynamic=False)
    if device != 'cpu':
        return compiled
    from torch._inductor import config  # `options` of torch.compile come too late: dynamo reads this setting too

    def frozen(inputs: Tensor) -> Any:
        with config.patch(freezing=True):
            return compiled(inputs)

    return frozen


def _precision(device: str) -> torch.dtype:
    """The precision of autocast on a device."""
    on = torch.is_autocast_enabled() if device == 'cuda' else torch.is_autocast_cpu_enabled()
    if not on:
        return torch.float32
    return torch.get_autocast_gpu_dtype() if device == 'cuda' else torch.get_autocast_cpu_dtype()
