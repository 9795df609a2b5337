import copy
import shutil
from pathlib import Path

import pytest
import torch
from cached_distillation import TERMS, cache, files, paired, with_cache, write_config
from mmengine.config import Config
from mmseg.registry import DATASETS, MODELS

from mmseg_kd.cache import TeacherCache
from mmseg_kd.engine import teacher_cache as module
from mmseg_kd.engine.checks import precision_checks
from mmseg_kd.engine.teacher_cache import Request, cache_obstacle, make_cache
from mmseg_kd.io.errors import ConfigError
from mmseg_kd.recipes import with_unlabeled
from mmseg_kd.testing.toys import toy_runner


@pytest.fixture(scope='module')
def config(tmp_path_factory):
    return write_config(tmp_path_factory.mktemp('teacher_cache'))


class Killed(Exception):
    pass


def test_killed_and_resumed_caches_and_those_of_several_processes_are_equal_byte_by_byte(config, tmp_path):
    small = dict(shard_bytes=700)
    whole = cache(config, tmp_path / 'whole', **small)
    assert len(list(whole.rglob('*.safetensors'))) == 6

    def kill(done, total):
        if done >= 5:
            raise Killed

    with pytest.raises(Killed):
        make_cache(config, Request(str(tmp_path / 'killed'), 2, **small), lambda text: None, kill)
    assert 0 < len(list((tmp_path / 'killed').rglob('*.safetensors'))) < 6
    assert files(cache(config, tmp_path / 'killed', **small)) == files(whole)

    # Two tasks of an array are not connected.
    parts = [Request(str(tmp_path / 'parts'), 2, part=part, parts=2, **small) for part in (1, 0)]
    assert [make_cache(config, part, lambda text: None) for part in parts] == [3, 0]
    assert files(tmp_path / 'parts') == files(whole)


def test_size_and_time_are_told_before_and_a_full_disk_is_refused(config, tmp_path, monkeypatch):
    told = []
    make_cache(config, Request(str(tmp_path / 'cache'), 3), told.append)
    assert told[0].startswith('5 images x 3 views: 0.00516 MB in ')
    assert told[1] == '  backbone[2]: float16 32x2x2; in other encodings: int8 0.00576 MB'
    assert told[2] == '  logits: float16 11x2x2; in other encodings: top4 0.00084 MB'
    assert told[3].startswith('15 views to make at ') and len(told) == 4
    monkeypatch.setattr(module, 'free_bytes', lambda folder: 1000)
    with pytest.raises(ConfigError, match='needs 0.00172 MB, but its disk has 0.001 MB left; lower --views'):
        make_cache(config, Request(str(tmp_path / 'full'), 1), told.append)
    # What is there needs no room.
    assert make_cache(config, Request(str(tmp_path / 'cache'), 3), told.append) == 0


def test_a_precision_that_the_cpu_emulates_is_told_while_views_are_missing(config, tmp_path, monkeypatch):
    monkeypatch.setattr(precision_checks, 'get_device', lambda: 'cpu')
    monkeypatch.setattr(precision_checks, 'relative_cpu_time', lambda dtype: 5.0)
    config.model.teacher.dtype = 'bfloat16'
    told = []
    make_cache(config, Request(str(tmp_path / 'cache'), 2), told.append)
    assert told[-1].startswith("model.teacher.dtype='bfloat16' is slower than float32 on this CPU")
    count = len(told)
    make_cache(config, Request(str(tmp_path / 'cache'), 2), told.append)
    assert not any('slower' in line for line in told[count:])


def test_logits_of_few_classes_have_one_encoding(tmp_path):
    config, told = write_config(tmp_path), []
    for network in (config.model.student, config.model.teacher.model):
        network.decode_head.num_classes = network.auxiliary_head.num_classes = 2
    config.model.terms = {'loss_pi': TERMS['loss_pi']}
    config.model.teacher.checkpoint = str(tmp_path / 'two.pth')
    torch.save(MODELS.build(config.model.teacher.model).state_dict(), tmp_path / 'two.pth')
    make_cache(config, Request(str(tmp_path / 'cache'), 2), told.append)
    assert told[1] == '  logits: float16 2x2x2'
    assert TeacherCache(str(tmp_path / 'cache')).views == 2


def test_views_that_are_all_equal_are_pointed_out(config, tmp_path):
    config, told = copy.deepcopy(config), []
    config.train_dataloader.dataset.pipeline[2:4] = [dict(type='Resize', scale=(16, 16), keep_ratio=False)]
    make_cache(config, Request(str(tmp_path / 'cache'), 2), told.append)
    assert told[-1].endswith('has no random transform; --views 1 stores all there is')


