"""Resumed trainings end with the weights of undisturbed ones, bit by bit; MCKD's are in test_mckd_training.py."""

import gc
import random

import numpy as np
import pytest
import torch
from mmengine.evaluator import BaseMetric
from mmengine.hooks import Hook
from mmengine.logging import MessageHub
from mmengine.registry import init_default_scope
from mmseg.registry import MODELS
from torch.utils.data import DataLoader, WeightedRandomSampler

from mmseg_kd.datasets import InfiniteViewSampler, ViewDataset
from mmseg_kd.engine.hooks.exact_resume_hook import _ResumedBatches
from mmseg_kd.testing.toys import ToyDataset, toy_runner, toy_segmentor
from mmseg_kd.testing.trees import write_camvid_tree

STUDENT, TEACHER = toy_segmentor(2, num_classes=11), toy_segmentor(2, num_classes=11, auxiliary=False)
BRANCHES = dict(student=STUDENT, mix=dict(type='CutMix'))


def term(loss, path='logits', **settings):
    return dict(student=path, teacher=path, loss=dict(type=loss), **settings)


UNLABELED = dict(loss_u=term('PseudoLabelLoss', weight=dict(type='WarmupWeight', weight=2.0, iters=3)))
MODELS_OF = dict(
    student=STUDENT,
    distiller=dict(
        type='Distiller',
        student=STUDENT,
        teacher=dict(model=TEACHER),
        terms=dict(
            loss_pi=term('PixelWiseKDLoss', weight=dict(type='WarmupWeight', weight=2.0, iters=3)),
            loss_queue=term('CIRKDMemoryLoss', 'prelogits'),
            loss_mask=term('MaskedGenerativeLoss', 'backbone[3]', weight=dict(type='GradientShare', share=0.3)),
            loss_statistics=dict(
                student=['prelogits', 'decode_head.conv_seg.weight', 'decode_head.conv_seg.bias'],
                teacher='logits',
                loss=dict(type='FAKDLoss'),
            ),
        ),
    ),
    critic=dict(
        type='Distiller',
        student=STUDENT,
        teacher=dict(model=TEACHER),
        terms=dict(loss_critic=term('IDDPositionLoss', weight=dict(type='DelayedWeight', weight=1.0, begin=3))),
    ),
    semi=dict(BRANCHES, type='SemiSupervisedDistiller', teacher=dict(model=TEACHER), unlabeled_terms=UNLABELED),
    mean_teacher=dict(BRANCHES, type='MeanTeacher', unlabeled_terms=UNLABELED),
    cps=dict(BRANCHES, type='CrossPseudoSupervision', unlabeled_terms=UNLABELED),
)
SETTINGS_OF = dict(
    student=dict(custom_hooks=[dict(type='EMAHook')]),
    critic=dict(
        optim_wrapper=dict(
            constructor='DistillOptimWrapperConstructor',
            optimizer=dict(type='SGD', lr=0.01, momentum=0.9),
            critic=dict(optimizer=dict(type='Adam', lr=0.01)),
        )
    ),
)
LOAD, PACK = dict(type='LoadImageFromFile'), dict(type='PackSegInputs')
CHANCE = [
    dict(type='RandomCrop', crop_size=(32, 32)),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PhotoMetricDistortion'),
]


@pytest.fixture(scope='module', autouse=True)
def quick():
    """Without formatting of configs and collecting of garbage, which take most of the time of so short a run."""
    with pytest.MonkeyPatch.context() as patch:
        for module in ('yapf.yapflib.yapf_api', 'mmengine.config.config'):
            patch.setattr(f'{module}.FormatCode', lambda text, **_: (text, False), raising=False)
        patch.setattr(gc, 'collect', lambda: 0)
        yield


@pytest.fixture(scope='module')
def root(tmp_path_factory):
    root = write_camvid_tree(tmp_path_factory.mktemp('camvid'), images=6, size=(40, 48))
    init_default_scope('mmseg')
    torch.save(dict(state_dict=MODELS.build(TEACHER).state_dict()), root / 'teacher.pth')
    return root


