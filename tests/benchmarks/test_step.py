"""The benchmark of a training step on a toy distiller: its parts, its floor, and the options of the teacher."""

import copy
import csv
import sys
from pathlib import Path

import pytest
import torch
from mmengine.optim import build_optim_wrapper
from mmseg.registry import MODELS

from mmseg_kd.testing.toys import toy_segmentor

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / 'benchmarks'))

import step as benchmark  # noqa: E402


@pytest.fixture
def subject():
    torch.manual_seed(0)
    model = MODELS.build(
        dict(
            type='Distiller',
            student=toy_segmentor(4, auxiliary=False),
            teacher=dict(model=toy_segmentor(8, auxiliary=False)),
            terms=dict(loss_pi=dict(student='logits', teacher='logits', loss=dict(type='PixelWiseKDLoss'))),
        )
    ).train()
    benchmark.as_trained(model.teachers[''].module, (32, 32))
    optimizer = build_optim_wrapper(model, dict(optimizer=dict(type='SGD', lr=0.01)))
    return benchmark.Subject(
        'toy', model, optimizer, benchmark.drawn(4, 2, (32, 32)), has_data=False, device=torch.device('cpu')
    )


def cells(table):
    return [[cell.strip() for cell in line.split('|')[1:-1]] for line in table.splitlines()[2:]]


def test_a_step_is_the_sum_of_its_parts_and_the_table_comes_from_the_csv_file(subject, tmp_path):
    line = benchmark.measure_step(subject, repeats=2)
    parts = [line[name] for name in ('teacher', 'student', 'terms', 'backward', 'optimizer')]
    assert min(parts) > 0 and sum(parts) == pytest.approx(line['step'], rel=0.3)
    assert line['data wait'] is None and line['each'].startswith('loss_pi=')
    assert line['modelled'] == pytest.approx(1 + line['terms alone'] / line['floor'])
    benchmark.write_csv(tmp_path / 'steps.csv', benchmark.STEP_COLUMNS, [line])
    with (tmp_path / 'steps.csv').open() as file:
        assert cells(benchmark.step_rows(list(csv.DictReader(file))))[0][:3] == ['toy', '32x32', '']


def test_terms_of_several_distillers_are_compared_with_the_floor_of_one(subject):
    deep = subject._replace(name='deep', model=copy.deepcopy(subject.model))
    backbone = dict(student='backbone[3]', teacher='backbone[3]', loss=dict(type='HintLoss'), adapter=None)
    deep.model.terms = MODELS.build(
        dict(
            type='Distiller',
            student=toy_segmentor(4, auxiliary=False),
            teacher=dict(model=toy_segmentor(8, auxiliary=False)),
            terms=dict(loss_hint=backbone),
        )
    ).terms
    lines = benchmark.measure_terms([subject, deep], repeats=2)
    assert [line['config'] for line in lines] == ['toy', 'deep']
    for line in lines:
        assert (
            line['ratio'] == pytest.approx(1 + line['terms'] / (line['student'] + line['teacher']))
            and line['terms'] > 0
        )
    # A pass that ends behind the backbone saves the head.
    assert lines[1]['teacher'] != lines[0]['teacher'] and lines[1]['student'] == lines[0]['student']
    assert deep.model.terms['loss_hint'].adapters[0].weight.grad is not None
    assert len(cells(benchmark.term_rows(lines))) == 2


def test_options_of_the_teacher_are_compared_by_value(subject):
    options = {name: benchmark.OPTIONS[name] for name in ('float32', 'fold_batch_norm', 'bfloat16')}
    exact, folded, half = benchmark.measure_options(subject, 1, options)
    assert exact['error'] == 0 and exact['of float32'] == exact['floor of float32'] == 1
    assert 0 < folded['error'] < 1e-5 and folded['cosine of the term'] == pytest.approx(1, abs=1e-6)
    assert 1e-4 < half['error'] < 0.1 and 0.98 < half['cosine'] < 1
    # The teacher of the training is left as it is.
    assert not subject.model.teachers[''].fold_batch_norm and 'read' not in vars(subject.model.teachers[''])


def test_whole_steps_with_and_without_a_stream_of_the_teacher_are_compared(subject, monkeypatch):
    seen = []
    train_step = subject.model.train_step
    monkeypatch.setattr(
        subject.model,
        'train_step',
        lambda *args: seen.append(subject.model.teachers[''].stream) or train_step(*args),
        raising=False,
    )
    assert benchmark.measure_stream(subject, repeats=1) > 0
    assert [stream is not None for stream in seen] == [False, True] * 2 and subject.model.teachers[''].stream is None
    assert all(option['cuda_graphs'] and option['compile'] for option in benchmark.ON_GPUS.values())


def test_a_part_of_a_page_is_replaced(tmp_path):
    page = tmp_path / 'page.md'
    page.write_text('before\n<!-- steps -->\nold\n<!-- end -->\nafter\n')
    for text in ('new', 'newer'):
        benchmark.write_page(page, 'steps', text)
    assert page.read_text() == 'before\n<!-- steps -->\n\nnewer\n\n<!-- end -->\nafter\n'
    with pytest.raises(ValueError, match='has no line <!-- options -->'):
        benchmark.write_page(page, 'options', 'text')
