import pytest
from run_folders import CWD, NETWORK, PI, alone, changed, distilled, sweep_entry, write_run

from mmseg_kd.comparison.comparison import compare
from mmseg_kd.io.runs import find_runs, read_run

LR, DECAY = 'optim_wrapper.optimizer.lr', 'optim_wrapper.optimizer.weight_decay'


def read(folder):
    return [read_run(path) for path in find_runs([folder])]


def by_name(comparison):
    return {row.name: row for row in comparison.rows}


@pytest.fixture
def two_methods(tmp_path):
    """The baseline, PI and CWD over three seeds; CWD over one more."""
    for seed, (student, pi, cwd) in enumerate(zip((60.0, 61.0, 62.0), (61.0, 63.0, 65.0), (70.0, 70.0, 70.0))):
        write_run(
            tmp_path / f'a{seed}',
            alone(),
            [student],
            seed=seed,
            name='r18_camvid',
            classes={'Sky': student, 'Car': 0.0},
        )
        write_run(
            tmp_path / f'p{seed}',
            distilled(),
            [pi],
            seed=seed,
            name='pi_r50_r18_camvid',
            time=0.5,
            classes={'Sky': pi, 'Car': 0.0},
        )
        write_run(
            tmp_path / f'c{seed}',
            distilled(CWD),
            [cwd],
            seed=seed,
            name='cwd_r50_r18_camvid',
            memory=100 + seed,
            classes={'Sky': float('nan') if seed else 50.0, 'Car': 0.0},
        )
    write_run(tmp_path / 'c3', distilled(CWD), [60.0], seed=3, name='cwd_r50_r18_camvid')
    return tmp_path


def test_runs_that_differ_in_the_seed_are_one_row(two_methods):
    comparison = compare(read(two_methods))
    assert [row.name for row in comparison.rows] == ['baseline', 'cwd', 'pi']
    student, cwd, pi = comparison.rows
    assert comparison.baseline is student and student.role == 'baseline'
    assert student.gain is None and student.paired is None
    assert (student.miou.mean, student.miou.std, student.miou.count) == (61.0, 1.0, 3)
    assert [run.seed for run in cwd.runs] == [0, 1, 2, 3]
    assert (cwd.miou.mean, cwd.miou.std, cwd.miou.count) == (67.5, 5.0, 4)
    assert comparison.left_out == [] and comparison.differences == []


def test_gain_and_paired_difference_by_hand(two_methods):
    _, cwd, pi = compare(read(two_methods)).rows
    # By seed: 1, 2, 3; the interval is that of the test of paired_difference.
    assert pi.gain == 2.0 and pi.paired.mean == 2.0 and pi.paired.pairs == 3
    assert pi.paired.low == pytest.approx(-0.48414, abs=1e-5)
    # The fourth seed of CWD counts for the mean only: the baseline has no run with it.
    assert cwd.gain == 6.5 and cwd.paired.mean == 9.0 and cwd.paired.pairs == 3


def test_best_and_within_one_std(two_methods):
    student, cwd, pi = compare(read(two_methods)).rows
    assert (student.standing, cwd.standing, pi.standing) == ('', 'best', 'within')
    # CWD's mean of Sky is over the one run where the class was there.
    assert cwd.class_iou['Sky'].mean == 50.0 and cwd.class_iou['Sky'].count == 1
    assert (pi.class_standing['Sky'], student.class_standing['Sky'], cwd.class_standing['Sky']) == (
        'best',
        'within',
        '',
    )
    assert pi.class_standing['Car'] == ''


def test_costs_are_compared(two_methods):
    student, cwd, pi = compare(read(two_methods)).rows
    assert (student.iterations, student.seconds, student.memory) == (300, 75, None)
    assert pi.seconds == 150 and cwd.memory == 102


@pytest.mark.parametrize(
    'change, rows',
    [
        (dict(work_dir='/else'), 1),
        (dict(train_cfg__val_interval=50), 1),
        (dict(train_dataloader__num_workers=0), 1),
        (dict(log_level='ERROR'), 1),
        (dict(optim_wrapper__optimizer__lr=0.5), 2),
        (dict(custom_hooks=[]), 2),
        (dict(model__terms__loss_pi__weight=0.5), 2),
        (dict(param_scheduler__0__end=200), 2),
    ],
)
def test_only_settings_that_affect_training_make_another_row(tmp_path, change, rows):
    write_run(tmp_path / 'a', distilled(), [30.0], seed=0)
    write_run(tmp_path / 'b', distilled(**change), [31.0], seed=1)
    assert len(compare(read(tmp_path)).rows) == rows


