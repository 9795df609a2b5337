"""Time and memory of each loss beside its textbook form, at the sizes of Cityscapes (stride 8, crops of 512 x 1024).

Both forms run in turns in one process, forward and backward, and must give the same value. Memory is what autograd
keeps from the forward to the backward pass besides the inputs, counted once per storage; parameters are not counted.

    python benchmarks/losses.py --batch 4 --repeats 5 --threads 1
"""
import argparse
import statistics
import time
from typing import Callable, Iterator, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mmseg_kd.losses import (AttentionTransferLoss, CosineFeatureLoss, CWDLoss, HintLoss, HolisticKDLoss, IFVDLoss,
                             PairWiseKDLoss, PixelWiseKDLoss)

CLASSES, HEIGHT, WIDTH = 19, 64, 128


class Case(NamedTuple):
    name: str
    loss: nn.Module
    textbook: Callable[..., Tensor]
    inputs: tuple


def pixel_wise(student: Tensor, teacher: Tensor) -> Tensor:
    s, t = (x.permute(0, 2, 3, 1).reshape(-1, x.shape[1]).softmax(1) for x in (student, teacher))
    return (t * (t.log() - s.log())).sum(1).mean()


def channel_wise(student: Tensor, teacher: Tensor) -> Tensor:
    s, t = ((x.reshape(-1, x.shape[2] * x.shape[3]) / 4).softmax(1) for x in (student, teacher))
    return 16 * (t * (t.log() - s.log())).sum(1).mean()


def pair_wise(student: Tensor, teacher: Tensor) -> Tensor:
    s, t = (F.normalize(F.avg_pool2d(x, 2, ceil_mode=True).flatten(2), dim=1) for x in (student, teacher))
    return (s.transpose(1, 2) @ s - t.transpose(1, 2) @ t).pow(2).mean()


def intra_class(student: Tensor, teacher: Tensor, labels: Tensor) -> Tensor:
    def similarity(features: Tensor) -> Tensor:
        centers = features
        for k in range(CLASSES):
            mask = (labels == k)[:, None].float()
            mean = (features * mask).sum((2, 3), keepdim=True) / (mask.sum((2, 3), keepdim=True) + 1e-6)
            centers = centers * (1 - mask) + mask * mean
        return F.cosine_similarity(features, centers, dim=1)

    valid = labels != 255
    return ((similarity(student) - similarity(teacher)).pow(2) * valid).sum() / valid.sum()


def hint(student: Tensor, teacher: Tensor) -> Tensor:
    return (student - teacher).pow(2).mean()


def attention_transfer(student: Tensor, teacher: Tensor) -> Tensor:
    s, t = (F.normalize(x.pow(2).mean(1).flatten(1)) for x in (student, teacher))
    return (s - t).pow(2).mean()


def cosine_feature(student: Tensor, teacher: Tensor) -> Tensor:
    return (1 - (F.normalize(student) * F.normalize(teacher)).sum(1)).mean()


class BothObjectives(nn.Module):
    """The student's and the critic's objective in one sum, as in a training step."""

    def __init__(self, student: Tensor, teacher: Tensor, images: Tensor) -> None:
        super().__init__()
        self.loss = HolisticKDLoss()
        self.loss.setup((student, images), teacher)

    def forward(self, student: Tensor, teacher: Tensor, images: Tensor) -> Tensor:
        return self.loss((student, images), teacher) + self.loss.critic_loss((student, images), teacher)

    def textbook(self, student: Tensor, teacher: Tensor, images: Tensor) -> Tensor:
        """A pass of the critic for each use, its parameters never frozen."""
        image = F.interpolate(images, size=student.shape[2:], mode='bilinear')
        fake, real = (torch.cat([image, x.softmax(1)], dim=1) for x in (student, teacher))
        critic = self.loss.critic
        own = -critic(fake).mean()
        a = torch.rand(len(real), 1, 1, 1)
        between = (a * real + (1 - a) * fake).detach().requires_grad_()
        slope, = torch.autograd.grad(critic(between).mean((1, 2, 3)).sum(), between, create_graph=True)
        penalty = (slope.flatten(1).norm(dim=1) - 1).pow(2).mean()
        return own + critic(fake.detach()).mean() - critic(real).mean() + 10 * penalty


