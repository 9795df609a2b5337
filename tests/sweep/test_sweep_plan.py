import pytest
from mmengine.config import Config

from mmseg_kd.io.command_line import as_arguments
from mmseg_kd.sweep.plan import load_sweep

LR, TEMPERATURE = 'optim_wrapper.optimizer.lr', 'model.terms.loss_pi.loss.temperature'


@pytest.fixture
def write(tmp_path):
    """Writes a sweep file with changes, and reads it."""
    (tmp_path / 'alone.py').write_text(
        'optim_wrapper = dict(optimizer=dict(lr=0.1))\ntrain_cfg = dict(max_iters=20)\n'
        'val_dataloader = dict(dataset=dict(type="CamVidDataset"), sampler=dict(type="DefaultSampler"))\n'
        'val_cfg = dict()\nval_evaluator = dict(type="IoUMetric")\n'
        'default_hooks = dict(logger=dict(log_metric_by_epoch=False))\n'
    )
    (tmp_path / 'pi.py').write_text(
        "_base_ = './alone.py'\nmodel = dict(type='Distiller', student=dict(type='EncoderDecoder'), teacher=dict(config='t.py'), terms=dict(loss_pi=dict(student='logits', teacher='logits', loss=dict(type='PixelWiseKDLoss', temperature=1.0))))\n"
    )

    def read(*options, **changes):
        said = dict(
            name='toy',
            seeds=[0, 1],
            budget=dict(kind='iterations', value=10),
            candidates=dict(
                alone=str(tmp_path / 'alone.py'),
                pi=str(tmp_path / 'pi.py'),
                both=dict(config=str(tmp_path / 'pi.py'), inherit='pi'),
            ),
            stages=[
                dict(name='optimizer', candidates=['alone', 'pi'], seeds=[0], space={LR: [0.1, 0.2]}),
                dict(name='temperature', candidates=['pi'], seeds=[0], space={TEMPERATURE: [1.0, 2.0, 3.0]}),
                dict(name='final', candidates=['alone', 'pi', 'both']),
            ],
        )
        said.update(changes)
        (tmp_path / 'sweep.py').write_text(
            '\n'.join(f'{key} = {value!r}' for key, value in said.items() if value is not None)
        )
        return load_sweep(str(tmp_path / 'sweep.py'), *options)

    return read


def test_a_sweep_file_is_read_with_its_defaults(write):
    sweep = write()
    assert sweep.work_dir == 'work_dirs/toy' and sweep.metric == 'mIoU'
    assert [stage.seeds for stage in sweep.stages] == [(0,), (0,), (0, 1)]
    assert sweep.stages[1].trial_values() == [{TEMPERATURE: 1.0}, {TEMPERATURE: 2.0}, {TEMPERATURE: 3.0}]
    assert sweep.stages[2].trial_values() == [{}]


def test_a_grid_has_every_combination(write):
    stage = dict(name='grid', candidates=['alone'], space={LR: [1.0, 2.0], 'train_cfg.max_iters': [3, 4]})
    values = write(stages=[stage]).stages[0].trial_values()
    assert values == [{LR: lr, 'train_cfg.max_iters': n} for lr, n in [(1.0, 3), (1.0, 4), (2.0, 3), (2.0, 4)]]


def test_a_candidate_starts_from_its_own_best_values_and_from_those_it_inherits(write):
    sweep = write()
    optimizer, temperature, final = sweep.stages

    def sources(stage, candidate):
        return [(source.name, name) for source, name in sweep.sources(stage, candidate)]

    assert sources(optimizer, 'pi') == []
    assert sources(temperature, 'pi') == [('optimizer', 'pi')]
    assert sources(final, 'alone') == [('optimizer', 'alone')]
    assert sources(final, 'both') == [('optimizer', 'pi'), ('temperature', 'pi')]


def test_options_of_a_candidate_override_the_common_ones(write, tmp_path):
    candidates = dict(
        alone=dict(config=str(tmp_path / 'alone.py'), options=dict(optim_wrapper=dict(optimizer=dict(lr=3.0))))
    )
    stages = [dict(name='final', candidates=['alone'])]
    sweep = write(
        {'options.train_cfg.max_iters': 7, 'seeds': [5]},
        candidates=candidates,
        stages=stages,
        options=dict(optim_wrapper=dict(optimizer=dict(lr=2.0))),
        _mine=1,
    )
    config = sweep.candidates['alone'].read()
    assert (config.optim_wrapper.optimizer.lr, config.train_cfg.max_iters, sweep.stages[0].seeds) == (3.0, 7, (5,))
    assert Config.fromfile(tmp_path / 'alone.py').optim_wrapper.optimizer.lr == 0.1


