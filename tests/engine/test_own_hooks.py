import pytest
import torch
from mmseg.registry import MODELS

from mmseg_kd.engine import (
    BatchSizeHook,
    DistillSummaryHook,
    ExactResumeHook,
    ExportStudentHook,
    FittingCheckpointHook,
    ImageConfusionHook,
    MeanTeacherHook,
    NonFiniteLossHook,
    StepSeedHook,
    StopOnSignalHook,
    TeacherCacheHook,
    TeacherPartitionHook,
    TermWeightHook,
    ValidateOnResumeHook,
)
from mmseg_kd.engine.own_hooks import needed_hooks
from mmseg_kd.testing.toys import toy_runner, toy_segmentor

PI = dict(student='logits', teacher='logits', loss=dict(type='PixelWiseKDLoss'))
ALWAYS = {
    BatchSizeHook,
    FittingCheckpointHook,
    ImageConfusionHook,
    NonFiniteLossHook,
    StepSeedHook,
    StopOnSignalHook,
    ExactResumeHook,
    ValidateOnResumeHook,
}
DISTILLING = {*ALWAYS, TermWeightHook, TeacherCacheHook, TeacherPartitionHook, DistillSummaryHook, ExportStudentHook}


def distiller(**term):
    return dict(
        type='Distiller',
        student=toy_segmentor(4),
        teacher=dict(model=toy_segmentor(8)),
        terms=dict(loss_pi=dict(PI, **term)),
    )


def mean_teacher():
    return dict(type='MeanTeacher', student=toy_segmentor(4), terms=dict(loss_pi=PI))


def augmented():
    return dict(type='SegTTAModel', module=distiller())


@pytest.mark.parametrize(
    'model, expected',
    [
        (toy_segmentor(4), ALWAYS),
        (distiller(), DISTILLING),
        (mean_teacher(), {*DISTILLING, MeanTeacherHook}),
        (augmented(), DISTILLING),
    ],
)
def test_each_kind_of_model_names_the_hooks_that_it_needs(model, expected):
    assert set(needed_hooks(MODELS.build(model))) == expected


def test_a_model_of_another_library_gets_no_hook():
    assert needed_hooks(torch.nn.Linear(1, 1)) == []


def test_a_config_without_hooks_of_ours_moves_weights_and_exports_the_student(tmp_path):
    weight = dict(type='WarmupWeight', weight=2.0, iters=2)
    runner = toy_runner(distiller(weight=weight), tmp_path, max_iters=2, custom_hooks=[dict(type='EMAHook')])
    runner.train()
    assert runner.message_hub.get_scalar('train/loss_pi_weight').data[0].tolist() == [0.0, 1.0]
    assert sorted(path.name for path in (tmp_path / 'student').iterdir()) == ['config.py', 'student.pth']
    assert any(type(hook).__name__ == 'EMAHook' for hook in runner.hooks)


def test_a_hook_that_the_config_lists_is_not_doubled_and_keeps_its_arguments(tmp_path):
    runner = toy_runner(distiller(), tmp_path, custom_hooks=[dict(type='ExportStudentHook', folder='small')])
    assert [hook.folder for hook in runner.hooks if isinstance(hook, ExportStudentHook)] == ['small']
    assert {hook for hook in map(type, runner.hooks) if hook in DISTILLING} == DISTILLING
    assert len(runner.hooks) == len(set(map(type, runner.hooks)))
