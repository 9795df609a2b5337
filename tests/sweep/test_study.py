import pytest
from studies import LEASES, LR, board_of, final, optuna, record, sweep_of, tuning

from mmseg_kd.sweep.plan import Stage
from mmseg_kd.sweep.study import Study, runs


@pytest.fixture
def study():
    return board_of(sweep_of(tuning())).studies[0]


def test_each_combination_is_a_trial_and_is_written_once(study):
    assert list(study.trials) == [0, 1, 2] and not study.finished and study.best is None
    assert [study.start(index).params[LR] for index in (2, 0)] == [0.3, 0.1]


def test_the_value_of_a_trial_is_the_mean_over_its_seeds_and_the_first_of_equals_is_best(study):
    for index, values in enumerate(([50.0, 60.0], [58.0, 56.0], [57.0, 57.0])):
        record(study, index, values)
    assert study.finished and study.best.value == 57 and study.best.params == {LR: 0.2}
    assert runs(study.best)[1]['value'] == 56


def test_seeds_wait_for_the_values_of_the_first(study):
    assert study.pending(study.trials[0]) == [0]
    study.start(0).set_user_attr('seed_0', dict(state='complete', value=1.0))
    study.refresh()
    assert study.pending(study.trials[0]) == [1] and not study.finish(study.trials[0])


def test_failed_and_pruned_trials_have_no_value_and_failed_ones_are_repeated(study):
    record(study, 0, [None, None], 'failed', 'no memory')
    record(study, 1, [3.0, 3.0], 'pruned')
    assert [study.trials[index].state.name for index in (0, 1)] == ['FAIL', 'PRUNED'] and study.best is None
    assert study.retry(LEASES) == 2 and study.pending(study.trials[0]) == [0]
    record(study, 0, [5.0, 6.0])
    assert study.best.params == {LR: 0.1} and study.best.value == 5.5


def test_a_changed_definition_is_refused():
    sweep, storage = sweep_of(tuning()), optuna.storages.InMemoryStorage()
    first, second = (Study(sweep, sweep.stages[0], 'pi', storage) for _ in range(2))
    first.open(dict(seeds=(0, 1)), LEASES)
    second.open(dict(seeds=(0, 1)), LEASES)
    assert list(second.trials) == [0, 1, 2]
    with pytest.raises(ValueError, match=r'study/tune/pi was started with seeds = \[0, 1\], but now has seeds = \[0\]'):
        second.open(dict(seeds=(0,)), LEASES)


def test_samples_depend_on_the_trial_and_not_on_the_worker():
    stage = tuning(
        space={LR: dict(low=1e-4, high=1e-1, log=True), 'n': dict(low=1, high=9)}, sampler='random', trials=3
    )
    values = []
    for order in ([0, 1, 2], [2, 1, 0]):
        study = board_of(sweep_of(stage)).studies[0]
        values.append({index: study.start(index).params for index in order})
    assert values[0] == values[1] and len({params[LR] for params in values[0].values()}) == 3
    assert all(isinstance(params['n'], int) and 1e-4 <= params[LR] <= 1e-1 for params in values[0].values())


def test_the_first_worker_sets_the_values_of_earlier_stages(study):
    assert study.fixed({LR: 0.1}) == study.fixed({LR: 0.2}) == {LR: 0.1}


def test_a_stage_without_a_space_is_one_trial():
    assert final().trial_values() == [{}] and isinstance(final(), Stage)