def test_a_candidate_may_be_a_setup_with_the_terms_of_a_method(write):
    candidates = {
        name: dict(config='r18_compact_digits', terms=name, options={'model.teacher.checkpoint': 'teacher.pth'})
        for name in ('cwd', 'compact')
    }
    sweep = write(candidates=candidates, stages=[dict(name='final', candidates=list(candidates))])
    cwd = sweep.candidates['cwd']
    assert cwd.source == dict(config='r18_compact_digits', terms='cwd')
    assert list(cwd.read().model.terms) == ['loss_cwd'] and cwd.read().model.teacher.checkpoint == 'teacher.pth'
    assert list(sweep.candidates['compact'].read().model.terms) == ['loss_response', 'loss_feature']
    with pytest.raises(FileNotFoundError, match='no such terms: cdw; did you mean cwd'):
        write(
            candidates=dict(cwd=dict(config='r18_compact_digits', terms='cdw')),
            stages=[dict(name='final', candidates=['cwd'])],
        )


STAGE = dict(name='s', candidates=['alone'])


@pytest.mark.parametrize(
    'changes, message',
    [
        (dict(budget=None), 'the sweep file needs .* missing or unknown: budget'),
        (dict(stage=[]), 'missing or unknown: stage'),
        (
            dict(budget=dict(kind='hours', value=3)),
            'budget must have a kind out of iterations, epochs, seconds and a value > 0',
        ),
        (dict(budget=dict(kind='seconds', value=0)), "value > 0, but is {'kind': 'seconds', 'value': 0}"),
        (dict(name='a b'), "name: a name is also a folder, .* but is 'a b'"),
        (dict(stages=[STAGE, STAGE]), r"stages must be at least one, with different names, but are \['s', 's'\]"),
        (
            dict(stages=[dict(STAGE, candidates=['alone', 'p'])]),
            r'stages.s.candidates must name some of alone, pi, both, but is',
        ),
        (
            dict(stages=[dict(STAGE, seeds=[1, 1])]),
            r'stages.s: seeds must be a list of different numbers, .* but is \[1, 1\]',
        ),
        (dict(stages=[dict(STAGE, seeds=1)]), 'seeds must be a list of different numbers, at least one, but is 1'),
        (dict(stages=[dict(STAGE, spaces={})]), 'stages.s needs candidates, name, .* missing or unknown: spaces'),
        (dict(stages=[dict(STAGE, sampler='gp')]), "stages.s.sampler must be one of grid, random, tpe, but is 'gp'"),
        (
            dict(stages=[dict(STAGE, sampler='tpe')]),
            "stages.s.trials must be set for random and tpe, .* but is 0 with sampler='tpe'",
        ),
        (dict(stages=[dict(STAGE, trials=3)]), "stages.s.trials must be set .* but is 3 with sampler='grid'"),
        (
            dict(stages=[dict(STAGE, prune_after=5)]),
            r'stages.s.prune_after needs a stage with one seed, but seeds is \[0, 1\]',
        ),
        (
            dict(stages=[dict(STAGE, space={LR: 0.1})]),
            f'stages.s.space: {LR} must be a list of numbers or words, .* but is 0.1',
        ),
        (
            dict(stages=[dict(STAGE, space={LR: dict(low=1, high=2)})]),
            f'{LR} must be a list for a grid, but is a range',
        ),
        (
            dict(stages=[dict(STAGE, sampler='tpe', trials=2, space={LR: dict(low=0, high=2, log=True)})]),
            'must have low < high, and low > 0 with log=True',
        ),
        (
            dict(stages=[dict(STAGE, space={'optim_wraper.optimizer.lr': [1]})]),
            f'stages.s.space: .*alone.py has no optim_wraper.optimizer; did you mean {LR}',
        ),
        (
            dict(stages=[dict(STAGE, space={TEMPERATURE: [1]})]),
            'alone.py has no model.terms.loss_pi.loss; remove alone from this stage',
        ),
        (
            dict(stages=[dict(STAGE, space={LR: [0.1, 'a,b']})]),
            f"{LR} must be a value that --cfg-options can pass on .* 'a,b'",
        ),
        (
            dict(stages=[STAGE], options=dict(train_cfg=dict(max_iters=None))),
            'candidates.alone: train_cfg.max_iters must be set',
        ),
        (dict(candidates=dict(alone=dict(options={}))), 'candidates.alone needs config, .* missing or unknown: config'),
        (
            dict(candidates=dict(alone=dict(config='x', inherit='y'))),
            'candidates.alone.inherit must name some of alone, .* y',
        ),
        (
            dict(candidates=dict(alone=dict(config='x', inherit='b'), b=dict(config='x', inherit='alone'))),
            'candidates.alone.inherit must have no circle, but leads back through alone, b',
        ),
    ],
)
def test_a_mistake_is_reported_in_one_line_that_names_the_key(changes, message, write):
    with pytest.raises(ValueError, match=message) as error:
        write(**changes)
    assert '\n' not in str(error.value)


