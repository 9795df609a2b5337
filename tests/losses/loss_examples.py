"""An example for every loss of the package, those that come later included: how to build it, and what it can take."""

import importlib
import inspect
import pkgutil

import torch
from reference import labels, maps

import mmseg_kd.losses
from mmseg_kd.losses import (
    ACELoss,
    AdversarialLoss,
    AfDCDLoss,
    APDLoss,
    AttnFDLoss,
    ChannelFAKDLoss,
    CIRKDChannelLoss,
    CIRKDMemoryLoss,
    DistillLoss,
    DSDCategorySimilarityLoss,
    DSDPixelSimilarityLoss,
    FAKDLoss,
    HingeHolisticKDLoss,
    HolisticKDLoss,
    IDDPositionLoss,
    KATranslatorLoss,
    MaskedGenerativeLoss,
    ProjectedCosineLoss,
    PseudoLabelLoss,
    RawHolisticKDLoss,
    SALCContextLoss,
    StandardizedKDLoss,
    StrayCIRKDMemoryLoss,
)

# Adversarial objectives, cross-entropies, and what passes a network through layers of its own have no value that
# equality must give.
NO_KNOWN_MINIMUM = {
    ACELoss,
    AfDCDLoss,
    APDLoss,
    AttnFDLoss,
    ChannelFAKDLoss,
    CIRKDChannelLoss,
    CIRKDMemoryLoss,
    FAKDLoss,
    HingeHolisticKDLoss,
    HolisticKDLoss,
    KATranslatorLoss,
    MaskedGenerativeLoss,
    ProjectedCosineLoss,
    PseudoLabelLoss,
    RawHolisticKDLoss,
    SALCContextLoss,
    StrayCIRKDMemoryLoss,
}
# Can take multiples of these numbers of channels only, need so many, or have so small features from few that rounding
# turns them.
CHANNELS = {AfDCDLoss: 16, CIRKDMemoryLoss: 16, KATranslatorLoss: 32, StandardizedKDLoss: 3, StrayCIRKDMemoryLoss: 16}
# Draw equally many vectors of each class, and so the more, the more classes could occur.
ROUND_TO_CLASSES = {CIRKDMemoryLoss, StrayCIRKDMemoryLoss}
# Read the student's classifier too.
WITH_CLASSIFIER = {ChannelFAKDLoss, FAKDLoss}
# Cannot take maps with shorter sides.
SIDES = {IDDPositionLoss: 3}
# Read several maps of the student and none of a teacher.
WITHOUT_TEACHER = {SALCContextLoss}
# Read two or more maps of each network.
SEVERAL = {DSDPixelSimilarityLoss}
# With the defaults remember more than a test should, or have gradients that underflow in half precision.
MEMORY = dict(pixel_size=40, region_size=10, pixel_contrast=600, region_contrast=300)
ARGUMENTS = {CIRKDMemoryLoss: MEMORY, DSDCategorySimilarityLoss: dict(temperature=0.5), StrayCIRKDMemoryLoss: MEMORY}


def all_losses():
    found = set()
    for info in pkgutil.walk_packages(mmseg_kd.losses.__path__, 'mmseg_kd.losses.'):
        for _, cls in inspect.getmembers(
            importlib.import_module(info.name), lambda each: type(each) is type(DistillLoss)
        ):
            if issubclass(cls, DistillLoss) and not inspect.isabstract(cls):
                found.add(cls)
    return sorted(found, key=lambda cls: cls.__name__)


LOSSES = all_losses()
LABELED = [cls for cls in LOSSES if cls.needs_labels]


def example(cls, *shape, classes=4, seed=0):
    """Student, teacher and, where wanted, labels (float32)."""
    n, c, h, w = shape or (3, 5, 7, 9)
    multiple, side = CHANNELS.get(cls, 1), SIDES.get(cls, 1)
    c, h, w = -(-c // multiple) * multiple, max(h, side), max(w, side)
    student, teacher = (x.float() for x in maps(n, c, h, w, seed=seed))
    y = labels(n, h, w, classes=min(classes, c), seed=seed)
    return (student, teacher) + ((y,) if cls.needs_labels else ())


class Reading(torch.nn.Module):
    """Gives a loss what it reads: ``student(map)`` and ``teacher(map)``, instead of one map each."""

    def __init__(self, loss, student, teacher=lambda x: x):
        super().__init__()
        self.loss, self.student, self.teacher = loss, student, teacher

    def forward(self, student, teacher, *y):
        return self.loss(self.student(student), self.teacher(teacher), *y)

    def denominator(self, student, teacher, *y):
        return self.loss.denominator(self.student(student), self.teacher(teacher), *y)


class WithClassifier(torch.nn.Module):
    """The student's features, and a classifier beside them."""

    def __init__(self, student, teacher):
        super().__init__()
        self.register_buffer('classifier', maps(teacher.shape[1], student.shape[1], 1, 1)[0].float())

    def forward(self, student):
        return student, self.classifier, self.classifier[:, 0, 0, 0]


def in_two(x):
    """The channels of one map in two parts."""
    return x.tensor_split(2, dim=1)


def build(cls, student, teacher, *_, classes=DistillLoss.classes, seed=0, **arguments):
    """A loss in eval mode, so that equal calls give equal values."""
    torch.manual_seed(seed)
    loss = cls(**{**ARGUMENTS.get(cls, {}), **arguments})
    loss.classes = classes
    if cls in WITH_CLASSIFIER:
        read = WithClassifier(student, teacher)
        loss.setup(read(student), teacher)
        return Reading(loss, read).eval()
    loss.setup(student, teacher)
    if cls in SEVERAL:
        return Reading(loss, in_two, in_two).eval()
    return (Reading(loss, in_two, lambda x: ()) if cls in WITHOUT_TEACHER else loss).eval()


def evaluate(loss, *inputs):
    torch.manual_seed(0)
    return loss(*inputs)


def objective(loss, *inputs):
    """What is minimized: the loss, and that of its critic."""
    return loss(*inputs) + (loss.critic_loss(*inputs) if isinstance(loss, AdversarialLoss) else 0)
