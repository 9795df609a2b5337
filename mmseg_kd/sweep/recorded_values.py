"""Whether the values in a sweep's database are those that the sweep may choose.

They become options of a training, and an option such as ``custom_imports`` would run code.
"""

import json
from collections.abc import Sequence
from typing import Any

from ..io.safe_pickle import UnsafeFileError
from ..io.trust import REMEDY, trusted


def check_values(study: str, values: dict[str, Any], spaces: Sequence[dict[str, Any]]) -> None:
    """Check that each value is in the search space of one of some stages; nothing if files are trusted.

    Args:
        study: Name of the study for error messages.
        values: Values by config key, as the database holds them.
        spaces: List of values, or range ``dict(low=..., high=...)``, by config key, for each stage.

    Raises:
        UnsafeFileError: If a key or a value is in none of the spaces.

    Example:
        >>> check_values('tune/kd', {'lr': 0.1}, [{'lr': dict(low=0.01, high=1.0)}])
        >>> check_values('tune/kd', {'custom_imports': 'x'}, [{'lr': [0.1, 0.2]}])
        Traceback (most recent call last):
        ...
        mmseg_kd.io.safe_pickle.UnsafeFileError: tune/kd: the database of the sweep says custom_imports='x', which ...
    """
    for key, value in {} if trusted() else values.items():
        if not any(key in space and _allowed(value, space[key]) for space in spaces):
            raise UnsafeFileError(
                f'{study}: the database of the sweep says {key}={value!r}, which no stage may choose; {REMEDY}'
            )


def check_costs(costs: dict[str, Any]) -> None:
    """Check that the costs of the candidates are numbers.

    Args:
        costs: ``iterations`` and ``step_seconds`` by candidate, as the database holds them.

    Raises:
        UnsafeFileError: If they are something else.

    Example:
        >>> check_costs(dict(kd=dict(iterations=100, step_seconds=None)))
    """
    for name, cost in costs.items():
        iterations, seconds = cost.get('iterations'), cost.get('step_seconds')
        if not isinstance(iterations, int) or not isinstance(seconds, (int, float, type(None))):
            raise UnsafeFileError(
                f'{name}: iterations and step_seconds in the database of the sweep must be numbers, but are '
                f'{iterations!r} and {seconds!r}; remove the database'
            )


def _allowed(value: Any, choice: Any) -> bool:
    if isinstance(choice, dict):
        number = isinstance(value, (int, float)) and not isinstance(value, bool)
        return number and choice['low'] <= value <= choice['high']
    return json.loads(json.dumps(value)) in json.loads(json.dumps(list(choice)))
