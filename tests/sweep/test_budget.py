import pytest
import torch
from mmengine.config import Config
from mmengine.visualization import Visualizer
from mmseg.visualization import SegLocalVisualizer

from mmseg_kd import config_file
from mmseg_kd.datasets import write_digit_scenes
from mmseg_kd.sweep import budget
from mmseg_kd.sweep.budget import iterations_of, measure_step_seconds, stretch


def config(**changes):
    return Config(
        dict(
            train_cfg=dict(type='IterBasedTrainLoop', max_iters=800, val_interval=80),
            default_hooks=dict(checkpoint=dict(type='CheckpointHook', interval=300), logger=dict(interval=20)),
            **changes,
        )
    )


def test_a_schedule_keeps_its_shape():
    policies = [
        dict(type='LinearLR', begin=0, end=50, by_epoch=False),
        dict(type='CosineAnnealingLR', begin=50, end=800, T_max=750, by_epoch=False),
        dict(type='MultiStepLR', milestones=[300, 600], by_epoch=False),
        dict(type='StepLR', step_size=9),  # by epoch
        dict(type='PolyLR', power=0.9, by_epoch=False),  # without an end
    ]
    changed = stretch(config(param_scheduler=policies), 200)
    assert changed == {
        'train_cfg.max_iters': 200,
        'train_cfg.val_interval': 20,
        'default_hooks.checkpoint.interval': 75,
        'param_scheduler.0.end': 12,
        'param_scheduler.1.begin': 12,
        'param_scheduler.1.end': 200,
        'param_scheduler.1.T_max': 188,
        'param_scheduler.2.milestones': [75, 150],
    }
    longer = stretch(config(param_scheduler=policies), 2000)
    assert [longer[f'param_scheduler.{key}'] for key in ('0.end', '1.begin', '1.end', '1.T_max', '2.milestones')] == [
        125,
        125,
        2000,
        1875,
        [750, 1500],
    ]


def test_the_schedules_of_weights_stretch_with_training():
    terms = dict(
        loss_a=dict(weight=dict(type='WarmupWeight', weight=3.0, begin=40, iters=100)),
        loss_b=dict(weight=dict(type='CutoffWeight', weight=300, end=600)),
        loss_c=dict(weight=dict(type='DelayedWeight', weight=1.0, begin=400)),
        loss_d=dict(weight=200),
        loss_e=dict(),
        loss_f=dict(weight=dict(type='GradientShare', share=dict(type='DelayedWeight', weight=0.3, begin=400))),
        loss_g=dict(weight=dict(type='GradientShare', share=dict(type='PhaseWeight', weight=0.3, begin=0, end=1))),
    )
    changed = stretch(config(model=dict(terms=terms)), 200)
    assert {key: value for key, value in changed.items() if key.startswith('model')} == {
        'model.terms.loss_f.weight.share.begin': 100,
        'model.terms.loss_a.weight.begin': 10,
        'model.terms.loss_a.weight.iters': 25,
        'model.terms.loss_b.weight.end': 150,
        'model.terms.loss_c.weight.begin': 100,
    }


def test_the_schedules_of_terms_on_unlabeled_images_stretch_too():
    terms = dict(loss_a=dict(weight=dict(type='CutoffWeight', weight=1.0, end=600)))
    unlabeled_terms = dict(
        loss_u=dict(weight=dict(type='WarmupWeight', weight=50.0, begin=40, iters=100)), loss_v=dict(weight=1.0)
    )
    changed = stretch(config(model=dict(terms=terms, unlabeled_terms=unlabeled_terms)), 200)
    assert {key: value for key, value in changed.items() if key.startswith('model')} == {
        'model.terms.loss_a.weight.end': 150,
        'model.unlabeled_terms.loss_u.weight.begin': 10,
        'model.unlabeled_terms.loss_u.weight.iters': 25,
    }


def test_a_model_with_unlabeled_terms_alone_stretches():
    weight = dict(type='DelayedWeight', weight=1.0, begin=400)
    changed = stretch(config(model=dict(terms=None, unlabeled_terms=dict(loss_u=dict(weight=weight)))), 1600)
    assert changed['model.unlabeled_terms.loss_u.weight.begin'] == 800


def test_policies_of_several_optimizers_stretch():
    policies = dict(
        main=[dict(type='PolyLR', end=800, by_epoch=False)], critic=dict(type='PolyLR', end=400, by_epoch=False)
    )
    changed = stretch(config(param_scheduler=policies), 1600)
    assert (changed['param_scheduler.main.0.end'], changed['param_scheduler.critic.end']) == (1600, 800)


def test_nothing_becomes_empty_in_a_short_training():
    policies = [
        dict(type='LinearLR', begin=0, end=50, by_epoch=False),
        dict(type='PolyLR', begin=50, end=800, by_epoch=False),
    ]
    terms = dict(loss_a=dict(weight=dict(type='WarmupWeight', weight=3.0, iters=100)))
    changed = stretch(config(param_scheduler=policies, model=dict(terms=terms)), 3)
    assert changed == {
        'train_cfg.max_iters': 3,
        'train_cfg.val_interval': 1,
        'default_hooks.checkpoint.interval': 2,
        'param_scheduler.0.end': 1,
        'param_scheduler.1.begin': 0,
        'param_scheduler.1.end': 3,
        'model.terms.loss_a.weight.iters': 1,
    }


def test_an_interval_is_rounded_up_so_that_no_short_one_remains():
    changed = stretch(config(), 777)  # 77.7 and 291.4
    assert (changed['train_cfg.val_interval'], changed['default_hooks.checkpoint.interval']) == (78, 292)


