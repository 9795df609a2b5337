import pytest
from mmengine.config import Config
from mmseg.registry import MODELS

from mmseg_kd.recipes import TeacherChoice, distillation_config


def written(own, teacher, terms='pi'):
    folder = own / 'run' / 'config'
    folder.mkdir(parents=True, exist_ok=True)
    (folder / 'made.py').write_text(distillation_config(str(own / 'student.py'), teacher, terms, folder))
    return (folder / 'made.py').read_text(), Config.fromfile(folder / 'made.py')


def test_it_inherits_the_students_config_and_the_terms(own):
    text, config = written(own, TeacherChoice(str(own / 'teacher3.py'), str(own / 'teacher3.pth')))
    assert text.startswith("_base_ = ['../../student.py', 'mmseg_kd::_base_/terms/pi.py']\n")
    assert len(text.splitlines()) < 12
    plain = Config.fromfile(own / 'student.py')
    assert config.model.student == plain.model and config.optim_wrapper == plain.optim_wrapper
    assert config.model.terms.loss_pi.loss.type == 'PixelWiseKDLoss'
    model = MODELS.build(config.model)
    assert model.teachers[''].checkpoint == str(own / 'teacher3.pth')


@pytest.mark.parametrize('linked', ['run', 'student'])
def test_folders_may_be_links(linked, own, tmp_path):
    link, folder, student = tmp_path / 'link', tmp_path / 'run' / 'config', own / 'student.py'
    link.symlink_to(tmp_path / 'another' / 'disk')
    link.resolve().mkdir(parents=True)
    if linked == 'run':
        folder = link / 'config'
    else:
        (link / 'student.py').write_bytes(student.read_bytes())
        student = link / 'student.py'
    folder.mkdir(parents=True)
    teacher = TeacherChoice(str(own / 'teacher3.py'), str(own / 'teacher3.pth'))
    (folder / 'made.py').write_text(distillation_config(str(student), teacher, 'pi', folder))
    assert Config.fromfile(folder / 'made.py').model.student == Config.fromfile(student).model


def test_an_auxiliary_module_brings_its_optimizer(own):
    _, config = written(own, TeacherChoice(str(own / 'teacher3.py'), str(own / 'teacher3.pth')), 'skd')
    assert config.optim_wrapper.constructor == 'DistillOptimWrapperConstructor'
    assert config.optim_wrapper.critic.optimizer.type == 'Adam' and config.optim_wrapper.optimizer.type == 'SGD'


def test_a_map_of_classes_is_written_down(own):
    groups = {'ground': [0, 3], 'road': 1, 'sign': []}
    _, config = written(own, TeacherChoice(str(own / 'teacher5.py'), str(own / 'teacher5.pth'), groups))
    assert config.model.teacher.class_map == groups
    assert MODELS.build(config.model).teachers[''].known == [0, 1]


@pytest.mark.parametrize(
    'choice,classes,expected',
    [
        (
            TeacherChoice('tue-mps/ade20k_semantic_eomt_large_512'),
            ('road', 'sky'),
            dict(
                model=dict(
                    type='HFSegmentor', pretrained='tue-mps/ade20k_semantic_eomt_large_512', classes=['road', 'sky']
                )
            ),
        ),
        (
            TeacherChoice('folder', class_map={'a': ['b']}),
            ('a',),
            dict(model=dict(type='HFSegmentor', pretrained='folder'), class_map={'a': ['b']}),
        ),
        (
            TeacherChoice('mmseg::pspnet/pspnet_r101-d8_4xb2-80k_cityscapes-512x1024.py'),
            ('a',),
            dict(config='mmseg::pspnet/pspnet_r101-d8_4xb2-80k_cityscapes-512x1024.py', checkpoint='auto'),
        ),
        (
            TeacherChoice('mmseg_kd::teachers/oneformer_swinl_cityscapes.py'),
            ('a',),
            dict(config='mmseg_kd::teachers/oneformer_swinl_cityscapes.py', checkpoint=None),
        ),
        (
            TeacherChoice('mmseg::pspnet/pspnet_r101-d8_4xb2-80k_cityscapes-512x1024.py', 'https://host/t.pth'),
            ('a',),
            dict(
                config='mmseg::pspnet/pspnet_r101-d8_4xb2-80k_cityscapes-512x1024.py', checkpoint='https://host/t.pth'
            ),
        ),
    ],
    ids=['hub', 'map', 'published', 'own weights', 'address'],
)
def test_teachers_by_name(choice, classes, expected):
    assert choice.arguments(classes) == expected


def test_a_student_in_the_new_style_is_written_whole(own):
    (own / 'new_style.py').write_text(
        'from mmengine.config import read_base\n\n'
        'with read_base():\n    from .plain import *\n\n'
        'from mmengine.optim import OptimWrapper\n'
        'optim_wrapper.update(type=OptimWrapper)\n'
    )
    (own / 'plain.py').write_text(
        (own / 'student.py').read_text().replace("_base_ = 'mmseg::_base_/default_runtime.py'\n", '')
    )
    teacher = TeacherChoice(str(own / 'teacher3.py'), str(own / 'teacher3.pth'))
    (own / 'made.py').write_text(distillation_config(str(own / 'new_style.py'), teacher, 'pi', own))
    config = Config.fromfile(own / 'made.py')
    assert config.model.type == 'mmseg_kd.Distiller' and config.optim_wrapper.type == 'OptimWrapper'
    assert config.model.student == Config.fromfile(own / 'student.py').model
    MODELS.build(config.model)


