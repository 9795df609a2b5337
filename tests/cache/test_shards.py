import json
import os
import re

import pytest
import torch

from mmseg_kd.cache import CacheWriter, TeacherCache, cache_cost, encoding
from mmseg_kd.cache import shards as module
from mmseg_kd.io.errors import ConfigError

SETTINGS = dict(
    images=3,
    size=[8, 8],
    per_shard=2,
    paths=dict(logits=dict(encoding='float16', shape=[2, 1, 1])),
    constants=dict(weight=[2]),
    known={},
    fingerprint={'model.teacher.scale': 2.0},
)


def parts(shard):
    values = [[[[10.0 * shard.view + image]], [[0.5]]] for image in shard.images]
    return encoding('float16', [2, 1, 1]).encode(torch.tensor(values))


def write(folder, views=2):
    writer = CacheWriter(folder, SETTINGS)
    writer.write_constants(dict(weight=torch.tensor([1.0, 2.0])))
    for shard in writer.missing(views):
        writer.write(shard, dict(logits=parts(shard)), [100 * shard.view + image for image in shard.images], 0.25)
    assert writer.merge(views) == 0
    return folder


def test_every_image_of_every_view_is_found_again(tmp_path, monkeypatch):
    monkeypatch.setattr(module, 'OPEN', 1)
    cache = TeacherCache(write(tmp_path / 'cache'))
    for image, view in ((2, 1), (0, 0), (1, 1)):
        read = cache.read(['logits', 'weight'], [(image, view), (0, view)], [100 * view + image, None])
        assert read['logits'][:, 0].flatten().tolist() == [10.0 * view + image, 10.0 * view]
        assert read['weight'].tolist() == [1.0, 2.0]
    assert cache.shapes == dict(logits=(1, 2, 1, 1), weight=(2,)) and cache.views == 2
    cost = cache_cost(tmp_path / 'cache')
    assert cost.seconds == 1.0 and cost.bytes == sum(f.stat().st_size for f in tmp_path.rglob('*.safetensors'))


def test_autocast_changes_no_value(tmp_path):
    cache = TeacherCache(write(tmp_path / 'cache'))
    with torch.autocast('cpu', torch.bfloat16):
        read = cache.read(['logits'], [(2, 1), (1, 0)], [102, 1])['logits']
    assert read.dtype == torch.float32 and read.flatten().tolist() == [12.0, 0.5, 1.0, 0.5]


def test_one_flipped_byte_is_refused_by_name_and_its_shard_is_made_again(tmp_path):
    folder = write(tmp_path / 'cache')
    path = folder / 'shards' / 'view001-00000.safetensors'
    whole = path.read_bytes()
    path.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    cache = TeacherCache(folder)
    cache.read(['logits'], [(0, 0)], [0])
    with pytest.raises(ValueError, match=r'view001-00000\.safetensors is not the shard that was written'):
        cache.read(['logits'], [(0, 1)], [100])
    path.unlink()
    with pytest.raises(ValueError, match='found nothing'):
        TeacherCache(folder).read(['logits'], [(0, 1)], [100])
    path.with_suffix('.json').unlink()
    write(folder)
    assert path.read_bytes() == whole


def test_more_views_are_added_and_fewer_do_not_remove_them(tmp_path):
    folder = write(write(tmp_path / 'cache', views=1), views=2)
    assert TeacherCache(write(folder, views=1)).views == 2
    write(tmp_path / 'at_once', views=2)
    assert (folder / 'index.json').read_bytes() == (tmp_path / 'at_once' / 'index.json').read_bytes()


@pytest.mark.parametrize(
    'entry, pixels, message',
    [
        ((0, 2), 200, '2 views of 3 images, but view 2 of image 0 is read'),
        ((3, 0), 3, 'view 0 of image 3'),
        ((1, 1), 100, r'pixels of view 1 of image 1 differ .* \(checksum 101, now 100\)'),
    ],
)
def test_what_the_teacher_did_not_see_is_refused(tmp_path, entry, pixels, message):
    with pytest.raises(ConfigError, match=message):
        TeacherCache(write(tmp_path / 'cache')).read(['logits'], [entry], [pixels])


@pytest.mark.parametrize(
    'change, message',
    [
        (dict(per_shard=3), 'per_shard 2, but this command gives 3'),
        (dict(fingerprint={'model.teacher.scale': 1.0}), 'model.teacher.scale = 2.0, but this config has 1.0'),
        (dict(fingerprint={}), 'model.teacher.scale = 2.0, but this config has nothing'),
    ],
)
def test_a_folder_never_holds_two_caches(tmp_path, change, message):
    write(tmp_path / 'cache')
    with pytest.raises(ConfigError, match=message):
        CacheWriter(tmp_path / 'cache', dict(SETTINGS, **change))


@pytest.mark.parametrize('file', ['notes.txt', 'shards/0_0.safetensors'])
def test_folders_with_other_files_are_left_alone(tmp_path, file):
    (tmp_path / file).parent.mkdir(exist_ok=True)
    (tmp_path / file).touch()
    with pytest.raises(ConfigError, match='must be empty or hold a teacher cache'):
        CacheWriter(tmp_path, SETTINGS)


def test_a_cache_that_another_process_begins_at_the_same_moment_is_joined(tmp_path, monkeypatch):
    (tmp_path / 'killed' / 'shards').mkdir(parents=True)  # before it wrote its settings
    CacheWriter(tmp_path / 'killed', SETTINGS)
    assert (tmp_path / 'killed' / 'settings.json').is_file()

    def other(folder):  # writes its settings and a shard after this process has looked for settings
        monkeypatch.undo()
        write(tmp_path / 'cache')
        return os.listdir(folder)

    (tmp_path / 'cache').mkdir()
    monkeypatch.setattr('mmseg_kd.cache.shards.os.listdir', other)
    assert not CacheWriter(tmp_path / 'cache', SETTINGS).missing(views=2)


def test_incomplete_and_foreign_caches_are_not_read(tmp_path):
    CacheWriter(tmp_path / 'begun', SETTINGS)
    with pytest.raises(FileNotFoundError, match=re.escape('it is not complete; repeat the command of')):
        TeacherCache(tmp_path / 'begun')
    (tmp_path / 'index.json').write_text(json.dumps(dict(format=99)))
    with pytest.raises(ConfigError, match='must have format 1, but has 99'):
        TeacherCache(tmp_path)