def test_a_missing_config_is_reported(write):
    with pytest.raises(FileNotFoundError, match='no such config: nowhere.py'):
        write(candidates=dict(alone='nowhere.py'), stages=[STAGE])


@pytest.mark.parametrize('data', ['cityscapes', 'ade20k', 'voc12', 'voc12aug'])
@pytest.mark.parametrize('student', ['', 'effb0_'])
def test_the_papers_sweeps_search_what_the_paper_searched(student, data):
    sweep = load_sweep(f'mmseg_kd::sweeps/comparable_{student}{data}.py')
    stages = {stage.name: stage for stage in sweep.stages}
    assert sweep.name == f'comparable_{student}{data}' and sweep.budget == dict(kind='iterations', value=80000)
    assert stages['optimizer'].candidates == ('alone', 'pi')
    assert stages['optimizer'].space == {
        LR: [1e-1, 5e-2, 1e-2, 5e-3],
        'optim_wrapper.optimizer.weight_decay': [5e-4, 5e-5, 5e-6],
    }
    assert stages['temperature'].space == {TEMPERATURE: [1, 2, 3, 4, 6, 8]}
    weights = dict(
        pa=[10.0**k for k in range(-3, 2)],
        ho=[10.0**k for k in range(-4, 0)],
        ifv=[1e-4, 1e-3, 1e-2, 1e-1, 1, 10, 50, 100],
    )
    for term, values in weights.items():
        stage = stages[f'weight_{term}']
        assert stage.candidates == (f'pi_{term}',)
        assert stage.space == {f'model.terms.loss_{term}.weight': pytest.approx(values)}
    assert stages['final'].seeds == (1, 2, 3) and stages['final'].space == {}
    assert stages['final'].candidates == tuple(sweep.candidates)
    assert all(stage.seeds == (0,) for name, stage in stages.items() if name != 'final')


@pytest.mark.parametrize('data', ['cityscapes', 'ade20k', 'voc12'])
@pytest.mark.parametrize('prefix, student', [('', 'r18'), ('effb0_', 'effb0')])
def test_the_papers_temperatures_and_random_starts_have_sweeps_that_search_nothing(prefix, student, data):
    temperatures = load_sweep(f'mmseg_kd::sweeps/temperature_{prefix}{data}.py')
    assert {(candidate.config, *candidate.options) for candidate in temperatures.candidates.values()} == {
        (f'mmseg_kd::kd/pi_r101_{student}_{data}.py', TEMPERATURE)
    }
    assert [candidate.options[TEMPERATURE] for candidate in temperatures.candidates.values()] == [1, 2, 3, 4, 6, 8]
    scratch = load_sweep(f'mmseg_kd::sweeps/random_init_{prefix}{data}.py')
    assert {name: (candidate.config, candidate.options) for name, candidate in scratch.candidates.items()} == dict(
        alone=(f'mmseg_kd::kd/{student}_scratch_{data}.py', {}),
        pi=(f'mmseg_kd::kd/pi_r101_{student}_scratch_{data}.py', {}),
    )
    for sweep in (temperatures, scratch):
        (stage,) = sweep.stages
        assert stage.candidates == tuple(sweep.candidates) and stage.seeds == (1, 2, 3) and not stage.space


