"""The single losses of a training step, with their gradients."""

import copy
import math
from dataclasses import dataclass

from mmseg.models.segmentors import BaseSegmentor
from torch import Tensor, nn

from ..distillers import Distiller, Term
from ..distillers.gradient_norm import gradient_norm
from ..io.tables import markdown_table
from ..losses.ops import tensor_sum

OWN = "student's losses together"
SHARE = 0.3  # share of the gradient for which the table has a weight


@dataclass
class Part:
    """One loss of a step.

    Args:
        name: name of the loss in the log.
        value: weighted value.
        gradient: norm of the gradient with respect to the student's parameters; 0 without a gradient.
        connected: whether the value depends on a parameter of the student.
        counted: whether the norm counts in the sum of norms; one of several losses of the student does not, since their
            sum counts.

    Example:
        >>> Part('loss_pi', value=0.5, gradient=2.0, connected=True).gradient
        2.0
    """

    name: str
    value: float
    gradient: float
    connected: bool
    counted: bool = True


def read_parts(model: nn.Module, batch: dict) -> dict[str, Part]:
    """The losses of one forward pass, with a backward pass for each, in float32.

    Args:
        model: segmentor or distiller; its gradients are removed.
        batch: batch before preprocessing.

    Example:
        >>> from mmengine.registry import init_default_scope
        >>> from mmseg_kd.testing.toys import toy_batch, toy_segmentor
        >>> from mmseg.registry import MODELS
        >>> init_default_scope('mmseg')  # a Runner does this
        >>> parts = read_parts(MODELS.build(toy_segmentor(auxiliary=False)), toy_batch())
        >>> parts['decode.loss_ce'].connected
        True
    """
    model.train()
    values, terms = losses_of(model, batch), terms_of(model)
    own = [name for name in values if name.removesuffix('_critic') not in terms]
    if len(own) > 1:
        values[OWN] = tensor_sum(values[name] for name in own)
    networks = model.learners if isinstance(model, Distiller) else [model]
    parameters = [p for network in networks for p in network.parameters()]
    parts = {}
    for name, value in values.items():
        norm = gradient_norm(value, parameters, model.parameters())
        gradient = 0.0 if norm is None else norm.item()
        parts[name] = Part(name, value.item(), gradient, norm is not None, OWN not in values or name not in own)
    return parts


def gradient_shares(parts: list[Part]) -> dict[str, float]:
    """Gradient norm of each part that counts, divided by the sum of their finite norms.

    Example:
        >>> gradient_shares([Part('a', 1.0, 3.0, True), Part('b', 1.0, 1.0, True)])
        {'a': 0.75, 'b': 0.25}
    """
    counted = [part for part in parts if part.counted]
    total = math.fsum(part.gradient for part in counted if math.isfinite(part.gradient))
    return {part.name: part.gradient / total if total else 0.0 for part in counted}


def loss_table(parts: list[Part], model: nn.Module) -> str:
    """A table of the losses with weight, value, gradient norm, the shares of both, and the weight for another share.

    An adversarial loss has no such weight: its gradient grows a thousandfold while its critic learns.

    Example:
        >>> print(loss_table([Part('decode.loss_ce', 2.0, 3.0, True)], nn.Linear(1, 1)))
        | loss           | weight | value | share of the loss | gradient norm | share of the norms | weight for 30 % |
        | -------------- | -----: | ----: | ----------------: | ------------: | -----------------: | --------------: |
        | decode.loss_ce |        |     2 |           100.0 % |             3 |            100.0 % |                 |
    """
    shares = gradient_shares(parts)
    total = math.fsum(part.value for part in parts if math.isfinite(part.value) and part.connected and part.name != OWN)
    rows = [
        [
            'loss',
            'weight',
            'value',
            'share of the loss',
            'gradient norm',
            'share of the norms',
            f'weight for {SHARE:.0%}'.replace('%', ' %'),
        ]
    ]
    for part in parts:
        term = terms_of(model).get(part.name)
        share = shares.get(part.name)
        rows.append(
            [
                part.name,
                f'{term.weight:g}' if term else '',
                f'{part.value:.4g}',
                *(
                    (
                        f'{100 * part.value / total:.1f} %' if total else '-',
                        f'{part.gradient:.3g}',
                        '' if share is None else f'{100 * share:.1f} %',
                    )
                    if part.connected
                    else ('-', '-', '-')
                ),
                '' if term is None else _weight_for(SHARE, term, share or 0.0),
            ]
        )
    return markdown_table(rows)


def _weight_for(wanted: float, term: Term, share: float) -> str:
    """The weight that gives a term the wanted share, beside other losses as they are."""
    if term.critic is not None or not (0 < share < 1 and term.weight):
        return '-'
    return f'{term.weight * wanted / (1 - wanted) * (1 - share) / share:.3g}'


def preprocess(model: BaseSegmentor, batch: dict) -> dict:
    """A copy of a batch, preprocessed as in training.

    Example:
        >>> from mmengine.registry import init_default_scope
        >>> from mmseg_kd.testing.toys import toy_batch, toy_segmentor
        >>> from mmseg.registry import MODELS
        >>> init_default_scope('mmseg')  # a Runner does this
        >>> preprocess(MODELS.build(toy_segmentor()), toy_batch(num=2, size=32))['inputs'].shape
        torch.Size([2, 3, 32, 32])
    """
    return model.data_preprocessor(copy.deepcopy(batch), True)


def labeled_part(data: dict) -> dict:
    """The labeled branch of a preprocessed batch; the whole batch without branches.

    Example:
        >>> labeled_part(dict(inputs=dict(labeled='a', unlabeled=['b'])))
        {'inputs': 'a'}
    """
    return {key: value['labeled'] if isinstance(value, dict) else value for key, value in data.items()}


def terms_of(model: nn.Module) -> dict[str, Term]:
    return model.all_terms if isinstance(model, Distiller) else {}


def losses_of(model: nn.Module, batch: dict) -> dict[str, Tensor]:
    """The losses that MMEngine sums, by name.

    Example:
        >>> from mmengine.registry import init_default_scope
        >>> from mmseg_kd.testing.toys import toy_batch, toy_segmentor
        >>> from mmseg.registry import MODELS
        >>> init_default_scope('mmseg')  # a Runner does this
        >>> list(losses_of(MODELS.build(toy_segmentor(auxiliary=False)), toy_batch()))
        ['decode.loss_ce']
    """
    losses = model(**preprocess(model, batch), mode='loss')
    return {
        name: value.mean() if isinstance(value, Tensor) else tensor_sum(item.mean() for item in value)
        for name, value in losses.items()
        if 'loss' in name
    }
