"""Resume from the newest checkpoint that can be read, even if a kill or a full disk damaged the last one."""

import functools
from pathlib import Path
from typing import Any

from mmengine.dist import broadcast_object_list, is_main_process
from mmengine.hooks import CheckpointHook
from mmengine.optim import OptimWrapper
from mmengine.runner import Runner

from ..io.checkpoint import CheckpointError, read_checkpoint
from ..io.files import write_atomically
from ..io.runs import pointed_checkpoint, saved_checkpoints
from .hooks.resume_check_hook import misfit


def resume_newest() -> None:
    """Make every Runner with ``resume=True`` and no ``load_from`` resume from the newest checkpoint that can be read.

    MMEngine takes the one that ``last_checkpoint`` names, and fails if it is damaged, or if the file is empty.
    """
    load = Runner.load_or_resume

    @functools.wraps(load)
    def load_or_resume(runner: Runner) -> None:
        if not runner._has_loaded and runner._resume and runner._load_from is None:
            # All processes must use the same checkpoint.
            answer: list[Any] = [_newest(runner) if is_main_process() else None]
            broadcast_object_list(answer)
            path, left_out = answer[0]
            for line in left_out:
                runner.logger.warning(f'left out: {line}')
            if path is not None:
                runner.logger.info(f'resuming from {path}')
                runner._load_from = path
            elif left_out:
                raise CheckpointError(
                    f'no checkpoint in {runner.work_dir} can be read, although there are {len(left_out)}: '
                    f'{left_out[0]}. Remove them to train from the start'
                )
        load(runner)

    Runner.load_or_resume = load_or_resume


def _newest(runner: Runner) -> tuple[str | None, list[str]]:
    """The checkpoint to resume from, and the reasons why newer ones are left out."""
    hook: Any = next((hook for hook in runner.hooks if isinstance(hook, CheckpointHook)), None)
    folder = runner.work_dir
    if hook is not None and hook.out_dir is not None and hook.out_dir != folder:
        folder = str(Path(hook.out_dir, Path(folder).name)) if '://' not in str(hook.out_dir) else folder
    unfit: dict[str, str] = {}
    left_out: list[str] = []
    for path in saved_checkpoints(folder, hook.filename_tmpl if hook is not None else None):
        try:
            checkpoint = read_checkpoint(str(path))
        except CheckpointError as error:
            left_out.append(str(error))
            continue
        problem = misfit(runner, checkpoint) if isinstance(runner.optim_wrapper, OptimWrapper) else ''
        if not problem:
            if path != pointed_checkpoint(Path(folder)):  # killed between the checkpoint and the file that names it
                write_atomically(Path(runner.work_dir, 'last_checkpoint'), str(path))
            return str(path), [*left_out, *unfit.values()]
        unfit[str(path)] = f'{path} does not fit: {problem}'
    # If none fits, the config has changed; checks of the newest one will report how.
    return next(iter(unfit), None), left_out
