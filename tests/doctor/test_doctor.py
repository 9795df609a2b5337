"""A healthy config, and one broken in each way, through the whole examination; and the parts where values count."""

import copy
import io
import logging
import random
import shutil
from pathlib import Path

import dry_runs
import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.logging import MMLogger
from mmengine.registry import init_default_scope
from mmengine.runner import Runner
from mmseg.registry import MODELS
from PIL import Image
from torch import nn

from mmseg_kd.datasets import write_digit_scenes
from mmseg_kd.doctor import doctor
from mmseg_kd.doctor.diagnosis import Diagnosis
from mmseg_kd.doctor.doctor import check_before_training, examine
from mmseg_kd.engine.checks import Problems
from mmseg_kd.io.configs import config_file
from mmseg_kd.losses.base import DistillLoss

pytest.importorskip('sklearn')
CWD = dict(student='logits', teacher='logits', loss=dict(type='CWDLoss', temperature=4.0), weight=3.0)


class DetachedLoss(DistillLoss):
    def compute(self, student, teacher):
        return (student.detach() - teacher).abs().mean()


class RootLoss(DistillLoss):
    """Finite, but for its gradient at 0."""

    def compute(self, student, teacher):
        return (student - student).square().sum().sqrt() + 1


class SpareLoss(DistillLoss):
    def __init__(self):
        super().__init__()
        self.spare = nn.Parameter(torch.zeros(3))

    def compute(self, student, teacher):
        return (student - teacher).square().mean()


class BrokenLoss(DistillLoss):
    def compute(self, student, teacher):
        return {}['nothing']


@pytest.fixture(scope='module', autouse=True)
def losses():
    """Registered for this module only, because other tests examine all registered losses."""
    kinds = [DetachedLoss, RootLoss, SpareLoss, BrokenLoss]
    for kind in kinds:
        MODELS.register_module(module=kind)
    yield
    for kind in kinds:
        MODELS.module_dict.pop(kind.__name__)


@pytest.fixture(scope='module')
def healthy(tmp_path_factory):
    """configs/demo/distilled.py on few scenes, with a teacher that overfits the validation scenes."""
    init_default_scope('mmseg')  # before the scope of each test
    root = tmp_path_factory.mktemp('doctor')
    write_digit_scenes(root / 'data', num_train=32, num_val=16)
    config = Config.fromfile(config_file('mmseg_kd::demo/distilled.py'))
    for loader in (config.train_dataloader, config.val_dataloader, config.test_dataloader):
        loader.dataset.data_root = str(root / 'data')
    config.work_dir = str(root / 'work')
    torch.manual_seed(0)
    teacher, loader = MODELS.build(config.model.student), Runner.build_dataloader(config.val_dataloader)
    batch = next(iter(loader))
    optimizer = torch.optim.AdamW(teacher.parameters(), lr=1.6e-2)
    level = MMLogger.get_current_instance().level
    MMLogger.get_current_instance().setLevel(logging.ERROR)
    teacher.init_weights()
    MMLogger.get_current_instance().setLevel(level)
    for _ in range(40):
        optimizer.zero_grad()
        teacher(**teacher.data_preprocessor(batch, True), mode='loss')['decode.loss_ce'].backward()
        optimizer.step()
    meta = dict(dataset_meta=dict(classes=loader.dataset.metainfo['classes']))
    torch.save(dict(state_dict=teacher.state_dict(), meta=meta), root / 'teacher.pth')
    config.model.teacher = dict(model=copy.deepcopy(config.model.student), checkpoint=str(root / 'teacher.pth'))
    return config


@pytest.fixture
def config(healthy, monkeypatch):
    dry_runs.remember(monkeypatch)
    return copy.deepcopy(healthy)


def look(config, **settings):
    """The result, the lines as (status, check, text), and the whole output."""
    out = io.StringIO()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr('mmseg_kd.doctor.step_cost.STEPS', 1)
        well = examine(config, out=out, samples=8, **settings)
    text = out.getvalue()
    lines = [(line[:8].strip(), line[9:27].strip(), line[28:]) for line in text.split('\n\n')[0].splitlines()]
    return well, lines, text


def texts(lines, status, check):
    return [text for kind, name, text in lines if (kind, name) == (status, check)]


@pytest.fixture(scope='module')
def healthy_report(healthy):
    return look(healthy)