def data(root, name):
    camvid = dict(
        type='CamVidDataset',
        data_root=str(root),
        data_prefix=dict(img_path='img_dir/train', seg_map_path='ann_dir/train'),
        pipeline=[LOAD, dict(type='LoadAnnotations'), *CHANCE, PACK],
    )
    if 'mix' not in MODELS_OF[name]:
        return camvid
    branch = [LOAD, dict(type='LoadBlankAnnotations'), *CHANCE, PACK]
    return dict(
        type='SemiSupervisedDataset',
        labeled=camvid,
        unlabeled_pipelines=[branch, branch],
        partition=dict(fraction=0.4, seed=0),
    )


class Witness(Hook):
    """The images of every step, as one number each."""

    def __init__(self):
        self.seen = []

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        images = data_batch.get('labeled', data_batch)['inputs']
        self.seen.append(torch.stack(images).double().sum().item())


def train(folder, root, name='student', sampler='InfiniteSampler', workers=0, resume_from=None, **settings):
    random.seed()
    np.random.seed()
    torch.seed()
    witness = Witness()
    changes = {
        'train_cfg': dict(by_epoch=False, max_iters=4),
        'param_scheduler': [dict(type='PolyLR', end=4, by_epoch=False)],
        'default_hooks': dict(checkpoint=dict(type='CheckpointHook', interval=2, by_epoch=False)),
        **SETTINGS_OF.get(name, {}),
        **settings,
    }
    model = MODELS_OF[name]
    if 'teacher' in model:
        model = dict(model, teacher=dict(model['teacher'], checkpoint=str(root / 'teacher.pth')))
    runner = toy_runner(
        model,
        folder,
        **{
            **changes,
            'custom_hooks': [*changes.get('custom_hooks', ()), witness],
            'train_dataloader': dict(
                dataset=data(root, name), batch_size=2, num_workers=workers, sampler=dict(type=sampler)
            ),
            'load_from': resume_from and str(resume_from),
            'resume': resume_from is not None,
        },
    )
    runner.train()
    if workers:
        runner.train_loop.dataloader_iterator = None  # ends the workers, for which garbage collection waits ten seconds
    return runner, witness.seen


def final(folder, name='iter_4.pth'):
    return torch.load(folder / name, weights_only=False)


def differences(first, second, path=''):
    """Paths of the values that differ in two nested states."""
    if isinstance(first, dict) and first.keys() == second.keys():
        return [found for key in first for found in differences(first[key], second[key], f'{path}.{key}')]
    if isinstance(first, (list, tuple)) and len(first) == len(second):
        return [
            found for place, pair in enumerate(zip(first, second)) for found in differences(*pair, f'{path}.{place}')
        ]
    same = torch.equal(first, second) if isinstance(first, torch.Tensor) else first == second
    return [] if same else [path]


def check(folder, name='iter_4.pth'):
    expected, found = final(folder / 'whole', name), final(folder / 'rest', name)
    assert set(found) == set(expected)
    for key in set(expected) & {'state_dict', 'optimizer', 'param_schedulers', 'ema_state_dict'}:
        assert differences(expected[key], found[key], key) == []


@pytest.mark.parametrize(
    'name, workers',
    [(name, 0) for name in MODELS_OF]
    + [('semi', 2)]
    + [pytest.param(name, 2, marks=pytest.mark.slow) for name in MODELS_OF if name != 'semi'],
)
def test_a_resumed_training_ends_with_the_weights_of_an_undisturbed_one(tmp_path, root, name, workers):
    _, whole = train(tmp_path / 'whole', root, name)
    _, rest = train(tmp_path / 'rest', root, name, workers=workers, resume_from=tmp_path / 'whole' / 'iter_2.pth')
    assert rest == whole[2:] and len(set(whole)) == 4
    check(tmp_path)


@pytest.mark.parametrize(
    'sampler, loop',
    [
        ('DefaultSampler', dict(by_epoch=True, max_epochs=2)),  # three batches each: the checkpoint is within an epoch
        pytest.param('DefaultSampler', dict(by_epoch=False, max_iters=6), marks=pytest.mark.slow),  # MMEngine sleeps
        ('InfiniteSampler', dict(by_epoch=False, max_iters=6)),
    ],
)
def test_without_a_seed_in_the_config_it_goes_on_with_that_of_the_checkpoint(tmp_path, root, sampler, loop):
    settings = dict(sampler=sampler, train_cfg=loop, randomness=dict(seed=None))
    _, whole = train(tmp_path / 'whole', root, **settings)
    _, rest = train(tmp_path / 'rest', root, resume_from=tmp_path / 'whole' / 'iter_4.pth', **settings)
    assert rest == whole[4:] and len(set(whole)) == 6
    check(tmp_path, 'iter_6.pth')


