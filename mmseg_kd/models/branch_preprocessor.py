from typing import Any

from mmseg.models import SegDataPreProcessor
from mmseg.registry import MODELS

from ..constants import IGNORE_INDEX


@MODELS.register_module()
class BranchPreprocessor(SegDataPreProcessor):
    """MMSegmentation's ``SegDataPreProcessor`` for batches of labeled and unlabeled images.

    Of a batch ``dict(labeled=..., unlabeled=[..., ...])``, as items of ``SemiSupervisedDataset`` are collated, every
    part is preprocessed by itself, as a batch of its own would be. A plain batch, as in validation, passes as it always
    does. Label maps of unlabeled images tell their padding only, which is 255 whatever ``seg_pad_val`` is.
    The arguments are those of :class:`mmseg.models.SegDataPreProcessor`.
    """

    def forward(self, data: dict, training: bool = False) -> dict[str, Any]:
        """Preprocess a batch.

        Args:
            data: collated; plain, or of branches.
            training: whether to pad to ``size``.

        Returns:
            ``dict(inputs=Tensor (N, 3, H, W), data_samples=[...])`` of a plain batch, else
            ``dict(inputs=dict(labeled=Tensor, unlabeled=[Tensor, ...]),
            data_samples=dict(labeled=[...], unlabeled=[[...], ...]))``.
        """
        process = super().forward
        if 'labeled' not in data:
            return process(data, training)
        labeled = process(data['labeled'], training)
        own, self.seg_pad_val = self.seg_pad_val, IGNORE_INDEX
        try:
            unlabeled = [process(branch, training) for branch in data['unlabeled']]
        finally:
            self.seg_pad_val = own
        return {key: dict(labeled=labeled[key], unlabeled=[branch[key] for branch in unlabeled]) for key in labeled}
