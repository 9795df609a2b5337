import pytest
from run_folders import CWD, NETWORK, PIPELINE, TEACHER, alone, changed, distilled, sweep_entry, write_run

from mmseg_kd.comparison.comparability import run_names, short_keys
from mmseg_kd.comparison.comparison import compare
from mmseg_kd.io.configs import flatten
from mmseg_kd.io.runs import Run, find_runs, read_run
from mmseg_kd.recipes import with_unlabeled

CROP = 'train_dataloader.dataset.pipeline.2.crop_size'


def read(folder):
    return [read_run(path) for path in find_runs([folder])]


@pytest.mark.parametrize(
    'kind, key, ours, theirs, values',
    [
        (
            'data',
            'train_dataloader.dataset.data_root',
            alone(),
            distilled(train_dataloader__dataset__data_root='data/other'),
            ['data/camvid', 'data/other'],
        ),
        (
            'data',
            'val_dataloader.dataset.type',
            alone(val_dataloader__dataset__type='ADE20KDataset'),
            distilled(),
            ['ADE20KDataset', 'CamVidDataset'],
        ),
        (
            'data',
            'model[.student].data_preprocessor.mean',
            alone(),
            distilled(model__student__data_preprocessor__mean=[0.0] * 3),
            ['[1.0, 2.0, 3.0]', '[0.0, 0.0, 0.0]'],
        ),
        (
            'data',
            'val_evaluator.type',
            alone(val_evaluator__type='DepthMetric'),
            distilled(),
            ['DepthMetric', 'IoUMetric'],
        ),
        (
            'crop',
            CROP,
            alone(),
            distilled(train_dataloader__dataset__pipeline__2__crop_size=(64, 64)),
            ['[128, 128]', '[64, 64]'],
        ),
        (
            'crop',
            'model[.student].data_preprocessor.size',
            alone(),
            distilled(model__student__data_preprocessor__size=(64, 64)),
            ['[128, 128]', '[64, 64]'],
        ),
        ('iterations', 'train_cfg.max_iters', alone(), distilled(train_cfg__max_iters=200), ['300', '200']),
        ('batch', 'train_dataloader.batch_size', alone(), distilled(train_dataloader__batch_size=8), ['4', '8']),
        (
            'student',
            'model[.student].backbone.depth',
            alone(),
            distilled(model__student__backbone__depth=34),
            ['18', '34'],
        ),
        ('student', 'load_from', alone(load_from='x.pth'), distilled(), ['x.pth', 'not set']),
        (
            'teacher',
            'model.teacher.checkpoint',
            distilled(CWD),
            distilled(model__teacher__checkpoint='y.pth'),
            ['work_dirs/r18_camvid/iter_1200.pth', 'y.pth'],
        ),
        (
            'teacher',
            'model.teacher.dtype',
            distilled(CWD),
            distilled(model__teacher__dtype='bfloat16'),
            ['not set', 'bfloat16'],
        ),
    ],
)
def test_different_settings_are_refused_with_key_and_both_values(tmp_path, kind, key, ours, theirs, values):
    write_run(tmp_path / 'ours', ours, [30.0])
    write_run(tmp_path / 'theirs', theirs, [31.0])
    runs = read(tmp_path)
    with pytest.raises(ValueError) as caught:
        compare(runs)
    first, *lines = str(caught.value).splitlines()
    assert first == 'these runs are not comparable (--anyway compares them nevertheless):'
    assert lines == [f'different {kind}: {key} is {values[0]} in ours, but {values[1]} in theirs']
    comparison = compare(runs, anyway=True)
    assert list(map(str, comparison.differences)) == lines and len(comparison.rows) == 2


def few_labels(config, kind, **more):
    """The same training on an eighth of its labels."""
    config['train_dataloader']['dataset'] = dict(
        type=kind, labeled=config['train_dataloader']['dataset'], partition=dict(fraction=0.125, seed=0), **more
    )
    return config


def test_a_method_may_choose_unlabeled_images_and_the_number_of_teachers(tmp_path):
    more = dict(unlabeled_pipelines=[PIPELINE], unlabeled=dict(type='UnlabeledFolderDataset'))
    deep, both = (distilled(model__teacher=dict.fromkeys(names, TEACHER)) for names in (['deep'], ['deep', 'wide']))
    deep['model']['teacher']['cache'] = 'work_dirs/cache/deep'  # the same outputs, stored
    write_run(tmp_path / 'baseline', few_labels(alone(), 'LabeledPartDataset'), [30.0])
    for name, config in (('deep', deep), ('both', both)):
        write_run(tmp_path / name, few_labels(config, 'SemiSupervisedDataset', **more), [31.0])
    comparison = compare(read(tmp_path))
    assert len(comparison.rows) == 3 and not comparison.differences
    facts = dict(comparison.facts)
    assert facts['data'] == 'CamVidDataset, data/camvid, 0.125'
    assert facts['teacher deep'] == facts['teacher wide'] == ', '.join(TEACHER.values())


