import torch.nn.functional as F
from mmengine.dist import all_reduce
from mmseg.registry import MODELS
from torch import Tensor, nn


@MODELS.register_module(name='BatchStatisticsBN')
class BatchStatisticsNorm(nn.BatchNorm2d):
    """A ``SyncBN`` that stays in train mode when the network is in eval mode: it goes by the statistics of the batch.

    For teachers that some published code never takes out of train mode. The mean and variance of a channel are those of
    the batches of all processes, which must be equally large; no gradient reaches them. Running statistics, which are
    loaded and kept as those of ``nn.BatchNorm2d``, are neither read nor moved.

    Shape:
        features (N, C, H, W), and the same out.
    """

    def forward(self, features: Tensor) -> Tensor:
        seen = features.detach().float()
        mean, square = seen.mean((0, 2, 3)), seen.square().mean((0, 2, 3))
        for moment in (mean, square):
            all_reduce(moment, op='mean')
        variance = (square - mean.square()).clamp_min(0)
        return F.batch_norm(features, mean.to(features), variance.to(features), self.weight, self.bias, eps=self.eps)
