"""Images with two roles are told, also as copies and links; images with one role are not."""

import io
import shutil
from types import SimpleNamespace

import pytest
from mmengine.dataset import RepeatDataset
from mmengine.registry import init_default_scope
from torch.utils.data import ConcatDataset

from mmseg_kd.datasets import CamVidDataset, UnlabeledFolderDataset
from mmseg_kd.doctor.diagnosis import Diagnosis
from mmseg_kd.doctor.overlap_checks import check_overlap
from mmseg_kd.testing.trees import write_camvid_tree

LOAD, PACK = dict(type='LoadImageFromFile'), dict(type='PackSegInputs')


@pytest.fixture
def root(tmp_path):
    init_default_scope('mmseg')
    return write_camvid_tree(tmp_path / 'camvid', images=3, size=(16, 16))


def camvid(root, split):
    prefix = dict(img_path=f'img_dir/{split}', seg_map_path=f'ann_dir/{split}')
    return CamVidDataset(data_root=str(root), data_prefix=prefix, pipeline=[LOAD, dict(type='LoadAnnotations'), PACK])


def folder(path, load='LoadUnknownAnnotations'):
    return UnlabeledFolderDataset(folder=str(path), pipeline=[LOAD, dict(type=load), PACK])


def images_of(root, split):
    return sorted((root / 'img_dir' / split).iterdir())


def said(train, val):
    out = io.StringIO()
    Diagnosis(out).run('overlap', check_overlap, SimpleNamespace(dataset=train), SimpleNamespace(dataset=val))
    return [' '.join(line.split()) for line in out.getvalue().splitlines()]


def test_images_with_one_role_are_fine(root, tmp_path):
    train, val = camvid(root, 'train'), camvid(root, 'val')
    assert said(train, val) == ['ok overlap no image is both trained on and validated']
    shutil.copytree(write_camvid_tree(tmp_path / 'more', images=2, size=(16, 16), seed=7) / 'img_dir', tmp_path / 'new')
    joined = ConcatDataset([RepeatDataset(train, 3), folder(tmp_path / 'new')])
    assert said(joined, val) == ['ok overlap no image is both trained on and validated, or with and without labels']


def test_validation_images_in_the_training_set_are_told(root):
    train = camvid(root, 'train')
    (line,) = said(RepeatDataset(train, 2), train)
    first = images_of(root, 'train')[0]
    assert line.startswith(f'warning overlap 3 of 3 validation images are trained on as well, such as {first}: the ')


@pytest.mark.parametrize('load', ['LoadUnknownAnnotations', 'LoadVoidAnnotations'])
def test_copies_among_images_without_labels_are_told(root, tmp_path, load):
    train, val = camvid(root, 'train'), camvid(root, 'val')
    (tmp_path / 'more').mkdir()
    trained, validated = (images_of(root, split)[1] for split in ('train', 'val'))
    shutil.copy(trained, tmp_path / 'more' / 'a.jpg')
    shutil.copy(validated, tmp_path / 'more' / 'b.jpg')
    one, two = said(ConcatDataset([train, folder(tmp_path / 'more', load)]), val)
    copies = [tmp_path / 'more' / name for name in ('a.jpg', 'b.jpg')]
    assert f'1 of 3 validation images are trained on as well, such as {validated}, which equals {copies[1]}' in one
    assert (
        f'1 of 2 images without labels are labeled images as well, such as {copies[0]}, which equals {trained}' in two
    )


def test_the_unlabeled_images_of_a_data_set_with_two_parts_count(root):
    val = camvid(root, 'val')
    paths = [str(images_of(root, 'val')[2])]
    train = camvid(root, 'train')
    train.unlabeled_paths = lambda: paths
    (line,) = said(train, val)
    assert f'1 of 3 validation images are trained on as well, such as {paths[0]}: ' in line
