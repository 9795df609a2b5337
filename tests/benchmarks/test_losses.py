"""The benchmark of losses: that it leaves out none, compares like with like, and counts memory rightly."""

import csv
import gc
import inspect
import sys
from pathlib import Path

import pytest
import torch
from torch.utils.checkpoint import checkpoint

import mmseg_kd.losses
from mmseg_kd.losses import DistillLoss

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / 'benchmarks'))

import losses as benchmark  # noqa: E402

TINY = benchmark.Sizes(
    batch=2, height=6, width=8, channels=32, few=16, small_channels=16, small_height=6, small_width=8
)
MEBIBYTE = torch.zeros(2**18)


@pytest.fixture
def double():
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def test_every_loss_has_a_row():
    exported = (getattr(mmseg_kd.losses, name) for name in mmseg_kd.losses.__all__)
    wanted = {cls.__name__ for cls in exported if issubclass(cls, DistillLoss) and not inspect.isabstract(cls)}
    assert {row.name for row in benchmark.ROWS} == wanted


def test_a_loss_without_a_textbook_form_is_measured_beside_itself(double):
    ours, theirs = benchmark.build(benchmark.Row(mmseg_kd.losses.HintLoss, None, benchmark.features), TINY)
    assert ours.function(*ours.ready()).item() == theirs.function(*theirs.ready()).item() > 0


def test_rows_are_sorted_and_differ():
    names = [row.name.lower() for row in benchmark.ROWS]
    assert names == sorted(names) and len({(row.name, row.note) for row in benchmark.ROWS}) == len(names)


@pytest.mark.parametrize('row', benchmark.ROWS, ids=lambda row: row.name)
def test_loss_and_textbook_form_agree_in_value_and_gradient(double, row):
    forms = benchmark.build(row, TINY)
    for _ in range(2):  # the second time with what memories and statistics have kept of the first
        values, gradients = [], []
        for form in forms:
            student, *others = form.ready()
            value = form.function(student, *others)
            value.backward()
            values.append(value.item())
            gradients.append((student if isinstance(student, torch.Tensor) else student[0]).grad)
        assert values[0] == pytest.approx(values[1], rel=1e-9)
        torch.testing.assert_close(*gradients, rtol=1e-7, atol=1e-12)


def test_memory_of_a_known_course_is_counted():

    def course(x):
        a = x + 1  # 1
        b = a * 2  # 2
        c = a + b  # 3
        del a, b
        return c + 1  # 2, of which one goes

    assert benchmark.allocated(course, (MEBIBYTE,)) == pytest.approx((1, 3), abs=0.001)


def test_memory_that_is_released_before_it_is_taken_again_does_not_add_up():

    def course(x):
        for _ in range(5):
            x + 1

    assert benchmark.allocated(course, (MEBIBYTE,)) == pytest.approx((0, 1), abs=0.001)


def test_garbage_of_earlier_calls_is_not_counted_as_released():
    cycle = [MEBIBYTE.clone()]
    cycle.append(cycle)
    del cycle

    def course(x):
        gc.collect()
        return x + 1

    assert benchmark.allocated(course, (MEBIBYTE,)) == pytest.approx((1, 1), abs=0.001)


def test_memory_that_autograd_keeps_is_counted_until_the_backward_pass():
    x = MEBIBYTE.clone().requires_grad_()
    kept, peak = benchmark.allocated(lambda x: x.exp().exp().sum(), (x,))  # both results of exp are kept
    assert (kept, peak) == pytest.approx((2, 2), abs=0.001)
    kept, peak = benchmark.allocated(lambda x: x.exp().exp().sum().backward(), (x,))
    # Both results and the gradient of one, then one result and both gradients; that of x stays.
    assert (kept, peak) == pytest.approx((1, 3), abs=0.001)


def test_checkpointed_memory_is_counted_where_it_is():

    def course(x):
        return checkpoint(lambda y: y.exp().exp().sum(), x + 1, use_reentrant=False)

    kept, peak = benchmark.allocated(course, (MEBIBYTE.clone().requires_grad_(),))
    assert kept == pytest.approx(1, abs=0.01) and peak >= 2  # x + 1 is held, and what exp gives is not


def test_the_table_and_the_file_hold_the_same_numbers(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(benchmark, 'Sizes', lambda batch: TINY._replace(batch=batch))
    path = tmp_path / 'losses.csv'
    benchmark.main(['--only', 'HintLoss', 'CWDLoss', '--batch', '2', '--repeats', '1', '--csv', str(path)])
    lines = capsys.readouterr().out.strip().splitlines()[2:]
    rows = list(csv.DictReader(path.open()))
    assert ','.join(rows[0]) == ('loss,ms,textbook_ms,kl_ms,kept_mib,textbook_kept_mib,peak_mib,textbook_peak_mib,note')
    names = [(row['loss'], row['note']) for row in rows]
    assert names == [('CWDLoss', ''), ('CWDLoss', 'on features'), ('HintLoss', '')]
    cells = [[cell.strip() for cell in line.strip('|').split('|')] for line in lines]
    assert [c[0] for c in cells[2:]] == ['CWDLoss', 'CWDLoss (on features)', 'HintLoss']
    for row, (_, ms, of_textbook, _, _, peak) in zip(rows, cells[2:]):
        assert float(ms) == pytest.approx(float(row['ms']), abs=0.06)
        assert float(of_textbook) == pytest.approx(float(row['ms']) / float(row['textbook_ms']), abs=6e-4)
        assert peak.endswith(f'({float(row["peak_mib"]) / float(row["textbook_peak_mib"]):.2f})')


def test_a_loss_that_is_not_its_textbook_form_is_not_measured():
    row = benchmark.Row(
        mmseg_kd.losses.HintLoss, lambda student, teacher: (student - teacher).abs().mean(), benchmark.features
    )
    with pytest.raises(ValueError, match='HintLoss must equal its textbook form'):
        benchmark.measure(row, TINY, repeats=1)
