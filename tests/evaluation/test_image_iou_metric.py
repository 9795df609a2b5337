import csv

import numpy as np
from mmseg.registry import METRICS
from samples import run, sample

from mmseg_kd.evaluation import ImageIoUMetric


def test_the_mean_weights_images_equally_and_leaves_out_ignored_ones(tmp_path):
    metric = METRICS.build(dict(type='ImageIoUMetric', out=str(tmp_path / 'new' / 'images.csv'), ignore_index=9))
    found = run(
        metric,
        [
            sample(labels=[0, 0, 1, 1], predicted=[0, 1, 1, 1], path='a.png'),  # 1 / 2 and 2 / 3
            sample(labels=[0, 0, 0, 9], predicted=[0, 0, 0, 1], path='b.png'),
            sample(labels=[9, 9, 9, 9], predicted=[0, 0, 0, 1], path='c.png'),
            sample(labels=[0, 0, 0, 0], predicted=[1, 1, 1, 1], path='d.png'),
        ],
    )
    assert found == dict(image_mIoU=round(100 * (7 / 12 + 1 + 0) / 3, 2), image_mIoU_lowest=0, image_mIoU_median=58.33)
    rows = list(csv.reader(open(tmp_path / 'new' / 'images.csv')))
    assert rows[0] == ['image', 'mIoU', 'road', 'car'] and rows[1] == ['a.png', '58.33', '50.00', '66.67']
    assert rows[2] == ['b.png', '100.00', '100.00', ''] and rows[3] == ['c.png', '', '', '']
    assert [path for path, _ in metric.images] == ['a.png', 'b.png', 'c.png', 'd.png']


def test_images_that_are_all_ignored_give_nan():
    found = run(ImageIoUMetric(), [sample(labels=[255], predicted=[0])])
    assert all(np.isnan(value) for value in found.values())
