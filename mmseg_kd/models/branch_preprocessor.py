from typing import Any

from mmseg.models import SegDataPreProcessor
from mmseg.registry import MODELS

from ..constants import IGNORE_INDEX


@MODELS.register_module()
class BranchPreprocessor(SegDataPreProcessor):
    """MMSegmentation's ``SegDataPreProcessor`` for batches of labeled and unlabeled images.

    The parts of a batch ``dict(labeled=..., unlabeled=[..., ...])``, the collated items of ``SemiSupervisedDataset``,
    are preprocessed one by one, each like a batch of its own. A plain batch, as in validation, is preprocessed as
    usual. The label maps of unlabeled images mark their padding only, which is 255 whatever ``seg_pad_val`` is. The
    arguments are those of :class:`mmseg.models.SegDataPreProcessor`.

    Example:
        >>> from mmseg_kd.models import BranchPreprocessor
        >>> from mmseg_kd.testing.toys import toy_branch_batch
        >>> preprocessor = BranchPreprocessor(size=(32, 32))
        >>> batch = preprocessor(toy_branch_batch(num=1, branches=2), training=True)
        >>> batch['inputs']['labeled'].shape, len(batch['inputs']['unlabeled'])
        (torch.Size([1, 3, 32, 32]), 2)
    """

    seg_pad_val: float

    def forward(self, data: dict, training: bool = False) -> dict[str, Any]:
        """Preprocess a batch.

        Args:
            data: The collated batch; plain, or with branches.
            training: Whether to pad to ``size``.

        Returns:
            ``dict(inputs=Tensor (N, 3, H, W), data_samples=[...])`` for a plain batch, else
                ``dict(inputs=dict(labeled=Tensor, unlabeled=[Tensor, ...]), data_samples=dict(labeled=[...],
                unlabeled=[[...], ...]))``.
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
