import io

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
