from mmengine.hooks import Hook
from mmengine.model import BaseTTAModel, is_model_wrapper
from mmengine.optim import OptimWrapper
from mmengine.runner import Runner
from mmseg.registry import HOOKS

from ...io.checkpoint import fit_weights, named_weights


@HOOKS.register_module()
class FittingCheckpointHook(Hook):
    """Rename the weights of a checkpoint to those of the model before they are loaded, and refuse other networks.

    MMEngine loads the weights that fit and only warns about the others, so a test with another network's checkpoint
    would report the mIoU of random weights. With this hook, testing and resuming need all weights of the segmentor.
    Training with ``load_from`` needs at least one, because new classes or another head are common there.

    Raises:
        CheckpointError: If the weights do not fit.
    """

    # Runs before EMAHook, which copies the weights of the checkpoint.
    priority = 'VERY_HIGH'

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        model = runner.model
        while is_model_wrapper(model) or isinstance(model, BaseTTAModel):
            model = model.module
        path = runner._load_from or f'the last checkpoint in {runner.work_dir}'
        checkpoint['state_dict'] = named_weights(checkpoint, model, path)
        begins = isinstance(runner.optim_wrapper, OptimWrapper) and not runner._resume
        if not begins:
            fit_weights(model, checkpoint['state_dict'], path)