@pytest.mark.parametrize(
    'change, line',
    [
        (
            dict(train_dataloader__dataset__partition__seed=1),
            'different data: train_dataloader.dataset.partition.seed is 0 in baseline, but 1 in theirs',
        ),
        (
            dict(train_dataloader__dataset__labeled__data_root='x'),
            'different data: train_dataloader.dataset.labeled.data_root is data/camvid in baseline, but x in theirs',
        ),
    ],
)
def test_different_labeled_parts_are_not_comparable(tmp_path, change, line):
    write_run(tmp_path / 'baseline', few_labels(alone(), 'LabeledPartDataset'), [30.0])
    write_run(tmp_path / 'theirs', changed(few_labels(distilled(), 'SemiSupervisedDataset'), **change), [31.0])
    with pytest.raises(ValueError) as caught:
        compare(read(tmp_path))
    assert str(caught.value).splitlines()[1:] == [line]


@pytest.mark.parametrize('by_epoch', [False, True])
@pytest.mark.parametrize('load', [None, 'LoadVoidAnnotations', 'mmseg_kd.LoadUnknownAnnotations'])
def test_unlabeled_images_are_a_choice_as_long_as_the_iterations_are_equal(tmp_path, by_epoch, load):
    (tmp_path / 'more').mkdir()
    (tmp_path / 'more' / 'a.png').touch()
    pipeline = [dict(type='LoadAnnotations'), dict(type='PackSegInputs')]
    labeled = dict(type='UnlabeledFolderDataset', folder=str(tmp_path / 'more'), pipeline=pipeline)  # of any length
    joined = with_unlabeled(labeled, str(tmp_path / 'more'))
    labeled = dict(labeled, type='CamVidDataset')
    joined['datasets'][0]['dataset'] = labeled
    if load:  # more images of the same data set
        joined['datasets'][1] = dict(labeled, pipeline=[dict(type=load), pipeline[1]], ann_file='more.txt')
    for name, config, dataset in (('baseline', alone(), labeled), ('more', distilled(), joined)):
        config['train_dataloader']['dataset'] = dataset
        if by_epoch:
            config['train_cfg']['max_epochs'] = 10
        write_run(tmp_path / 'runs' / name, config, [30.0])
    if by_epoch:
        with pytest.raises(ValueError, match='different data: train_dataloader.dataset.type is CamVidDataset in base'):
            compare(read(tmp_path / 'runs'))
    else:
        assert not compare(read(tmp_path / 'runs')).differences
        other = dict(
            joined, datasets=[dict(joined['datasets'][0], dataset=dict(labeled, folder='x')), joined['datasets'][1]]
        )
        config['train_dataloader']['dataset'] = other
        write_run(tmp_path / 'runs' / 'other', config, [30.0])
        with pytest.raises(ValueError, match='different data: train_dataloader.dataset.folder is .* but x in other'):
            compare(read(tmp_path / 'runs'))


def test_teachers_with_one_name_must_be_equal(tmp_path):
    write_run(tmp_path / 'ours', distilled(model__teacher=dict(deep=TEACHER)), [30.0])
    other = dict(deep=dict(TEACHER, checkpoint='y.pth'), wide=TEACHER)
    write_run(tmp_path / 'theirs', distilled(model__teacher=other), [30.0])
    with pytest.raises(
        ValueError, match='different teacher deep: model.teacher.deep.checkpoint is .*1200.pth in ours, but y.pth'
    ):
        compare(read(tmp_path))


def test_more_processes_are_a_different_batch(tmp_path):
    write_run(tmp_path / 'a', alone(), [30.0])
    write_run(tmp_path / 'b', distilled(), [30.0], processes=4)
    write_run(tmp_path / 'c', distilled(), [30.0], processes=8, seed=1)
    with pytest.raises(ValueError, match='different batch: processes is 1 in a, but 4 in b, but 8 in c'):
        compare(read(tmp_path))
    assert len(compare(read(tmp_path), anyway=True).rows) == 3


def test_the_most_common_value_is_named_first(tmp_path):
    for seed in range(5):
        write_run(tmp_path / f'run{seed}', distilled(train_cfg__max_iters=100 if seed == 0 else 300), [30.0], seed=seed)
    with pytest.raises(ValueError, match='max_iters is 300 in run1, run2 and 2 more, but 100 in run0$'):
        compare(read(tmp_path))


