import ast
import json
import sys
from pathlib import Path

import numpy as np
import pytest
from mmseg.registry import DATASETS
from PIL import Image

from mmseg_kd.datasets import digit_scenes, write_digit_scenes
from mmseg_kd.datasets.digit_scenes import LAYERS, DigitScenesDataset, compose_scenes, load_digit_samples, split_samples

pytest.importorskip('sklearn')


def write(root, **changes):
    return write_digit_scenes(root, **{**dict(num_train=6, num_val=4, size=48), **changes})


def contents(root):
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in sorted(root.rglob('*')) if path.is_file()}


@pytest.fixture
def drawn():
    """Sixty-four scenes, some in a second batch of the composer."""
    glyphs, classes = load_digit_samples()
    images, labels = zip(*compose_scenes(np.random.default_rng(0), glyphs, classes, 70, 64))
    return np.stack(images), np.stack(labels)


def test_the_tree_is_mmsegmentations(tmp_path):
    assert write(tmp_path / 'deep' / 'scenes')
    names = set(contents(tmp_path / 'deep' / 'scenes')) - {'digit_scenes.json'}
    assert names == {
        f'{kind}/{split}/{i:05d}.png'
        for kind in ('img_dir', 'ann_dir')
        for split, count in (('train', 6), ('val', 4))
        for i in range(count)
    }
    assert [path.name for path in (tmp_path / 'deep').iterdir()] == ['scenes']


@pytest.mark.parametrize('split,count', [('train', 6), ('val', 4)])
def test_the_data_set_reads_image_and_labels(tmp_path, split, count):
    write(tmp_path / 'scenes')
    scenes = DATASETS.build(
        dict(
            type='DigitScenesDataset',
            data_root=str(tmp_path / 'scenes'),
            img_suffix='.png',
            data_prefix=dict(img_path=f'img_dir/{split}', seg_map_path=f'ann_dir/{split}'),
            pipeline=[dict(type='LoadImageFromFile'), dict(type='LoadAnnotations')],
        )
    )
    assert len(scenes) == count and len(scenes.metainfo['classes']) == len(scenes.metainfo['palette']) == 11
    assert scenes[0]['img'].shape == (48, 48, 3)
    files = sorted((tmp_path / 'scenes' / 'ann_dir' / split).iterdir())
    for scene, file in zip(scenes, files):
        assert scene['gt_seg_map'].dtype == np.uint8
        np.testing.assert_array_equal(scene['gt_seg_map'], np.array(Image.open(file)))


def test_labels_are_the_classes_and_all_occur(drawn):
    images, labels = drawn
    assert images.shape == (70, 64, 64, 3) and images.dtype == labels.dtype == np.uint8
    assert set(np.unique(labels)) == set(range(11))
    shares = np.bincount(labels.ravel(), minlength=11) / labels.size
    assert 0.75 < shares[0] < 0.9 and shares[1:].min() > 0.005


def test_labels_are_where_the_digit_is_drawn(monkeypatch):
    """With a single digit and nothing else, its pixels are brighter than the ground, and carry its class."""
    glyphs, classes = load_digit_samples()
    monkeypatch.setattr('mmseg_kd.datasets.digit_scenes.LAYERS', ((LAYERS[0][0], 1, 1),))
    seven = np.flatnonzero(classes == 7)[:1]
    for image, labels in compose_scenes(np.random.default_rng(0), glyphs[seven], classes[seven], 8, 64):
        assert set(np.unique(labels)) == {0, 8}
        assert image[labels == 8].mean() > image[labels == 0].mean() + 15
        assert 0.01 < (labels == 8).mean() < 0.4


def test_clutter_is_background_and_hides_what_was_drawn_before(monkeypatch):
    glyphs, classes = load_digit_samples()
    monkeypatch.setattr('mmseg_kd.datasets.digit_scenes.LAYERS', LAYERS[1:])
    bare = [labels for _, labels in compose_scenes(np.random.default_rng(0), glyphs, classes, 8, 64)]
    assert not np.any(bare)

    def everywhere(rng, glyphs, classes, centers, size):
        return np.ones((len(centers), size, size), np.float32), np.zeros(len(centers), np.uint8)

    monkeypatch.setattr('mmseg_kd.datasets.digit_scenes.LAYERS', ((LAYERS[0][0], 1, 1), (everywhere, 1, 1)))
    hidden = [not labels.any() for _, labels in compose_scenes(np.random.default_rng(0), glyphs, classes, 40, 64)]
    assert 8 < sum(hidden) < 32


def test_mixtures_are_no_digits():
    """Each quadrant is turned, so that none of a symmetric mark stays where it was."""
    corner = np.zeros((1, 8, 8), np.float32)
    corner[0, :4, :4] = 1
    cover, labels = LAYERS[1][0](np.random.default_rng(0), corner, np.zeros(1), np.zeros((50, 2)), 64)
    # Turned by a quarter, half or three quarters, the mark leaves its own quadrant.
    assert not labels.any() and cover[:, 26, 26].max() < 0.5 < cover[:, 26, 38].max()


