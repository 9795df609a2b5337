import copy
import hashlib
import pickle
import re

import pytest
import torch
from branches import Halves
from cached_distillation import TERMS, batch_of, cache, paired, with_cache, write_config
from mmengine.dataset import pseudo_collate
from mmengine.runner import Runner
from mmseg.registry import MODELS

from mmseg_kd.distillers import CachedTeacher, PathError
from mmseg_kd.distillers.cached_teacher import PartlyCachedTeacher, teacher_facts
from mmseg_kd.distillers.teacher import build_teachers, live_teachers
from mmseg_kd.engine.views import as_views
from mmseg_kd.io.errors import ConfigError


@pytest.fixture(scope='module')
def made(tmp_path_factory):
    """A config, and caches of its teacher by encoding."""
    folder = tmp_path_factory.mktemp('cached_teacher')
    config = write_config(folder)
    caches = dict(
        float16=cache(config, folder / 'float16'),
        coarse=cache(config, folder / 'coarse', logits='top8', features='int8'),
    )
    return config, caches


def losses(config, batch, like=None):
    """Losses of a distiller by name, with the weights of another one."""
    torch.manual_seed(0)
    model = MODELS.build(config.model).eval()
    if like is not None:
        model.load_state_dict(like.state_dict())
    data = model.data_preprocessor(copy.deepcopy(batch), True)
    return model, {name: value.item() for name, value in model.loss(**data).items() if 'loss' in name}


def test_the_cache_answers_as_the_teacher_does(made):
    config, caches = made
    batch = batch_of(config, views=2)
    live, expected = losses(config, batch)
    cached, found = losses(with_cache(config, caches['float16']), batch, live)
    assert expected.keys() == found.keys() >= TERMS.keys()
    assert found == pytest.approx(expected, rel=2e-3)
    _, coarse = losses(with_cache(config, caches['coarse']), batch, live)
    assert coarse['loss_pi'] == pytest.approx(expected['loss_pi'], rel=0.03)
    assert coarse['loss_hint'] == pytest.approx(expected['loss_hint'], rel=0.01)
    assert all(coarse[name] != found[name] for name in TERMS)
    assert isinstance(cached.teachers[''], CachedTeacher) and not cached.teachers[''].members
    alone = copy.deepcopy(config)
    alone.model.teacher = dict(cache=str(caches['float16']))
    assert losses(alone, batch, live)[1] == found


def test_a_path_that_is_not_stored_is_refused_with_those_that_are(made):
    config, caches = made
    config = with_cache(config, caches['float16'])
    config.model.terms.loss_hint.teacher = 'backbone[1]'
    with pytest.raises(PathError, match=r"holds 'backbone\[2\]', 'logits', but \"backbone\[1\]\" is read"):
        MODELS.build(config.model)


def test_images_without_numbers_and_of_another_size_are_refused(made):
    config, caches = made
    batch = batch_of(config, views=2)
    model, _ = losses(with_cache(config, caches['float16']), batch)
    teacher = model.teachers['']
    inputs, samples = torch.zeros(2, 3, 16, 16), batch['data_samples']
    with pytest.raises(ConfigError, match='images of 16x16 pixels, but the student gets 16x24'):
        teacher.read(torch.zeros(2, 3, 16, 24), ['logits'], None, samples)
    for wrong in (None, samples[:1], [type(sample)() for sample in samples]):
        with pytest.raises(ConfigError, match='model.teacher.cache needs images with numbers'):
            teacher.read(inputs, ['logits'], None, wrong)
    assert pickle.loads(pickle.dumps(teacher)).read(inputs, ['logits'], None, samples)['logits'].shape == (2, 11, 2, 2)
    assert copy.deepcopy(teacher) is teacher


def test_a_student_is_tested_without_the_cache_but_not_trained(made, tmp_path):
    config, _ = made
    model = MODELS.build(with_cache(config, tmp_path / 'nowhere').model).eval()
    assert model.predict(torch.zeros(1, 3, 16, 16))[0].pred_sem_seg.shape == (16, 16)
    batch = model.data_preprocessor(batch_of(config, views=2), True)
    with pytest.raises(FileNotFoundError, match='model.teacher.cache: .*nowhere must hold a teacher cache'):
        model.loss(**batch)