def test_the_teacher_is_shown_but_not_ranked(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    big = changed(alone(train_cfg__max_iters=600), model=changed(NETWORK, backbone__depth=101))
    write_run(tmp_path / 'work_dirs' / 'r18_camvid', big, [90.0])
    write_run(tmp_path / 'work_dirs' / 'baseline', alone(), [30.0])
    write_run(tmp_path / 'work_dirs' / 'pi', distilled(), [31.0])
    comparison = compare(read(tmp_path / 'work_dirs'))
    assert [(row.name, row.role, row.standing) for row in comparison.rows] == [
        ('baseline', 'baseline', ''),
        ('pi', 'distilled', 'best'),
        ('teacher', 'teacher', ''),
    ]
    assert [row.name for row in comparison.ranked] == ['baseline', 'pi'] and comparison.rows[-1].gain is None


def test_another_network_is_no_baseline(tmp_path):
    write_run(tmp_path / 'other', changed(alone(), model=changed(NETWORK, backbone__depth=101)), [90.0])
    write_run(tmp_path / 'pi', distilled(), [31.0])
    comparison = compare(read(tmp_path), anyway=True)
    assert comparison.baseline is None
    assert {row.name: (row.role, row.gain) for row in comparison.rows} == {
        'other': ('other', None),
        'pi': ('distilled', None),
    }


def test_equal_names_get_the_settings_that_differ(tmp_path):
    for i, (lr, weight) in enumerate([(0.1, 1.0), (0.1, 2.0), (0.2, 1.0)]):
        config = distilled(optim_wrapper__optimizer__lr=lr, model__terms__loss_pi__weight=weight)
        write_run(tmp_path / f'{i}', config, [30.0 + i], name='pi_r18_camvid')
    write_run(tmp_path / 'cwd', distilled(CWD), [20.0], name='cwd_r18_camvid')
    assert [row.name for row in compare(read(tmp_path)).rows] == [
        'pi (lr 0.2, weight 1)',
        'pi (lr 0.1, weight 2)',
        'pi (lr 0.1, weight 1)',
        'cwd',
    ]


def test_shortened_names_stay_unique(tmp_path):
    for i in range(3):
        write_run(
            tmp_path / f'{i}',
            distilled(optim_wrapper__optimizer=dict(a=i // 2, b=0 if i else 1, c=0, d=i)),
            [30.0 + i],
            name='pi',
        )
    names = [row.name for row in compare(read(tmp_path)).rows]
    assert names == ['pi (a 1, b 0, d 2)', 'pi (a 0, b 0, d 1)', 'pi (a 0, b 1, d 0)']
    many = [
        dict(PI, loss_x=dict(PI['loss_pi'], weight=1.0, loss=dict(a=0, b=0, c=0, d=i)), loss_y=dict(e=i, f=i, g=i, h=i))
        for i in range(2)
    ]
    write_run(tmp_path / 'x', distilled(many[0]), [1.0], name='many')
    write_run(tmp_path / 'y', distilled(many[1]), [1.0], name='many')
    names = [row.name for row in compare(read(tmp_path)).rows]
    assert names[-2:] == ['many (d 0, e 0, f 0, ...)', 'many (d 1, e 1, f 1, ...)']


def test_a_name_is_not_shortened_to_nothing(tmp_path):
    for name in ('pi_camvid', 'camvid'):
        write_run(tmp_path / name, distilled(PI if name == 'camvid' else CWD), [30.0], name=name)
    assert {row.name for row in compare(read(tmp_path)).rows} == {'pi_camvid', 'camvid'}


def test_a_seed_counts_once(tmp_path):
    write_run(tmp_path / 'new', alone(), [30.0], seed=0, started='20261122_000000')
    write_run(tmp_path / 'old', alone(), [10.0], seed=0, started='20261121_000000')
    comparison = compare(read(tmp_path))
    assert comparison.rows[0].miou.count == 1 and comparison.rows[0].miou.mean == 30.0
    assert [(run.folder.name, reason) for run, reason in comparison.left_out] == [
        ('old', 'a newer run has the same config and seed')
    ]


def test_runs_with_unknown_seeds_all_count(tmp_path):
    for name in 'ab':
        write_run(tmp_path / name, alone(), [30.0], seed=None)
        (tmp_path / name / '20261121_114443' / '20261121_114443.log').unlink()
        write_run(tmp_path / f'pi_{name}', distilled(), [31.0], seed=0 if name == 'a' else 1)
    student, pi = compare(read(tmp_path)).rows
    assert student.miou.count == 2 and pi.gain == 1.0 and pi.paired is None


def test_without_a_distilled_run_every_network_is_a_baseline(tmp_path):
    for i, lr in enumerate((0.1, 0.2)):
        write_run(tmp_path / f'{i}', alone(optim_wrapper__optimizer__lr=lr), [30.0 + i])
    comparison = compare(read(tmp_path))
    assert [(row.name, row.role) for row in comparison.rows] == [
        ('baseline (lr 0.2)', 'baseline'),
        ('baseline (lr 0.1)', 'baseline'),
    ]
    assert comparison.baseline is comparison.rows[0] and comparison.rows[1].gain == -1.0


def test_incomplete_runs_are_listed(tmp_path):
    write_run(tmp_path / 'whole', alone(), [30.0])
    write_run(tmp_path / 'half', distilled(train_cfg__max_iters=100), [30.0], until=50)
    comparison = compare(read(tmp_path))  # and is no reason to refuse
    assert [(run.folder.name, reason) for run, reason in comparison.left_out] == [
        ('half', 'stopped at iteration 40 of 100')
    ]
    with pytest.raises(ValueError, match='none of the runs is complete: .*half stopped at iteration 40 of 100'):
        compare(read(tmp_path / 'half'))


def sweep(folder, budget=None):
    """A grid of learning rate and decay for two candidates, a stage of temperatures, and three seeds of the best."""
    number = iter(range(1000))

    def run(stage, candidate, config, miou, params, seed=0, **more):
        write_run(
            folder / stage / candidate / f'{next(number)}_seed{seed}',
            config,
            [miou],
            seed=seed,
            sweep=sweep_entry(stage, candidate, params, seed, budget),
            **more,
        )

    for candidate, make, gain in (('student', alone, 0.0), ('PI', distilled, 2.0)):
        for lr, decay, miou in ((0.1, 1e-4, 50.0), (0.1, 1e-5, 51.0), (0.2, 1e-4, 60.0), (0.2, 1e-5, 99.0)):
            config = make(optim_wrapper__optimizer__lr=lr, optim_wrapper__optimizer__weight_decay=decay)
            run('rates', candidate, config, miou + gain, {LR: lr, DECAY: decay})
    tuned = dict(optim_wrapper__optimizer__lr=0.2, optim_wrapper__optimizer__weight_decay=1e-4)
    for temperature, miou in ((1.0, 61.0), (2.0, 64.0), (8.0, 63.0)):
        run(
            'temperature',
            'PI',
            distilled(model__terms__loss_pi__loss__temperature=temperature, **tuned),
            miou,
            {'model.terms.loss_pi.loss.temperature': temperature},
        )
    for seed in (1, 2, 3):
        run('seeds', 'student', alone(**tuned), 60.0 + seed, {}, seed)
        run('seeds', 'PI', distilled(model__terms__loss_pi__loss__temperature=2.0, **tuned), 64.0 + seed, {}, seed)


def test_each_candidate_of_a_sweep_is_one_row_the_one_with_the_most_seeds(tmp_path):
    sweep(tmp_path)
    comparison = compare(read(tmp_path))
    student, pi = comparison.rows
    # The single 99 is no match for three seeds: 61, 62, 63; the 60 of the grid chose them, and does not count.
    assert (student.name, student.miou.count, student.miou.mean) == ('student', 3, 62.0)
    assert (pi.name, pi.miou.count, pi.miou.mean) == ('PI', 3, 66.0)
    assert [(run.sweep['candidate'], run.sweep['stage'], reason) for run, reason in comparison.left_out] == [
        ('student', 'rates', 'the stage seeds has more runs of these settings'),
        ('PI', 'temperature', 'the stage seeds has more runs of these settings'),
    ]
    assert pi.chosen == {'lr': '0.2', 'weight_decay': '0.0001', 'temperature': '2'} and pi.paired.pairs == 3
    assert len(comparison.tried) == 3 + 6 and comparison.tried[0].miou.count == 1


def test_a_sweep_has_variations_for_heat_maps_and_curves(tmp_path):
    sweep(tmp_path)
    variations = {variation.name: variation for variation in compare(read(tmp_path)).variations}
    assert list(variations) == ['PI, rates', 'student, rates', 'PI, temperature']
    assert variations['student, rates'].keys == [LR, DECAY]
    assert {values: one.mean for values, one in variations['student, rates'].results} == {
        (0.1, 1e-4): 50.0,
        (0.1, 1e-5): 51.0,
        (0.2, 1e-4): 60.0,
        (0.2, 1e-5): 99.0,
    }
    assert {values: one.mean for values, one in variations['PI, temperature'].results} == {
        (1.0,): 61.0,
        (2.0,): 64.0,
        (8.0,): 63.0,
    }


def test_settings_varied_by_hand_are_a_variation_too(tmp_path):
    for i, weight in enumerate((0.1, 1.0, 10.0)):
        for seed in (0, 1):
            write_run(
                tmp_path / f'{i}_{seed}',
                distilled(model__terms__loss_pi__weight=weight),
                [30.0 + i + seed],
                seed=seed,
                name='pi',
            )
    write_run(tmp_path / 'baseline', alone(), [30.0], name='r18')
    (variation,) = compare(read(tmp_path)).variations
    assert variation.name == 'pi' and variation.keys == ['model.terms.loss_pi.weight']
    assert [(values, one.mean, one.count) for values, one in variation.results] == [
        ((0.1,), 30.5, 2),
        ((1.0,), 31.5, 2),
        ((10.0,), 32.5, 2),
    ]


def test_configs_with_many_differences_are_no_variation(tmp_path):
    for i in range(2):
        write_run(
            tmp_path / f'{i}',
            distilled(optim_wrapper__optimizer=dict(lr=i, weight_decay=i, momentum=i)),
            [30.0],
            name='pi',
        )
    assert compare(read(tmp_path)).variations == []


def test_with_a_budget_in_seconds_one_row_may_have_several_numbers_of_iterations(tmp_path):
    budget = dict(kind='seconds', value=60)
    for seed, iterations in enumerate((300, 280)):
        config = alone(train_cfg__max_iters=iterations, param_scheduler__0__end=iterations)
        write_run(
            tmp_path / f'{seed}', config, [30.0], seed=seed, sweep=sweep_entry('seeds', 'student', {}, seed, budget)
        )
    (row,) = compare(read(tmp_path)).rows
    assert row.miou.count == 2 and row.iterations == 290


def test_facts_are_the_common_settings(two_methods):
    assert compare(read(two_methods)).facts == [
        ('data', 'CamVidDataset, data/camvid'),
        ('crop', '128 x 128'),
        ('iterations', '300'),
        ('batch', '4 images'),
        ('student', 'EncoderDecoder, ResNetV1c, PSPHead'),
        ('teacher', 'mmseg_kd::camvid/r18_camvid.py, work_dirs/r18_camvid/iter_1200.pth'),
    ]
    write_run(two_methods / 'other', distilled(train_dataloader__dataset__pipeline__2__crop_size=(64, 64)), [30.0])
    assert ('crop', 'differs') in compare(read(two_methods), anyway=True).facts


def test_a_baseline_that_is_also_a_teacher_is_the_baseline(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_run(tmp_path / 'baseline', alone(), [30.0])
    write_run(
        tmp_path / 'born_again',
        distilled(model__teacher=dict(model=NETWORK, checkpoint='baseline/iter_300.pth')),
        [31.0],
    )
    assert [row.role for row in compare(read(tmp_path)).rows] == ['baseline', 'distilled']


def test_an_incomplete_run_still_names_the_teacher(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_run(
        tmp_path / 'work_dirs' / 'r18_camvid', changed(alone(), model=changed(NETWORK, backbone__depth=101)), [90.0]
    )
    write_run(tmp_path / 'work_dirs' / 'baseline', alone(), [30.0])
    write_run(tmp_path / 'work_dirs' / 'pi', distilled(), [31.0], until=100)
    assert [row.role for row in compare(read(tmp_path / 'work_dirs')).rows] == ['baseline', 'teacher']
