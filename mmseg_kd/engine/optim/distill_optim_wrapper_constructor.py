from mmengine.model import is_model_wrapper
from mmengine.optim import OptimWrapper
from mmseg.registry import OPTIM_WRAPPER_CONSTRUCTORS, OPTIM_WRAPPERS, OPTIMIZERS
from torch import nn

from ...distillers import Distiller
from .joint_optim_wrapper import JointOptimWrapper


@OPTIM_WRAPPER_CONSTRUCTORS.register_module()
class DistillOptimWrapperConstructor:
    """Build a separate optimizer for auxiliary modules, such as the discriminator of an adversarial term.

    Args:
        optim_wrapper_cfg: MMEngine's ``optim_wrapper`` with the additional key ``critic``: an ``OptimWrapper`` config
            for all auxiliary modules, such as ``dict(optimizer=dict(type='Adam', lr=4e-4, betas=(0.9, 0.99)))``. In
            keys and names of this package, an auxiliary module is called ``critic``.
        paramwise_cfg: Parameter-wise settings of MMEngine's default constructor, for the student.

    Returns (when called with the model):
        JointOptimWrapper: wrapper with the optimizers ``main`` and ``critic``.

    Raises:
        ValueError: If ``critic`` is missing, or if no term has an auxiliary module.
    """

    def __init__(self, optim_wrapper_cfg: dict, paramwise_cfg: dict | None = None) -> None:
        self._main_cfg = dict(optim_wrapper_cfg)
        self._critic_cfg = self._main_cfg.pop('critic', None)
        self._paramwise_cfg = paramwise_cfg
        if self._critic_cfg is None:
            raise ValueError(
                'optim_wrapper.critic is missing; the constructor DistillOptimWrapperConstructor needs it, '
                "such as critic=dict(optimizer=dict(type='Adam', lr=4e-4, betas=(0.9, 0.99)))"
            )

    def __call__(self, model: nn.Module) -> JointOptimWrapper:
        critics = critic_parameters(model)
        if not critics:
            raise ValueError(
                'optim_wrapper.critic is given, but no term of model.terms has an auxiliary module; leave out critic '
                'and constructor'
            )
        main = OPTIM_WRAPPER_CONSTRUCTORS.build(
            dict(
                type='DefaultOptimWrapperConstructor',
                optim_wrapper_cfg=self._main_cfg,
                paramwise_cfg=self._paramwise_cfg,
            )
        )(model)
        owned = set(map(id, critics))
        groups = main.optimizer.param_groups
        for group in groups:
            group['params'] = [p for p in group['params'] if id(p) not in owned]
        groups[:] = [group for group in groups if group['params']]
        optimizer = OPTIMIZERS.build(dict(**self._critic_cfg['optimizer'], params=critics))
        wrapper = {key: value for key, value in self._critic_cfg.items() if key != 'optimizer'}
        critic: OptimWrapper = OPTIM_WRAPPERS.build(dict(type='OptimWrapper', **wrapper, optimizer=optimizer))
        return JointOptimWrapper(main=main, critic=critic)


def critic_parameters(model: nn.Module) -> list[nn.Parameter]:
    """The parameters of all auxiliary modules of a distiller; empty for other models.

    Args:
        model: Model, also within a wrapper for several processes.
    """
    model = model.get_submodule('module') if is_model_wrapper(model) else model
    if not isinstance(model, Distiller):
        return []
    return [p for term in model.all_terms.values() if term.critic is not None for p in term.critic.parameters()]
