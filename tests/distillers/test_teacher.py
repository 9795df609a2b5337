import copy
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.structures import PixelData
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample

from mmseg_kd.distillers import (
    CheckpointError,
    Distiller,
    EnsembleTeacher,
    FrozenTeacher,
    PathError,
    SemiSupervisedDistiller,
)
from mmseg_kd.distillers.teacher import at_scale, build_teachers, live_teachers
from mmseg_kd.io.configs import config_file, model_config, published_weights
from mmseg_kd.io.errors import ConfigError
from mmseg_kd.testing.toys import toy_batch, toy_segmentor

IMAGES = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def saved(tmp_path):
    """A trained network and its checkpoint."""
    network = MODELS.build(toy_segmentor(8)).eval()
    torch.save(dict(state_dict=network.state_dict()), tmp_path / 'teacher.pth')
    return network, str(tmp_path / 'teacher.pth')


def logits(network, images=IMAGES):
    with torch.no_grad():
        return network(images, mode='tensor')


def test_answers_as_its_checkpoint_does(saved):
    network, path = saved
    teacher = FrozenTeacher(model=toy_segmentor(8), checkpoint=path)
    assert torch.equal(teacher.read(IMAGES, ['logits'])['logits'], logits(network))


def test_a_config_file_with_a_model_or_with_a_distiller_names_the_segmentor(saved, tmp_path):
    network, path = saved
    plain, distilled = tmp_path / 'plain.py', tmp_path / 'distilled.py'
    plain.write_text(f'model = {toy_segmentor(8).to_dict()!r}')
    distilled.write_text(
        f'model = dict(type="Distiller", student={toy_segmentor(8).to_dict()!r}, teacher=dict(), terms=dict())'
    )
    for config in (plain, distilled):
        teacher = FrozenTeacher(config=str(config), checkpoint=path)
        assert torch.equal(teacher.read(IMAGES, ['logits'])['logits'], logits(network))


def test_sees_the_images_in_its_own_normalization(saved):
    network, path = saved
    own = dict(mean=[100.0, 90.0, 80.0], std=[60.0, 50.0, 40.0], bgr_to_rgb=False)
    teacher = FrozenTeacher(model=toy_segmentor(8, **own), checkpoint=path)
    batch = toy_batch()
    student = MODELS.build(toy_segmentor(4)).data_preprocessor
    expected = MODELS.build(toy_segmentor(8, **own)).data_preprocessor(toy_batch(), True)['inputs']
    read = teacher.read(student(batch, True)['inputs'], ['inputs', 'logits'], student)
    assert torch.allclose(read['inputs'], expected, atol=1e-4)
    assert torch.allclose(read['logits'], logits(network, expected), atol=1e-4)


def samples_of(parts, scale):
    return [SegDataSample(original=PixelData(metainfo=dict(scale=scale), data=part)) for part in parts]


def test_original_pixels_take_the_place_of_the_image_in_its_own_normalization(saved):
    network, path = saved
    own = dict(mean=[100.0, 90.0, 80.0], std=[60.0, 50.0, 40.0], size=64)
    teacher = FrozenTeacher(model=toy_segmentor(8, **own), checkpoint=path, pixels='original')
    student = MODELS.build(toy_segmentor(4)).data_preprocessor
    batch = toy_batch(num=2, size=64)
    expected = MODELS.build(toy_segmentor(8, **own)).data_preprocessor(toy_batch(num=2, size=64), True)['inputs']
    read = teacher.read(IMAGES, ['inputs', 'logits'], student, samples_of(batch['inputs'], 2.0))
    assert torch.allclose(read['inputs'], expected, atol=1e-5)
    assert torch.allclose(read['logits'], logits(network, expected), atol=1e-4)
    one = teacher.read(IMAGES[:1], ['inputs'], student, samples_of(batch['inputs'][:1], 2.0))
    assert torch.equal(one['inputs'], read['inputs'][:1])
    # An image that was padded on the right and below: its original is padded alike, with the mean color.
    small = teacher.read(IMAGES, ['inputs'], student, samples_of([part[:, :40, :56] for part in batch['inputs']], 2.0))
    assert torch.equal(small['inputs'][..., :40, :56], read['inputs'][..., :40, :56])
    assert not small['inputs'][..., 40:, :].any() and not small['inputs'][..., 56:].any()
    with pytest.raises(ValueError, match='the data samples have no original pixels: they come with train_dataloader'):
        teacher.read(IMAGES, ['logits'], student, [SegDataSample()])
    with pytest.raises(ValueError, match='must show parts of its images, 32x32 at most, but have the sizes .*64, 64'):
        teacher.read(IMAGES, ['logits'], student, samples_of(batch['inputs'], 1.0))


