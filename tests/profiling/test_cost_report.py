"""Reports of costs that are known."""

import copy
import csv

import pytest
from costs import result

from mmseg_kd.profiling.cost_report import break_even, cost_csv, cost_report
from mmseg_kd.profiling.energy import Energy


def test_break_even_is_the_first_image_at_which_the_saving_covers_the_training():
    assert break_even(10.0, 3.0, 1.0) == 5
    assert break_even(10.1, 3.0, 1.0) == 6
    assert break_even(10.0, 1.0, 1.0) is None and break_even(10.0, 1.0, 2.0) is None


def test_the_report_compares_energy_and_tells_the_break_even():
    training = Energy(100.0, 1999 / 3.6e6, 0.001, 'counted')
    text = cost_report('a pair', [result('student', 1.0), result('teacher', 3.0, 4_000_000)], 'CPU x', training)
    rows = [[cell.strip() for cell in line.split('|')[1:-1]] for line in text.splitlines() if line.startswith('| ')]
    assert rows[0] == [
        '',
        'parameters, M',
        'MACs at 32x48, G',
        '10000 inferences, Wh',
        '10000 inferences, g CO2',
        'power, W',
    ]
    assert rows[2] == ['student', '1.000', '2.000', '2.778', '0.2778', '10.0']
    assert rows[3] == ['teacher', '4.000', '2.000', '8.333', '0.8333', '30.0']
    assert rows[6] == ['student', '32x48', '1', '50.00', '20.00', '30.0'] and rows[7] == ['teacher', *rows[6][1:]]
    assert rows[8] == ['student', '32x48', '4', '100.00', '40.00', '40.0']
    assert 'Break-even with the teacher: 1000 images. The student saves 2 J per image; this pays' in text
    assert 'extrapolated from 10.0 s and 100 images (student), 10.0 s and 100 images (teacher)' in text
    assert '- student: a guess.' in text and 'Training of the student: 0.5553 Wh, 1 g CO2. counted.' in text


def test_a_student_that_needs_more_never_pays_back():
    training = Energy(1.0, 1.0, 1.0, 'counted')
    results = [result('student', 3.0), result('teacher', 1.0)]
    assert 'never. The student needs 2 J per image more' in cost_report('a', results, 'CPU', training)
    rows = list(csv.DictReader(cost_csv(results, training).splitlines()))
    assert [row['value'] for row in rows if row['quantity'] == 'break-even with the teacher'] == ['never']


def test_without_energy_the_report_has_the_rest():
    alone = copy.deepcopy(result('network', 1.0))
    alone.energy = None
    text = cost_report('a', [alone], 'GPU x')
    assert 'Wh' not in text and 'Break-even' not in text and 'latency, ms' in text


def test_csv_has_one_line_a_number():
    results = [result('student', 1.0), result('teacher', 3.0)]
    rows = list(csv.DictReader(cost_csv(results, Energy(1.0, 3 / 3.6e6, 1.0, '')).splitlines()))
    found = {(row['network'], row['quantity'], row['batch']): float(row['value']) for row in rows}
    assert found['student', 'latency', '4'] == 0.1 and found['student', 'throughput', '4'] == 40
    assert found['teacher', 'energy of 10000 inferences', '1'] == pytest.approx(30000 / 3.6e6, rel=1e-5)
    assert found['student', 'break-even with the teacher', ''] == 2 and len(found) == len(rows)
