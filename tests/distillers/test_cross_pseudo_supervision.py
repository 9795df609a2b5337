import copy

import numpy as np
import pytest
import torch
from branches import array, count_runs, cross_entropy, features_and_logits, gradients, halves, preprocessed, segmentor
from mmseg.registry import MODELS

from mmseg_kd.distillers.dry_run import run_skeleton
from mmseg_kd.testing.toys import toy_batch

PSEUDO = dict(student='logits', teacher='logits', loss=dict(type='PseudoLabelLoss'), weight=1.5)
UNMIXED = dict(PSEUDO, teacher='unmixed.logits', weight=5.0)


def plain_cps(**changes):
    settings = dict(student=segmentor(4), terms=dict(loss_cps=PSEUDO), unlabeled_terms=dict(loss_cps_u=PSEUDO))
    return MODELS.build({'type': 'CrossPseudoSupervision', **settings, **changes})


def mixed_cps(**changes):
    settings = dict(terms=None, unlabeled_terms=dict(loss_cps_u=UNMIXED), mix=dict(type='Halves'))
    return plain_cps(**{**settings, **changes})


def both(model):
    return {'': copy.deepcopy(model.student), 'peer.': copy.deepcopy(model.peer)}


def counted(*rows):
    """Which of 4 x 4 logits count, where the last rows of the left and the right half are padding."""
    mask = np.ones((2, 4, 4), dtype=bool)
    mask[:, 4 - rows[0] :, :2] = mask[:, 4 - rows[1] :, 2:] = False
    return mask


def said(network, images):
    """Logits in train mode."""
    return array(features_and_logits(network, images)[1])


def test_a_plain_step_is_its_equations():
    model = plain_cps()
    networks = both(model)
    inputs, samples = preprocessed(model)
    losses = model.loss(inputs, samples)
    labels = np.stack([sample.gt_sem_seg.data[0].numpy()[::8, ::8] for sample in samples['labeled']])
    expected = {
        f'{prefix}{name}': float(value)
        for prefix, network in networks.items()
        for name, value in network.loss(inputs['labeled'], samples['labeled']).items()
    }
    for name, images, mask in (
        ('loss_cps', inputs['labeled'], labels != 255),
        ('loss_cps_u', inputs['unlabeled'][0], counted(1, 1)),
    ):
        own, peer = (said(network, images) for network in networks.values())
        expected[name] = 1.5 * cross_entropy(own, peer.argmax(1), mask)
        expected[f'peer.{name}'] = 1.5 * cross_entropy(peer, own.argmax(1), mask)
    assert {name: float(value) for name, value in losses.items()} == pytest.approx(expected, rel=1e-5)
    assert losses['loss_cps_u'] != losses['peer.loss_cps_u']


def test_a_step_with_mixing_is_its_equations():
    model = mixed_cps()
    networks = both(model)
    inputs, samples = preprocessed(model)
    losses = model.loss(inputs, samples)
    first, second = inputs['unlabeled']
    images = torch.from_numpy(halves(first.numpy(), second.numpy()))
    own, peer = (said(network, images) for network in networks.values())
    targets = [halves(said(network, first), said(network, second)).argmax(1) for network in networks.values()]
    assert float(losses['loss_cps_u']) == pytest.approx(5 * cross_entropy(own, targets[1], counted(1, 2)), rel=1e-5)
    assert float(losses['peer.loss_cps_u']) == pytest.approx(
        5 * cross_entropy(peer, targets[0], counted(1, 2)), rel=1e-5
    )


@pytest.mark.parametrize('build', [plain_cps, mixed_cps])
@pytest.mark.parametrize('prefix, learner', [('', 'student'), ('peer.', 'peer')])
def test_each_loss_reaches_the_network_that_learns_and_not_the_one_that_teaches(build, prefix, learner):
    model = build()
    losses = model.loss(*preprocessed(model))
    sum(value for name, value in losses.items() if name.startswith(f'{prefix}loss_cps')).backward()
    assert {name.split('.')[0] for name in gradients(model)} == {learner}


def test_the_dry_run_reads_both_networks_in_training_mode(monkeypatch):
    modes = []

    def run(model, *arguments):
        modes.append(model.training)
        return run_skeleton(model, *arguments)

    monkeypatch.setattr('mmseg_kd.distillers.distiller.run_skeleton', run)
    plain_cps()
    assert modes == [True, True]


def test_both_networks_learn_in_one_backward_pass():
    model = mixed_cps()
    model.parse_losses(model.loss(*preprocessed(model)))[0].backward()
    assert gradients(model).keys() == {name for name, _ in model.named_parameters()}


def test_each_network_runs_once_on_every_image():
    model = plain_cps()
    runs = count_runs(model.student), count_runs(model.peer)
    inputs, samples = preprocessed(model)
    model.loss(inputs, samples)
    for seen in runs:
        assert len(seen) == 2 and all(map(torch.equal, seen, [inputs['labeled'], inputs['unlabeled'][0]]))


def test_with_mixing_each_network_runs_once_on_either_image_and_once_on_the_mixture():
    model = mixed_cps()
    runs = count_runs(model.student), count_runs(model.peer)
    inputs, samples = preprocessed(model)
    model.loss(inputs, samples)
    first, second = inputs['unlabeled']
    mixed = torch.from_numpy(halves(first.numpy(), second.numpy()))
    for seen in runs:
        assert len(seen) == 4 and all(map(torch.equal, seen, [inputs['labeled'], first, second, mixed]))


def test_unlabeled_terms_may_be_left_out():
    model = plain_cps(unlabeled_terms=None)
    runs = count_runs(model.student)
    losses = model.loss(*preprocessed(model))
    assert len(runs) == 1 and {'loss_cps', 'peer.loss_cps'} < losses.keys()


def test_the_two_networks_differ_from_the_beginning_also_after_initialization():
    model = plain_cps()
    for _ in range(2):
        first, second = model.student.state_dict(), model.peer.state_dict()
        assert first.keys() == second.keys()
        assert not torch.equal(first['decode_head.conv_seg.weight'], second['decode_head.conv_seg.weight'])
        model.init_weights()


def test_a_state_dict_brings_both_networks_back():
    first, second = plain_cps(), plain_cps()
    assert {name.split('.')[0] for name in first.state_dict()} == {'student', 'peer'}
    second.load_state_dict(first.state_dict())
    one, other = (model.loss(*preprocessed(model)) for model in (first, second))
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_a_deep_copy_has_a_peer_of_its_own():
    model = plain_cps()
    other = copy.deepcopy(model)
    assert other.teachers[''].module is other.peer is not model.peer
    one, two = (each.loss(*preprocessed(each)) for each in (model, other))
    assert all(torch.equal(one[name], two[name]) for name in one)


def test_it_predicts_with_the_first_network():
    model = plain_cps().eval()
    data = model.data_preprocessor(toy_batch(), False)
    alone = model.student.predict(data['inputs'], data['data_samples'])
    assert torch.equal(model(**data, mode='predict')[0].pred_sem_seg.data, alone[0].pred_sem_seg.data)


def test_a_batch_of_labeled_images_alone_is_refused():
    model = plain_cps()
    data = model.data_preprocessor(toy_batch(), True)
    with pytest.raises(ValueError, match="CrossPseudoSupervision needs batches .*'SemiSupervisedDataset'"):
        model.loss(**data)
