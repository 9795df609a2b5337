import pytest
from mmengine.config import Config

from mmseg_kd.recipes.student_options import distillation_options, student_options

ALONE = Config(dict(model=dict(type='EncoderDecoder'), train_dataloader=dict(dataset=dict(type='CamVidDataset'))))
JOINED = Config(dict(train_dataloader=dict(dataset=dict(type='ConcatDataset', datasets=[]))))
DATA = 'train_dataloader.dataset.'


@pytest.mark.parametrize(
    'config, unlabeled, key, moved',
    [
        (ALONE, False, 'model.decode_head.num_classes', 'model.student.decode_head.num_classes'),
        (ALONE, False, 'model.data_preprocessor.size', 'model.student.data_preprocessor.size'),
        (ALONE, False, 'modelling.depth', 'modelling.depth'),
        (ALONE, False, f'{DATA}ann_file', f'{DATA}ann_file'),
        (ALONE, True, f'{DATA}ann_file', f'{DATA}datasets.0.dataset.ann_file'),
        (ALONE, True, 'val_dataloader.dataset.ann_file', 'val_dataloader.dataset.ann_file'),
        (ALONE, True, 'train_dataloader.batch_size', 'train_dataloader.batch_size'),
        (JOINED, True, f'{DATA}datasets.1.ann_file', f'{DATA}datasets.0.dataset.datasets.1.ann_file'),
        (Config(dict(train_dataloader=None)), True, f'{DATA}ann_file', f'{DATA}datasets.0.dataset.ann_file'),
    ],
)
def test_settings_of_the_student_are_moved_to_its_place(config, unlabeled, key, moved):
    assert distillation_options({key: 3}, config, unlabeled) == {moved: 3}
    assert student_options({key: 3}, config) == {key: 3}
    # Moved once more, they stay, as where a command runs twice in one process.
    if moved.startswith('model.'):
        assert distillation_options({moved: 3}, config, unlabeled) == {moved: 3}


@pytest.mark.parametrize(
    'key', ['model.type', 'model.teacher.dtype', 'model.terms.loss_cwd.weight', f'{DATA}datasets.1.folder']
)
def test_settings_of_the_distillation_stay_and_are_none_of_the_students(key):
    assert distillation_options({key: 3}, ALONE, unlabeled=True) == {key: 3}
    assert student_options({key: 3}, ALONE) == {}


def test_the_last_value_of_two_keys_for_one_setting_counts():
    options = {'model.backbone.depth': 18, 'model.student.backbone.depth': 34}
    assert distillation_options(options, ALONE) == {'model.student.backbone.depth': 34}
