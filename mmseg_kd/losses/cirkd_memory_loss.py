from typing import Any

from mmseg.registry import MODELS
from torch import Tensor

from ..constants import IGNORE_INDEX
from .base import DistillLoss
from .memory_queue import MemoryQueue, pixel_keys, region_keys, stray_pixel_keys
from .ops import tensor_sum, unit
from .relations import ProjectionHead, check_head, relation_divergence


@MODELS.register_module()
class CIRKDMemoryLoss(DistillLoss):
    r"""Match the similarity of each pixel to pixels and regions of past batches (cross-image relations with a memory).

    .. math:: L = \sum_{K} \frac{1}{|V|} \sum_{p \in V} \mathrm{KL}\big(
        \mathrm{softmax}_{k \in K}(t_p \cdot k / \tau) \,\|\, \mathrm{softmax}_{k \in K}(s_p \cdot k / \tau)\big)

    with t the teacher's features and s the student's features behind a projection head, scaled to length one; V the
    pixels that are not ignored; and K a random sample from the memory of pixels, then one from the memory of regions,
    with equally many vectors of each class.

    In training mode, the memories first receive the teacher's features of the batch, of all processes: for each class
    in each image, its mean (a region) and some random pixels. These are chosen before processes exchange features, so
    that all processes hold the same memories whatever their random numbers; their batches must have one size. In eval
    mode the memories do not change. :class:`~mmseg_kd.losses.memory_queue.MemoryQueue` says how they fill and are
    saved.

    Args:
        temperature: The divisor :math:`\tau` of the cosines of both networks.
        pixel_size: The number of remembered pixels per class.
        region_size: The number of remembered regions per class.
        pixel_contrast: The number of pixels in K, over all classes (rounded up to a multiple of their number).
        region_contrast: The number of regions in K, over all classes (rounded up in the same way).
        pixels_per_class: The largest number of pixels that one class in one image adds.

    Shape:
        Features (N, C, H, W) of student and teacher, channels may differ; labels (N, h, w) below ``classes`` or 255. A
        scalar in nats; 0 if all pixels are ignored. The memories hold classes * (pixel_size + region_size) * C numbers
        of half precision: 408 MiB for 19 classes and 512 channels.

    Raises:
        ValueError: if an argument is not positive, batch or spatial sizes differ, labels are missing, or the loss was
            not set up, or was set up for other channels.

    Example:
        >>> import torch
        >>> from mmseg_kd.losses import CIRKDMemoryLoss
        >>> loss, labels = CIRKDMemoryLoss(pixel_size=8, region_size=4), torch.zeros(1, 2, 2, dtype=torch.long)
        >>> loss.classes, student, teacher = 2, torch.rand(1, 3, 2, 2), torch.rand(1, 5, 2, 2)
        >>> loss.setup(student, teacher)  # a Distiller sets the classes and does this
        >>> loss(student, teacher, labels).shape, loss.pixels.filled, loss.regions.filled
        (torch.Size([]), tensor([4, 0]), tensor([1, 0]))

    Paper: Yang et al., "Cross-Image Relational Knowledge Distillation for Semantic Segmentation" (CVPR 2022, arXiv
    2204.06986), on the input of the classifier, with weight 0.1 for each sum; its second temperature is always 1 and
    left out. Deviations from its code, which remembers pixels of any class, and ignored ones, under the name of a
    class, drops new vectors at the end of a ring, samples noise until a ring is full, and is undefined for a batch of
    ignored pixels: here a ring holds its class, is written round, and gives noise only until the class has been seen.
    The head's BatchNorm is that of one process unless the Runner's ``sync_bn`` is set.
    """

    needs_labels = True
    needs_equal_channels = False
    choose = staticmethod(pixel_keys)

    def __init__(
        self,
        temperature: float = 0.1,
        pixel_size: int = 20000,
        region_size: int = 2000,
        pixel_contrast: int = 4096,
        region_contrast: int = 1024,
        pixels_per_class: int = 16,
    ) -> None:
        super().__init__()
        arguments = dict(
            temperature=temperature,
            pixel_size=pixel_size,
            region_size=region_size,
            pixel_contrast=pixel_contrast,
            region_contrast=region_contrast,
            pixels_per_class=pixels_per_class,
        )
        for name, value in arguments.items():
            if value <= 0:
                raise ValueError(f'{type(self).__name__}: {name} must be > 0, but is {value}')
        self.temperature, self.pixels_per_class = temperature, pixels_per_class
        self.sizes, self.contrasts = (pixel_size, region_size), (pixel_contrast, region_contrast)
        self.head: Any = None  # a ProjectionHead from setup on

    def setup(self, student: Tensor, teacher: Tensor) -> None:
        self.head = ProjectionHead(student.shape[1], teacher.shape[1])
        self.pixels, self.regions = (MemoryQueue(self.classes, size, teacher.shape[1]) for size in self.sizes)

    def check(self, student: Tensor, teacher: Tensor) -> None:
        super().check(student, teacher)
        check_head(type(self).__name__, self.head, student, teacher)

    def compute(self, student: Tensor, teacher: Tensor, labels: Tensor) -> Tensor:
        s, t = (unit(x).flatten(2).transpose(1, 2) for x in (self.head(student), teacher))
        labels = labels.flatten(1).long()
        if self.training:
            self.regions.push(*region_keys(t, labels, self.classes))
            self.pixels.push(*self.choose(t, labels, self.classes, self.pixels_per_class))
        valid = labels.flatten() != IGNORE_INDEX
        weights = valid.to(t.dtype) / valid.sum().clamp_min(1)
        drawn = [
            queue.sample(contrast // self.classes + 1).to(t.dtype)
            for queue, contrast in zip((self.pixels, self.regions), self.contrasts)
        ]
        s, t = s.flatten(0, 1), t.flatten(0, 1)
        return tensor_sum(relation_divergence(s, t, keys, weights, self.temperature) for keys in drawn)


@MODELS.register_module()
class StrayCIRKDMemoryLoss(CIRKDMemoryLoss):
    """:class:`CIRKDMemoryLoss` with the memory of pixels of CIRKD's published code, from which its results come.

    For a class with n pixels in an image, it remembers random ones among the first n pixels of the image in reading
    order, whatever their class, ignored ones included: the code permutes the pixels of the class and then indexes the
    image with the permutation.

    Example:
        >>> import torch
        >>> from mmseg_kd.losses import StrayCIRKDMemoryLoss
        >>> loss, labels = StrayCIRKDMemoryLoss(pixel_size=8, region_size=4), torch.ones(1, 2, 2, dtype=torch.long)
        >>> loss.classes, student, teacher = 2, torch.rand(1, 3, 2, 2), torch.rand(1, 5, 2, 2)
        >>> loss.setup(student, teacher)  # a Distiller sets the classes and does this
        >>> loss(student, teacher, labels).shape, loss.pixels.filled
        (torch.Size([]), tensor([0, 4]))
    """

    choose = staticmethod(stray_pixel_keys)
