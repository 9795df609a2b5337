from pathlib import Path

import pytest
from mmseg.datasets import BaseSegDataset

from mmseg_kd.datasets import write_split


@pytest.fixture
def folder(tmp_path):
    root = tmp_path / 'images'
    (root / 'deep').mkdir(parents=True)
    for i in range(50):
        (root / ('deep' if i % 5 == 0 else '') / f'{i:03d}.jpg').touch()
    (root / 'notes.txt').touch()
    return root


def test_divides_all_images_in_shares_of_70_20_and_10_percent(folder, tmp_path):
    parts = write_split(folder, tmp_path / 'lists')
    assert {name: len(part) for name, part in parts.items()} == dict(train=35, val=10, test=5)
    images = {path.relative_to(folder).with_suffix('').as_posix() for path in folder.rglob('*.jpg')}
    assert set().union(*parts.values()) == images and sum(map(len, parts.values())) == len(images)


def test_the_draw_depends_on_the_names_and_the_seed_alone(folder, tmp_path):
    first, again, other = (write_split(folder, tmp_path / 'lists', seed=seed) for seed in (1, 1, 2))
    assert first == again != other
    moved = folder.rename(tmp_path / 'moved')
    assert write_split(moved, tmp_path / 'lists', seed=1) == first
    assert sorted(path.name for path in (tmp_path / 'lists').iterdir()) == ['test.txt', 'train.txt', 'val.txt']


def test_a_fraction_of_the_images_may_be_divided(folder, tmp_path):
    parts = write_split(folder, tmp_path / 'lists', fraction=0.2)
    assert {name: len(part) for name, part in parts.items()} == dict(train=7, val=2, test=1)


def test_a_list_is_the_ann_file_of_a_data_set(folder, tmp_path):
    parts = write_split(folder, tmp_path / 'lists')
    data = BaseSegDataset(
        data_root=str(tmp_path), ann_file='lists/val.txt', data_prefix=dict(img_path='images'), pipeline=[]
    )
    paths = [Path(data.get_data_info(i)['img_path']) for i in range(len(data))]
    assert all(path.is_file() for path in paths)
    assert [path.relative_to(folder).with_suffix('').as_posix() for path in paths] == parts['val']


def test_too_few_images_or_a_wrong_fraction_are_refused_and_nothing_is_written(folder, tmp_path):
    with pytest.raises(ValueError, match=r'only 0 of the 0 images \(\*.png\) in .* are sampled'):
        write_split(folder, tmp_path / 'lists', suffix='.png')
    with pytest.raises(ValueError, match='only 2 of the 50 images'):
        write_split(folder, tmp_path / 'lists', fraction=0.04)
    with pytest.raises(ValueError, match=r'fraction must lie in \(0, 1\], but is 1.5'):
        write_split(folder, tmp_path / 'lists', fraction=1.5)
    assert not (tmp_path / 'lists').exists()


def test_images_behind_links_and_in_capital_letters_are_divided_too_and_twins_are_refused(folder, tmp_path):
    (tmp_path / 'disk').mkdir()
    (tmp_path / 'disk' / 'new.JPG').touch()
    (folder / 'linked').symlink_to(tmp_path / 'disk')
    assert 'linked/new' in set().union(*write_split(folder, tmp_path / 'lists').values())
    (tmp_path / 'disk' / 'new.jpg').touch()
    with pytest.raises(ValueError, match='holds two files linked/new; rename one'):
        write_split(folder, tmp_path / 'lists')
    with pytest.raises(ValueError, match='there is no .*nowhere'):
        write_split(tmp_path / 'nowhere', tmp_path / 'lists')
