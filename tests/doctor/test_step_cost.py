import io
import re

import pytest
import torch
from mmengine.config import Config
from mmengine.optim import build_optim_wrapper
from mmseg.registry import MODELS

from mmseg_kd.doctor import step_cost
from mmseg_kd.doctor.diagnosis import Diagnosis
from mmseg_kd.doctor.loss_parts import Part
from mmseg_kd.doctor.step_cost import Cost, check_cost, cost_table, iterations
from mmseg_kd.testing.toys import toy_batch, toy_segmentor


def test_the_cost_of_the_terms_is_the_rest():
    table = cost_table(Cost(step=1.0, teachers=0.25, student=0.5, memory=3 * 2**30, student_memory=2**30))
    rows = [[cell.strip() for cell in line.split('|')[1:-1]] for line in table.splitlines()[2:]]
    assert rows == [
        ['baseline', '0.5', '1.00 x', '1.00'],
        ['teachers', '0.25', '0.50 x', ''],
        ['terms (the rest)', '0.25', '0.50 x', ''],
        ['whole', '1', '2.00 x', '3.00'],
    ]


def test_the_length_of_training_by_iterations_or_epochs():
    assert iterations(Config(dict(train_cfg=dict(max_iters=7))), [0] * 5) == 7
    assert iterations(Config(dict(train_cfg=dict(max_epochs=3))), [0] * 5) == 15
    assert iterations(Config(dict()), [0] * 5) == 0


@pytest.mark.parametrize('loading, learning_rate, words', [(0, 0.01, 'ok'), (1e4, 0.01, 'too few'), (0, 1e30, 'lower')])
def test_steps_are_timed_and_their_faults_are_named(monkeypatch, loading, learning_rate, words):
    monkeypatch.setattr(step_cost, 'STEPS', 1)
    torch.manual_seed(0)
    model = MODELS.build(toy_segmentor(4))
    optimizer = build_optim_wrapper(
        model, dict(type='OptimWrapper', optimizer=dict(type='SGD', lr=learning_rate, momentum=0.9))
    )
    config = Config(dict(train_cfg=dict(max_iters=7200), train_dataloader=dict(num_workers=2)))
    out = io.StringIO()
    parts = [Part('decode.loss_ce', 1.0, 1.0, True)]
    cost = Diagnosis(out).run('step', check_cost, config, model, optimizer, [], toy_batch(), loading, parts, 60)
    assert words in out.getvalue() and '; 7200 steps take ' in out.getvalue()
    # Without a distiller, the step is that of the student.
    assert cost.step == cost.student > 0 and cost.teachers == cost.terms == 0 and cost.student_memory is None


@pytest.mark.parametrize(
    'iterations, teacher, sampler, views, advice',
    [
        # Four batches hold all images, so five views cost the teacher 20 steps.
        (
            100,
            4.0,
            'InfiniteSampler',
            None,
            'the teacher takes 7 min of this, and 5 stored views of each image would save 5 min',
        ),
        (20, 4.0, 'InfiniteSampler', None, ''),
        (25, 4.0, 'InfiniteSampler', None, ''),  # 20 s of 250
        (100, 0.0, 'InfiniteSampler', None, ''),
        (100, 4.0, None, None, ''),
        (
            100,
            4.0,
            'InfiniteSampler',
            10,
            'the teacher takes 7 min of this, and the 10 stored views of each image (--views) save 4 min',
        ),
        (
            100,
            4.0,
            'InfiniteSampler',
            40,
            'this shows each image 25 times, so the teacher needs 4 min more for 40 stored views than for the training: '
            'lower --views, or leave it out',
        ),
    ],
)
def test_stored_views_are_advised_if_they_save_a_tenth_of_the_time(iterations, teacher, sampler, views, advice):
    loader = dict(dataset=dict(type='CamVidDataset'), sampler=dict(type=sampler) if sampler else None)
    config = Config(dict(model=dict(type='Distiller', teacher=dict(config='t.py')), train_dataloader=loader))
    cost = Cost(step=10.0, teachers=teacher, student=5.0, memory=0)
    text = step_cost._advice(config, cost, iterations, [0] * 4, views)
    assert re.sub(r'^; | \(--views 5.*', '', text) == advice


@pytest.mark.parametrize('begin, rate', [(0, 0.02), (5, 0.2)])
def test_steps_have_the_rate_of_a_warm_up_that_begins_at_once(begin, rate):
    model = torch.nn.Linear(2, 2)
    optimizer = build_optim_wrapper(model, dict(type='OptimWrapper', optimizer=dict(type='SGD', lr=0.2)))
    schedule = dict(type='LinearLR', start_factor=0.1, begin=begin, end=9)
    step_cost._lower_rates(optimizer, Config(dict(param_scheduler=[schedule])))
    assert optimizer.get_lr() == dict(lr=[pytest.approx(rate)])
