from mmengine.hooks import Hook
from mmengine.model import BaseTTAModel, is_model_wrapper
from mmengine.optim import OptimWrapper
from mmengine.runner import Runner
from mmseg.registry import HOOKS

from ...io.checkpoint import fit_weights, named_weights


@HOOKS.register_module()
class FittingCheckpointHook(Hook):
    """Before a checkpoint is loaded: give its weights the names of the model, and refuse one that does not fit.

    MMEngine loads what fits and warns of the rest, so that a test with the checkpoint of another network would report
    the mIoU of random weights. Testing and resuming need every weight of the segmentor. Training that begins with
    ``load_from`` needs at least one: new classes or another head are common there.

    Raises:
        CheckpointError: if the weights do not fit.
    """

    # Before EMAHook, which copies the weights of the checkpoint.
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
