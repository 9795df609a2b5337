from mmseg.datasets import BaseSegDataset
from mmseg.registry import DATASETS


@DATASETS.register_module()
class CamVidDataset(BaseSegDataset):
    """CamVid in the 480x360 split with 11 classes that the SegNet authors published.

    Images are ``img_dir/{train,val}/*.jpg``. Labels are ``ann_dir/{train,val}/*.png`` with one byte per pixel: the
    class 0..10 in the order of ``METAINFO['classes']``, or 255 for ignored pixels. The arguments are those of
    :class:`mmseg.datasets.BaseSegDataset`.

    Paper: Brostow et al., "Semantic object classes in video: A high-definition ground truth database" (2009); split and
    classes: Badrinarayanan et al., "SegNet" (arXiv 1511.00561).

    Example:
        >>> from mmseg_kd.testing.trees import write_camvid_tree
        >>> root = write_camvid_tree('camvid', images=2)
        >>> dataset = CamVidDataset(
        ...     data_root=str(root), data_prefix=dict(img_path='img_dir/train', seg_map_path='ann_dir/train')
        ... )
        >>> len(dataset), len(dataset.metainfo['classes'])
        (2, 11)
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
