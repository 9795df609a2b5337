"""Checks of class maps of teachers."""

from collections.abc import Sequence
from typing import Any

from .problems import Problems


def check_class_maps(teachers: dict[str, Any], classes: Sequence[str]) -> Problems:
    """Check that the keys of every ``class_map`` are the classes of the data, in their order.

    Args:
        teachers: The teachers of a distiller by name.
        classes: The names of the classes of the training data; may be empty.

    Returns:
        Problems: A refusal for every teacher whose map has other classes.

    Example:
        >>> from mmseg_kd.distillers import FrozenTeacher
        >>> teacher = FrozenTeacher(config='teacher.py', class_map=dict(road=[0], sky=[1]))
        >>> check_class_maps({'': teacher}, ['sky', 'road']).refusals[0][:60]
        "model.teacher.class_map has class 0 'road', but the data hav"
    """
    problems = Problems()
    for name, teacher in teachers.items():
        for member in getattr(teacher, 'members', [teacher]):
            names = [str(key) for key in getattr(member, 'class_groups', None) or ()]
            if not names or not classes or names == [str(index) for index in range(len(classes))]:
                continue
            key = f'model.teacher.{name}'.rstrip('.').replace('.[', '[') + '.class_map'
            if len(names) != len(classes):
                problems.refuse(
                    f'{key} has {len(names)} classes, but the data have {len(classes)} ({", ".join(classes)}); give a '
                    'key for each, and an empty list for a class that the teacher does not know'
                )
            elif names != list(classes):
                index = next(i for i, (own, theirs) in enumerate(zip(names, classes)) if own != theirs)
                problems.refuse(
                    f'{key} has class {index} {names[index]!r}, but the data have {classes[index]!r}; give the keys in '
                    'the order of the labels'
                )
    return problems