def test_original_pixels_have_one_size_and_no_mixed_images():
    network, term = toy_segmentor(4), dict(student='logits', teacher='logits', loss=dict(type='PixelWiseKDLoss'))
    original = dict(model=network, pixels='original')
    with pytest.raises(
        ConfigError, match=r'must have one scale, but model.teacher\[0\].scale is 1 and .*\[1\].scale is 2'
    ):
        build_teachers([original, dict(original, scale=2.0)])
    with pytest.raises(ConfigError, match='model.teacher.pixels must be one of student, original, but is .file.'):
        build_teachers(dict(original, pixels='file'))
    with pytest.raises(ConfigError, match="must not be 'original' in a SemiSupervisedDistiller"):
        SemiSupervisedDistiller(network, original, terms=dict(loss_pi=term))
    mixed = dict(network, data_preprocessor=dict(network.data_preprocessor, batch_augments=[len]))
    with pytest.raises(ConfigError, match="must not be 'original' with batch_augments"):
        Distiller(mixed, original, terms=dict(loss_pi=term))


def without_preprocessor(model):
    return {key: value for key, value in model.to_dict().items() if key != 'data_preprocessor'}


@pytest.mark.parametrize('nested', [False, True], ids=['top level', 'of a distiller'])
def test_a_config_file_gives_its_preprocessor_to_a_segmentor_that_has_none(saved, tmp_path, nested):
    network, path = saved
    model, own = toy_segmentor(8).to_dict(), toy_segmentor(8).data_preprocessor.to_dict()
    del model['data_preprocessor']
    if nested:
        model = dict(type='Distiller', student=model, teacher=dict(), terms=dict(), data_preprocessor=own)
    (tmp_path / 'teacher.py').write_text(f'model = {model!r}\n' + ('' if nested else f'data_preprocessor = {own!r}\n'))
    teacher = FrozenTeacher(config=str(tmp_path / 'teacher.py'), checkpoint=path)
    student = MODELS.build(toy_segmentor(4, mean=[0, 0, 0], std=[255, 255, 255])).data_preprocessor
    expected = network.data_preprocessor(toy_batch(), True)['inputs']
    read = teacher.read(student(toy_batch(), True)['inputs'], ['inputs', 'logits'], student)
    assert torch.allclose(read['inputs'], expected, atol=1e-4)
    assert torch.allclose(read['logits'], logits(network, expected), atol=1e-4)


def test_an_inline_teacher_without_preprocessor_takes_that_at_the_top_level_of_the_distiller():
    bare = without_preprocessor(toy_segmentor(8))
    outer = toy_segmentor(8, mean=[1, 2, 3]).data_preprocessor
    terms = dict(loss_pi=dict(student='logits', teacher='logits', loss=dict(type='PixelWiseKDLoss')))
    model = MODELS.build(
        dict(
            type='Distiller', student=toy_segmentor(4), teacher=[dict(model=bare)], terms=terms, data_preprocessor=outer
        )
    )
    assert model.teachers[''].members[0].module.data_preprocessor.mean.flatten().tolist() == [1, 2, 3]
    assert model.data_preprocessor.mean.flatten().tolist() == pytest.approx([123.675, 116.28, 103.53])


def test_a_network_that_comes_with_its_weights_keeps_its_own_preprocessor(monkeypatch):
    monkeypatch.setattr(MODELS.get('EncoderDecoder'), 'comes_with_weights', True, raising=False)
    teacher = FrozenTeacher(
        model=without_preprocessor(toy_segmentor(8)), data_preprocessor=toy_segmentor(8).data_preprocessor
    )
    assert 'data_preprocessor' not in teacher.model_config


