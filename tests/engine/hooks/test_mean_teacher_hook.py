import copy

import pytest
import torch
from mmengine.hooks import Hook

from mmseg_kd.engine import MeanTeacherHook
from mmseg_kd.testing.toys import ToyBranchDataset, toy_runner, toy_segmentor

MSE = dict(student='logits', teacher='logits', loss=dict(type='ProbabilityMSELoss'), weight=50.0)
MODEL = dict(type='MeanTeacher', student=toy_segmentor(4), terms=dict(loss_mt=MSE), unlabeled_terms=dict(loss_mt_u=MSE))


class Weights(Hook):
    """Remembers the student's weights at the beginning and after every iteration."""

    def before_train(self, runner):
        self.seen = [copy.deepcopy(runner.model.student.state_dict())]

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        self.seen.append(copy.deepcopy(runner.model.student.state_dict()))


def loader():
    return dict(
        dataset=ToyBranchDataset(),
        batch_size=2,
        num_workers=0,
        sampler=dict(type='InfiniteSampler', shuffle=True, seed=0),
        collate_fn=dict(type='pseudo_collate'),
    )


def runner(folder, **settings):
    settings = dict(train_dataloader=loader(), custom_hooks=[dict(type='MeanTeacherHook', momentum=0.9)], **settings)
    return toy_runner(MODEL, folder, **settings)


def test_the_teacher_follows_the_student_after_every_iteration_and_is_in_the_checkpoint(tmp_path):
    run, weights = runner(tmp_path, max_iters=3), Weights()
    run.register_hook(weights)
    run.train()
    saved = torch.load(tmp_path / 'iter_3.pth', weights_only=False)['state_dict']
    assert len(weights.seen) == 4
    for name, _ in run.model.student.named_parameters():
        average = weights.seen[0][name].double()
        for seen in weights.seen[1:]:
            average = 0.9 * average + 0.1 * seen[name].double()
        torch.testing.assert_close(saved[f'teacher.{name}'].double(), average, rtol=1e-5, atol=1e-7)
    assert not torch.equal(
        weights.seen[0]['decode_head.conv_seg.weight'], weights.seen[3]['decode_head.conv_seg.weight']
    )


def test_a_resumed_run_goes_on_with_the_teacher_that_was_saved(tmp_path):
    runner(tmp_path, max_iters=2).train()
    resumed, weights = (
        runner(tmp_path / 'resumed', max_iters=3, resume=True, load_from=str(tmp_path / 'iter_2.pth')),
        Weights(),
    )
    resumed.register_hook(weights)
    resumed.train()
    saved = torch.load(tmp_path / 'iter_2.pth', weights_only=False)['state_dict']
    name = 'decode_head.conv_seg.weight'
    expected = 0.9 * saved[f'teacher.{name}'] + 0.1 * weights.seen[-1][name]
    torch.testing.assert_close(resumed.model.teacher.state_dict()[name], expected)
    assert len(weights.seen) == 2


def test_other_models_are_refused_before_the_first_iteration(tmp_path):
    run = toy_runner(toy_segmentor(4), tmp_path, max_iters=1, custom_hooks=[dict(type='MeanTeacherHook')])
    with pytest.raises(TypeError, match='MeanTeacherHook needs a MeanTeacher, but the model is a EncoderDecoder'):
        run.train()


@pytest.mark.parametrize('momentum', [-0.1, 1.0])
def test_the_momentum_is_a_share(momentum):
    with pytest.raises(ValueError, match=rf'momentum must be in \[0, 1\), but is {momentum}'):
        MeanTeacherHook(momentum)
