"""What is written by MMEngine itself, from real trainings of four iterations."""

import shutil
import time

import numpy as np
import pytest
from mmengine.config import Config
from mmengine.runner import Runner

from mmseg_kd.comparison.comparison import compare
from mmseg_kd.comparison.predictions import Predictions, _predict_one, last_checkpoint, predict
from mmseg_kd.comparison.report import page, text_report
from mmseg_kd.datasets import CamVidDataset
from mmseg_kd.io.runs import Run, read_run
from mmseg_kd.io.safe_pickle import UnsafeFileError
from mmseg_kd.testing.toys import toy_segmentor
from mmseg_kd.testing.trees import write_camvid_tree

TERMS = dict(loss_pi=dict(student='logits', teacher='logits', loss=dict(type='PixelWiseKDLoss'), weight=1.0))


def train(folder, model, seed):
    load = [dict(type='LoadImageFromFile'), dict(type='LoadAnnotations'), dict(type='PackSegInputs')]
    crop = dict(type='RandomCrop', crop_size=(32, 32))

    def loader(split, pipeline, **sampler):
        dataset = dict(
            type='CamVidDataset',
            data_root=str(folder / 'data'),
            pipeline=pipeline,
            data_prefix=dict(img_path=f'img_dir/{split}', seg_map_path=f'ann_dir/{split}'),
        )
        return dict(batch_size=2, num_workers=0, sampler=sampler, dataset=dataset)

    name = f'{"distilled" if "teacher" in model else "alone"}_{seed}'
    Runner.from_cfg(
        Config(
            dict(
                model=model,
                work_dir=str(folder / name),
                default_scope='mmseg',
                train_dataloader=loader('train', [*load[:2], crop, load[2]], type='InfiniteSampler', shuffle=True),
                val_dataloader=loader('val', load, type='DefaultSampler', shuffle=False),
                val_evaluator=dict(type='IoUMetric', iou_metrics=['mIoU']),
                train_cfg=dict(type='IterBasedTrainLoop', max_iters=4, val_interval=2),
                val_cfg=dict(type='ValLoop'),
                optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.01)),
                log_processor=dict(by_epoch=False),
                default_hooks=dict(
                    logger=dict(type='LoggerHook', interval=1, log_metric_by_epoch=False),
                    checkpoint=dict(type='CheckpointHook', interval=4, by_epoch=False),
                ),
                custom_hooks=[dict(type='ExportStudentHook')],
                vis_backends=[dict(type='LocalVisBackend')],
                visualizer=dict(type='SegLocalVisualizer', vis_backends=[dict(type='LocalVisBackend')]),
                randomness=dict(seed=seed),
                experiment_name=f'{name}_{time.time_ns()}',
            )
        )
    ).train()
    return folder / name


@pytest.fixture(scope='module')
def trained(tmp_path_factory):
    """A baseline and a distilled student, whose folders are moved afterwards."""
    from mmengine.registry import init_default_scope

    init_default_scope('mmseg')
    folder = tmp_path_factory.mktemp('trained')
    write_camvid_tree(folder / 'data', images=3)
    student = toy_segmentor(4, num_classes=11)
    distiller = dict(
        type='Distiller', student=student, teacher=dict(model=toy_segmentor(8, num_classes=11)), terms=TERMS
    )
    runs = [train(folder, student, 0), train(folder, distiller, 0)]
    for run in runs:
        shutil.move(run, folder / 'moved' / run.name)
    return [read_run(folder / 'moved' / run.name) for run in runs]


def test_logs_of_mmengine_are_read(trained):
    for run in trained:
        assert run.problem is None and run.seed == 0 and run.iterations == 4 and run.processes == 1
        assert [iteration for iteration, _ in run.validations] == [2, 4] and len(run.losses) == 4
        assert list(run.class_iou) == list(CamVidDataset.METAINFO['classes'])
        assert np.nanmean(list(run.class_iou.values())) == pytest.approx(run.miou, abs=0.02)
        assert run.seconds > 0