@pytest.mark.parametrize('comes_with_weights', [False, True])
def test_random_weights_are_warned_of(comes_with_weights, monkeypatch):
    said = []
    monkeypatch.setattr('mmseg_kd.distillers.teacher.print_log', lambda text, *args: said.append(text))
    monkeypatch.setattr(MODELS.get('EncoderDecoder'), 'comes_with_weights', comes_with_weights, raising=False)
    FrozenTeacher(model=toy_segmentor(8)).module
    assert any('has random weights' in text for text in said) != comes_with_weights


def test_teachers_without_their_caches():
    deep, wide = dict(config='deep.py', checkpoint='deep.pth'), dict(model=dict(type='EncoderDecoder'))
    assert live_teachers(dict(deep, cache='a')) == deep
    assert live_teachers(dict(deep=dict(deep, cache='a'), wide=wide, cache='b')) == dict(deep=deep, wide=wide)
    assert live_teachers([deep, dict(wide, cache='a')]) == [deep, wide]


@pytest.mark.parametrize(
    'preprocessor, warned',
    [
        (None, True),
        (dict(type='SegDataPreProcessor', size=(32, 32)), True),
        (toy_segmentor(8).data_preprocessor, False),
    ],
)
def test_a_teacher_that_sees_raw_images_is_warned_of(preprocessor, warned, monkeypatch):
    said = []
    monkeypatch.setattr('mmseg_kd.distillers.teacher.print_log', lambda text, *args: said.append(text))
    FrozenTeacher(model=dict(without_preprocessor(toy_segmentor(8)), data_preprocessor=preprocessor)).module
    assert any('has no mean and std, so the teacher' in text for text in said) == warned


def test_a_config_without_a_model_is_one_line(tmp_path):
    (tmp_path / 'a.py').write_text('backbone = 1')
    with pytest.raises(ValueError, match='a.py has no model; add one, or use another config'):
        FrozenTeacher(config=str(tmp_path / 'a.py')).module


def test_given_names_of_classes_count_more_than_those_of_the_data(tmp_path):
    config = tmp_path / 'teacher.py'
    text = f'model = {toy_segmentor(8).to_dict()!r}\ntest_dataloader = dict(dataset=dict(type="CamVidDataset"))\n'
    config.write_text(text)
    groups = {'all': ['a', 'b'], 'rest': ['c', 'd']}
    teacher = FrozenTeacher(config=str(config), class_map=groups, classes=['a', 'b', 'c', 'd'])
    assert teacher.read(IMAGES, ['logits'])['logits'].shape[1] == 2
    assert not any(parameter.requires_grad for parameter in teacher.module.parameters())


def test_scale_enlarges_the_images():
    read = FrozenTeacher(model=toy_segmentor(8), scale=1.5).read(IMAGES, ['inputs', 'logits'])
    assert read['inputs'].shape[-2:] == (48, 48) and read['logits'].shape[-2:] == (6, 6)
    ramp = torch.arange(4.0).expand(1, 1, 4, 4)
    assert at_scale(ramp, 2.0)[0, 0, 0].tolist() == [0, 0.25, 0.75, 1.25, 1.75, 2.25, 2.75, 3]  # corners not aligned
    # As the dry run does, to the nearest: 32 * 1.33 = 42.56.
    assert FrozenTeacher(model=toy_segmentor(8), scale=1.33).read(IMAGES, ['inputs'])['inputs'].shape[-2:] == (43, 43)


def test_another_precision_and_memory_format_answer_nearly_alike(saved):
    network, path = saved
    teacher = FrozenTeacher(model=toy_segmentor(8), checkpoint=path, dtype='bfloat16', memory_format='channels_last')
    read = teacher.read(IMAGES, ['logits'])['logits']
    assert read.dtype == torch.bfloat16
    assert teacher.module.backbone.layer1[0].conv1.weight.is_contiguous(memory_format=torch.channels_last)
    assert teacher.module.backbone.layer1[0].conv1.weight.dtype == torch.float32
    assert torch.allclose(read.float(), logits(network), atol=0.05)


