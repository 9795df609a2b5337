import torch.nn.functional as F
from mmengine.dist import all_reduce
from mmseg.registry import MODELS
from torch import Tensor, nn


@MODELS.register_module(name='BatchStatisticsBN')
class BatchStatisticsNorm(nn.BatchNorm2d):
    """A ``SyncBN`` that uses the statistics of the batch in eval mode too.

    It serves teachers that published code never switches to eval mode. The mean and variance of a channel are those of
    the batches of all processes, which must have one size; no gradient reaches them. Running statistics are loaded and
    kept like those of ``nn.BatchNorm2d``, but neither used nor updated.

    Shape:
        Features (N, C, H, W), equal in and out.

    Example:
        >>> import torch
        >>> from mmseg_kd.models import BatchStatisticsNorm
        >>> features = BatchStatisticsNorm(1).eval()(torch.tensor([[[[0.0, 2.0]]]]))
        >>> [round(value, 2) for value in features.flatten().tolist()]  # mean 0 and std 1
        [-1.0, 1.0]
    """

    def forward(self, features: Tensor) -> Tensor:
        seen = features.detach().float()
        mean, square = seen.mean((0, 2, 3)), seen.square().mean((0, 2, 3))
        for moment in (mean, square):
            all_reduce(moment, op='mean')
        variance = (square - mean.square()).clamp_min(0)
        return F.batch_norm(features, mean.to(features), variance.to(features), self.weight, self.bias, eps=self.eps)
