import json
import multiprocessing

import pytest

from mmseg_kd.sweep import storage as module
from mmseg_kd.sweep.storage import JOURNAL, open_storage

optuna = pytest.importorskip('optuna')
FORK = multiprocessing.get_context('fork')


def test_the_journal_is_json_and_another_worker_reads_it(tmp_path):
    study = optuna.create_study(study_name='a', storage=open_storage(tmp_path))
    study.set_user_attr('costs', {'pi': 3})
    assert optuna.load_study(study_name='a', storage=open_storage(tmp_path)).user_attrs == {'costs': {'pi': 3}}
    assert all(json.loads(line)['op_code'] >= 0 for line in (tmp_path / JOURNAL).read_text().splitlines())
    assert [path.name for path in tmp_path.iterdir()] == [JOURNAL]  # and no lock is left


@pytest.mark.parametrize('torn', [b'{"op_code":2,"study_id":0,"user_at', b'{'])
def test_a_record_that_a_killed_worker_left_incomplete_is_removed(tmp_path, torn):
    worker = optuna.create_study(study_name='a', storage=open_storage(tmp_path))
    before = (tmp_path / JOURNAL).read_bytes()
    with open(tmp_path / JOURNAL, 'ab') as file:
        file.write(torn)
    other = optuna.load_study(study_name='a', storage=open_storage(tmp_path))
    assert other.user_attrs == {}
    worker.set_user_attr('x', 1)
    other.set_user_attr('y', 2)
    for study in (worker, other, optuna.load_study(study_name='a', storage=open_storage(tmp_path))):
        assert study.user_attrs == {'x': 1, 'y': 2}
    content = (tmp_path / JOURNAL).read_bytes()
    assert content.startswith(before) and all(map(json.loads, content.splitlines()))


def test_a_lock_that_another_worker_removed_does_not_end_this_one(tmp_path):
    """As when this machine sleeps for longer than the lock's grace period."""
    study = optuna.create_study(study_name='a', storage=open_storage(tmp_path))
    lock = study._storage._backend._lock
    lock.acquire()
    (tmp_path / f'{JOURNAL}.lock').unlink()
    lock.release()
    study.set_user_attr('x', 1)


@pytest.mark.parametrize(
    'content', ['no json\nat all\n', '\x80pickle', '{"op_code": 77}\n', '[1]\n{}\n', '{"op_code":1,"study_id":9}\n']
)
def test_a_file_that_is_no_journal_is_named(tmp_path, content):
    (tmp_path / JOURNAL).write_text(content)
    with pytest.raises(ValueError, match=f'{JOURNAL} must be the journal of a sweep, but cannot be read'):
        open_storage(tmp_path)


def old_database(folder):
    """As an earlier version wrote it: a study with a finished, a running and a waiting trial."""
    study = optuna.create_study(study_name='s/final/pi', storage=f'sqlite:///{folder}/study.db', direction='maximize')
    study.set_user_attr('fixed', {'lr': 0.1})
    study.enqueue_trial({'lr': 0.2}, user_attrs={'point': 0, 'seed_0': dict(state='complete', value=7.0)})
    trial = study.ask(dict(lr=optuna.distributions.CategoricalDistribution([0.1, 0.2])))
    trial.report(3.0, 100)
    study.tell(trial, 7.0)
    study.enqueue_trial({'lr': 0.1}, user_attrs={'point': 1})
    study.ask()
    study.enqueue_trial({'lr': 0.3}, user_attrs={'point': 2})
    return study


def plain(study):
    return [
        (trial.number, trial.state.name, trial.value, trial.params, trial.user_attrs, trial.intermediate_values)
        for trial in study.get_trials()
    ]


def test_a_sweep_of_an_earlier_version_goes_on_in_a_journal(tmp_path):
    before = old_database(tmp_path)
    content = (tmp_path / 'study.db').read_bytes()
    after = optuna.load_study(study_name='s/final/pi', storage=open_storage(tmp_path))
    assert plain(after) == plain(before) and after.user_attrs == before.user_attrs
    assert [trial.state.name for trial in after.trials] == ['COMPLETE', 'RUNNING', 'WAITING']
    assert after.trials[2].system_attrs == before.trials[2].system_attrs  # values that wait
    after.set_user_attr('new', 1)
    again = optuna.load_study(study_name='s/final/pi', storage=open_storage(tmp_path))
    assert again.user_attrs == {'fixed': {'lr': 0.1}, 'new': 1}
    assert (tmp_path / 'study.db').read_bytes() == content
    assert {path.name for path in tmp_path.iterdir()} == {'study.db', JOURNAL}


def test_of_workers_that_copy_the_database_together_one_journal_remains(tmp_path, monkeypatch):
    old_database(tmp_path)
    copy = optuna.copy_study

    def copy_study(**names):
        copy(**names)
        monkeypatch.setattr(optuna, 'copy_study', copy)
        optuna.load_study(study_name='s/final/pi', storage=open_storage(tmp_path)).set_user_attr('fast', True)

    monkeypatch.setattr(optuna, 'copy_study', copy_study)
    monkeypatch.setattr(module.os, 'getpid', iter(range(9)).__next__)
    slow = optuna.load_study(study_name='s/final/pi', storage=open_storage(tmp_path))
    assert slow.user_attrs == {'fixed': {'lr': 0.1}, 'fast': True}


def test_a_database_that_does_not_answer_is_named_without_its_password(tmp_path, monkeypatch):
    monkeypatch.setattr(module, 'OPENING_TRIES', 1)
    with pytest.raises(
        ValueError, match='--storage must be the URL of a database that answers, but sqlite:////nowhere/'
    ):
        open_storage(tmp_path, 'sqlite:////nowhere/study.db')
    with pytest.raises(ValueError, match='--storage must be the URL'):
        open_storage(tmp_path, 'no url')
    (tmp_path / 'study.db').write_bytes(b'no database' * 100)
    with pytest.raises(ValueError, match='study.db must be the database of a sweep of an earlier version, but'):
        open_storage(tmp_path)
    assert not (tmp_path / JOURNAL).exists()