@pytest.mark.parametrize('iterations, warned', [(10, True), ('ten', False)])
def test_a_precision_that_is_slow_here_is_told_where_the_settings_are_sound(iterations, warned, monkeypatch):
    monkeypatch.setattr(doctor, 'check_precision', lambda config: Problems(warnings=['slow']))
    out = io.StringIO()
    config = Config(dict(train_cfg=dict(by_epoch=False, max_iters=iterations)))
    Diagnosis(out).run('settings', doctor.check_settings, config)
    assert ('slow' in out.getvalue()) == warned


def test_a_healthy_config_passes_every_check(healthy_report):
    well, lines, text = healthy_report
    assert well and {kind for kind, _, _ in lines} == {'ok'}
    assert list(dict.fromkeys(name for _, name, _ in lines)) == [
        'versions',
        'settings',
        'student',
        'teacher',
        'training data',
        'validation data',
        'overlap',
        'classes',
        'ignore_index',
        'normalization',
        "teacher's weights",
        "teacher's mIoU",
        "teacher's output",
        'model',
        'batches',
        'optimizer',
        'batch',
        'losses',
        'unused parameters',
        'validation',
        'step',
    ]
    assert texts(lines, 'ok', 'training data')[0].startswith('32 images, no file missing; labels of 8: ')
    assert len(texts(lines, 'ok', 'losses')) == 2
    assert text.splitlines()[-1] == '22 ok: ready to train'


def test_the_tables_follow_the_checks(healthy_report):
    _, _, text = healthy_report
    assert '| backbone[3] = backbone.layer4               |   48x8x8 |      8 |   48x8x8 |      8 |' in text
    assert '| logits = decode_head = decode_head.conv_seg | 11x16x16 |      4 | 11x16x16 |      4 |' in text
    assert '\n| decode.loss_ce | ' in text and '\n| loss_cwd       |      3 | ' in text
    rows = text[text.index('| step') :].splitlines()[:6]
    assert [row.split('|')[1].strip() for row in rows if '---' not in row] == [
        'step',
        'baseline',
        'teachers',
        'terms (the rest)',
        'whole',
    ]


