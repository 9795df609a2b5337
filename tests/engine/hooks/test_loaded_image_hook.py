import numpy as np
import pytest
import torch
from mmcv.transforms import BaseTransform
from mmengine.config import Config
from mmengine.runner import Runner
from mmseg.registry import TRANSFORMS
from PIL import Image

from mmseg_kd.testing.toys import toy_segmentor

pytest.importorskip('cv2')


@pytest.fixture(scope='module', autouse=True)
def loader():
    """For this module alone."""

    class LoadArray(BaseTransform):
        """Two bands of 16 bits, with a third of nothing."""

        def transform(self, results):
            image = np.load(results['img_path'])
            bands = np.dstack([image, 0 * image[..., :1]]).astype(np.float32)
            return dict(results, img=bands, img_shape=image.shape[:2], ori_shape=image.shape[:2])

    TRANSFORMS.register_module(module=LoadArray)
    yield
    TRANSFORMS.module_dict.pop('LoadArray')


def test_what_the_pipeline_loads_is_painted_where_the_file_is_no_picture(tmp_path, request):
    """The image is 0 on the left, and on the right 4000 and 2000 in two bands; a fifth of it is prediction."""
    for name in ('img', 'ann'):
        (tmp_path / name / 'deep').mkdir(parents=True)
    image = np.zeros((32, 64, 2), np.uint16)
    image[:, 32:] = 4000, 2000
    np.save(tmp_path / 'img' / 'deep' / 'x.npy', image)
    Image.fromarray(np.zeros((32, 64), np.uint8)).save(tmp_path / 'ann' / 'deep' / 'x.png')
    data = dict(
        type='BaseSegDataset',
        data_root=str(tmp_path),
        img_suffix='.npy',
        metainfo=dict(classes=tuple('abcd'), palette=[[0, 0, 0]] * 4),
        data_prefix=dict(img_path='img', seg_map_path='ann'),
        pipeline=[
            dict(type='LoadArray'),
            dict(type='Resize', scale=(128, 64)),
            dict(type='LoadAnnotations'),
            dict(type='PackSegInputs'),
        ],
    )
    config = Config(
        dict(
            model=toy_segmentor(4, bgr_to_rgb=False),
            default_scope='mmseg',
            log_level='ERROR',
            work_dir=str(tmp_path / 'work'),
            experiment_name=request.node.name,
            default_hooks=dict(visualization=dict(type='LoadedImageHook', draw=True)),
            visualizer=dict(
                type='SegLocalVisualizer',
                name=request.node.name,
                alpha=0.2,
                save_dir=str(tmp_path / 'painted'),
                vis_backends=[dict(type='LocalVisBackend')],
            ),
            test_dataloader=dict(
                batch_size=1,
                num_workers=0,
                sampler=dict(type='DefaultSampler', shuffle=False),
                dataset=dict(type='RepeatDataset', times=2, dataset=data),
            ),
            test_evaluator=dict(type='IoUMetric'),
            test_cfg=dict(type='TestLoop'),
        )
    )
    torch.manual_seed(0)
    Runner.from_cfg(config).test()
    first, second = sorted((tmp_path / 'painted').rglob('*.png'))
    assert first.name == 'test_x.npy_1.png' and second.name == 'test_x.npy_2.png'
    painted = np.asarray(Image.open(first).convert('RGB'))
    # Truth and prediction side by side, each over the image; 4000 is the greatest number of it, 2000 half of that.
    assert painted.shape == (32, 128, 3)
    assert np.abs(painted[-3, 58].astype(int) - [0.8 * 255, 0.8 * 128, 0]).max() <= 1
    assert np.abs(painted[-3, 4].astype(int)).max() <= 1
