import pytest

from mmseg_kd.io.safe_pickle import UnsafeFileError
from mmseg_kd.io.trust import TRUST
from mmseg_kd.sweep.recorded_values import check_costs, check_values

SPACE = {'model.weight': [0.1, 1, None, 'a'], 'lr': dict(low=0.01, high=1, log=True), 'size': [(1, 2)]}


@pytest.mark.parametrize(
    'values', [{}, {'model.weight': 1, 'lr': 0.01}, {'lr': 1}, {'size': [1, 2]}, {'model.weight': None}]
)
def test_values_of_the_space_are_taken(values):
    check_values('s/c', values, [{}, SPACE])


@pytest.mark.parametrize('values', [
    {'custom_imports.imports': ['evil']}, {'load_from': 'x.pth'}, {'model.weight': 2}, {'lr': 1.01}, {'lr': '0.1'},
    {'lr': True}, {'lr': float('nan')}, {'size': [2, 1]}, {'model.weight': "__import__('os')"},
])  # fmt: skip
def test_other_keys_and_values_are_refused_unless_the_file_is_trusted(monkeypatch, values):
    with pytest.raises(UnsafeFileError, match=r's/c: the database of the sweep says .*, which no stage.*--trust-files'):
        check_values('s/c', values, [{}, SPACE])
    monkeypatch.setenv(TRUST, '1')
    check_values('s/c', values, [SPACE])


@pytest.mark.parametrize('cost', [dict(iterations='9', step_seconds=1), dict(iterations=9, step_seconds='x'), dict()])
def test_costs_are_numbers(cost):
    check_costs(dict(kd=dict(iterations=9, step_seconds=0.5), base=dict(iterations=9, step_seconds=None)))
    with pytest.raises(UnsafeFileError, match='kd: iterations and step_seconds in the database'):
        check_costs(dict(kd=cost))