def test_parameters_of_the_teacher_are_stored_once(config, tmp_path):
    config = copy.deepcopy(config)
    weight = 'decode_head.conv_seg.weight'
    config.model.terms = dict(loss_weight=dict(TERMS['loss_hint'], student=weight, teacher=weight))
    store = TeacherCache(cache(config, tmp_path / 'cache'))
    assert store.shapes == {weight: (11, 16, 1, 1)}
    teacher = torch.load(config.model.teacher.checkpoint)
    assert torch.equal(store.read([weight], [(0, 0)], [None])[weight], teacher[weight])


def varying_sizes(config):
    config.train_dataloader.dataset.pipeline[2] = dict(type='RandomResize', scale=(24, 20), ratio_range=(0.5, 3.0))
    config.model.student.data_preprocessor.update(size=None, size_divisor=8)


def mixtures_alone(config):
    pairs = paired(config)
    config.train_dataloader = pairs.train_dataloader
    terms = dict(loss_mixed=pairs.model.unlabeled_terms.loss_mixed)
    config.model = dict(pairs.model, terms=None, unlabeled_terms=terms)


@pytest.mark.parametrize(
    'change, message',
    [
        (lambda config: config.model.pop('teacher'), 'model.teacher must name the teacher'),
        (lambda config: config.model.teacher.pop('checkpoint'), 'model.teacher.checkpoint must name the weights'),
        (
            lambda config: setattr(config.model, 'teacher', dict(cache='a')),
            'model.teacher has a cache of stored outputs',
        ),
        (mixtures_alone, 'model.unlabeled_terms must read something that can be stored, .* write "unmixed." before'),
        (
            lambda config: config.train_dataloader.update(num_batch_per_epoch=3),
            'train_dataloader.dataset is a CamVidDataset; train_dataloader needs the sampler',
        ),
        (varying_sizes, r'"(logits|backbone\[2\])" must have one shape for all images, but has'),
    ],
    ids=['no teacher', 'no weights', 'no network', 'mixtures', 'no views', 'sizes'],
)
def test_what_cannot_be_stored_is_refused(config, tmp_path, change, message):
    config = copy.deepcopy(config)
    change(config)
    with pytest.raises(ConfigError, match=message):
        make_cache(config, Request(str(tmp_path / 'cache'), 1), lambda text: None)


def train(config, folder, **settings):
    runner = toy_runner(
        config.model.to_dict(),
        folder,
        max_iters=4,
        train_dataloader=dict(config.train_dataloader.to_dict(), collate_fn=dict(type='pseudo_collate')),
        **settings,
    )
    runner.train()
    return runner


def test_a_training_shows_the_views_of_the_cache_again_and_again_whatever_its_seed(config, tmp_path):
    config = with_cache(config, cache(config, tmp_path / 'cache'))
    config.model.terms = {key: TERMS[key] for key in ('loss_pi', 'loss_hint')}
    runners = [train(config, tmp_path / str(seed), randomness=dict(seed=seed)) for seed in (0, 5)]
    for runner in runners:
        dataset = runner.train_dataloader.dataset
        assert (dataset.views, dataset.view_seed) == (2, 0)
        # Four batches of two are more than one pass over five images.
        assert torch.equal(dataset[1]['inputs'], dataset[11]['inputs'])
    first, second = (runner.train_dataloader.dataset for runner in runners)
    assert first.seed != second.seed and torch.equal(first[7]['inputs'], second[7]['inputs'])
    sample = first[17]['data_samples']  # the fourth view of image 2, of which there are two
    assert sample.view == (2, 1) and sample.pixels == second[7]['data_samples'].pixels


def test_pairs_of_images_are_trained_with_the_cache_and_mixed_anew(config, tmp_path):
    config = paired(config)
    told = []
    folder = tmp_path / 'cache'
    assert make_cache(config, Request(str(folder), 2), told.append) == 0
    assert told[0].startswith('5 images x 2 views: ')
    store = TeacherCache(folder)
    assert store.shapes.keys() == {'deep.logits', 'wide.logits', 'wide.backbone[2]'}
    facts = store.index['fingerprint']
    assert facts['train_dataloader.dataset.unlabeled_pipelines.0.1.type'] == 'LoadBlankAnnotations'
    config.model.teacher.cache = str(folder)
    runners = [train(config, tmp_path / str(seed), randomness=dict(seed=seed)) for seed in (0, 5)]
    first, second = (runner.train_dataloader.dataset for runner in runners)
    assert (first.images.views, first.images.view_seed) == (2, 0) and first.seed != second.seed
    for runner in runners:
        assert all(torch.isfinite(p).all() for p in runner.model.parameters())
    changed = copy.deepcopy(config)
    changed.train_dataloader.dataset.unlabeled_pipelines[1] = [
        *changed.train_dataloader.dataset.unlabeled_pipelines[1][:3],
        dict(type='RandomFlip', prob=0.25),
        dict(type='PackSegInputs'),
    ]
    with pytest.raises(
        ConfigError, match=r'^model.teacher.cache: .*unlabeled_pipelines.1.0.type = nothing, but .* LoadImageFr'
    ):
        train(changed, tmp_path / 'changed')
    changed = copy.deepcopy(config)
    changed.train_dataloader.dataset.partition = dict(fraction=0.6, seed=1)
    with pytest.raises(ConfigError, match='train_dataloader.images'):
        train(changed, tmp_path / 'changed')


