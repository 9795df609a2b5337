"""Differences between the config of a started run and the config that it is resumed with."""

import ast
import json
from typing import Any

from ..io.configs import flatten, shown

# These settings (logs, launcher and so on) do not change the trained weights.
VOLATILE = (
    'work_dir',
    'resume',
    'load_from',
    'launcher',
    'log_level',
    'log_processor',
    'visualizer',
    'vis_backends',
    'env_cfg',
    'experiment_name',
    'model_wrapper_cfg',
)
VOLATILE_KEYS = (
    '.default_hooks.logger',
    '.default_hooks.checkpoint.max_keep_ckpts',
    '.val_dataloader.num_workers',
    '.test_dataloader',
    '.test_cfg',
    '.test_evaluator',
)
TOLD = 5  # changes in a message


def settings(config: dict) -> dict[str, Any]:
    """The settings that influence how a run continues, by dotted key with a leading dot.

    Args:
        config: Config as plain dicts and lists.
    """
    plain = {key: value for key, value in config.items() if key not in VOLATILE}
    return {
        key: value
        for key, value in flatten(json.loads(json.dumps(plain, default=str)), '').items()
        if not key.startswith(VOLATILE_KEYS)
    }


def changes(before: dict[str, Any], after: dict[str, Any]) -> dict[str, str]:
    """``old -> new`` by key, for all keys whose values differ.

    Args:
        before: Settings of the started run, as :func:`settings` returns them.
        after: Settings of the resumed run, in the same form.
    """
    return {
        key.lstrip('.'): f'{shown(before.get(key))} -> {shown(after.get(key))}'
        for key in {**before, **after}
        if before.get(key) != after.get(key)
    }


def told(changed: dict[str, str], between: str = '; ') -> str:
    """The first few changes as text.

    Args:
        changed: Changes by key, as :func:`changes` returns them.
        between: Text between two changes.
    """
    parts = [f'{key}: {change}' for key, change in changed.items()]
    return between.join(parts[:TOLD] + ([f'and {len(parts) - TOLD} more'] if len(parts) > TOLD else []))


def read_pretty_text(text: str) -> dict[str, Any]:
    """A config from its ``pretty_text``, which checkpoints store, without executing it.

    Args:
        text: Assignments of literals and calls of ``dict``.

    Raises:
        SyntaxError: If the text is not valid Python.
    """
    return {
        node.targets[0].id: _value(node.value)
        for node in ast.parse(text).body
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name)
    }


def _value(node: ast.expr) -> Any:
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == 'dict' and not node.args:
        return {keyword.arg: _value(keyword.value) for keyword in node.keywords}
    if isinstance(node, ast.Dict):
        return {_value(key): _value(value) for key, value in zip(node.keys, node.values) if key is not None}
    if isinstance(node, (ast.List, ast.Tuple)):
        return [_value(item) for item in node.elts]
    try:
        return ast.literal_eval(node)
    except ValueError:
        return ast.unparse(node)
