from mmseg.registry import MODELS
from torch import Tensor

from .base import DistillLoss
from .ops import average_pool, unit
from .relations import batch_relation_divergence, check_temperature


@MODELS.register_module()
class CIRKDMiniBatchLoss(DistillLoss):
    r"""Match the similarity of each pixel to the pixels of every image of the batch (cross-image relations).

    .. math:: L = \frac{1}{N^2 P} \sum_{nm} \sum_p \mathrm{KL}\big(\mathrm{softmax}_q(t_{np} \cdot t_{mq} / \tau) \,\|\,
        \mathrm{softmax}_q(s_{np} \cdot s_{mq} / \tau)\big)

    with s and t the features scaled to length one, p, q the P pixels of an image, and n, m the N images of one
    process. The similarity of two pixels is computed once for both, in blocks, and the gradient together with the
    value, so that no (N P) x (N P) map is kept.

    Args:
        temperature: The divisor :math:`\tau` of the cosines of both networks, at least 0.003.
        kernel: The side, in pixels, of the cells over which features are first averaged; 1 compares pixels.
        rows: The largest number of pixels on either side of a block; it changes memory and time, not the value. Maps of
            more pixels need their similarities twice.

    Shape:
        Features (N, C, H, W) of student and teacher; channels may differ. A scalar in nats.

    Raises:
        ValueError: if ``temperature`` is less than 0.003, ``kernel`` or ``rows`` is less than 1, or batch or spatial
            sizes differ.

    Example:
        >>> import torch
        >>> from mmseg_kd.losses import CIRKDMiniBatchLoss
        >>> student, teacher = torch.ones(1, 2, 1, 2), torch.eye(2).view(1, 2, 1, 2)
        >>> round(CIRKDMiniBatchLoss(temperature=1.0)(student, teacher).item(), 4)
        0.1109

    Paper: Yang et al., "Cross-Image Relational Knowledge Distillation for Semantic Segmentation" (CVPR 2022, arXiv
    2204.06986), on the input of the classifier. As in its code there is no factor of :math:`\tau^2`, ignored pixels
    count, and the images of other processes are not seen. The code of version 2 averages over 4 x 4 pixels on maps of
    256 pixels or more; here ``kernel`` is the same at all sizes.
    """

    needs_equal_channels = False

    def __init__(self, temperature: float = 0.1, kernel: int = 1, rows: int = 2048) -> None:
        super().__init__()
        check_temperature('CIRKDMiniBatchLoss', temperature)
        if kernel < 1 or rows < 1:
            raise ValueError(f'CIRKDMiniBatchLoss: kernel and rows must be >= 1, but are {kernel} and {rows}')
        self.temperature, self.kernel, self.rows = temperature, kernel, rows

    def compute(self, student: Tensor, teacher: Tensor) -> Tensor:
        s, t = (self._vectors(x) for x in (student, teacher))
        total = batch_relation_divergence(s, t, self.temperature, groups=len(student), rows=self.rows)
        return total / (len(s) * len(student))

    def _vectors(self, x: Tensor) -> Tensor:
        """Unit vectors of all cells of the batch, image after image, (N P, C)."""
        return unit(average_pool(x, self.kernel)).flatten(2).transpose(1, 2).flatten(0, 1)