def test_an_unlabeled_image_that_a_training_would_skip_cannot_be_stored(config, tmp_path):
    config = paired(config)
    root = tmp_path / 'camvid'
    shutil.copytree(config.train_dataloader.dataset.labeled.data_root, root)
    dataset = config.train_dataloader.dataset
    dataset.labeled.data_root = str(root)
    for pipeline in dataset.unlabeled_pipelines:
        pipeline[0] = dict(type='LoadImageFromFile', ignore_empty=True)
    built = DATASETS.build(dataset.to_dict())
    path = root / f'img_dir/train/0001TP_{built.unlabeled[1]:06d}.jpg'
    path.write_bytes(b'')
    with pytest.raises(ValueError, match=f'{path.name} was dropped by a transform of its pipeline'):
        make_cache(config, Request(str(tmp_path / 'cache'), 1), lambda text: None)


def test_networks_without_a_cache_have_none():
    assert module.cached_teachers(torch.nn.Identity()) == []


def test_unlabeled_images_of_an_absolute_folder_beside_labeled_ones_of_a_relative_one(config, tmp_path, monkeypatch):
    config = copy.deepcopy(config)
    root = Path(config.train_dataloader.dataset.data_root)
    monkeypatch.chdir(root.parent)
    more = sorted((root / 'img_dir').rglob('*.*'))[-3:]
    (tmp_path / 'more').mkdir()
    for image in more:
        shutil.copy(image, tmp_path / 'more')
    labeled = dict(config.train_dataloader.dataset.to_dict(), data_root=root.name)
    config.train_dataloader.dataset = with_unlabeled(labeled, str(tmp_path / 'more'))
    store = TeacherCache(cache(config, tmp_path / 'cache'))
    assert store.index['fingerprint']['train_dataloader.images'].startswith('8 images, names with SHA-256 ')
    assert make_cache(config, Request(str(tmp_path / 'cache'), 2), lambda text: None) == 0
    # The same images elsewhere are the same; others are not.
    (tmp_path / 'far').mkdir()
    shutil.move(tmp_path / 'more', tmp_path / 'far' / 'moved')
    config.train_dataloader.dataset = with_unlabeled(labeled, str(tmp_path / 'far' / 'moved'))
    assert make_cache(config, Request(str(tmp_path / 'cache'), 2), lambda text: None) == 0
    image = next((tmp_path / 'far' / 'moved').iterdir())
    image.rename(image.with_stem('renamed'))
    config.train_dataloader.dataset = with_unlabeled(labeled, str(tmp_path / 'far' / 'moved'))
    with pytest.raises(ConfigError, match='train_dataloader.images'):
        make_cache(config, Request(str(tmp_path / 'cache'), 2), lambda text: None)


PAIRS = dict(
    type='SemiSupervisedDistiller',
    mix=dict(type='CutMix'),
    unlabeled_terms=dict(loss_pl=dict(student='logits', teacher='logits', loss=dict(type='PseudoLabelLoss'))),
)


@pytest.mark.parametrize(
    'change, reason',
    [
        (dict(model=PAIRS), 'terms that read the teacher on mixtures of images alone'),
        (dict(model=dict(PAIRS, unlabeled_terms=dict(loss_pl=dict(teacher='unmixed.logits')))), ''),
        (dict(model=dict(PAIRS, mix=None)), ''),
        (dict(model=dict(teacher=dict(cache='mine'))), 'a cache of its own'),
        (dict(train_dataloader=dict(num_batch_per_epoch=3)), 'a sampler whose images have no numbers'),
        (dict(data_preprocessor=dict(batch_augments=[dict()])), 'data_preprocessor.batch_augments'),
        ({}, ''),
    ],
)
def test_why_a_config_cannot_read_stored_outputs(change, reason):
    loader = dict(sampler=dict(type='InfiniteSampler'), dataset=dict(type='CamVidDataset'))
    config = Config(dict(model=dict(type='Distiller', teacher=dict(config='t.py')), train_dataloader=loader))
    config.merge_from_dict(change)
    assert cache_obstacle(config) == reason
