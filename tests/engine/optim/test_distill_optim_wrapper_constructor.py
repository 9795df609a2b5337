import pytest
import torch
from mmengine.optim import build_optim_wrapper
from mmseg.registry import MODELS

from mmseg_kd.engine import JointOptimWrapper
from mmseg_kd.testing.toys import toy_batch, toy_runner, toy_segmentor

PI = dict(student='logits', teacher='logits', loss=dict(type='PixelWiseKDLoss'))
HO = dict(student=['logits', 'inputs'], teacher='logits', loss=dict(type='HolisticKDLoss'), weight=0.1)
ADAM = dict(optimizer=dict(type='Adam', lr=4e-4, betas=(0.9, 0.99)))


def config(**terms):
    return dict(type='Distiller', student=toy_segmentor(4), teacher=dict(model=toy_segmentor(8)), terms=terms)


def settings(**more):
    return dict(
        constructor='DistillOptimWrapperConstructor',
        type='OptimWrapper',
        optimizer=dict(type='SGD', lr=0.01, weight_decay=1e-4),
        **more,
    )


def test_critics_and_the_rest_get_disjoint_optimizers():
    model = MODELS.build(config(loss_pi=PI, loss_ho=HO))
    wrapper = build_optim_wrapper(
        model, settings(critic=ADAM, paramwise_cfg=dict(custom_keys={'backbone': dict(lr_mult=0.1)}))
    )
    assert isinstance(wrapper, JointOptimWrapper)
    main, critic = (
        {id(p) for g in wrapper[name].optimizer.param_groups for p in g['params']} for name in ('main', 'critic')
    )
    assert critic == {id(p) for p in model.terms['loss_ho'].loss.critic.parameters()}
    assert main == {id(p) for p in model.parameters()} - critic
    assert {group['lr'] for group in wrapper['main'].optimizer.param_groups} == {0.01, 0.001}


def test_one_step_moves_student_and_critic_each_by_its_own_loss():
    model = MODELS.build(config(loss_ho=dict(HO, weight=0.0)))
    model.student.requires_grad_(False)
    wrapper = build_optim_wrapper(model, settings(critic=ADAM))
    model.terms['loss_ho'].weight = 1.0
    log = model.train_step(toy_batch(), wrapper)
    assert float(log['loss']) == pytest.approx(
        sum(float(v) for k, v in log.items() if 'loss' in k and k != 'loss'), rel=1e-5
    )
    assert 'loss_ho' in log and 'loss_ho_critic' in log


@pytest.mark.parametrize(
    'more, terms, message',
    [
        (dict(), dict(loss_ho=HO), 'optim_wrapper.critic is missing'),
        (dict(critic=ADAM), dict(loss_pi=PI), 'no term of model.terms has an auxiliary module'),
    ],
)
def test_what_does_not_belong_together_is_refused(more, terms, message):
    with pytest.raises(ValueError, match=message):
        build_optim_wrapper(MODELS.build(config(**terms)), settings(**more))


def test_a_runner_trains_saves_and_resumes_the_critic(tmp_path):
    cfg = config(loss_ho=HO)
    run = dict(
        optim_wrapper=settings(critic=ADAM),
        default_hooks=dict(checkpoint=dict(type='CheckpointHook', interval=2, by_epoch=False)),
    )
    whole = toy_runner(cfg, tmp_path / 'whole', **run)
    whole.train()
    checkpoint = torch.load(tmp_path / 'whole' / 'iter_2.pth', weights_only=False)
    assert any('critic' in key for key in checkpoint['state_dict'])
    assert checkpoint['optimizer']['critic']['state']
    resumed = toy_runner(cfg, tmp_path / 'whole', load_from=str(tmp_path / 'whole' / 'iter_2.pth'), resume=True, **run)
    resumed.train()
    assert resumed.iter == 4
    steps = {int(s['step']) for s in resumed.optim_wrapper['critic'].optimizer.state.values()}
    assert steps == {4}
    assert whole.optim_wrapper.get_lr()['critic.lr'] == resumed.optim_wrapper.get_lr()['critic.lr']