def test_a_baseline_and_its_distilled_student_are_comparable(trained):
    comparison = compare(trained)
    assert [row.role for row in comparison.rows] == ['baseline', 'distilled']
    assert comparison.rows[1].paired.pairs == 1 and 'baseline' in text_report(comparison)


def test_every_network_predicts_the_same_images(trained):
    found = predict(compare(trained), 2)
    assert found.missing == [] and len(found.images) == len(found.truth) == 2
    assert list(found.labels) == [row.name for row in compare(trained).rows]
    assert all(labels.shape == (72, 96) for maps in found.labels.values() for labels in maps)
    assert found.images[0].shape == (72, 96, 3) and found.classes[0] == 'Sky' and found.palette[0] == [128, 128, 128]
    assert not np.array_equal(found.truth[0], found.truth[1])  # the first and the last image, not one of them twice


def test_predictions_agree_with_the_validation(trained):
    """Over all images, the IoU of the shown label maps is the IoU in the log."""
    found = predict(compare(trained), 3)
    truth = np.stack(found.truth)
    for run, maps in zip(trained, found.labels.values()):
        predicted = np.where(truth == 255, 255, np.stack(maps))
        for index, name in enumerate(found.classes):
            union = ((predicted == index) | (truth == index)).sum()
            if union:
                overlap = ((predicted == index) & (truth == index)).sum()
                assert 100 * overlap / union == pytest.approx(run.class_iou[name], abs=0.01), name


def test_the_page_shows_predictions(trained):
    comparison = compare(trained)
    text = page(comparison, predict(comparison, 2))
    assert (
        text.count('<img src="data:image/jpeg;base64,') == 2 and text.count('<img src="data:image/png;base64,') == 2 * 3
    )


def test_a_network_without_a_checkpoint_is_named(trained, tmp_path):
    for run in trained:
        shutil.copytree(run.folder, tmp_path / run.folder.name)
    copies = [read_run(tmp_path / run.folder.name) for run in trained]
    for path in copies[0].folder.rglob('*.pth'):
        path.unlink()
    for path in copies[1].folder.glob('*.pth'):
        path.unlink()
    found = predict(compare(copies), 1)
    assert found.missing == [('baseline', 'no checkpoint is left')]
    assert list(found.labels) == ['distilled_0']  # from the exported student
    (copies[1].folder / 'student' / 'student.pth').write_text('no checkpoint')
    (_, reason), (name, other) = predict(compare(copies), 1).missing
    assert name == 'distilled_0' and 'not a readable checkpoint' in other


def test_the_last_checkpoint_is_found_in_a_moved_folder(tmp_path):
    run = Run(tmp_path)
    assert last_checkpoint(run) is None
    (tmp_path / 'student').mkdir()
    (tmp_path / 'student' / 'student.pth').touch()
    assert last_checkpoint(run) == tmp_path / 'student' / 'student.pth'
    for name in ('iter_900.pth', 'iter_1000.pth', 'best_mIoU_iter_900.pth'):
        (tmp_path / name).touch()
    assert last_checkpoint(run) == tmp_path / 'iter_1000.pth'
    (tmp_path / 'last_checkpoint').write_text('/gone/iter_900.pth\n')
    assert last_checkpoint(run) == tmp_path / 'iter_900.pth'


def test_a_config_of_somebody_else_builds_nothing_but_networks_and_data(tmp_path):
    (tmp_path / 'config.py').write_text(f"model = dict(type='os.mkdir', path={str(tmp_path / 'ran')!r})\n")
    (tmp_path / 'iter_1.pth').touch()
    run = Run(tmp_path, config_file=tmp_path / 'config.py')
    with pytest.raises(UnsafeFileError, match=r'config\.py: model\.type must name a registered class .* is os\.mkdir'):
        _predict_one(run, 'row', 1, Predictions([], [], {}, [], [], []))
    assert not (tmp_path / 'ran').exists()