@pytest.mark.parametrize('ensemble', [True, False])
def test_ensembles_and_teachers_by_name_are_cached_as_the_terms_read_them(made, tmp_path, ensemble):
    config, _ = made
    config = copy.deepcopy(config)
    one = config.model.teacher.to_dict()
    config.model.teacher = [one, dict(one, scale=2.0)] if ensemble else dict(deep=one, wide=dict(one, scale=2.0))
    path = 'logits' if ensemble else 'wide.logits'
    config.model.terms = dict(loss_pi=dict(TERMS['loss_pi'], teacher=path))
    batch = batch_of(config, views=1)
    live, expected = losses(config, batch)
    folder = str(cache(config, tmp_path / 'cache', views=1))
    config.model.teacher = dict(cache=folder)
    assert losses(config, batch, live)[1] == pytest.approx(expected, rel=2e-3)
    if ensemble:
        config.model.teacher = [dict(one, cache=folder), dict(one, scale=2.0, cache=folder)]
    else:
        config.model.teacher = dict(deep=one, wide=dict(one, scale=2.0, cache=folder))
    cached, found = losses(config, batch, live)
    assert found == pytest.approx(expected, rel=2e-3)
    own = cached.teachers['' if ensemble else 'wide']
    assert isinstance(own, CachedTeacher) and not own.members
    own.check_settings(facts := {})
    own.live = [dict(one), dict(one, scale=3.0)] if ensemble else dict(one, scale=3.0)
    with pytest.raises(ConfigError, match=r'model.teacher(\[1\]|.wide).scale = 2.0, but this config has 3.0'):
        own.check_settings(facts)


def test_a_cache_stands_for_all_that_is_beside_it(made):
    config, caches = made
    beside = with_cache(config, caches['float16']).model.teacher
    assert live_teachers(beside) == config.model.teacher
    with pytest.raises(ConfigError, match='model.teacher has a cache of stored outputs alone'):
        live_teachers(dict(cache='cache'))
    with pytest.raises(
        ConfigError, match='an ensemble has one cache, of its mean, but the members have /.*float16 and None; write'
    ):
        build_teachers([beside, config.model.teacher])
    with pytest.raises(ConfigError, match='model.teacher.*scael'):
        build_teachers(dict(beside, scael=2.0))


def pairs(config, views=None, numbers=(0, 5)):
    """A batch of pairs of labeled and unlabeled images."""
    loader = as_views(copy.deepcopy(config.train_dataloader.to_dict()), views, 0)
    return pseudo_collate([Runner.build_dataloader(loader, seed=0).dataset[n] for n in numbers])


@pytest.mark.parametrize('shared', [True, False], ids=['one cache', 'a cache of one teacher'])
def test_stored_outputs_of_two_images_are_mixed_and_the_network_answers_for_their_mixture(made, tmp_path, shared):
    config = paired(made[0])
    config.model.mix = dict(type=Halves.__name__)
    batch = pairs(config, views=2)
    live, expected = losses(config, batch)
    assert expected.keys() > {'loss_pi', 'loss_deep', 'loss_wide', 'loss_hint', 'loss_mixed'}
    folder = str(cache(config, tmp_path / 'cache'))
    (config.model.teacher if shared else config.model.teacher.wide)['cache'] = folder
    cached, found = losses(config, batch, live)
    assert found == pytest.approx(expected, rel=2e-3)
    wide, deep = cached.teachers['wide'], cached.teachers['deep']
    assert isinstance(wide, PartlyCachedTeacher) and len(wide.members) == 1
    assert not shared or isinstance(deep, CachedTeacher) and not deep.members and deep.store is wide.store
    # The network runs on the mixture alone; the other reads are those of the cache.
    ran = []
    read = wide.network.read
    wide.network.read = lambda inputs, *args: ran.append(len(inputs)) or read(inputs, *args)
    losses(config, batch, live)
    cached.loss(**cached.data_preprocessor(copy.deepcopy(batch), True))
    assert ran == [2]


