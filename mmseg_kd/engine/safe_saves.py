"""Saves that survive a kill, a full disk or a power cut."""

import contextlib
import functools
import os
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mmengine.dist import is_main_process
from mmengine.fileio import LocalBackend
from mmengine.hooks import CheckpointHook, EMAHook
from mmengine.runner import Runner

from ..io.files import sync_folder, write_atomically
from ..io.runs import pointed_checkpoint

WITHIN_EPOCH = 'checkpoint_within_epoch'
VALIDATED = 'validated_iter'  # iteration of the last validation, in the message hub


class SaveError(OSError):
    """A checkpoint could not be saved. What was saved before is intact."""


def make_saves_safe() -> None:
    """Make MMEngine write files atomically, and remove old checkpoints only after the new ones are written.

    ``LocalBackend.put`` truncates a file before it writes it, and ``CheckpointHook`` writes the newest checkpoint again
    whenever a best one is found. It also removes outdated checkpoints, and the previous best one, before it writes
    their successors. All Runners use both, also those of MMSegmentation's stock tools.
    """
    LocalBackend.put = _put(LocalBackend.put)
    CheckpointHook._save_checkpoint_with_step = _save_checkpoint_with_step
    CheckpointHook._save_best_checkpoint = _save_best_checkpoint(CheckpointHook._save_best_checkpoint)


def save_now(runner: Runner, done: int, validating: bool = False) -> str | None:
    """Save a checkpoint to resume from, after any step.

    Args:
        runner: Runner of the training.
        done: Number of iterations that are done.
        validating: Whether a validation has begun. Averaged weights have then replaced those of the model.

    Returns:
        str: Path of the checkpoint; None if the config has no ``CheckpointHook``.

    Raises:
        SaveError: If the checkpoint cannot be written.
    """
    hook: Any = next((hook for hook in runner.hooks if isinstance(hook, CheckpointHook)), None)
    if hook is None:
        return None
    if getattr(hook, 'saved_iter', None) == done:
        return hook.last_ckpt
    for average in [each for each in runner.hooks if isinstance(each, EMAHook)] if validating else []:
        average.after_val_epoch(runner)  # puts the weights back
    if validating:
        runner.message_hub.runtime_info.pop(VALIDATED, None)  # the validation has no result yet
    meta = dict(epoch=runner.epoch, iter=done)
    if not hook.by_epoch:
        _save_checkpoint_with_step(hook, runner, done, meta)
    else:
        path = hook.file_backend.join_path(hook.out_dir, f'iter_{done}.pth')
        runner.message_hub.update_info(WITHIN_EPOCH, path)
        _write(hook, runner, path, meta)
    return hook.last_ckpt


def _put(put: Any) -> Any:
    @functools.wraps(put)
    def put_atomically(self: LocalBackend, obj: bytes, filepath: str | Path) -> None:
        if os.path.exists(filepath) and not os.path.isfile(filepath):  # such as /dev/null
            return put(self, obj, filepath)
        Path(filepath).parent.mkdir(parents=True, exist_ok=True)
        write_atomically(filepath, obj)

    return put_atomically


def _save_checkpoint_with_step(hook: Any, runner: Runner, step: int, meta: dict) -> None:
    """Write a checkpoint, then ``last_checkpoint``, then remove the outdated checkpoints."""
    hub, backend = runner.message_hub, hook.file_backend
    kept = list(hook.keep_ckpt_ids) if hook.max_keep_ckpts > 0 else []
    if hook.max_keep_ckpts > 0 and kept[-1:] != [step]:
        kept.append(step)
        # The checkpoint lists outdated ones too: MMEngine removes them on resume if this process is killed before.
        hub.update_info('keep_ckpt_ids', list(kept))
    partial = hub.runtime_info.pop(WITHIN_EPOCH, None)
    _write(hook, runner, backend.join_path(hook.out_dir, hook.filename_tmpl.format(step)), meta)
    outdated = [partial] if partial and partial != hook.last_ckpt else []
    if hook.max_keep_ckpts > 0:
        hook.keep_ckpt_ids = deque(kept[-hook.max_keep_ckpts :], hook.max_keep_ckpts)
        hub.update_info('keep_ckpt_ids', list(hook.keep_ckpt_ids))
        outdated += [
            backend.join_path(hook.out_dir, hook.filename_tmpl.format(each)) for each in kept[: -hook.max_keep_ckpts]
        ]
    for path in outdated if is_main_process() else ():
        _remove(backend, path)


def _write(hook: Any, runner: Runner, path: str, meta: dict) -> None:
    folder, name = os.path.split(path)
    hook.last_ckpt = path
    runner.message_hub.update_info('last_ckpt', path)
    with _told(runner, name):
        runner.save_checkpoint(
            folder,
            name,
            hook.file_client_args,
            save_optimizer=hook.save_optimizer,
            save_param_scheduler=hook.save_param_scheduler,
            meta=meta,
            by_epoch=hook.by_epoch,
            backend_args=hook.backend_args,
            **hook.args,
        )
        if is_main_process():
            sync_folder(folder)
            write_atomically(Path(runner.work_dir, 'last_checkpoint'), path)
            sync_folder(runner.work_dir)
    hook.saved_iter = meta['iter']


def _save_best_checkpoint(save: Any) -> Any:
    @functools.wraps(save)
    def save_best_checkpoint(hook: Any, runner: Runner, metrics: dict) -> None:
        outdated: list[str] = []
        backend, hook.file_backend = hook.file_backend, _LaterRemovals(hook.file_backend, outdated)
        try:
            with _told(runner, 'the best checkpoint'):
                save(hook, runner, metrics)
        finally:
            hook.file_backend = backend
        if outdated:
            sync_folder(hook.out_dir)
        written = {value for key, value in runner.message_hub.runtime_info.items() if key.startswith('best_ckpt')}
        for path in outdated:
            if path not in written:  # a repeated validation may write the same name again
                _remove(backend, path)

    return save_best_checkpoint


class _LaterRemovals:
    """A file backend that collects the files to remove later in a list."""

    def __init__(self, backend: Any, outdated: list[str]) -> None:
        self._backend, self._outdated = backend, outdated

    def __getattr__(self, name: str) -> Any:
        return getattr(self._backend, name)

    def remove(self, path: str) -> None:
        self._outdated.append(path)

    rmtree = remove


def _remove(backend: Any, path: str) -> None:
    if backend.isfile(path):
        backend.remove(path)
    elif backend.isdir(path):  # DeepSpeed's checkpoints are folders
        backend.rmtree(path)


@contextlib.contextmanager
def _told(runner: Runner, name: str) -> Iterator[None]:
    """Turn errors of the file system into one line with the last checkpoint and how to continue."""
    try:
        yield
    except SaveError:
        raise
    except OSError as error:
        former = pointed_checkpoint(Path(runner.work_dir))
        rest = f'{former.name} is intact: --resume continues from it' if former else 'No checkpoint was saved before'
        raise SaveError(
            f'{name} could not be saved in {runner.work_dir}: {error.strerror or error}. '
            f'Free some space, or choose another --work-dir. {rest}'
        ) from error
