"""The losses of one training step, taken apart."""

import copy
import math
from dataclasses import dataclass

import torch
from mmseg.models.segmentors import BaseSegmentor
from torch import Tensor, nn

from ..distillers import Distiller, Term
from ..io.tables import markdown_table
from ..losses.ops import tensor_sum


@dataclass
class Part:
    """One loss of the step.

    Args:
        name: in the log.
        value: weighted.
        gradient: norm over the student's parameters; 0 if it does not reach them.
        connected: whether the value depends on a parameter of the student at all.
    """

    name: str
    value: float
    gradient: float
    connected: bool


def read_parts(model: nn.Module, batch: dict) -> dict[str, Part]:
    """Every loss of one forward pass, with a backward pass each, in float32.

    Args:
        model: a segmentor or a distiller; its gradients are gone afterwards.
        batch: before its preprocessing.
    """
    model.train()
    student = model.student if isinstance(model, Distiller) else model
    parts = {}
    for name, value in losses_of(model, batch).items():
        model.zero_grad(set_to_none=True)
        if value.requires_grad:
            # Not autograd.grad(), which checkpointed backbones refuse.
            value.backward(retain_graph=True)
        norms = [p.grad.float().norm() for p in student.parameters() if p.grad is not None]
        gradient = torch.stack(norms).norm().item() if norms else 0.0
        parts[name] = Part(name, value.item(), gradient, bool(norms))
    model.zero_grad(set_to_none=True)
    return parts


def gradient_shares(parts: list[Part]) -> dict[str, float]:
    """Gradient norm of each loss, of the sum of all that are finite."""
    total = math.fsum(part.gradient for part in parts if math.isfinite(part.gradient))
    return {part.name: part.gradient / total if total else 0.0 for part in parts}


def loss_table(parts: list[Part], model: nn.Module) -> str:
    """Each loss with its weight, its value and gradient, and their shares."""
    shares = gradient_shares(parts)
    total = math.fsum(part.value for part in parts if math.isfinite(part.value) and part.connected)
    rows = [['loss', 'weight', 'value', 'of the loss', 'gradient norm', 'of the norms']]
    for part in parts:
        term = terms_of(model).get(part.name)
        rows.append(
            [
                part.name,
                f'{term.weight:g}' if term else '',
                f'{part.value:.4g}',
                *(
                    (
                        f'{100 * part.value / total:.1f} %' if total else '-',
                        f'{part.gradient:.3g}',
                        f'{100 * shares[part.name]:.1f} %',
                    )
                    if part.connected
                    else ('-', '-', '-')
                ),
            ]
        )
    return markdown_table(rows)


def preprocess(model: BaseSegmentor, batch: dict) -> dict:
    """A batch as the model takes it in training; the original is left as it is."""
    return model.data_preprocessor(copy.deepcopy(batch), True)


def labeled_part(data: dict) -> dict:
    """What of a preprocessed batch has labels: all, unless it has branches."""
    return {key: value['labeled'] if isinstance(value, dict) else value for key, value in data.items()}


def terms_of(model: nn.Module) -> dict[str, Term]:
    return model.all_terms if isinstance(model, Distiller) else {}


def losses_of(model: nn.Module, batch: dict) -> dict[str, Tensor]:
    """What MMEngine adds up, by name."""
    losses = model(**preprocess(model, batch), mode='loss')
    return {
        name: value.mean() if isinstance(value, Tensor) else tensor_sum(item.mean() for item in value)
        for name, value in losses.items()
        if 'loss' in name
    }