def test_no_file_is_written_no_state_changes_and_findings_are_repeatable(config, healthy_report, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    before, level = copy.deepcopy(config._cfg_dict), MMLogger.get_current_instance().level
    states = torch.random.get_rng_state(), np.random.get_state()[1].copy(), random.getstate()
    _, lines, _ = look(config)
    assert not list(tmp_path.iterdir()) and not Path(config.work_dir).exists()
    assert config._cfg_dict == before and MMLogger.get_current_instance().level == level
    assert torch.equal(torch.random.get_rng_state(), states[0])
    assert (np.random.get_state()[1] == states[1]).all() and random.getstate() == states[2]
    assert texts(lines, 'ok', 'losses') == texts(healthy_report[1], 'ok', 'losses')


def test_a_config_without_a_teacher_is_examined_too(config):
    config.model = config.model.student
    well, lines, text = look(config)
    assert well and texts(lines, 'skipped', 'teacher') == ['the config has none']
    assert texts(lines, 'ok', 'classes') == ['11 in network, train_dataloader, val_dataloader']
    assert '| decode.loss_ce |' in text and 'Cost of a step' not in text and not texts(lines, 'ok', "teacher's mIoU")


def semi_supervised(config):
    """Terms on labeled and unlabeled images."""
    terms = dict(terms=dict(loss_cwd=CWD), unlabeled_terms=dict(loss_u=dict(CWD, loss=dict(type='PseudoLabelLoss'))))
    config.model = dict(config.model, type='SemiSupervisedDistiller', **terms)
    return config


def test_training_with_unlabeled_images_is_examined_too(config):
    config = semi_supervised(config)
    blank = [dict(type='LoadImageFromFile'), dict(type='LoadBlankAnnotations'), dict(type='PackSegInputs')]
    config.train_dataloader.sampler = dict(type='StreamSampler')
    config.train_dataloader.dataset = dict(
        type='SemiSupervisedDataset',
        labeled=config.train_dataloader.dataset,
        unlabeled_pipelines=[blank],
        partition=dict(fraction=0.5, seed=0),
    )
    well, lines, text = look(config)
    assert well, text
    assert len(texts(lines, 'ok', 'losses')) == 3 and '\n| loss_u         |      3 | ' in text


def test_a_data_set_without_unlabeled_images_fails_if_they_are_needed(config):
    well, lines, _ = look(semi_supervised(config))
    (line,) = texts(lines, 'failed', 'losses')
    assert not well and 'needs batches of labeled and unlabeled images' in line and 'SemiSupervisedDataset' in line


@pytest.fixture
def labeled_first(config, tmp_path):
    """Three trainings on 16, 16 and 32 images with labels of a teacher."""
    teacher = Config(dict(model=config.model.teacher.model, test_dataloader=config.val_dataloader))
    teacher.dump(tmp_path / 'teacher.py')
    config.train_cfg = dict(
        type='MCKDLoop',
        train=config.train_cfg,
        teacher=dict(config=str(tmp_path / 'teacher.py'), checkpoint=config.model.teacher.checkpoint),
    )
    config.model = config.model.student
    dataset = config.train_dataloader.dataset
    config.train_dataloader.dataset = dict(
        type='PseudoLabelDataset', images=f'{dataset.data_root}/img_dir/train', pipeline=dataset.pipeline
    )
    return config


def test_a_loop_that_labels_its_images_first_is_tried_with_placeholder_labels(labeled_first):
    before = copy.deepcopy(labeled_first._cfg_dict)
    current = MMLogger.get_current_instance()
    well, lines, text = look(labeled_first)
    assert well, text
    assert texts(lines, 'ok', 'labeling') == ['32 images to label; the checks below use placeholder labels']
    assert not texts(lines, 'skipped', 'teacher')
    for check in ('trainings', 'batch', 'losses', 'optimizer', 'validation', 'step'):
        assert texts(lines, 'ok', check), text
    assert f'; {labeled_first.train_cfg.train.max_iters} steps take' in texts(lines, 'ok', 'step')[0]
    assert labeled_first._cfg_dict == before and MMLogger.get_current_instance() is current
    assert not Path(labeled_first.work_dir).exists()


def test_a_failure_after_labeling_is_found(labeled_first):
    next(
        transform
        for transform in labeled_first.train_dataloader.dataset.pipeline
        if transform.type == 'LoadAnnotations'
    ).reduce_zero_label = True
    well, lines, text = look(labeled_first)
    assert not well and 'reduce_zero_label' in texts(lines, 'failed', 'trainings')[0]


def test_a_config_without_validation_is_examined_too(config):
    config.val_dataloader = config.val_evaluator = config.val_cfg = None
    well, lines, _ = look(config)
    assert well and texts(lines, 'skipped', 'validation data')
    assert texts(lines, 'skipped', "teacher's mIoU") == ['needs "validation data", see above']
    assert texts(lines, 'skipped', 'validation') == ['needs "validation data", see above']


def wrong_classes(config):
    config.model.student.decode_head.num_classes = 10


def wrong_auxiliary(config):
    head = config.model.student.decode_head
    config.model.student.auxiliary_head = dict(
        type='FCNHead', in_channels=48, in_index=3, channels=4, num_classes=7, norm_cfg=head.norm_cfg
    )


def other_ignore_index(config):
    config.model.student.decode_head.ignore_index = 0


def padding_of_no_class(config):
    config.model.student.data_preprocessor.seg_pad_val = 254


def padding_is_learnt(config):
    config.model.student.data_preprocessor.seg_pad_val = 0


def no_data(config):
    config.train_dataloader.dataset.data_root = '/nowhere'


def no_images(config):
    config.val_dataloader.dataset.img_suffix = '.tif'


def no_label_files(config):
    config.train_dataloader.dataset.seg_map_suffix = '_labels.png'


def no_labels(config):
    config.train_dataloader.dataset.pipeline.pop(1)


def other_normalization(config):
    config.model.teacher.model.data_preprocessor.mean = [123.675, 116.28, 103.53]


def no_normalization(config):
    for model in (config.model.student, config.model.teacher.model):
        model.data_preprocessor.update(mean=None, std=None)


def no_checkpoint_file(config):
    config.model.teacher.checkpoint = 'nothing.pth'


def no_checkpoint(config):
    config.model.teacher.checkpoint = None


def no_teacher_config(config):
    config.model.teacher = dict(config='nothing.py', checkpoint='nothing.pth')


def wrong_path(config):
    config.model.terms.loss_cwd.student = 'backbone.layer9'


def nan_term(config):
    config.model.terms.loss_cwd.weight = 1e39


def nan_gradient(config):
    config.model.terms.loss_root = dict(CWD, loss=dict(type='RootLoss'))


def reads_images(config):
    config.model.terms.loss_hint = dict(student='inputs', teacher='backbone[3]', loss=dict(type='HintLoss'), weight=1.0)


def cut_gradient(config):
    config.model.terms.loss_cut = dict(CWD, loss=dict(type='DetachedLoss'))


def no_weight(config):
    config.model.terms.loss_cwd.weight = 0


def never_begins(config):
    config.model.terms.loss_cwd.weight = dict(type='DelayedWeight', weight=3.0, begin=800)


def faint_term(config):
    config.model.terms.loss_cwd.weight = 1e-6


def loud_term(config):
    config.model.terms.loss_cwd.weight = 1e6


def critic_without_optimizer(config):
    config.model.terms.loss_ho = dict(CWD, loss=dict(type='HolisticKDLoss'))


def unused_layer(config):
    head = config.model.student.decode_head
    head.update(in_index=[0, 1, 2], in_channels=head.in_channels[:3])


def unused_in_a_term(config):
    config.model.terms.loss_spare = dict(CWD, loss=dict(type='SpareLoss'))


def too_high_a_rate(config):
    config.optim_wrapper.optimizer.lr = 1e30


def no_optimizer(config):
    config.optim_wrapper = None


def no_initial_weights(config):
    config.model.student.pretrained = 'nothing.pth'


def no_such_metric(config):
    config.default_hooks.checkpoint.save_best = ['mIoU', 'mDice']


def never_ends(config):
    config.train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=2)
    config.default_hooks.checkpoint.by_epoch = True
    config.param_scheduler = None