def cases(batch: int) -> Iterator[Case]:
    def pair(student: int, teacher: int) -> tuple:
        return tuple(torch.randn(batch, c, HEIGHT, WIDTH) for c in (student, teacher))

    blocks = torch.randint(0, CLASSES, (batch, HEIGHT // 8, WIDTH // 8))
    blocks[:, 0] = 255
    labels = blocks.repeat_interleave(8, dim=1).repeat_interleave(8, dim=2)
    adversarial = (*pair(CLASSES, CLASSES), torch.randn(batch, 3, 8 * HEIGHT, 8 * WIDTH))
    both = BothObjectives(*adversarial).eval()
    yield Case('AttentionTransferLoss', AttentionTransferLoss(), attention_transfer, pair(512, 512))
    yield Case('CosineFeatureLoss', CosineFeatureLoss(), cosine_feature, pair(512, 512))
    yield Case('CWDLoss', CWDLoss(), channel_wise, pair(CLASSES, CLASSES))
    yield Case('HintLoss', HintLoss(), hint, pair(512, 512))
    yield Case('HolisticKDLoss with its critic', both, both.textbook, adversarial)
    yield Case('IFVDLoss', IFVDLoss(), intra_class, (*pair(512, 512), labels))
    yield Case('PairWiseKDLoss (128, 512 channels)', PairWiseKDLoss(), pair_wise, pair(128, 512))
    yield Case('PixelWiseKDLoss', PixelWiseKDLoss(), pixel_wise, pair(CLASSES, CLASSES))


def seconds(function: Callable[..., Tensor], inputs: tuple) -> float:
    student = inputs[0].clone().requires_grad_()
    start = time.perf_counter()
    function(student, *inputs[1:]).backward()
    return time.perf_counter() - start


def kept_megabytes(function: Callable[..., Tensor], inputs: tuple, parameters: list) -> float:
    student = inputs[0].clone().requires_grad_()
    known = {x.untyped_storage().data_ptr() for x in (student, *inputs[1:], *parameters)}
    kept = {}

    def pack(x: Tensor) -> Tensor:
        if x.untyped_storage().data_ptr() not in known:
            kept[x.untyped_storage().data_ptr()] = x
        return x

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda x: x):
        value = function(student, *inputs[1:])
    assert value.requires_grad
    return sum(x.untyped_storage().nbytes() for x in kept.values()) / 2**20


def measure(case: Case, repeats: int) -> str:
    functions, values, times = (case.loss, case.textbook), [], ([], [])
    for function in functions:
        torch.manual_seed(0)
        values.append(function(*case.inputs).item())
    if abs(values[0] - values[1]) > 1e-4 * abs(values[1]) + 1e-7:
        raise ValueError(f'{case.name} must equal its textbook form, but is {values[0]} against {values[1]}')
    for _ in range(repeats):
        for function, taken in zip(functions, times):
            taken.append(seconds(function, case.inputs))
    ours, theirs = (1000 * statistics.median(taken) for taken in times)
    kept, kept_theirs = (kept_megabytes(f, case.inputs, list(case.loss.parameters())) for f in functions)
    return (f'| {case.name} | {ours:.0f} | {theirs:.0f} | {ours / theirs:.2f} | {kept:.1f} | {kept_theirs:.1f} | '
            f'{kept / kept_theirs:.2f} |')


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--batch', type=int, default=4)
    parser.add_argument('--repeats', type=int, default=5, help='runs of each form; the median is printed')
    parser.add_argument('--threads', type=int, default=1)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    print(f'torch {torch.__version__}, {args.threads} thread(s), batch {args.batch}, {HEIGHT} x {WIDTH}, float32\n')
    print('| loss | ms | textbook ms | time ratio | kept MiB | textbook MiB | memory ratio |')
    print('|---|---|---|---|---|---|---|')
    for case in cases(args.batch):
        print(measure(case, args.repeats), flush=True)


if __name__ == '__main__':
    main()