def test_no_image_is_loaded_only_to_be_skipped(tmp_path, root, monkeypatch):
    train(tmp_path / 'whole', root)
    loaded = []
    view = ViewDataset.view
    monkeypatch.setattr(ViewDataset, 'view', lambda self, *place: loaded.append(place) or view(self, *place))
    train(tmp_path / 'rest', root, resume_from=tmp_path / 'whole' / 'iter_2.pth')
    assert len(loaded) == len(set(loaded)) == 2 * 2


class Scripted(BaseMetric):
    """An mIoU that falls by one with every validation."""

    default_prefix = ''

    def process(self, data_batch, data_samples):
        self.results.append(0)

    def compute_metrics(self, results):
        known = MessageHub.get_current_instance().log_scalars.get('val/mIoU')
        return dict(mIoU=10.0 - (0 if known is None else len(known.data[0])))


def test_plateaus_early_stopping_and_the_best_checkpoint_count_the_validations_before_the_resume(tmp_path, root):
    settings = dict(
        sampler='DefaultSampler',
        train_cfg=dict(by_epoch=True, max_epochs=5),
        param_scheduler=[dict(type='ReduceOnPlateauLR', monitor='mIoU', rule='greater', patience=1)],
        val_dataloader=dict(
            dataset=ToyDataset(1, num_classes=11), num_workers=0, sampler=dict(type='DefaultSampler', shuffle=False)
        ),
        val_cfg=dict(),
        val_evaluator=[Scripted()],
        custom_hooks=[dict(type='EarlyStoppingHook', monitor='mIoU', rule='greater', patience=2)],
        default_hooks=dict(checkpoint=dict(type='CheckpointHook', interval=1, save_best='mIoU')),
    )
    whole, _ = train(tmp_path / 'whole', root, **settings)
    for epoch, left in ((2, 3), (3, 0)):
        rest, seen = train(tmp_path / 'rest', root, resume_from=tmp_path / 'whole' / f'epoch_{epoch}.pth', **settings)
        for runner in (whole, rest):
            assert runner.epoch == 3 and runner.train_loop.stop_training and len(seen) == left
            assert runner.optim_wrapper.get_lr()['lr'] == pytest.approx([0.001])
            assert runner.message_hub.get_info('best_score') == 10.0
            assert runner.message_hub.get_scalar('val/mIoU').data[0].tolist() == [10.0, 9.0, 8.0]
        assert differences(whole.model.state_dict(), rest.model.state_dict()) == []


def test_a_sampler_of_another_kind_is_left_alone_and_the_log_says_so(tmp_path):
    told = []
    runner = toy_runner(STUDENT, tmp_path, max_iters=1)
    runner._train_dataloader = dict(
        dataset=ToyDataset(num_classes=11),
        batch_size=2,
        sampler=WeightedRandomSampler([1.0] * 8, 8),
        collate_fn=dict(type='pseudo_collate'),
    )
    runner.logger.warning = told.append
    runner.train()
    assert isinstance(runner.train_dataloader.dataset, ToyDataset)
    assert any(
        'train_dataloader.sampler is WeightedRandomSampler, so a resumed run has another order' in text for text in told
    )


def test_releases_of_mmengine_that_skip_by_reading_read_nothing():
    class Batches:
        def __init__(self, loader):
            self.batches = iter(loader)

        def __next__(self):
            return next(self.batches)

    class Loop:
        sampler = InfiniteViewSampler(ViewDataset(list(range(100))), shuffle=False, seed=0)
        dataloader = DataLoader(sampler.dataset, batch_size=2, sampler=sampler, collate_fn=list)
        dataloader_iterator = Batches(dataloader)
        iter = 3

    batches = _ResumedBatches(Loop, Loop.sampler, epoch=0, samples=6)
    assert [next(batches) for _ in range(5)] == [None, None, None, [6, 7], [8, 9]]