@pytest.mark.parametrize(
    'change',
    [
        dict(optim_wrapper__optimizer__lr=0.5),
        dict(train_cfg__val_interval=50),
        dict(train_dataloader__num_workers=8),
        dict(work_dir='/else'),
        dict(log_level='ERROR'),
        dict(load_from=None),
        dict(model__student__decode_head__loss_decode__loss_weight=0.0),
        dict(custom_hooks=[]),
    ],
)
def test_settings_that_a_method_may_choose_are_comparable(tmp_path, change):
    write_run(tmp_path / 'ours', alone(), [30.0])
    write_run(tmp_path / 'theirs', distilled(CWD, **change), [31.0])
    assert [row.role for row in compare(read(tmp_path)).rows] == ['baseline', 'distilled']


def test_a_student_without_a_preprocessor_uses_that_of_the_config(tmp_path):
    network = {key: value for key, value in NETWORK.items() if key != 'data_preprocessor'}
    config = changed(distilled(), model__student=network, data_preprocessor=NETWORK['data_preprocessor'])
    write_run(tmp_path / 'a', alone(), [30.0])
    write_run(tmp_path / 'b', config, [31.0])
    assert compare(read(tmp_path)).differences == []
    write_run(tmp_path / 'c', changed(config, data_preprocessor__mean=[0.0, 0.0, 0.0]), [31.0])
    with pytest.raises(ValueError, match=r'model\[.student\].data_preprocessor.mean'):
        compare(read(tmp_path))


@pytest.mark.parametrize('kind', ['epochs', 'seconds'])
def test_equal_budgets_allow_different_iterations(tmp_path, kind):
    budget = dict(kind=kind, value=60)
    write_run(tmp_path / 'a', alone(), [30.0], sweep=sweep_entry('seeds', 'student', {}, budget=budget))
    write_run(
        tmp_path / 'b', distilled(train_cfg__max_iters=200), [31.0], sweep=sweep_entry('seeds', 'PI', {}, budget=budget)
    )
    comparison = compare(read(tmp_path))
    assert [row.iterations for row in comparison.rows] == [300, 200]
    assert ('budget', f'60 {kind}') in comparison.facts and 'iterations' not in dict(comparison.facts)


def test_different_budgets_are_not_comparable(tmp_path):
    for i, value in enumerate((60, 90)):
        entry = sweep_entry('seeds', f'{i}', {}, budget=dict(kind='seconds', value=value))
        write_run(tmp_path / f'{i}', distilled(optim_wrapper__optimizer__lr=0.1 * i), [30.0], sweep=entry)
    with pytest.raises(ValueError, match='different budget: budget.value is 60 in 0, but 90 in 1'):
        compare(read(tmp_path))


def test_flattened_keys_are_those_of_cfg_options():
    node = dict(a=dict(b=1, c=None), pipeline=PIPELINE[:1] + [dict(type='X', size=[1, 2])], empty={}, teacher=[TEACHER])
    assert flatten(node, 'k') == {
        'k.a.b': 1,
        'k.pipeline.0.type': 'LoadImageFromFile',
        'k.pipeline.1.type': 'X',
        'k.pipeline.1.size': [1, 2],
        'k.empty': {},
        'k.teacher.0.config': TEACHER['config'],
        'k.teacher.0.checkpoint': TEACHER['checkpoint'],
    }


def test_short_keys_are_unique():
    keys = ['terms.loss_pi.weight', 'terms.loss_pa.weight', 'optimizer.lr', 'lr']
    assert short_keys(keys) == {
        keys[0]: 'loss_pi.weight',
        keys[1]: 'loss_pa.weight',
        keys[2]: 'optimizer.lr',
        'lr': 'lr',
    }


def test_names_of_runs_leave_out_common_parents(tmp_path):
    assert run_names([Run(tmp_path / 'a' / 'x'), Run(tmp_path / 'b' / 'x')]) == ['a/x', 'b/x']
    assert run_names([Run(tmp_path / 'a')]) == ['a']
    assert run_names([Run(tmp_path / 'a'), Run(tmp_path / 'a' / 'b')]) == ['a', 'a/b']


@pytest.mark.parametrize(
    'values', [([0.1234567], [0.1234568]), (list(range(40)), [*range(39), 40]), (0.1234567, 0.1234568)]
)
def test_values_that_look_equal_are_shown_in_full(tmp_path, values):
    for name, value in zip('ab', values):
        write_run(tmp_path / name, alone(train_dataloader__dataset__indices=value), [30.0])
    with pytest.raises(ValueError) as caught:
        compare(read(tmp_path))
    key = 'different data: train_dataloader.dataset.indices'
    assert str(caught.value).splitlines()[1] == f'{key} is {values[0]} in a, but {values[1]} in b'
