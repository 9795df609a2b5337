import pytest
import torch
from mmengine.config import Config

from mmseg_kd.engine.checks import check_precision, check_teacher_precision, precision_checks

AMP = dict(type='BFloat16OptimWrapper', optimizer=dict(type='SGD', lr=0.1))


@pytest.fixture
def emulated(monkeypatch):
    """A CPU that emulates bfloat16 and has float16; and the precisions that were measured."""
    measured = []

    def relative(dtype):
        measured.append(dtype)
        return {torch.bfloat16: 47.3, torch.float16: 1.9}[dtype]

    monkeypatch.setattr(precision_checks, 'get_device', lambda: 'cpu')
    monkeypatch.setattr(precision_checks, 'relative_cpu_time', relative)
    return measured


def test_mixed_precision_that_the_cpu_emulates_is_named(emulated):
    (warning,) = check_precision(Config(dict(optim_wrapper=AMP))).warnings
    assert warning == (
        'optim_wrapper.type=BFloat16OptimWrapper (--amp) is slower than float32 on this CPU: a convolution takes 47 times '
        'as long, because the CPU emulates bfloat16; set it to OptimWrapper (without --amp), unless you compare with runs '
        'in bfloat16'
    )


@pytest.mark.parametrize(
    'teacher, keys',
    [
        (dict(config='a.py', dtype='bfloat16'), ['model.teacher.dtype']),
        ([dict(config='a.py'), dict(config='b.py', dtype='bfloat16')], ['model.teacher[1].dtype']),
        (dict(strong=dict(config='a.py', dtype='bfloat16')), ['model.teacher.strong.dtype']),
        (dict(config='a.py', dtype='float16'), []),
        (dict(config='a.py', dtype='float32'), []),
        (dict(config='a.py', dtype='half'), []),  # refused where the teacher is built
        (dict(config='a.py', dtype='bfloat16', cache='work_dirs/cache'), []),  # it does not run
        (dict(config='a.py', dtype='bfloat16', cache=None), ['model.teacher.dtype']),
    ],
)
def test_teachers_that_run_are_named(teacher, keys, emulated):
    warnings = check_teacher_precision(Config(dict(model=dict(teacher=teacher)))).warnings
    assert [warning.partition('=')[0] for warning in warnings] == keys


@pytest.mark.parametrize('content', [{}, dict(optim_wrapper=dict(AMP, type='OptimWrapper')), dict(model=None)])
def test_float32_is_not_measured(content, emulated):
    assert not check_precision(Config(content)).warnings
    assert not emulated


def test_nothing_is_measured_with_a_gpu(emulated, monkeypatch):
    monkeypatch.setattr(precision_checks, 'get_device', lambda: 'cuda')
    assert not check_precision(Config(dict(optim_wrapper=AMP, model=dict(teacher=dict(dtype='bfloat16'))))).warnings
    assert not emulated
