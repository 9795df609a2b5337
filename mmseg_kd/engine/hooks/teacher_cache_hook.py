from mmengine.hooks import Hook
from mmengine.runner import Runner
from mmseg.registry import HOOKS

from ..teacher_cache import cached_teachers, check_caches


@HOOKS.register_module()
class TeacherCacheHook(Hook):
    """Refuse a training before its first step if a teacher's cache was made of something else.

    Compared are the images, their pipeline and its seed, the data preprocessor, the versions of libraries that make
    pixels, and the teacher's settings and weights if they stand beside ``cache``.

    Raises:
        ConfigError: If they differ; the message names a key that differs, with both values.
    """

    def before_train(self, runner: Runner) -> None:
        if cached_teachers(runner.model):
            check_caches(runner.model, runner.train_dataloader.dataset)
