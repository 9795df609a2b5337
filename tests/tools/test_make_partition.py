import runpy
import sys
from pathlib import Path

import pytest
from mmseg.registry import DATASETS

from mmseg_kd.testing.trees import write_camvid_tree

TOOL = Path(__file__).resolve().parents[2] / 'tools' / 'make_partition.py'
CONFIG = 'mmseg_kd::_base_/datasets/camvid.py'


@pytest.fixture
def run(tmp_path, monkeypatch, capsys):
    write_camvid_tree(tmp_path / 'data' / 'camvid', images=8)
    monkeypatch.chdir(tmp_path)

    def call(*arguments):
        monkeypatch.setattr(sys, 'argv', ['make_partition.py', *map(str, arguments)])
        runpy.run_path(str(TOOL), run_name='__main__')
        return capsys.readouterr().out

    return call


@pytest.mark.parametrize('balance', [[], ['--balance']])
def test_lists_are_written_and_their_shares_printed(run, tmp_path, balance):
    printed = run(CONFIG, '--fraction', 0.25, '--seed', 1, '--out', 'lists', *balance)
    lines = printed.splitlines()
    assert lines[0].startswith('| class ') and lines[2].startswith('| Sky ') and len(lines) == 16
    assert lines[-2] == 'written: lists/labeled.txt (2 images), lists/unlabeled.txt (6 images)'
    assert lines[-1] == "in a config of a SemiSupervisedDataset: partition='lists/labeled.txt'"
    labeled, unlabeled = ((tmp_path / 'lists' / f'{name}.txt').read_text().split() for name in ('labeled', 'unlabeled'))
    assert sorted(labeled + unlabeled) == [f'0001TP_{number:06d}' for number in range(8)] and len(labeled) == 2


def test_what_is_written_is_what_the_fraction_and_the_seed_draw_in_a_config(run, tmp_path):
    run(CONFIG, '--fraction', 0.5, '--seed', 3, '--out', 'lists')
    blank = [dict(type='LoadImageFromFile'), dict(type='LoadBlankAnnotations'), dict(type='PackSegInputs')]
    parts = [
        DATASETS.build(
            dict(
                type='SemiSupervisedDataset',
                labeled=dict(
                    type='CamVidDataset',
                    data_root='data/camvid',
                    data_prefix=dict(img_path='img_dir/train', seg_map_path='ann_dir/train'),
                ),
                unlabeled_pipelines=[blank],
                partition=partition,
            )
        ).labeled
        for partition in ('lists/labeled.txt', dict(fraction=0.5, seed=3))
    ]
    assert list(parts[0]) == list(parts[1]) and len(parts[0]) == 4


def test_bad_input_is_one_line(run, capsys):
    with pytest.raises(SystemExit, match='^2$'):
        run(CONFIG, '--fraction', 8, '--out', 'lists')
    assert 'error: partition: fraction must lie between 0 and 1, but is 8.0\n' in capsys.readouterr().err
    with pytest.raises(SystemExit, match='^2$'):
        run('nowhere.py', '--fraction', 0.5, '--out', 'lists')
    assert capsys.readouterr().err.startswith('error: no such config: nowhere.py')
