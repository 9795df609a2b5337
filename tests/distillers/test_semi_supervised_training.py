"""Runs of a Runner with the segmentors that learn from unlabeled images, and what becomes of them."""

import pytest
import torch
from branches import segmentor
from mmengine.config import Config
from mmseg.registry import MODELS

from mmseg_kd.testing.toys import ToyBranchDataset, toy_batch, toy_runner

PSEUDO = dict(student='logits', teacher='logits', loss=dict(type='PseudoLabelLoss'))
UNMIXED = dict(loss_u=dict(PSEUDO, teacher='unmixed.logits', weight=dict(type='WarmupWeight', weight=2.0, iters=2)))
MODELS_OF = dict(
    distiller=dict(type='SemiSupervisedDistiller', teacher=dict(model=segmentor(8)), terms=dict(loss_l=PSEUDO)),
    mean_teacher=dict(type='MeanTeacher', terms=dict(loss_l=PSEUDO)),
    cps=dict(type='CrossPseudoSupervision'),
)
HOOKS = ['TermWeightHook', 'NonFiniteLossHook', 'DistillSummaryHook', 'ExportStudentHook']


def train(name, folder, student=None, hooks=(), **settings):
    model = dict(MODELS_OF[name], student=student or segmentor(4), unlabeled_terms=UNMIXED, mix=dict(type='CutMix'))
    runner = toy_runner(
        model,
        folder,
        train_dataloader=dict(
            dataset=ToyBranchDataset(),
            batch_size=2,
            num_workers=0,
            sampler=dict(type='InfiniteSampler', shuffle=True, seed=0),
            collate_fn=dict(type='pseudo_collate'),
        ),
        custom_hooks=[dict(type=hook) for hook in (*HOOKS, *hooks)],
        log_level='INFO',
        **settings,
    )
    runner.train()
    return runner


@pytest.fixture(scope='module', params=MODELS_OF)
def trained(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp(request.param)
    hooks = ['MeanTeacherHook'] if request.param == 'mean_teacher' else []
    return train(request.param, folder, hooks=hooks, max_iters=3), folder


def test_schedules_of_unlabeled_terms_move_and_are_logged(trained):
    runner, _ = trained
    assert list(runner.message_hub.get_scalar('train/loss_u_weight').data[0]) == [0.0, 1.0, 2.0]
    values = runner.message_hub.get_scalar('train/loss_u').data[0]
    assert values[0] == 0 and min(values[1:]) > 0


def test_unlabeled_terms_are_in_the_summary(trained):
    _, folder = trained
    log = next(folder.rglob('*.log')).read_text()
    line = next(line for line in log.splitlines() if line.startswith('loss_u '))
    assert line.split()[:6] == ['loss_u', 'PseudoLabelLoss', 'logits', '4x4x4', 'unmixed.logits', '4x4x4']


def assert_clean(runner, folder):
    """MMSegmentation alone gives the student's logits."""
    config = Config.fromfile(folder / 'student' / 'config.py')
    assert 'mmseg_kd' not in config.pretty_text and 'Branch' not in config.pretty_text
    assert config.model.type == 'EncoderDecoder' and config.model.data_preprocessor.type == 'SegDataPreProcessor'
    alone = MODELS.build(config.model).eval()
    alone.load_state_dict(torch.load(folder / 'student' / 'student.pth', weights_only=False)['state_dict'])
    runner.model.eval()
    data = alone.data_preprocessor(toy_batch(), False)
    first, second = (model.predict(data['inputs'], data['data_samples']) for model in (alone, runner.model))
    assert torch.equal(first[0].seg_logits.data, second[0].seg_logits.data)


def test_the_student_comes_out_clean(trained):
    assert_clean(*trained)


def test_a_preprocessor_for_branches_comes_out_as_mmsegmentations_own(tmp_path):
    student = segmentor(4)
    student.data_preprocessor.type = 'BranchPreprocessor'
    assert_clean(train('cps', tmp_path, student=student, max_iters=1), tmp_path)


def test_a_loss_on_unlabeled_images_that_is_not_finite_ends_the_run(tmp_path, monkeypatch):
    monkeypatch.setattr('mmseg_kd.losses.PseudoLabelLoss.compute', lambda self, student, *_: student.sum() * torch.nan)
    with pytest.raises(FloatingPointError, match='losses must be finite, but loss_l = nan'):
        train('distiller', tmp_path, max_iters=1)
