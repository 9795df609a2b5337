import pytest

from mmseg_kd.distillers import EnsembleTeacher, FrozenTeacher
from mmseg_kd.engine.checks import check_class_maps


def teacher(class_map):
    return FrozenTeacher(config='teacher.py', class_map=class_map)


@pytest.mark.parametrize(
    'class_map', [None, {'sky': [0], 'road': [], 'car': [1]}, {0: [0], 1: [1], 2: []}], ids=['none', 'names', 'indices']
)
def test_the_classes_of_the_data_in_their_order_are_right(class_map):
    assert not check_class_maps({'': teacher(class_map)}, ['sky', 'road', 'car']).refusals


def test_data_without_names_are_not_compared():
    assert not check_class_maps({'': teacher({'sky': [0]})}, []).refusals


def test_another_order_and_a_missing_class_are_refused_with_the_key_of_the_teacher():
    teachers = dict(
        deep=EnsembleTeacher([teacher({'sky': 0, 'car': 1, 'road': 2})]), wide=teacher({'sky': 0, 'road': 1})
    )
    first, second = check_class_maps(teachers, ['sky', 'road', 'car']).refusals
    assert first.startswith("model.teacher.deep.class_map has class 1 'car', but the data have 'road'; give the keys")
    assert second.startswith('model.teacher.wide.class_map has 2 classes, but the data have 3 (sky, road, car); give a')