SMALL = dict(toy_segmentor(4), auxiliary_head=None)
HEAD = dict(type='FCNHead', in_index=-1, channels=8, num_convs=1, num_classes=4, norm_cfg=dict(type='BN'))
MAKES_TENSORS_OF_ITS_OWN = {
    # The first four take float32 positions, noise, bases or biases to what the network computes.
    'Twins-SVT': dict(
        SMALL,
        backbone=dict(
            type='SVT',
            embed_dims=[8, 8],
            num_heads=[1, 1],
            mlp_ratios=[1, 1],
            depths=[1, 1],
            strides=[4, 2],
            sr_ratios=[2, 1],
            windiow_sizes=[2, 2],
            out_indices=(0, 1),
            norm_after_stage=True,
        ),
        decode_head=dict(HEAD, in_channels=8),
    ),
    'SegNeXt': dict(
        SMALL,
        backbone=dict(
            type='MSCAN', embed_dims=[8, 8, 8, 8], mlp_ratios=[1] * 4, depths=[1] * 4, norm_cfg=dict(type='BN')
        ),
        decode_head=dict(
            type='LightHamHead',
            in_channels=[8, 8, 8],
            in_index=[1, 2, 3],
            channels=32,
            ham_channels=64,
            num_classes=4,
            norm_cfg=dict(type='GN', num_groups=4),
            ham_kwargs=dict(MD_S=1, MD_R=16, train_steps=6, eval_steps=6),
        ),
    ),
    'BEiT': dict(
        SMALL,
        backbone=dict(
            type='BEiT',
            img_size=(32, 32),
            patch_size=8,
            embed_dims=8,
            num_layers=1,
            num_heads=2,
            mlp_ratio=1,
            out_indices=(0,),
            qv_bias=True,
        ),
        decode_head=dict(HEAD, in_channels=8),
    ),
    'Swin': dict(
        SMALL,
        backbone=dict(
            type='SwinTransformer',
            embed_dims=8,
            depths=(2, 2),
            num_heads=(1, 2),
            strides=(4, 2),
            window_size=2,
            out_indices=(0, 1),
        ),
        decode_head=dict(HEAD, in_channels=16),
    ),
}


@pytest.mark.parametrize('name', MAKES_TENSORS_OF_ITS_OWN)
@pytest.mark.parametrize('dtype', ['bfloat16', 'float16'])
def test_networks_that_make_tensors_of_their_own_run_in_half_precision(name, dtype):
    model = MAKES_TENSORS_OF_ITS_OWN[name]
    exact, half = FrozenTeacher(model=model), FrozenTeacher(model=model, dtype=dtype)
    half.module.load_state_dict(exact.module.state_dict())
    answers = []
    for teacher in (exact, half):
        torch.manual_seed(0)  # SegNeXt's decomposition begins with random bases
        answers.append(teacher.read(IMAGES, ['logits'])['logits'])
    expected, got = answers
    assert expected.dtype == torch.float32 and expected.std() > 0
    assert (got.float() - expected).abs().mean() < 0.03 * expected.std()


def test_float32_is_kept_where_training_runs_under_autocast():
    for dtype, expected in (('float32', torch.float32), (None, torch.bfloat16), ('float16', torch.float16)):
        with torch.autocast('cpu', dtype=torch.bfloat16):
            assert (
                FrozenTeacher(model=toy_segmentor(4), dtype=dtype).read(IMAGES, ['logits'])['logits'].dtype == expected
            )


def test_an_ensemble_answers_with_the_mean_probability():
    members = [FrozenTeacher(model=toy_segmentor(width)) for width in (4, 8)]
    read = EnsembleTeacher(members).read(IMAGES, ['logits'])['logits']
    votes = [logits(m.module).double().numpy() for m in members]
    votes = [np.exp(v) / np.exp(v).sum(1, keepdims=True) for v in votes]
    assert np.allclose(np.exp(read.double().numpy()), np.mean(votes, axis=0), rtol=1e-5)


def test_an_ensemble_has_no_features():
    with pytest.raises(PathError, match='an ensemble has "logits" only, but "backbone.0." is read; name'):
        build_teachers([dict(model=toy_segmentor(4))])[''].check(['backbone[0]'])