def last_batch_of_one(config):
    never_ends(config)
    config.train_dataloader.update(batch_size=31, sampler=dict(type='DefaultSampler', shuffle=True))
    head = config.model.student.decode_head
    config.model.student.auxiliary_head = dict(
        type='PSPHead',
        in_channels=head.in_channels[-1],
        in_index=3,
        channels=4,
        num_classes=11,
        pool_scales=(1,),
        norm_cfg=head.norm_cfg,
    )


def raises_in_the_step(config):
    config.model.terms.loss_broken = dict(CWD, loss=dict(type='BrokenLoss'))


@pytest.mark.parametrize(
    'damages, findings',
    [
        (
            [wrong_classes, wrong_auxiliary],
            [
                ('failed', 'training data', 'labels must lie in 0..9 or be 255 (ignored), but '),
                ('failed', 'classes', 'model.student.auxiliary_head.num_classes is 7'),
                (
                    'failed',
                    'classes',
                    'train_dataloader.dataset has 11 classes, but model.student.decode_head.num_classes is '
                    '10; set num_classes=11 in all heads',
                ),
                ('failed', 'classes', 'val_dataloader.dataset has 11 classes'),
                (
                    'failed',
                    'classes',
                    'teacher has 11 classes and the student 10; set model.student.decode_head.num_classes, '
                    'or model.teacher',
                ),
                ('failed', 'model', 'model.terms.loss_cwd: student and teacher must have the same classes'),
            ],
        ),
        (
            [no_label_files, no_images, no_checkpoint_file],
            [
                ('failed', 'training data', '32 files are missing, such as '),
                ('failed', 'validation data', 'no image was found; check val_dataloader.dataset.data_root'),
                ('failed', "teacher's weights", 'model.teacher.checkpoint: no such checkpoint: nothing.pth'),
                ('skipped', "teacher's mIoU", 'needs "teacher\'s weights", see above'),
                ('ok', 'model', 'built and initialized'),
                ('skipped', 'losses', 'needs "batch", see above'),
            ],
        ),
        (
            [no_data, other_ignore_index, padding_of_no_class, no_teacher_config],
            [
                ('failed', 'training data', 'check train_dataloader.dataset.data_root ("/nowhere")'),
                ('failed', 'teacher', 'model.teacher.config: no such config: nothing.py'),
                ('ok', 'validation data', '16 images'),
            ],
        ),
        (
            [other_ignore_index, padding_of_no_class],
            [
                (
                    'failed',
                    'ignore_index',
                    'model.student.decode_head.ignore_index is 0, val_evaluator.ignore_index is 255',
                ),
                ('failed', 'ignore_index', 'seg_pad_val is 254; set it to 0'),
            ],
        ),
        (
            [other_normalization, padding_is_learnt, unused_layer, unused_in_a_term],
            [
                ('warning', 'ignore_index', 'padding would be learned as class 0'),
                (
                    'warning',
                    'normalization',
                    'teacher has mean 123.675, 116.28, 103.53, std 64, 64, 64, RGB, the student mean 128, 128, 128',
                ),
                ('warning', 'unused parameters', 'get no gradient: model.student.backbone.layer4.0.'),
            ],
        ),
        (
            [unused_in_a_term, faint_term],
            [
                (
                    'warning',
                    'unused parameters',
                    '1 of 84 trained tensors (3 numbers) get no gradient: model.terms.loss_spare.loss.spare;',
                ),
                ('warning', 'losses', 'it has almost no effect; raise model.terms.loss_cwd.weight (1e-06)'),
            ],
        ),
        (
            [no_labels, no_weight],
            [('failed', 'training data', "add dict(type='LoadAnnotations') to train_dataloader.dataset.pipeline")],
        ),
        (
            [no_normalization, loud_term, no_such_metric],
            [
                (
                    'failed',
                    'settings',
                    "default_hooks.checkpoint.save_best is 'mDice', but validation reports aAcc, mIoU, mAcc",
                ),
                ('warning', 'normalization', 'model.student.data_preprocessor has no mean and std'),
                ('warning', 'batch', 'images should have a mean near 0'),
                ('warning', 'losses', 'other losses have almost no effect; lower model.terms.loss_cwd.weight (1e+06)'),
            ],
        ),
        (
            [no_checkpoint, no_weight, nan_gradient, reads_images, cut_gradient],
            [
                ('warning', "teacher's weights", 'model.teacher.checkpoint is None'),
                ('failed', "teacher's mIoU", 'but one class everywhere would reach'),
                ('warning', 'losses', 'model.terms.loss_cwd.weight is 0, so the term has no effect'),
                ('failed', 'losses', 'model.terms.loss_root has a gradient of nan'),
                ('failed', 'losses', 'model.terms.loss_hint.student (inputs) does not depend on any trained parameter'),
                ('failed', 'losses', 'no gradient reaches the student; model.terms.loss_cut.loss stops it'),
            ],
        ),
        (
            [nan_term],
            [('failed', 'losses', 'model.terms.loss_cwd is inf; its inputs are finite, so check weight and loss of')],
        ),
        (
            [never_begins, too_high_a_rate],
            [
                ('failed', 'losses', 'model.terms.loss_cwd.weight is 0 from the first to the last iteration'),
                ('failed', 'step', 'lower optim_wrapper.optimizer.lr'),
            ],
        ),
        ([wrong_path], [('failed', 'model', 'model.terms.loss_cwd.student: "backbone.layer9" names no module')]),
        (
            [critic_without_optimizer, raises_in_the_step],
            [
                ('failed', 'optimizer', "set optim_wrapper.constructor='DistillOptimWrapperConstructor'"),
                ('failed', 'losses', "KeyError: 'nothing' (tests/doctor/test_doctor.py, line "),
            ],
        ),
        ([never_ends], [('failed', 'settings', 'train_dataloader.sampler is InfiniteSampler, which never ends')]),
        (
            [last_batch_of_one],
            [('failed', 'batches', 'auxiliary_head.psp_modules.0.1.bn has one value per image and channel')],
        ),
        (
            [no_optimizer, no_initial_weights],
            [
                ('failed', 'model', 'no such checkpoint: nothing.pth; see pretrained and init_cfg in model.student'),
                ('failed', 'optimizer', 'there is no optim_wrapper; add one'),
                ('ok', 'losses', 'decode.loss_ce'),
            ],
        ),
    ],
    ids=lambda value: '+'.join(getattr(damage, '__name__', '') for damage in value).strip('+'),
)
def test_mistakes_are_found_and_named(config, damages, findings):
    for damage in damages:
        damage(config)
    well, lines, text = look(config)
    for status, check, words in findings:
        assert any(words in line for line in texts(lines, status, check)), f'{words}\n{text}'
    assert well == all(status == 'warning' for status, _, _ in findings)
    assert 'Features that terms can read' in text


