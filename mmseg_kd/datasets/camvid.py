from mmseg.datasets import BaseSegDataset
from mmseg.registry import DATASETS


@DATASETS.register_module()
class CamVidDataset(BaseSegDataset):
    """CamVid in the 480x360 split with 11 classes that the SegNet authors published.

    Images are ``img_dir/{train,val}/*.jpg``, labels ``ann_dir/{train,val}/*.png``: one byte a pixel, the class 0..10 in
    the order of ``METAINFO['classes']``, 255 = void. The arguments are those of
    :class:`mmseg.datasets.BaseSegDataset`.

    Paper: Brostow et al., "Semantic object classes in video: A high-definition ground truth database" (2009); split and
    classes: Badrinarayanan et al., "SegNet" (arXiv 1511.00561).
    """

    METAINFO = dict(
        classes=(
            'Sky',
            'Building',
            'Pole',
            'Road',
            'Pavement',
            'Tree',
            'SignSymbol',
            'Fence',
            'Car',
            'Pedestrian',
            'Bicyclist',
        ),
        palette=[
            [128, 128, 128],
            [128, 0, 0],
            [192, 192, 128],
            [128, 64, 128],
            [60, 40, 222],
            [128, 128, 0],
            [192, 128, 128],
            [64, 64, 128],
            [64, 0, 128],
            [64, 64, 0],
            [0, 128, 192],
        ],
    )
