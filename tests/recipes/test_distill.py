import argparse
import json
from collections import OrderedDict

import pytest
import torch
from mmengine.config import Config
from mmengine.visualization import Visualizer
from mmseg.visualization import SegLocalVisualizer

from mmseg_kd.cache import TeacherCache
from mmseg_kd.io.configs import merge_options
from mmseg_kd.recipes import add_training_arguments, distill


def arguments(own, tmp_path, *more):
    parser = argparse.ArgumentParser()
    add_training_arguments(parser, config=False)
    parser.set_defaults(student=str(own / 'student.py'), teacher=str(own / 'teacher5.py'), method='auto')
    parser.set_defaults(checkpoint=str(own / 'teacher5.pth'), classes=str(tmp_path / 'classes.yml'), before=None)
    parser.set_defaults(unlabeled=None, views=None)
    parser.add_argument('--dry-run', action='store_true')
    (tmp_path / 'classes.yml').write_text('ground: [0, 3]\nroad: 1\nsign: []\n')
    return parser.parse_args(['--work-dir', str(tmp_path / 'run'), *more])


def student_of(own):
    return Config.fromfile(own / 'student.py').model


def test_a_dry_run_writes_the_config_and_checks_it(own, tmp_path, capsys):
    distill(arguments(own, tmp_path, '--dry-run'))
    out = capsys.readouterr().out
    assert 'with the terms of "cwd_at_tuned": the divergence of every class map' in out and 'ready to train' in out
    assert '| ground |' in out and 'nothing was trained (--dry-run)' in out
    file, run = next((tmp_path / 'run' / 'config').iterdir()), tmp_path / 'run'
    assert out.endswith(f'tools/train.py {file} --work-dir {run}\n')
    assert [path.name for path in (tmp_path / 'run').iterdir()] == ['config']