def test_without_mixing_all_unlabeled_images_are_stored(made, tmp_path):
    config = paired(made[0])
    del config.model['mix']
    config.model.unlabeled_terms = dict(loss_unlabeled=dict(TERMS['loss_cwd'], teacher='wide.logits'))
    dataset = config.train_dataloader.dataset
    dataset.unlabeled_pipelines = dataset.unlabeled_pipelines[:1]
    batch = pairs(config, views=3, numbers=(7, 9))
    live, expected = losses(config, batch)
    folder = cache(config, tmp_path / 'cache', views=3)
    config.model.teacher = dict(cache=str(folder))
    cached, found = losses(config, batch, live)
    assert found == pytest.approx(expected, rel=2e-3)
    assert cached.teachers[''].store.index['images'] == 3 + 2 and not cached.teachers[''].members


def test_what_no_cache_holds_of_mixtures_is_refused(made, tmp_path):
    config = paired(made[0])
    folder = str(cache(config, tmp_path / 'cache', views=1))
    told = (
        r'model.unlabeled_terms.loss_mixed.teacher: "wide.backbone\[3\]" is read on mixtures of two images, which no '
    )
    model = copy.deepcopy(config.model)
    model.teacher.wide = dict(cache=folder)
    with pytest.raises(
        ConfigError, match=told + r'cache holds; write "wide.unmixed.backbone\[3\]" to mix .* or give co'
    ):
        MODELS.build(model)
    model = copy.deepcopy(config.model)
    model.teacher.wide.cache = folder
    del model.unlabeled_terms['loss_wide'], model.unlabeled_terms['loss_hint']
    with pytest.raises(ConfigError, match=told + 'cache holds; no other path of model.teacher.wide is read, so remove'):
        MODELS.build(model)
    model = copy.deepcopy(config.model)
    model.teacher.cache = folder
    model.unlabeled_terms.loss_hint.teacher = 'wide.unmixed.backbone[1]'
    with pytest.raises(
        PathError, match=r'^model.teacher.cache: .* holds .*, but "wide.backbone\[1\]" is read; make the'
    ):
        MODELS.build(model)


def test_a_cache_of_other_settings_is_refused_with_their_key(made):
    config, caches = made
    cached = MODELS.build(with_cache(config, caches['float16']).model).teachers['']
    facts = {key: value for key, value in cached.store.index['fingerprint'].items() if not key.startswith(cached.key)}
    cached.check_settings(facts)
    changed = next(iter(facts))
    with pytest.raises(ConfigError, match=f'model.teacher.cache: .*{re.escape(changed)}.*restore that setting'):
        cached.check_settings({**facts, changed: 'another'})
    cached.live = dict(cached.live, scale=2.0)
    with pytest.raises(ConfigError, match='model.teacher.scale'):
        cached.check_settings(facts)


def test_the_facts_of_a_teacher_tell_its_weights(tmp_path):
    model = dict(type='EncoderDecoder')
    (tmp_path / 'a.pth').write_bytes(b'weights')
    told = 'SHA-256 ' + hashlib.sha256(b'weights').hexdigest()
    address = 'https://example.org/a.pth'
    found = teacher_facts([dict(model=model, checkpoint=str(tmp_path / 'a.pth')), dict(model=model)], 'model.teacher')
    assert found == {
        'model.teacher[0].model.type': 'EncoderDecoder',
        'model.teacher[0].checkpoint': told,
        'model.teacher[1].model.type': 'EncoderDecoder',
    }
    assert teacher_facts(dict(model=model, checkpoint=address), 'x')['x.checkpoint'] == address
    assert teacher_facts(dict(deep=dict(model=model, pixels='original')), 'x')['x.deep.pixels'] == 'original'
    with pytest.raises(FileNotFoundError, match='there is no checkpoint nowhere.pth'):
        teacher_facts(dict(model=model, checkpoint='nowhere.pth'), 'x')