def test_the_papers_candidates_differ_by_their_terms_alone():
    sweep = load_sweep('mmseg_kd::sweeps/comparable_cityscapes.py')
    configs = {name: candidate.read() for name, candidate in sweep.candidates.items()}
    whole = configs['pi_pa_ho']
    for name, terms in dict(pi=['pi'], pi_pa=['pi', 'pa'], pi_ho=['pi', 'ho'], pi_ifv=['pi', 'ifv']).items():
        model = configs[name].model
        assert list(model.terms) == [f'loss_{term}' for term in terms] and model.terms.loss_pi.weight == 0.1
        assert model.student == configs['alone'].model and model.teacher == whole.model.teacher
        for term in ('loss_pa', 'loss_ho'):
            if term in model.terms:
                assert dict(model.terms[term], weight=whole.model.terms[term].weight) == whole.model.terms[term]
    assert configs['pi_ho'].optim_wrapper == whole.optim_wrapper
    assert configs['pi'].model.terms.loss_pi.loss.temperature == 1
    for candidate in sweep.candidates.values():
        as_arguments(candidate.options)


def test_the_demo_sweep_searches_the_terms_of_the_paper():
    sweep = load_sweep('mmseg_kd::sweeps/demo.py')
    terms = {name: list(candidate.read().model.get('terms', [])) for name, candidate in sweep.candidates.items()}
    assert terms == dict(
        alone=[],
        pi=['loss_pi'],
        pi_pa=['loss_pi', 'loss_pa'],
        pi_ho=['loss_pi', 'loss_ho'],
        pi_ifv=['loss_pi', 'loss_ifv'],
    )


def test_the_camvid_sweep_differs_in_the_terms_alone():
    sweep = load_sweep('mmseg_kd::sweeps/camvid.py')
    configs = {name: candidate.read() for name, candidate in sweep.candidates.items()}
    alone = configs.pop('alone')
    assert {name: list(config.model.terms) for name, config in configs.items()} == {
        name: [f'loss_{name.removesuffix("_tuned")}'] for name in configs
    }
    for config in configs.values():
        assert config.model.student == alone.model and config.train_dataloader == alone.train_dataloader
        assert config.optim_wrapper == alone.optim_wrapper and config.train_cfg == alone.train_cfg
        assert config.train_cfg.max_iters == sweep.budget['value']
    shares = {
        name: config.model.terms[f'loss_{name[:-6]}'].weight for name, config in configs.items() if '_tuned' in name
    }
    assert list(shares.values()) == [dict(type='GradientShare', share=0.3)] * 3


@pytest.mark.parametrize('name', ['few_labels_camvid', 'tuned_digits'])
def test_the_sweeps_of_tuned_terms_differ_in_the_terms_alone(name):
    sweep = load_sweep(f'mmseg_kd::sweeps/{name}.py')
    others = ('_labeling', 'random')
    configs = {name: each.read() for name, each in sweep.candidates.items() if not any(one in name for one in others)}
    alone, first = configs.pop('alone'), configs['cwd_at_tuned']
    assert sum(term.weight.share for term in first.model.terms.values()) == pytest.approx(0.45)
    for config in configs.values():
        assert config.model.student == alone.model and config.train_dataloader == first.train_dataloader
        assert config.model.teacher == first.model.teacher and config.train_cfg == alone.train_cfg
        assert config.param_scheduler == alone.param_scheduler and config.val_dataloader == alone.val_dataloader
        assert config.train_cfg.max_iters == sweep.budget['value']
    assert len({str(config.model.terms) for config in configs.values()}) == len(configs)


def test_random_students_differ_in_their_first_weights_and_rates_alone():
    sweep = load_sweep('mmseg_kd::sweeps/few_labels_camvid.py')
    for name in ('alone', 'cwd_at_tuned'):
        random, pretrained = (sweep.candidates[each].read() for each in (f'random_{name}', name))
        network = random.model if name == 'alone' else random.model.student
        before = pretrained.model if name == 'alone' else pretrained.model.student
        assert network.backbone.init_cfg is None and before.backbone.init_cfg
        network.backbone.init_cfg = before.backbone.init_cfg
        assert random.optim_wrapper.pop('paramwise_cfg') == dict(norm_decay_mult=0.0)
        assert 'custom_keys' in pretrained.optim_wrapper.pop('paramwise_cfg')
        assert random._cfg_dict == pretrained._cfg_dict


def test_nine_labels_are_half_of_every_batch_with_the_other_images():
    sweep = load_sweep('mmseg_kd::sweeps/few_labels_camvid.py')
    alone, distilled = (sweep.candidates[name].read().train_dataloader.dataset for name in ('alone', 'cwd_tuned'))
    labeled, others = distilled.datasets
    assert labeled.dataset == alone and 9 * labeled.times == pytest.approx(367 - 9, abs=5)
    assert [step.type for step in others.pipeline][1] == 'LoadVoidAnnotations'
    others.pipeline[1].type = 'LoadAnnotations'
    assert others == dict(alone, ann_file='9_labels/unlabeled.txt')