def test_mistakes_are_named(own):
    student, teacher = str(own / 'student.py'), str(own / 'teacher3.py')
    for choice, terms, message in (
        (TeacherChoice(teacher), 'pi', 'teacher3.py does not name the weights of the teacher; add --checkpoint'),
        (
            TeacherChoice('folder', 'w.pth'),
            'pi',
            '--checkpoint is for a teacher with a config, but folder is a network',
        ),
        (TeacherChoice(teacher, 'w.pth'), 'semi_mt', 'the terms of semi_mt need a setup of their own'),
        (TeacherChoice(teacher, 'w.pth'), str(own / 'teacher3.py'), 'must have terms = dict'),
    ):
        with pytest.raises(ValueError, match=message):
            distillation_config(student, choice, terms, own)
    with pytest.raises(FileNotFoundError):
        distillation_config(student, TeacherChoice('none.py', 'w.pth'), 'pi', own)
    with pytest.raises(ValueError, match='teacher3.py must be the config of a training with validation, but has no'):
        distillation_config(teacher, TeacherChoice(teacher, 'w.pth'), 'pi', own)
    with pytest.raises(ValueError, match='distils already'):
        distillation_config('mmseg_kd::kd/cwd_r101_r18_voc12.py', TeacherChoice(teacher, 'w.pth'), 'pi', own)


def joined(own, folder, groups, number=3, **head):
    """The config of a student with other settings of its head, for a number of classes, with unlabeled images."""
    config = Config.fromfile(own / 'student.py')
    config.model.decode_head.update(head)
    dataset = config.train_dataloader.dataset
    dataset.metainfo = dict(classes=[str(index) for index in range(number)], palette=[[0, 0, 0]] * number)
    config.dump(folder / 'other.py')
    choice = TeacherChoice(str(own / 'teacher5.py'), str(own / 'teacher5.pth'), groups)
    images = str(own / dataset.data_root / dataset.data_prefix.img_path)
    text = distillation_config(str(folder / 'other.py'), choice, 'cwd_tuned', folder, unlabeled=images)
    (folder / 'joined.py').write_text(text)
    found = Config.fromfile(folder / 'joined.py')
    labeled, unlabeled = found.train_dataloader.dataset.datasets
    assert labeled.dataset == dataset and unlabeled.keys() == {'type', 'folder', 'pipeline'}
    return found.model, unlabeled.pipeline[1]


ALL, NOT_ALL = {'ground': [0, 3], 'road': 1, 'sign': 2}, {'ground': [0, 3], 'road': 1, 'sign': []}


@pytest.mark.parametrize(
    'groups, settings', [(ALL, {}), (None, {}), (ALL, dict(ignore_index=253)), (None, dict(number=254))]
)
def test_a_teacher_that_knows_all_classes_labels(own, tmp_path, groups, settings):
    model, step = joined(own, tmp_path, groups, **settings)
    assert model.type == 'mmseg_kd.LabelingDistiller' and step == dict(type='LoadUnknownAnnotations')
    assert 'avg_non_ignore' not in model.student.decode_head.loss_decode


@pytest.mark.parametrize(
    'groups, settings',
    [(NOT_ALL, {}), (ALL, dict(ignore_index=254)), (None, dict(number=255)), (NOT_ALL, dict(ignore_index=200))],
)
def test_otherwise_only_terms_learn_from_unlabeled_images(own, tmp_path, groups, settings):
    model, step = joined(own, tmp_path, groups, **settings)
    assert model.type == 'mmseg_kd.Distiller' and step.type == 'LoadVoidAnnotations'
    assert step.get('ignore_index', 255) == settings.get('ignore_index', 255)
    assert model.student.decode_head.loss_decode.avg_non_ignore


@pytest.mark.parametrize('groups, kind', [(ALL, 'LabelingDistiller'), (NOT_ALL, 'Distiller')])
def test_unlabeled_images_beside_a_student_in_the_new_style(own, tmp_path, groups, kind):
    Config.fromfile(own / 'student.py').dump(tmp_path / 'plain.py')
    (tmp_path / 'lazy.py').write_text(
        'from mmengine.config import read_base\nwith read_base():\n    from .plain import *\n'
    )
    choice = TeacherChoice(str(own / 'teacher5.py'), str(own / 'teacher5.pth'), groups)
    text = distillation_config(str(tmp_path / 'lazy.py'), choice, 'cwd_tuned', tmp_path, unlabeled=str(own / 'images'))
    (tmp_path / 'joined.py').write_text(text)
    config = Config.fromfile(tmp_path / 'joined.py')
    assert config.model.type == f'mmseg_kd.{kind}' and len(config.train_dataloader.dataset.datasets) == 2
    assert config.model.student.decode_head.loss_decode.get('avg_non_ignore', False) == (kind == 'Distiller')
