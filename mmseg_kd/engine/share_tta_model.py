from mmengine.structures import PixelData
from mmseg.models import SegTTAModel
from mmseg.registry import MODELS
from mmseg.utils import SampleList

from ..distillers.class_logits import decide, prediction_shares, prediction_threshold
from ..losses.ops import tensor_sum


@MODELS.register_module()
class ShareTTAModel(SegTTAModel):
    """Test-time augmentation by the mean of the class probabilities of all views.

    For most networks this is ``SegTTAModel``. That takes the sigmoid of what a network of one channel already gives as
    a probability, so that all pixels pass a threshold below 0.5, and the softmax of a mask classifier's scores.

    Args:
        module: config of the segmentor.
    """

    def merge_preds(self, data_samples_list: list[SampleList]) -> SampleList:
        """One prediction for each image from those of its views, which were flipped and resized back."""
        merged = super().merge_preds(data_samples_list)
        for sample, views in zip(merged, data_samples_list):
            shares = tensor_sum(prediction_shares(self.module, view.seg_logits.data) for view in views) / len(views)
            labels = decide(shares, prediction_threshold(self.module))[1]
            sample.set_data(dict(pred_sem_seg=PixelData(data=labels)))
        return merged