def test_labels_out_of_range_are_named_with_their_file_before_a_gpu_reads_them(config, tmp_path):
    shutil.copytree(config.train_dataloader.dataset.data_root, tmp_path / 'data')
    for file in (tmp_path / 'data' / 'ann_dir' / 'train').iterdir():
        labels = np.array(Image.open(file))
        labels[:2] = 200
        Image.fromarray(labels).save(file)
    config.train_dataloader.dataset.data_root = str(tmp_path / 'data')
    well, lines, _ = look(config)
    (message,) = texts(lines, 'failed', 'training data')
    assert not well and 'ann_dir/train/' in message
    assert 'holds 200; check train_dataloader.dataset.reduce_zero_label' in message
    assert 'but lie in 0..200' in texts(lines, 'failed', 'batch')[0]
    assert texts(lines, 'skipped', 'losses') == ['needs "batch", see above']


def test_unused_parameters_are_a_failure_if_ddp_would_wait_for_them(config):
    unused_layer(config)
    well, lines, _ = look(config, distributed=True)
    assert not well and 'set find_unused_parameters=True' in texts(lines, 'failed', 'unused parameters')[0]
    config.find_unused_parameters = True
    well, lines, _ = look(config, distributed=True)
    assert (
        well
        and 'DDP skips them because of find_unused_parameters=True' in texts(lines, 'warning', 'unused parameters')[0]
    )