@pytest.mark.parametrize('name', ['cwd_at_tuned', 'at_tuned', 'attnfd_tuned', 'afdcd_tuned', 'ifvd_tuned'])
def test_the_teacher_that_labels_differs_from_the_same_terms_in_nothing_else(name):
    sweep = load_sweep('mmseg_kd::sweeps/few_labels_camvid.py')
    labeling, terms = (sweep.candidates[each].read() for each in (f'{name}_labeling', name))
    assert labeling.model.pop('type') == 'LabelingDistiller' and terms.model.pop('type') == 'Distiller'
    labels, void = (config.train_dataloader.dataset.datasets[1].pipeline.pop(1).type for config in (labeling, terms))
    assert (labels, void) == ('LoadUnknownAnnotations', 'LoadVoidAnnotations')
    assert labeling._cfg_dict == terms._cfg_dict


def test_the_views_are_those_of_one_config_and_the_time_is_that_of_the_demo():
    stored, live = (load_sweep(f'mmseg_kd::sweeps/views_digits{end}.py') for end in ('', '_live'))
    assert stored.cache and not live.cache and stored.candidates['pi'] == live.candidates['pi']
    (pi, alone) = (live.candidates[name].read() for name in ('pi', 'alone'))
    assert pi.train_dataloader == alone.train_dataloader and alone.train_dataloader.dataset.indices == 300
    times = load_sweep('mmseg_kd::sweeps/demo_seconds.py')
    assert times.budget == dict(kind='seconds', value=60) and list(times.candidates) == ['alone', 'pi']


def test_the_demo_sweep_has_as_many_iterations_as_the_demo():
    sweep = load_sweep('mmseg_kd::sweeps/demo.py')
    assert all(candidate.read().train_cfg.max_iters == sweep.budget['value'] for candidate in sweep.candidates.values())


@pytest.mark.parametrize(
    'config, message',
    [
        (
            'val_evaluator = dict(type="IoUMetric", iou_metrics=["mDice"])',
            "metric is 'mIoU', but the validation of candidates.alone logs aAcc, mDice, mAcc; set metric to one of them, or change val_evaluator",
        ),
        (
            'val_evaluator = val_cfg = val_dataloader = None',
            'candidates.alone: a sweep needs mIoU of the validation, but .* has no val_evaluator',
        ),
        ('param_scheduler = [dict(type="PolyLR", end=20)]', 'candidates.alone: param_scheduler.0.by_epoch is True'),
        (
            'custom_hooks = [dict(type="EarlyStoppingHook", monitor="mDice")]',
            "candidates.alone: custom_hooks.0.monitor is 'mDice'",
        ),
        (
            'visualizer = dict(type="SegLocalVisualizer", vis_backends=[dict(type="TensorboardVisBackend")])',
            "candidates.alone: a sweep reads the scalars.json of its runs, but visualizer.vis_backends has no .*'LocalVisBackend'",
        ),
        (
            'visualizer = dict(type="Visualizer")',
            "has no dict.type='LocalVisBackend'., which writes this file; add one",
        ),
        (
            'visualizer = dict(type="Visualizer", vis_backends=dict(type="LocalVisBackend"), save_dir="elsewhere")',
            'its own save_dir; remove this setting',
        ),
        (
            'visualizer = dict(type="Visualizer", vis_backends=[dict(type="LocalVisBackend", scalar_save_file="a.json")])',
            'has scalar_save_file=a.json; remove this setting',
        ),
        ('default_hooks = dict(_delete_=True, logger=None)', 'default_hooks.logger is None'),
        ('default_hooks = dict(logger=dict(log_metric_by_epoch=True))', 'logs every validation with step 0'),
    ],
)
def test_runs_without_a_readable_metric_are_refused_before_the_first_run(write, tmp_path, config, message):
    (tmp_path / 'changed.py').write_text(f"_base_ = './alone.py'\n{config}\n")
    with pytest.raises(ValueError, match=message):
        write(candidates=dict(alone=str(tmp_path / 'changed.py')), stages=[STAGE])


def test_further_backends_are_accepted(write, tmp_path):
    (tmp_path / 'changed.py').write_text(
        "_base_ = './alone.py'\n"
        'visualizer = dict(vis_backends=[dict(type="TensorboardVisBackend"), dict(type="LocalVisBackend")])\n'
    )
    assert write(candidates=dict(alone=str(tmp_path / 'changed.py')), stages=[STAGE])
