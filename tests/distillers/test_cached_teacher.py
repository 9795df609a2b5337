import copy
import hashlib
import pickle
import re

import pytest
import torch
from cached_distillation import TERMS, batch_of, cache, with_cache, write_config
from mmseg.registry import MODELS

from mmseg_kd.distillers import CachedTeacher, Distiller, PathError, SemiSupervisedDistiller
from mmseg_kd.distillers.cached_teacher import teacher_facts
from mmseg_kd.distillers.teacher import build_teachers, live_teachers
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
    if not ensemble:
        config.model.teacher = dict(deep=one, wide=dict(one, scale=2.0, cache=folder))
        assert losses(config, batch, live)[1] == pytest.approx(expected, rel=2e-3)


def test_a_cache_stands_for_all_that_is_beside_it(made):
    config, caches = made
    beside = with_cache(config, caches['float16']).model.teacher
    assert live_teachers(beside) == config.model.teacher
    with pytest.raises(ConfigError, match='model.teacher has a cache of stored outputs alone'):
        live_teachers(dict(cache='cache'))
    with pytest.raises(ConfigError, match='an ensemble has one cache'):
        build_teachers([beside])
    with pytest.raises(ConfigError, match='model.teacher.*scael'):
        build_teachers(dict(beside, scael=2.0))


def test_mixed_and_paired_images_need_the_teacher_itself(made):
    config, caches = made
    model = with_cache(config, caches['float16']).model
    with pytest.raises(ConfigError, match='model.teacher.cache holds views of labeled images, but a SemiSupervised'):
        SemiSupervisedDistiller(model.student, model.teacher, model.terms)
    assert isinstance(MODELS.build(model), Distiller)


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
