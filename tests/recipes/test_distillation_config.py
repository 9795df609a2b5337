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
