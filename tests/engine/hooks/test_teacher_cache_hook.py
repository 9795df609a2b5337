import copy
import os
import shutil

import pytest
import torch
from cached_distillation import cache, with_cache, write_config
from mmengine.runner import Runner
from mmseg.registry import MODELS

from mmseg_kd.distillers import cached_teacher
from mmseg_kd.engine.teacher_cache import check_caches
from mmseg_kd.engine.views import as_views, numbers_of
from mmseg_kd.io.errors import ConfigError


@pytest.fixture(scope='module')
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp('cache_hook')
    config = write_config(folder)
    return config, cache(config, folder / 'cache')


def check(config):
    """What the hook does before a training."""
    model = MODELS.build(copy.deepcopy(config.model))
    loader = as_views(copy.deepcopy(config.train_dataloader.to_dict()), **numbers_of(model.teachers['']))
    check_caches(model, Runner.build_dataloader(loader, seed=0).dataset)


def test_the_same_images_at_another_place_are_the_same(made, tmp_path):
    config = with_cache(*made)
    shutil.copytree(config.train_dataloader.dataset.data_root, tmp_path / 'elsewhere')
    config.train_dataloader.dataset.data_root = str(tmp_path / 'elsewhere')
    check(config)


@pytest.mark.parametrize(
    'key, value, message',
    [
        ('model.teacher.scale', 2.0, 'model.teacher.scale = nothing, but this config has 2.0'),
        ('model.teacher.dtype', 'bfloat16', 'model.teacher.dtype = nothing, but this config has bfloat16'),
        ('model.teacher.class_map', {str(i): [i] for i in range(11)}, r'model.teacher.class_map.0 = nothing'),
        ('model.teacher.model.backbone.base_channels', 4, 'model.backbone.base_channels = 8, but this config has 4'),
        ('train_dataloader.dataset.pipeline.3.prob', 0.1, 'pipeline.3.prob = 0.5, but this config has 0.1'),
        ('train_dataloader.dataset.indices', 4, 'train_dataloader.dataset.indices = nothing, but this config has 4'),
        ('model.student.data_preprocessor.pad_val', 7, 'data_preprocessor.pad_val = 0, but this config has 7'),
    ],
)
def test_every_setting_that_changes_outputs_is_refused_by_name(made, key, value, message):
    with pytest.raises(ConfigError, match=f'model.teacher.cache: .*cache was made with .*{message}'):
        check(with_cache(*made, **{key: value}))


def test_other_weights_images_seeds_and_libraries_are_refused_by_name(made, tmp_path, monkeypatch):
    config = with_cache(*made)
    other = copy.deepcopy(config)
    torch.save(dict(state_dict={}), tmp_path / 'other.pth')
    other.model.teacher.checkpoint = str(tmp_path / 'other.pth')
    with pytest.raises(ConfigError, match='model.teacher.checkpoint = SHA-256 .*, but this config has SHA-256'):
        check(other)

    other = copy.deepcopy(config)
    root = tmp_path / 'renamed'
    shutil.copytree(config.train_dataloader.dataset.data_root, root)
    for folder in ('img_dir', 'ann_dir'):
        name = sorted(os.listdir(root / folder / 'train'))[0]
        os.rename(root / folder / 'train' / name, root / folder / 'train' / f'0000{name[4:]}')
    other.train_dataloader.dataset.data_root = str(root)
    with pytest.raises(ConfigError, match='train_dataloader.images = 5 images, .*, but this config has 5 images'):
        check(other)

    other = copy.deepcopy(config)
    other.train_dataloader.dataset = dict(type='ViewDataset', dataset=config.train_dataloader.dataset, view_seed=3)
    with pytest.raises(ConfigError, match='train_dataloader.dataset.view_seed = 0, but this config has 3'):
        check(other)
    other.train_dataloader.dataset.update(view_seed=0, views=3)
    with pytest.raises(ConfigError, match='holds 2 views of each image, but train_dataloader.dataset.views is 3'):
        check(other)
    other.train_dataloader.dataset.views = 1
    check(other)

    monkeypatch.setattr('numpy.__version__', '1.0')
    with pytest.raises(ConfigError, match='versions.numpy = .*, but this config has 1.0'):
        check(config)


def test_batches_that_are_augmented_later_are_refused(made):
    config = with_cache(*made)
    model = MODELS.build(config.model)
    model.data_preprocessor.batch_augments = lambda inputs, samples: (inputs, samples)
    loader = as_views(config.train_dataloader.to_dict(), 2, 0)
    with pytest.raises(ConfigError, match='data_preprocessor.batch_augments changes them'):
        check_caches(model, Runner.build_dataloader(loader, seed=0).dataset)


def test_a_teacher_whose_file_is_gone_is_not_compared_and_a_warning_says_so(made, monkeypatch):
    lines = []
    monkeypatch.setattr(cached_teacher, 'print_log', lambda text, *_: lines.append(text))
    config = with_cache(*made)
    config.model.teacher.checkpoint = 'gone.pth'
    check(config)
    assert lines == [
        'model.teacher.cache is used without a comparison with the teacher, because there is no checkpoint gone.pth'
    ]
