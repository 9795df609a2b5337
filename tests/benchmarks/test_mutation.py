import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.append(str(ROOT / 'benchmarks'))

from mutation import EQUIVALENTS, PACKAGE, mutants, own_tests, run  # noqa: E402


def found(source):
    return [(line, what) for line, what, _ in mutants(source)]


def test_each_operation_is_changed_once():
    assert found('x = a + b * 2\n') == [(1, 'a + b * 2 -> a - b * 2'), (1, 'b * 2 -> b / 2'), (1, 'b * 2 -> b * 3')]
    assert found('if not a and b < -c:\n    pass\n') == [
        (1, 'not a and b < -c -> not a or b < -c'),
        (1, 'not a -> a'),
        (1, 'b < -c -> b <= -c'),
        (1, '-c -> c'),
    ]
    assert found('f(x, keepdim=True)[..., 0]\n') == [(1, 'True -> False'), (1, '(..., 0) -> (..., 1)')]


def test_a_mutant_is_the_rest_of_the_source_unchanged():
    sources = [source for _, _, source in mutants('def f(x=1.0):\n    return x ** 2\n')]
    assert sources == [
        'def f(x=2.0):\n    return x ** 2',
        'def f(x=1.0):\n    return x * 2',
        'def f(x=1.0):\n    return x ** 3',
    ]


def test_messages_and_annotations_stay():
    assert found("def f(x: a | b) -> c | d:\n    raise ValueError(f'{x + 1}' + str(2))\n") == []


@pytest.mark.skipif(not hasattr(__import__('os'), 'fork'), reason='needs fork')
def test_a_fork_runs_the_tests_with_the_other_source(tmp_path, monkeypatch):
    (tmp_path / 'forked_module.py').write_text('value = 1\n')
    (tmp_path / 'test_forked_module.py').write_text(
        'from forked_module import value\n\ndef test_value():\n    assert value == 1\n'
    )
    (tmp_path / 'pytest.ini').write_text('[pytest]\nmarkers = slow: a\n    process: a\n')
    monkeypatch.syspath_prepend(str(tmp_path))
    file, tests = tmp_path / 'forked_module.py', [str(tmp_path), '-c', str(tmp_path / 'pytest.ini')]
    assert run(file, 'value = 1\n', tests) and not run(file, 'value = 2\n', tests)


def test_the_tests_of_a_loss_are_its_own_and_those_of_all_losses():
    file = PACKAGE / 'losses' / 'pair_wise_kd_loss.py'
    own, common = own_tests(file, file.read_text())
    assert own == [str(ROOT / 'tests/losses/test_pair_wise_kd_loss.py')]
    assert common[-1] == 'PairWiseKDLoss or MaxPairWiseKDLoss' and all((ROOT / path).exists() for path in common[:-2])


def test_equivalent_mutants_exist_and_have_a_reason():
    for line in filter(None, EQUIVALENTS.read_text().splitlines()):
        file, what, reason = line.split(' | ')
        assert what in {each for _, each, _ in mutants((PACKAGE / file).read_text())}, line
        assert reason
