import torch
import torch.nn.functional as F
from mmengine.dist import all_reduce
from torch import Tensor, nn


class ClassStatistics(nn.Module):
    r"""Mean and variance of the features of each class over all updates and all processes.

    .. math:: w = \frac{n'}{n + n'}, \quad
        \sigma^2 \leftarrow (1 - w) \sigma^2 + w \sigma'^2 + w (1 - w) (\mu' - \mu)^2, \quad \mu \leftarrow \mu + w
        (\mu' - \mu), \quad n \leftarrow n + n'

    with n, :math:`\mu` and :math:`\sigma^2` (divided by n) the count, mean and variance of a class so far, and n',
    :math:`\mu'` and :math:`\sigma'^2` those of the batch. Nothing is forgotten.

    Args:
        classes: The number of classes.
        channels: The number of features.

    Attributes:
        count: A buffer (classes, 1), zero before the first update.
        mean: A buffer (classes, channels), zero before the first update.
        variance: A buffer (classes, channels), zero before the first update.
    """

    count: Tensor
    mean: Tensor
    variance: Tensor

    def __init__(self, classes: int, channels: int) -> None:
        super().__init__()
        self.register_buffer('count', torch.zeros(classes, 1))
        self.register_buffer('mean', torch.zeros(classes, channels))
        self.register_buffer('variance', torch.zeros(classes, channels))

    @torch.no_grad()
    def update(self, features: Tensor, labels: Tensor) -> None:
        """Add the features (M, channels) of pixels of the classes ``labels`` (M,); M may differ between processes.

        Pixels of the class ``len(self.count)`` are left out.
        """
        # That class has a row too: to drop its pixels, the CPU would have to wait for the GPU to count them.
        count, sums, squares = (F.pad(torch.zeros_like(x), (0, 0, 0, 1)) for x in (self.count, self.mean, self.mean))
        # Differences from the mean so far, which all processes share, keep digits that plain squares would lose.
        difference = features.to(self.mean.dtype) - F.pad(self.mean, (0, 0, 0, 1))[labels]
        for total, values in (
            (count, torch.ones_like(difference[:, :1])),
            (sums, difference),
            (squares, difference.square()),
        ):
            all_reduce(total.index_add_(0, labels, values))
        count, sums, squares = count[:-1], sums[:-1], squares[:-1]
        shift = sums / count.clamp_min(1)
        variance = (squares / count.clamp_min(1) - shift.square()).clamp_min(0)
        self.count += count
        share = count / self.count.clamp_min(1)
        self.variance += share * (variance - self.variance + (1 - share) * shift.square())
        self.mean += share * shift