def test_several_teachers_are_read_by_name_and_an_ensemble_may_be_one():
    pi = dict(student='logits', loss=dict(type='PixelWiseKDLoss'))
    model = MODELS.build(
        dict(
            type='Distiller',
            student=toy_segmentor(4),
            teacher=dict(
                deep=dict(model=toy_segmentor(4, depth=50)),
                wide=dict(model=toy_segmentor(16)),
                both=[dict(model=toy_segmentor(4)), dict(model=toy_segmentor(8))],
            ),
            terms=dict(
                loss_deep=dict(pi, teacher='deep.logits'),
                loss_both=dict(pi, teacher='both.logits'),
                loss_wide=dict(student='backbone[3]', teacher='wide.backbone[3]', loss=dict(type='HintLoss')),
                loss_layer=dict(student='logits', teacher='deep.decode_head.conv_seg', loss=dict(type='CWDLoss')),
            ),
        )
    )
    losses = model(**model.data_preprocessor(toy_batch(), True), mode='loss')
    assert all(losses[name] > 0 for name in ('loss_deep', 'loss_wide', 'loss_both', 'loss_layer'))
    assert model.terms['loss_wide'].adapters[0].out_channels == 128
    with pytest.raises(PathError, match='must start with the name of a teacher: deep.logits, wide.logits, both.logits'):
        model._split(['logits'])


def test_copies_share_it_and_pickles_leave_the_network_out():
    teacher = FrozenTeacher(model=toy_segmentor(4))
    teacher.read(IMAGES, ['logits'])
    assert copy.deepcopy(teacher) is teacher
    assert pickle.loads(pickle.dumps(teacher))._module is None


@pytest.mark.parametrize(
    'spec, message',
    [
        (dict(type='EncoderDecoder'), r'write teacher=dict\(model=dict\(type=...\), checkpoint=...\)'),
        (dict(config='a.py', model=dict(type='EncoderDecoder')), 'either config .* or model .*but has both'),
        (
            dict(config='a.py', weights='b.pth'),
            'model.teacher.weights: FrozenTeacher has no argument weights; it takes config, model',
        ),
        (
            dict(config='a.py', dtype='float7'),
            "model.teacher.dtype must be one of bfloat16, float16, float32, but is 'float7'",
        ),
        (dict(config='a.py', memory_format='preserve_format'), 'must be one of contiguous_format, channels_last'),
        (dict(config='a.py', scale=0), 'model.teacher.scale must be > 0'),
        (dict(checkpoint='a.pth'), "needs config, model or cache, or teachers by name, but has checkpoint='a.pth'"),
        ([], 'model.teacher is an empty list'),
        ('a.py', 'must be a dict such as'),
    ],
)
def test_a_wrong_specification_is_one_line(spec, message):
    with pytest.raises(ValueError, match=message) as error:
        build_teachers(spec)
    assert '\n' not in str(error.value)


def test_configs_and_weights_of_libraries_are_found_by_name():
    name = 'mmseg::pspnet/pspnet_r101-d8_4xb2-80k_cityscapes-512x1024.py'
    assert model_config(name).backbone.depth == 101
    assert Path(published_weights(name)).name.startswith('pspnet_r101-d8_512x1024_80k_cityscapes')
    with pytest.raises(FileNotFoundError, match='no such config: mmseg::pspnet/nothing.py'):
        config_file('mmseg::pspnet/nothing.py')
    with pytest.raises(FileNotFoundError, match='which is not installed; install it'):
        config_file('no_such_package::a.py')


@pytest.mark.parametrize(
    'config, message',
    [
        ('a.py', "needs a library's config"),
        ('mmseg::_base_/models/pspnet_r50-d8.py', 'no metafile of mmseg names weights'),
    ],
)
def test_auto_without_published_weights_says_so(config, message):
    with pytest.raises(ValueError, match=message):
        published_weights(config)


def test_auto_names_its_key():
    with pytest.raises(CheckpointError, match='model.teacher.checkpoint: checkpoint="auto" needs a library\'s config'):
        FrozenTeacher(model=toy_segmentor(4), checkpoint='auto').module


def test_the_distiller_shares_one_teacher_class():
    model = MODELS.build(
        dict(
            type='Distiller',
            student=toy_segmentor(4),
            teacher=[dict(model=toy_segmentor(4)), dict(model=toy_segmentor(8))],
            terms=dict(loss_pi=dict(student='logits', teacher='logits', loss=dict(type='PixelWiseKDLoss'))),
        )
    )
    assert isinstance(model, Distiller) and [len(t.members) for t in model.teachers.values()] == [2]