def test_training_and_validation_digits_are_different_samples():
    splits = split_samples(1797, seed=3)
    assert not set(splits['train']) & set(splits['val'])
    assert sorted([*splits['train'], *splits['val']]) == list(range(1797)) and len(splits['train']) == 1078


def test_each_split_is_composed_of_its_own_digits(tmp_path, monkeypatch):
    seen = []
    original = compose_scenes

    def spy(rng, glyphs, *others):
        seen.append({glyph.tobytes() for glyph in glyphs})
        return original(rng, glyphs, *others)

    monkeypatch.setattr('mmseg_kd.datasets.digit_scenes.compose_scenes', spy)
    write(tmp_path / 'scenes')
    train, val = seen
    assert len(train) > 1000 and len(val) > 700 and not train & val


def test_the_seed_decides_everything(tmp_path):
    for name, seed in (('a', 1), ('b', 1), ('c', 2)):
        write(tmp_path / name, seed=seed)
    assert contents(tmp_path / 'a') == contents(tmp_path / 'b')
    a, c = contents(tmp_path / 'a'), contents(tmp_path / 'c')
    assert all(a[name] != c[name] for name in a)


def test_an_intact_tree_is_kept_and_another_replaced(tmp_path):
    root = tmp_path / 'scenes'
    assert write(root) is True
    times = {path: path.stat().st_mtime_ns for path in root.rglob('*.png')}
    assert write(root) is False
    assert times == {path: path.stat().st_mtime_ns for path in root.rglob('*.png')}
    assert write(root, num_val=3) is True
    assert len(list((root / 'img_dir' / 'val').iterdir())) == 3


def truncate(root):
    path = root / 'img_dir' / 'train' / '00002.png'
    path.write_bytes(path.read_bytes()[:40])


@pytest.mark.parametrize(
    'damage',
    [
        truncate,
        lambda root: (root / 'ann_dir' / 'val' / '00001.png').unlink(),
        lambda root: (root / 'digit_scenes.json').unlink(),
        lambda root: (root / 'digit_scenes.json').write_text('{"recipe"'),
        lambda root: (root / 'img_dir' / 'train' / 'more.png').write_bytes(b''),
    ],
)
def test_a_damaged_tree_is_rebuilt(tmp_path, damage):
    root = tmp_path / 'scenes'
    write(root)
    before = contents(root)
    damage(root)
    assert write(root) is True
    assert contents(root) == before


def test_a_killed_run_leaves_no_tree_and_does_not_disturb_the_next(tmp_path):
    root = tmp_path / 'scenes'

    def kill(done, total):
        if done == 7:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write(root, report=kill)
    assert not root.exists()
    progress = []
    assert write(root, report=lambda done, total: progress.append((done, total)))
    assert progress == [(i, 10) for i in range(1, 11)]
    assert json.loads((root / 'digit_scenes.json').read_text())['num_train'] == 6
    assert [path.name for path in tmp_path.iterdir()] == ['scenes']


def test_other_peoples_files_are_not_touched(tmp_path):
    (tmp_path / 'img_dir').mkdir()
    (tmp_path / 'thesis.tex').write_text('x')
    with pytest.raises(ValueError, match='holds thesis.tex; choose another folder'):
        write(tmp_path)
    with pytest.raises(ValueError, match='is a file'):
        write(tmp_path / 'thesis.tex')
    assert (tmp_path / 'thesis.tex').read_text() == 'x'


@pytest.mark.parametrize('wrong', [dict(num_train=0), dict(num_val=0), dict(size=16)])
def test_too_small_numbers_are_named(tmp_path, wrong):
    ((key, value),) = wrong.items()
    with pytest.raises(ValueError, match=f'{key} is {value}'):
        write(tmp_path / 'scenes', **wrong)


def test_scikit_learn_is_imported_only_when_scenes_are_composed(tmp_path, monkeypatch):
    statements = ast.parse(Path(digit_scenes.__file__).read_text()).body
    assert not any(
        'sklearn' in ast.dump(statement)
        for statement in statements
        if isinstance(statement, (ast.Import, ast.ImportFrom))
    )
    monkeypatch.setitem(sys.modules, 'sklearn', None)
    monkeypatch.setitem(sys.modules, 'sklearn.datasets', None)
    with pytest.raises(ImportError) as caught:
        write(tmp_path / 'scenes')
    assert str(caught.value) == 'digit scenes need scikit-learn: pip install "mmseg-kd[demo]"'
    assert not list(tmp_path.iterdir())


def test_classes_have_distinct_colors():
    assert len({tuple(color) for color in DigitScenesDataset.METAINFO['palette']}) == 11
