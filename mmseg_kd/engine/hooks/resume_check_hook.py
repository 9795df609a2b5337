from collections.abc import Iterator
from typing import Any

from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner
from mmseg.registry import HOOKS
from torch import nn

from ..checks import check_schedules, training_loop
from ..config_changes import changes, read_pretty_text, settings, told

NAMED = 2  # parameters in a message
RESTORED = ('optim_wrapper.', 'param_scheduler.')


@HOOKS.register_module()
class ResumeCheckHook(Hook):
    """Report changes of the config when a run is resumed, and refuse runs that cannot be resumed.

    MMEngine loads the weights that fit, and restores optimizer and schedules regardless of the config.
    ``tools/train.py`` adds this hook.

    Raises:
        ValueError: If model or optimizer have other parameters than the checkpoint, if training changed between epochs
            and iterations, or if the restored schedule has a learning rate of 0 for the remaining iterations.
    """

    # Runs before hooks that change the loaded weights.
    priority = 'VERY_HIGH'

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        if not runner._resume:
            return
        meta = checkpoint.get('meta') or {}
        if 'optimizer' not in checkpoint or 'iter' not in meta:
            raise ValueError(
                'resume needs a checkpoint of a training, but this one holds only weights; set resume=False, '
                'and load_from to its path'
            )
        before = _config_of(meta)
        changed = changes(settings(before), settings(_config_of(dict(cfg=runner.cfg.pretty_text)))) if before else {}
        reason = f'; changed since: {told(changed)}' if changed else ''
        problem = misfit(runner, checkpoint) or _other_optimizer(changed)
        if problem:
            raise ValueError(
                f'the run cannot be resumed: {problem}{reason}. Use the former config, or start a new run '
                'from these weights (load_from, resume=False)'
            )
        if changed:
            runner.logger.warning('the run continues with a changed config:\n  ' + told(changed, '\n  '))
            restored = {key: change for key, change in changed.items() if key.startswith(RESTORED)}
            if restored:
                runner.logger.warning(
                    'optimizer and schedules are restored from the checkpoint, so these changes have '
                    f'no effect: {", ".join(restored)}'
                )
            self._check_rest(runner, before, meta)

    @staticmethod
    def _check_rest(runner: Runner, before: dict, meta: dict) -> None:
        loop, former = training_loop(runner.cfg), training_loop(Config(before))
        if loop is None or former is None:
            return
        if loop.by_epoch != former.by_epoch:
            raise ValueError(
                f'the run cannot be resumed: {loop.length}, but it was started with {former.length}; start a new run '
                'from these weights (load_from, resume=False)'
            )
        done = meta.get('epoch', 0) if loop.by_epoch else meta['iter']
        if done >= loop.total:
            runner.logger.warning(f'{loop.length}, and {done} are done: nothing is left to train')
        refusals = check_schedules(before.get('param_scheduler'), loop, done).refusals
        if refusals and loop.total != former.total:
            raise ValueError(
                f'the run cannot be resumed for longer, because its schedule is restored from the checkpoint: '
                f'{refusals[0]}, in a new run from these weights (load_from, resume=False)'
            )


def _config_of(meta: dict) -> dict[str, Any]:
    """The config that a checkpoint stores; empty if it stores none."""
    try:
        return read_pretty_text(meta.get('cfg') or '')
    except SyntaxError:
        return {}


def misfit(runner: Runner, checkpoint: dict) -> str:
    """The first mismatch between a checkpoint and a Runner's model or optimizer; empty if they match.

    Args:
        runner: Runner whose model and optimizer are built.
        checkpoint: Content of a training's checkpoint.
    """
    if 'optimizer' not in checkpoint or 'iter' not in (checkpoint.get('meta') or {}):
        return 'it holds only weights'
    model: nn.Module = runner.model.module if is_model_wrapper(runner.model) else runner.model
    expected = model.state_dict()
    known = {name.removeprefix('module.'): value for name, value in checkpoint.get('state_dict', {}).items()}
    lacking = [name for name, _ in model.named_parameters() if name in expected and name not in known]
    if lacking:
        return f'the checkpoint lacks {_some(lacking)} of the model'
    other = [
        name for name, parameter in model.named_parameters() if name in known and known[name].shape != parameter.shape
    ]
    if other:
        name = other[0]
        shapes = dict(model.named_parameters())[name].shape, known[name].shape
        return f'model.{name} has the shape {tuple(shapes[0])}, but {tuple(shapes[1])} in the checkpoint'
    groups, former = (list(_groups(state)) for state in (runner.optim_wrapper.state_dict(), checkpoint['optimizer']))
    if groups != former:
        extra = [name for name in known if name not in expected]
        return (
            f'the checkpoint has {_some(extra)}, which the model lacks'
            if extra
            else f'the optimizer has {sum(groups)} parameters in {len(groups)} groups, but {sum(former)} in '
            f'{len(former)} in '
            'the checkpoint'
        )
    return ''


def _other_optimizer(changed: dict[str, str]) -> str:
    """The problem that an optimizer would get the state of another one; empty if there is none."""
    kinds = [key for key in changed if key.startswith('optim_wrapper.') and key.endswith('optimizer.type')]
    return f'the checkpoint has the state of another optimizer ({kinds[0]})' if kinds else ''


def _groups(state: dict) -> Iterator[int]:
    """The number of parameters in every group of one or several optimizers."""
    if 'param_groups' in state:
        yield from (len(group['params']) for group in state['param_groups'])
    else:
        for value in state.values():
            yield from _groups(value) if isinstance(value, dict) else ()


def _some(names: list[str]) -> str:
    named = ', '.join(names[:NAMED]) + (', ...' if len(names) > NAMED else '')
    return f'{len(names)} parameter{"s" if len(names) > 1 else ""} ({named})'
