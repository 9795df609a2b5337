from mmengine.structures import PixelData
from mmseg.models import SegTTAModel
from mmseg.registry import MODELS
from mmseg.utils import SampleList

from ..distillers.class_logits import decide, prediction_shares, prediction_threshold
from ..losses.ops import tensor_sum


@MODELS.register_module()
class ShareTTAModel(SegTTAModel):
    """Test-time augmentation by the mean of the class probabilities of all views.

    For most networks it equals ``SegTTAModel``. The latter is wrong for two kinds of networks: for one output channel,
    it applies a second sigmoid, so that every pixel passes a threshold below 0.5; for mask classifiers, it applies a
    softmax to their scores.

    Args:
        module: Config of the segmentor.
    """

    def merge_preds(self, data_samples_list: list[SampleList]) -> SampleList:
        """Merge the predictions of each image's views, which are already flipped and resized back."""
        merged = super().merge_preds(data_samples_list)
        for sample, views in zip(merged, data_samples_list):
            shares = tensor_sum(prediction_shares(self.module, view.seg_logits.data) for view in views) / len(views)
            labels = decide(shares, prediction_threshold(self.module))[1]
            sample.set_data(dict(pred_sem_seg=PixelData(data=labels)))
        return merged