def test_the_work_dir_of_the_options_counts_unless_the_command_line_has_its_own(own, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    args = arguments(own, tmp_path, '--dry-run', '--cfg-options', 'work_dir=elsewhere')
    distill(args)
    assert (tmp_path / 'run' / 'config').is_dir() and not (tmp_path / 'elsewhere').exists()
    args.work_dir = None
    distill(args)
    assert (tmp_path / 'elsewhere' / 'config').is_dir() and not (tmp_path / 'work_dirs').exists()


def test_a_dry_run_says_which_options_the_config_needs(own, tmp_path, capsys):
    distill(arguments(own, tmp_path, '--dry-run', '--cfg-options', 'randomness.seed=3', 'model.backbone.depth=18'))
    end = f'.py --work-dir {tmp_path / "run"} --cfg-options randomness.seed=3 model.student.backbone.depth=18\n'
    assert capsys.readouterr().out.endswith(end)


def test_a_dry_run_names_no_command_that_would_store_no_views(own, tmp_path, capsys):
    args = arguments(own, tmp_path, '--dry-run')
    args.views = 2
    distill(args)
    assert capsys.readouterr().out.endswith('train with the same command without it\n')


def test_options_name_settings_of_the_students_config(own, tmp_path, capsys):
    """The student's data set and head are elsewhere in the config that is trained, and its own folder is missing."""
    text = (own / 'student.py').read_text().replace(repr(str(own)), "'missing'")
    (tmp_path / 'moved.py').write_text(text)
    args = arguments(own, tmp_path, '--dry-run', '--cfg-options', 'model.decode_head.dropout_ratio=0.25')
    args.student, args.teacher = str(tmp_path / 'moved.py'), str(own / 'teacher3.py')
    args.checkpoint, args.classes, args.unlabeled = str(own / 'teacher3.pth'), None, str(own / 'images')
    for loader in ('train_dataloader', 'val_dataloader'):
        args.cfg_options[f'{loader}.dataset.data_root'] = str(own)
    distill(args)
    (made,) = (tmp_path / 'run' / 'config').iterdir()
    config = Config.fromfile(made)
    merge_options(config, args.cfg_options)
    labeled, unlabeled = config.train_dataloader.dataset.datasets
    assert labeled.dataset.data_root == config.val_dataloader.dataset.data_root == str(own)
    assert unlabeled.folder == str(own / 'images')
    assert config.model.student.decode_head.dropout_ratio == 0.25
    assert 'ready to train' in capsys.readouterr().out


def test_one_call_leaves_a_student_for_plain_mmsegmentation_and_a_table(own, tmp_path, capsys, monkeypatch):
    # MMEngine would reuse a visualizer of the same name from an earlier test of this process, with its folder.
    for kind in (Visualizer, SegLocalVisualizer):
        monkeypatch.setattr(kind, '_instance_dict', OrderedDict())
    args = arguments(own, tmp_path)
    distill(args)
    folder = tmp_path / 'run'
    config = Config.fromfile(folder / 'student' / 'config.py')
    assert config.model == Config.fromfile(own / 'student.py').model
    weights = torch.load(folder / 'student' / 'student.pth', weights_only=True)['state_dict']
    assert weights['decode_head.conv_seg.weight'].shape[0] == 3
    table = (folder / 'outcome.md').read_text()
    assert table.strip() in capsys.readouterr().out
    cells = [[cell.strip() for cell in line.split('|')[1:-1]] for line in table.splitlines()[2:]]
    assert [row[0] for row in cells] == ['teacher', 'student now']
    # The same number as that of the training's own validation.
    log = next(folder.rglob('scalars.json')).read_text().splitlines()
    assert round(json.loads(log[-1])['mIoU'], 2) == float(cells[1][2])


def test_the_teacher_answers_once_for_some_views_before_the_training(own, tmp_path, capsys, monkeypatch):
    for kind in (Visualizer, SegLocalVisualizer):
        monkeypatch.setattr(kind, '_instance_dict', OrderedDict())
    args = arguments(own, tmp_path)
    args.views = 2
    distill(args)
    store = TeacherCache(str(tmp_path / 'run' / 'cache'))
    # A loss on features, whose encoding has 8 bits, and one on logits.
    assert store.views == 2 and {one['encoding'] for one in store.index['paths'].values()} == {'float16', 'int8'}
    written = Config.fromfile(tmp_path / 'run' / next(file.name for file in (tmp_path / 'run').glob('*.py')))
    assert written.model.teacher.cache == str(tmp_path / 'run' / 'cache')
    captured = capsys.readouterr()
    assert '4 images x 2 views' in captured.err and 'complete: ' in captured.err
    assert 'stored views' in captured.out and '--views 5' not in captured.out
    assert [line.split('|')[1].strip() for line in (tmp_path / 'run' / 'outcome.md').read_text().splitlines()[2:]] == [
        'teacher',
        'student now',
    ]


def test_the_doctor_stops_what_would_fail(own, tmp_path):
    args = arguments(own, tmp_path)
    args.classes = None
    with pytest.raises(SystemExit):
        distill(args)
    assert not list((tmp_path / 'run').glob('*.pth'))


@pytest.mark.parametrize(
    'groups, terms',
    [
        ('{ground: [0, 3], road: 1, sign: 2}', 'cwd_at_tuned'),
        ('{ground: [0, 3], road: 1, sign: []}', 'dist_unlabeled_tuned'),
        ('{ground: [0, 3], road: [], sign: []}', 'cwd_at_tuned'),
    ],
    ids=['all', 'two', 'one'],
)
def test_the_default_depends_on_the_classes_that_the_teacher_knows(own, tmp_path, capsys, groups, terms):
    student = Config.fromfile(own / 'student.py').train_dataloader.dataset
    args = arguments(own, tmp_path, '--dry-run')
    args.unlabeled = str(own / student.data_root / student.data_prefix.img_path)
    (tmp_path / 'classes.yml').write_text(groups)
    distill(args)
    (file,) = (tmp_path / 'run' / 'config').iterdir()
    assert file.name == f'student-{terms}.py' and 'ready to train' in capsys.readouterr().out


@pytest.mark.parametrize('knows_all', [False, True])
def test_unlabeled_images_are_in_the_config_and_in_the_checks(own, tmp_path, capsys, knows_all):
    student = Config.fromfile(own / 'student.py').train_dataloader.dataset
    images = own / student.data_root / student.data_prefix.img_path
    args = arguments(own, tmp_path, '--dry-run')
    args.unlabeled = str(images)
    if knows_all:
        (tmp_path / 'classes.yml').write_text('ground: [0, 3]\nroad: 1\nsign: 2\n')
    distill(args)
    config = Config.fromfile(next((tmp_path / 'run' / 'config').iterdir()))
    labeled, unlabeled = config.train_dataloader.dataset.datasets
    assert labeled.dataset == student and unlabeled.folder == str(images.resolve())
    out = capsys.readouterr().out
    assert 'ready to train' in out
    if knows_all:
        assert config.model.type == 'mmseg_kd.LabelingDistiller' and config.model.student == student_of(own)
        assert "the student learns the teacher's classes from images without labels" in out
    else:
        assert config.model.type == 'mmseg_kd.Distiller' and 'only terms learn from images without labels' in out
        assert config.model.student.decode_head.loss_decode.avg_non_ignore
