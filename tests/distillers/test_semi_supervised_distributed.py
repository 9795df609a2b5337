"""Two processes on gloo that share a batch learn what one process learns from the whole of it, whichever pixels have a
label.
"""

import copy
import socket

import pytest
import torch
import torch.distributed as dist
from branches import optimizer, segmentor
from fork_server import run_ranks
from mmengine.model import MMDistributedDataParallel
from mmengine.registry import init_default_scope
from mmseg.registry import MODELS

from mmseg_kd.testing.toys import toy_branch_batch

PSEUDO = dict(student='logits', teacher='logits', loss=dict(type='PseudoLabelLoss'))
UNMIXED = dict(PSEUDO, teacher='unmixed.logits')
MSE = dict(student='logits', teacher='logits', loss=dict(type='ProbabilityMSELoss'), weight=10.0)
MODELS_OF = dict(
    mgd=dict(
        type='MultiGranularityDistiller',
        teacher=dict(deep=dict(model=segmentor(8)), wide=dict(model=segmentor(6))),
        terms=dict(loss_p=dict(PSEUDO, teacher='deep.logits')),
        unlabeled_terms=dict(
            loss_u_deep=dict(PSEUDO, teacher='deep.unmixed.logits'),
            loss_u_wide=dict(PSEUDO, teacher='wide.unmixed.logits'),
            loss_image=dict(student='logits', teacher='deep.logits', loss=dict(type='ImageSemanticLoss')),
            loss_hint=dict(student='backbone[3]', teacher='wide.backbone[3]', loss=dict(type='HintLoss')),
            loss_region=dict(
                student='decode_head.bottleneck',
                teacher='wide.decode_head.bottleneck',
                loss=dict(type='RegionContentLoss', grid=2),
            ),
        ),
        mix=dict(type='Halves'),
    ),
    mean_teacher=dict(type='MeanTeacher', terms=dict(loss_mt=MSE), unlabeled_terms=dict(loss_mt_u=MSE)),
    cps=dict(type='CrossPseudoSupervision', terms=dict(loss_cps=PSEUDO), unlabeled_terms=dict(loss_cps_u=PSEUDO)),
    mixed_cps=dict(type='CrossPseudoSupervision', unlabeled_terms=dict(loss_cps_u=UNMIXED), mix=dict(type='Halves')),
)


def without_statistics():
    """A student whose normalization, like that of SyncBN, does not depend on how a batch is shared."""
    model = segmentor(4)
    for part in (model.backbone, model.decode_head, model.auxiliary_head):
        part.norm_cfg = dict(type='GN', num_groups=2)
    return model


def build(name):
    torch.manual_seed(0)
    model = MODELS.build(dict(copy.deepcopy(MODELS_OF[name]), student=without_statistics()))
    for teacher in model.teachers.values():
        teacher.module
    if name == 'mean_teacher':
        model.teacher.load_state_dict(MODELS.build(without_statistics()).state_dict())
    return model


def shares(batch, rank):
    """Every other image, as the ranks of a sampler take them; all without a rank."""
    if rank is None:
        return batch
    if isinstance(batch, dict):
        return {key: shares(value, rank) for key, value in batch.items()}
    if isinstance(batch[0], dict):
        return [shares(branch, rank) for branch in batch]
    return batch[rank::2]


def batch_of(step):
    """Four images; those of the second rank are labeled in part in the first step, and not at all in the second."""
    batch = toy_branch_batch(4, seed=step)
    for sample in batch['labeled']['data_samples'][1::2]:
        sample.gt_sem_seg.data[:, : (20, 32)[step]] = 255
    return batch


def two_steps(name, rank=None):
    model = build(name)
    trained = model if rank is None else MMDistributedDataParallel(module=model, broadcast_buffers=False)
    optim = optimizer(model)
    logs = []
    for step in range(2):
        log = trained.train_step(shares(batch_of(step), rank), optim)
        if name == 'mean_teacher':
            model.update_teacher(momentum=0.9)
        logs.append({key: value.item() for key, value in log.items() if 'loss' in key})
    return logs, dict(model.named_parameters())


def work(rank, port, folder):
    torch.set_num_threads(1)
    dist.init_process_group('gloo', init_method=f'tcp://127.0.0.1:{port}', rank=rank, world_size=2)
    import mmseg_kd  # noqa: F401

    init_default_scope('mmseg')
    torch.save({name: two_steps(name, rank) for name in MODELS_OF}, f'{folder}/{rank}.pth')
    dist.destroy_process_group()


@pytest.fixture(scope='module')
def ranks(tmp_path_factory):
    folder = tmp_path_factory.mktemp('ranks')
    with socket.socket() as probe:
        probe.bind(('127.0.0.1', 0))
        port = probe.getsockname()[1]
    run_ranks(work, (port, str(folder)), nprocs=2)
    return [torch.load(folder / f'{rank}.pth', weights_only=False) for rank in range(2)]


@pytest.mark.skipif(not dist.is_gloo_available(), reason='torch without gloo')
@pytest.mark.parametrize('name', MODELS_OF)
def test_losses_and_weights_are_those_of_one_process_with_the_whole_batch(name, ranks):
    (first, weights), (second, others) = (rank[name] for rank in ranks)
    logs, expected = two_steps(name)
    for ours, theirs, log in zip(first, second, logs):
        assert {key: (ours[key] + theirs[key]) / 2 for key in ours} == pytest.approx(log, rel=1e-4)
    for key, value in expected.items():
        assert torch.equal(weights[key], others[key]), key
        torch.testing.assert_close(weights[key], value, rtol=1e-3, atol=1e-5)
    start = dict(build(name).named_parameters())
    assert not all(torch.equal(start[key], value) for key, value in expected.items())
