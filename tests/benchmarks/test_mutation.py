import os
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.append(str(ROOT / 'benchmarks'))

import mutation  # noqa: E402
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
    short, long, common = own_tests(file, file.read_text())
    assert short[2:] == long[2:] == [str(ROOT / 'tests/losses/test_pair_wise_kd_loss.py')]
    assert common[-1] == 'PairWiseKDLoss or MaxPairWiseKDLoss' and all((ROOT / path).exists() for path in common[2:-2])


def test_equivalent_mutants_exist_and_have_a_reason():
    for line in filter(None, EQUIVALENTS.read_text().splitlines()):
        file, what, reason = line.split(' | ')
        assert what in {each for _, each, _ in mutants((PACKAGE / file).read_text())}, line
        assert reason


@pytest.fixture
def tried(tmp_path, monkeypatch, capsys):
    """What a run of the tool tries and prints, for a file of three mutants of which the second one survives."""
    (tmp_path / 'room').mkdir()
    (tmp_path / 'room' / 'file.py').write_text('x = a + b\ny = c * d\nz = not e\n')
    monkeypatch.setattr(mutation, 'PACKAGE', tmp_path)
    monkeypatch.setattr(mutation, 'RESULTS', tmp_path / 'results.json')
    monkeypatch.setattr(mutation, 'own_tests', lambda file, source: [['tests']])
    monkeypatch.setattr(os, 'chdir', lambda path: None)

    def run(*arguments, survives='c / d', interrupted=None):
        sources = []

        def tried(file, source, tests):
            if len(sources) == interrupted:
                raise KeyboardInterrupt
            sources.append(source)
            return survives in source or source == file.read_text()

        monkeypatch.setattr(mutation, 'run', tried)
        monkeypatch.setattr(sys, 'argv', ['mutation.py', 'room/*.py', *arguments])
        mutation.main()
        return len(sources), capsys.readouterr().out.splitlines()

    return run


def test_an_interrupted_run_goes_on_and_survivors_are_tried_again(tried):
    with pytest.raises(KeyboardInterrupt):
        tried(interrupted=2)
    count, lines = tried()
    assert count in (3, 4)  # the tests as they are, the two mutants that are left, and an earlier survivor
    assert lines == ['room/file.py: 2 of 3 noticed', '    line 2: c * d -> c / d', '2 of 3 mutants noticed (67%)']
    assert tried(survives='nothing') == (2, ['room/file.py: 3 of 3 noticed', '3 of 3 mutants noticed (100%)'])
    assert tried() == (0, ['room/file.py: 3 of 3 noticed', '3 of 3 mutants noticed (100%)'])


def test_a_changed_file_begins_anew(tried, tmp_path):
    tried()
    (tmp_path / 'room' / 'file.py').write_text('x = a + b\n')
    assert tried('--limit', '5') == (2, ['room/file.py: 1 of 1 noticed', '1 of 1 mutants noticed (100%)'])