def test_a_term_with_a_schedule_is_checked_at_its_largest_weight(config, healthy_report):
    config.model.terms.loss_cwd.weight = dict(type='WarmupWeight', weight=3.0, iters=100)
    well, lines, text = look(config)
    assert well and '| loss_cwd       |      3 |' in text
    assert texts(lines, 'ok', 'losses') == texts(healthy_report[1], 'ok', 'losses')


def test_classes_in_another_order_are_found(config, tmp_path):
    checkpoint = torch.load(config.model.teacher.checkpoint, weights_only=True)
    classes = list(checkpoint['meta']['dataset_meta']['classes'])
    classes[1:3] = classes[2], classes[1]
    torch.save(dict(checkpoint, meta=dict(dataset_meta=dict(classes=classes))), tmp_path / 'teacher.pth')
    config.model.teacher.checkpoint = str(tmp_path / 'teacher.pth')
    _, lines, _ = look(config)
    assert 'calls class 1 "one", but the data set calls it "zero"' in texts(lines, 'failed', "teacher's weights")[0]


def test_every_member_of_an_ensemble_is_checked(config):
    config.model.teacher = [config.model.teacher, dict(config.model.teacher)]
    well, lines, _ = look(config)
    assert well and len(texts(lines, 'ok', "teacher's mIoU")) == 2
    assert texts(lines, 'ok', 'classes') == [
        '11 in student, teacher [0], teacher [1], train_dataloader, val_dataloader'
    ]


def test_the_check_before_training_stops_it(config, capsys, monkeypatch):
    examined = 'mmseg_kd.doctor.doctor.examine'
    monkeypatch.setattr(examined, lambda config, distributed, views, out: print(distributed, views, file=out))
    config.launcher = 'slurm'
    monkeypatch.setenv('SLURM_PROCID', '1')
    with pytest.raises(SystemExit) as stopped:
        check_before_training(config)
    assert stopped.value.code == 1 and capsys.readouterr().out == ''
    monkeypatch.setenv('SLURM_PROCID', '0')
    with pytest.raises(SystemExit):
        check_before_training(config, views=5)
    assert capsys.readouterr().out == 'True 5\n'
    monkeypatch.setattr(examined, lambda config, distributed, views, out: not distributed)
    config.launcher = 'none'
    check_before_training(config)


def test_training_after_the_checks_is_unchanged(config, tmp_path):
    def train(name):
        run = copy.deepcopy(config)
        run.train_cfg.update(max_iters=2, val_interval=2)
        run.update(
            work_dir=str(tmp_path / name),
            experiment_name=name,
            log_level='ERROR',
            randomness=dict(seed=0),
            val_dataloader=None,
            val_cfg=None,
            val_evaluator=None,
            test_dataloader=None,
            test_cfg=None,
            test_evaluator=None,
        )
        runner = Runner.from_cfg(run)
        runner.train()
        return runner.model.state_dict()

    untouched = train('untouched')
    look(config)
    after = train('after')
    assert all(torch.equal(value, after[key]) for key, value in untouched.items())
