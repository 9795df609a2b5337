from pathlib import Path

from mmengine.dist import barrier, is_main_process
from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner
from mmseg.registry import HOOKS

from ...distillers import Distiller
from ..export import export_student


@HOOKS.register_module()
class ExportStudentHook(Hook):
    """Write a config and a checkpoint of the student for plain MMSegmentation to ``work_dir/<folder>/`` after training.

    The weights come from the best checkpoint if validation selected one, else from the last checkpoint.

    Args:
        folder: Name of the folder in the work directory.
    """

    # Runs after CheckpointHook, which writes the last checkpoint.
    priority = 'LOWEST'

    def __init__(self, folder: str = 'student') -> None:
        self.folder = folder

    def after_train(self, runner: Runner) -> None:
        model = runner.model.module if is_model_wrapper(runner.model) else runner.model
        if not isinstance(model, Distiller):
            return
        if is_main_process():
            known = runner.message_hub.runtime_info
            path = next(
                (known[key] for key in ('best_ckpt', 'last_ckpt') if Path(known.get(key) or '').is_file()), None
            )
            if 'student' not in (runner.cfg.get('model') or {}):
                runner.logger.warning('the Runner knows no config of the model, so no student is exported; give it cfg')
            elif path is None:
                runner.logger.warning('no checkpoint was written, so no student is exported; add a CheckpointHook')
            else:
                folder = Path(runner.work_dir, self.folder)
                export_student(runner.cfg, path, folder)
                runner.logger.info(f'student of {path} exported to {folder}, for plain MMSegmentation')
        barrier()
