from typing import Any, Dict, Iterable

from mmseg.models import EncoderDecoder
from torch import Tensor, nn

from .taps import Taps


def forward_inference(model: nn.Module, inputs: Tensor, paths: Iterable[str]) -> Dict[str, Any]:
    """Run a segmentor as deep as the paths need, without losses, and return what they hold.

    Auxiliary heads, which inference leaves out, run only where a path lies in one.
    """
    paths = list(paths)
    with Taps(model, paths, inputs, stop_early=True) as values:
        if isinstance(model, EncoderDecoder) and values.keys() != set(paths):
            _encode_decode(model, inputs, any(path.startswith('auxiliary_head') for path in paths))
        elif values.keys() != set(paths):
            model(inputs, mode='tensor')
    return values


def _encode_decode(model: EncoderDecoder, inputs: Tensor, auxiliary: bool) -> None:
    """Heads are called by ``forward``, without the resizing to the image that ``predict`` adds."""
    features = model.extract_feat(inputs)
    if auxiliary:
        for head in model.auxiliary_head if isinstance(model.auxiliary_head, nn.ModuleList) else [model.auxiliary_head]:
            head.forward(features)
    heads = model.decode_head if isinstance(model.decode_head, nn.ModuleList) else [model.decode_head]
    output = heads[0].forward(features)
    for head in list(heads)[1:]:
        output = head.forward(features, output)
