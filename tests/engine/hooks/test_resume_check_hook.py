import itertools

import pytest
import torch
from mmengine.config import Config
from mmengine.runner import Runner
from mmseg.registry import DATASETS

from mmseg_kd.testing.toys import ToyDataset, toy_segmentor

COUNT = itertools.count()
POLY = dict(type='PolyLR', eta_min=0.0, power=1.0, begin=0, end=2, by_epoch=False)
CWD = dict(student='logits', teacher='logits', loss=dict(type='CWDLoss'), weight=1.0)
HINT = dict(student='backbone[3]', teacher='backbone[3]', loss=dict(type='HintLoss'), weight=1.0)


@pytest.fixture(scope='module', autouse=True)
def toys():
    DATASETS.register_module(module=ToyDataset)
    yield
    DATASETS.module_dict.pop('ToyDataset')


def make(work_dir, iterations=2, terms=None, lr=0.01, batch=2, optimizer='SGD', end=4, seed=0, **changes):
    model = toy_segmentor(4, auxiliary=False)
    if terms is not None:
        model = dict(
            type='Distiller',
            student=model,
            terms=terms,
            teacher=dict(model=toy_segmentor(8, auxiliary=False), checkpoint=None),
        )
    runner = Runner.from_cfg(
        Config(
            dict(
                dict(
                    model=model,
                    work_dir=str(work_dir),
                    default_scope='mmseg',
                    log_level='ERROR',
                    train_dataloader=dict(
                        dataset=dict(type='ToyDataset', num=8),
                        batch_size=batch,
                        num_workers=0,
                        sampler=dict(type='InfiniteSampler', shuffle=True),
                        collate_fn=dict(type='pseudo_collate'),
                    ),
                    train_cfg=dict(type='IterBasedTrainLoop', max_iters=iterations),
                    optim_wrapper=dict(optimizer=dict(type=optimizer, lr=lr)),
                    param_scheduler=[dict(POLY, end=end)],
                    default_hooks=dict(checkpoint=dict(type='CheckpointHook', interval=1, by_epoch=False)),
                    custom_hooks=[dict(type='ResumeCheckHook')],
                    randomness=dict(seed=seed),
                    experiment_name=f'resume_check_{next(COUNT)}',
                ),
                **changes,
            )
        )
    )
    runner.said = []
    runner.logger.warning = lambda text, *_: runner.said.append(text)
    return runner


@pytest.fixture(scope='module')
def begun(tmp_path_factory):
    """The checkpoint of a distillation of two iterations, whose schedule ends after four."""
    folder = tmp_path_factory.mktemp('begun')
    make(folder, terms=dict(loss_cwd=CWD)).train()
    return str(folder / 'iter_2.pth')


ONE_TERM = dict(loss_cwd=CWD)


def resume(begun, tmp_path, terms=ONE_TERM, **changes):
    runner = make(tmp_path, terms=terms, resume=True, load_from=begun, **{'iterations': 3, **changes})
    runner.train()
    assert runner.iter == 3
    return '\n'.join(runner.said)


def test_what_has_not_changed_is_not_spoken_of(begun, tmp_path):
    assert resume(begun, tmp_path, iterations=3) == (
        'the run continues with a changed config:\n  train_cfg.max_iters: 2 -> 3'
    )
    runner = make(tmp_path / 'same', terms=dict(loss_cwd=CWD), resume=True, load_from=begun)
    runner.train()
    assert runner.said == []


def test_what_has_changed_is_told_by_its_key(begun, tmp_path):
    said = resume(begun, tmp_path, terms=dict(loss_cwd=dict(CWD, weight=3.0)), batch=4, lr=0.02, seed=1)
    for line in (
        'model.terms.loss_cwd.weight: 1 -> 3',
        'train_dataloader.batch_size: 2 -> 4',
        'randomness.seed: 0 -> 1',
        'optim_wrapper.optimizer.lr: 0.01 -> 0.02',
    ):
        assert f'\n  {line}' in said
    assert 'so these changes have no effect: optim_wrapper.optimizer.lr' in said


@pytest.mark.parametrize(
    'changes, words',
    [
        (
            dict(terms=dict(loss_cwd=CWD, loss_hint=HINT)),
            r'the checkpoint lacks 1 parameter \(terms.loss_hint.adapters.0.weight\).*changed since: .*model.terms.loss_hint.* not set -> ',
        ),
        (dict(terms=None), r'the checkpoint lacks \d\d parameters \(backbone'),
        (dict(optimizer='AdamW'), 'optim_wrapper.optimizer.type: SGD -> AdamW'),
        (
            dict(optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.01), paramwise_cfg=dict(bias_lr_mult=2.0))),
            r'the optimizer has \d+ parameters in \d+ groups, but \d+ in 1 in the checkpoint',
        ),
        (
            dict(train_cfg=dict(type='EpochBasedTrainLoop', max_epochs=3)),
            'train_cfg.max_epochs is 3, but it was started with train_cfg.max_iters is 2',
        ),
        (dict(iterations=40, end=40), r'ends at 4 with a learning rate of 0, but train_cfg.max_iters is 40'),
    ],
)
def test_what_cannot_be_resumed_is_refused_in_one_line(begun, tmp_path, changes, words):
    with pytest.raises(ValueError, match='^the run cannot be resumed.*(' + words + ')') as refused:
        resume(begun, tmp_path, **changes)
    assert '\n' not in str(refused.value) and 'resume=False' in str(refused.value)


def test_a_term_that_is_gone_with_its_adapter_is_refused_too(tmp_path):
    make(tmp_path / 'with', terms=dict(loss_cwd=CWD, loss_hint=HINT)).train()
    with pytest.raises(
        ValueError, match=r'has 1 parameter \(terms.loss_hint.adapters.0.weight\), which the model lacks'
    ):
        resume(str(tmp_path / 'with' / 'iter_2.pth'), tmp_path)


def test_weights_alone_are_no_run(begun, tmp_path):
    weights = torch.load(begun, weights_only=False)['state_dict']
    torch.save(dict(state_dict=weights), tmp_path / 'weights.pth')
    with pytest.raises(ValueError, match='this one holds only weights; set resume=False'):
        resume(str(tmp_path / 'weights.pth'), tmp_path)


def test_a_run_that_is_over_is_told(begun, tmp_path):
    runner = make(tmp_path, terms=dict(loss_cwd=CWD), iterations=1, resume=True, load_from=begun)
    runner.train()
    assert 'train_cfg.max_iters is 1, and 2 are done: nothing is left to train' in runner.said


def test_weights_that_a_new_run_begins_from_may_be_of_another_config(begun, tmp_path):
    runner = make(tmp_path, terms=None, lr=0.1, load_from=begun)
    runner.train()
    assert not any('begun with' in text for text in runner.said)