def test_a_config_with_these_iterations_does_not_change():
    assert stretch(config(param_scheduler=[dict(type='PolyLR', end=800, by_epoch=False)]), 800) == {}


def test_a_stretched_config_equals_a_hand_written_shorter_one():
    demo = Config.fromfile(config_file('mmseg_kd::demo/student.py'))
    demo.merge_from_dict(stretch(demo, 400))
    assert (demo.train_cfg.max_iters, demo.train_cfg.val_interval, demo.default_hooks.checkpoint.interval) == (400,) * 3
    assert [policy.end for policy in demo.param_scheduler] == [25, 400]


def test_a_training_by_epochs_is_refused():
    with pytest.raises(ValueError, match='train_cfg.max_iters must be set, because a sweep counts iterations, but'):
        stretch(Config(dict(train_cfg=dict(by_epoch=True, max_epochs=3))), 200)


@pytest.fixture(scope='module')
def scenes(tmp_path_factory):
    root = tmp_path_factory.mktemp('data') / 'digits'
    write_digit_scenes(root, num_train=10, num_val=1)
    return root


@pytest.fixture
def demo(scenes):

    def read(leaf):
        config = Config.fromfile(config_file(f'mmseg_kd::demo/{leaf}.py'))
        config.train_dataloader.dataset.data_root = str(scenes)
        config.train_dataloader.batch_size = 4
        return config

    return read


@pytest.mark.parametrize('value, iterations', [(3, 8), (4, 10), (0.1, 1)])  # 30, 40 and 1 of 10 images, 4 at a time
def test_an_epoch_has_as_many_images_as_the_training_set(value, iterations, demo):
    assert iterations_of(dict(kind='epochs', value=value), demo('student')) == iterations


def test_a_budget_in_seconds_has_the_steps_that_fit():
    assert iterations_of(dict(kind='seconds', value=60), Config(), 0.25) == 240
    assert iterations_of(dict(kind='seconds', value=1), Config(), 0.6) == 1
    assert iterations_of(dict(kind='seconds', value=1), Config(), 60.0) == 1
    assert iterations_of(dict(kind='iterations', value=7), Config()) == 7


def test_timed_steps_are_interleaved_and_the_median_counts(monkeypatch):
    taken = []
    seconds = dict(a=[9.0, 9.0, 1.0, 2.0, 30.0], b=[9.0, 9.0, 4.0, 1.0, 6.0])  # two of them to warm up
    # At the other four moments of training: medians of 4 and 5.
    seconds = {
        name: values + [2.0 + 2 * (name == 'a'), 5.0, 3.0 if name == 'a' else 9.0] * 4
        for name, values in seconds.items()
    }

    class Steps:
        def __init__(self, name, folder):
            self.name, self.values, self.varies = name, iter(seconds[name]), name == 'b'

        def take(self, share, clock):
            taken.append((self.name, share))
            return next(self.values)

    monkeypatch.setattr(budget, '_Steps', Steps)
    assert measure_step_seconds(dict(a='a', b='b'), warmup=2, rounds=3) == dict(a=(2 + 4 * 4) / 5, b=(4 + 4 * 5) / 5)
    assert [name for name, _ in taken] == ['a', 'b'] * 17
    assert [share for name, share in taken if name == 'a'] == pytest.approx(
        [0.5] * 2 + [0.1] * 3 + [0.3] * 3 + [0.5] * 3 + [0.7] * 3 + [0.9] * 3
    )
    taken.clear()
    told = []
    # Without a schedule, one moment tells all.
    assert measure_step_seconds(dict(a='a'), 2, 3, report=lambda *steps: told.append(steps)) == dict(a=2.0)
    assert [share for _, share in taken] == [0.5] * 5 and told == [(done, 5) for done in range(1, 6)]


def test_a_step_with_a_teacher_costs_more_and_no_weight_changes(demo, monkeypatch):
    made = []
    begin = budget._Steps.__init__

    def remember(self, *arguments):
        begin(self, *arguments)
        made.append((self, {name: value.clone() for name, value in self._model.named_parameters()}))

    monkeypatch.setattr(budget._Steps, '__init__', remember)
    distilled = demo('distilled')
    distilled.model.terms.loss_cwd.weight = dict(type='DelayedWeight', weight=3.0, begin=400)
    seconds = measure_step_seconds(dict(alone=demo('student'), distilled=distilled), warmup=1, rounds=3)
    assert 0 < seconds['alone'] < seconds['distilled']
    assert [steps.varies for steps, _ in made] == [False, True]
    for steps, parameters in made:
        assert all(torch.equal(value, parameters[name]) for name, value in steps._model.named_parameters())
    assert made[1][0]._model.terms['loss_cwd'].weight == 3.0  # its value at nine tenths of training
    made[1][0].take(0.3, lambda: 0.0)
    assert made[1][0]._model.terms['loss_cwd'].weight == 0.0
    # The configs are unchanged, and so is the path of the missing checkpoint.
    assert distilled.model.teacher.checkpoint == 'work_dirs/demo/teacher/iter_800.pth'


def test_no_later_run_of_the_process_writes_to_the_removed_folder(demo):
    config = demo('student')
    for kept in (Visualizer, SegLocalVisualizer):
        kept._instance_dict.pop(config.visualizer.name, None)
    measure_step_seconds(dict(alone=config), warmup=0, rounds=1)
    assert all(config.visualizer.name not in kept._instance_dict for kept in (Visualizer, SegLocalVisualizer))
