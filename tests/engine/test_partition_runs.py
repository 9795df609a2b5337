"""A run on one part of the labels finds the teachers of that part, and refuses others."""

import argparse

import pytest
import torch
from mmengine.config import Config

from mmseg_kd.engine.launch import load_config
from mmseg_kd.engine.partition_runs import check_teacher_partitions
from mmseg_kd.io.command_line import add_arguments

WHOLE_TEACHER = "train_dataloader = dict(dataset=dict(type='A'))\nmodel = dict(type='B')\n"


@pytest.fixture
def configs(tmp_path):
    """A student of two teachers that know an eighth, and of one that knows all labels."""
    (tmp_path / 'part.py').write_text(
        "train_dataloader = dict(dataset=dict(type='A', partition='voc12aug/1_8'))\nmodel = dict(type='B')\n"
    )
    (tmp_path / 'whole.py').write_text(WHOLE_TEACHER)
    (tmp_path / 'student.py').write_text(f"""
train_dataloader = dict(dataset=dict(type='A', partition='voc12aug/1_8'))
model = dict(teacher=dict(
    deep=dict(config='{tmp_path}/part.py', checkpoint='work_dirs/deep/iter_4.pth'),
    wide=[dict(config='{tmp_path}/part.py', checkpoint='work_dirs/wide/iter_4.pth')],
    given=dict(config='{tmp_path}/part.py', checkpoint='elsewhere/wide/iter_4.pth'),
    whole=dict(config='{tmp_path}/whole.py', checkpoint='work_dirs/whole/iter_4.pth')))
""")
    return tmp_path


def load(path, *options):
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    return load_config(parser.parse_args([str(path), *options]))


def checkpoints(config):
    teacher = config.model.teacher
    return [spec.checkpoint for spec in (teacher.deep, teacher.wide[0], teacher.given, teacher.whole)]


GIVEN = [f'{folder}/iter_4.pth' for folder in ('work_dirs/deep', 'work_dirs/wide', 'elsewhere/wide', 'work_dirs/whole')]


def test_the_partition_of_the_file_changes_nothing(configs):
    for options in ((), ('--cfg-options', 'train_dataloader.dataset.partition=voc12aug/1_8')):
        config = load(configs / 'student.py', *options)
        assert config.work_dir == 'work_dirs/student' and checkpoints(config) == GIVEN


@pytest.mark.parametrize(
    'partition, part',
    [('voc12aug/1_16', '1_16'), ('lists/mine.txt', 'mine'), ("dict(labeled='lists/mine.txt')", 'mine')],
)
def test_another_partition_names_its_folder_and_its_teachers(configs, partition, part):
    # MMEngine's options know no dict(); a child file has one.
    (configs / 'options.py').write_text(f'partition = {partition if "dict" in partition else repr(partition)}')
    value = Config.fromfile(configs / 'options.py').partition
    options = (
        ['train_dataloader.dataset.partition=' + value]
        if isinstance(value, str)
        else ['train_dataloader.dataset.partition.labeled=' + value.labeled]
    )
    if not isinstance(value, str):
        text = (configs / 'student.py').read_text().replace("'voc12aug/1_8'", "dict(labeled='a.txt')")
        (configs / 'student.py').write_text(text)
    config = load(configs / 'student.py', '--cfg-options', *options)
    assert config.work_dir == f'work_dirs/student_{part}'
    assert checkpoints(config) == [f'work_dirs/deep_{part}/iter_4.pth', f'work_dirs/wide_{part}/iter_4.pth', *GIVEN[2:]]


def test_the_teacher_of_another_partition_lands_where_its_student_looks(configs):
    config = load(configs / 'part.py', '--cfg-options', 'train_dataloader.dataset.partition=voc12aug/1_2')
    assert config.work_dir == 'work_dirs/part_1_2'


def test_what_the_command_line_names_stays(configs):
    config = load(
        configs / 'student.py',
        '--work-dir',
        'mine',
        '--cfg-options',
        'model.teacher.deep.checkpoint=a.pth',
        'train_dataloader.dataset.partition=voc12aug/1_2',
    )
    assert config.work_dir == 'mine' and checkpoints(config)[:2] == ['a.pth', 'work_dirs/wide_1_2/iter_4.pth']


def run_with_teacher(tmp_path, text, partition='voc12aug/1_16'):
    torch.save(dict(state_dict={}, meta=dict(cfg=text) if text else {}), tmp_path / 'teacher.pth')
    return Config(
        dict(
            train_dataloader=dict(dataset=dict(partition=partition)),
            model=dict(teacher=dict(deep=dict(config='a.py', checkpoint=str(tmp_path / 'teacher.pth')))),
        )
    )


def test_a_teacher_of_another_partition_is_refused_by_what_its_checkpoint_tells(tmp_path):
    # As MMEngine writes it.
    trained = Config(dict(train_dataloader=dict(batch_size=2, dataset=dict(type='A', partition='voc12aug/1_8'))))
    with pytest.raises(
        ValueError,
        match=r'^model.teacher.deep.checkpoint must be of the same partition as '
        r"train_dataloader.dataset.partition, 'voc12aug/1_16', but .*teacher.pth "
        r"was trained on 'voc12aug/1_8'",
    ) as error:
        check_teacher_partitions(run_with_teacher(tmp_path, trained.pretty_text))
    assert '\n' not in str(error.value)
    config = run_with_teacher(tmp_path, trained.pretty_text, 'voc12aug/1_8')
    assert check_teacher_partitions(config) == ['model.teacher.deep']


def test_a_draw_is_compared_by_fraction_and_seed(tmp_path):
    draw = dict(fraction=1 / 8, seed=0)
    trained = Config(dict(train_dataloader=dict(dataset=dict(partition=draw)))).pretty_text
    assert check_teacher_partitions(run_with_teacher(tmp_path, trained, draw)) == ['model.teacher.deep']
    with pytest.raises(ValueError, match="'seed': 1}, but"):
        check_teacher_partitions(run_with_teacher(tmp_path, trained, dict(draw, seed=1)))


@pytest.mark.parametrize(
    'text',
    [None, 'not python: (', 'a = 1', 'train_dataloader = open("x")', "train_dataloader = dict(dataset=dict(type='A'))"],
)
def test_a_checkpoint_that_does_not_tell_is_not_judged_and_never_executed(tmp_path, text):
    assert check_teacher_partitions(run_with_teacher(tmp_path, text)) == []


def test_a_run_on_all_labels_reads_no_checkpoint():
    config = Config(
        dict(
            train_dataloader=dict(dataset=dict(type='A')),
            model=dict(teacher=dict(config='a.py', checkpoint='none.pth')),
        )
    )
    assert check_teacher_partitions(config) == []
