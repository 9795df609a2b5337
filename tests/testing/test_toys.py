import torch
from mmseg.registry import MODELS

from mmseg_kd.testing.toys import ToyBranchDataset, ToyDataset, toy_batch, toy_branch_batch, toy_segmentor


def test_a_segmentor_is_tiny_and_predicts_every_class():
    model = MODELS.build(toy_segmentor(4, num_classes=5)).eval()
    assert sum(parameter.numel() for parameter in model.parameters()) < 100_000
    assert model(torch.zeros(1, 3, 32, 32), mode='tensor').shape[:2] == (1, 5)


def test_a_batch_depends_on_its_seed_and_has_ignored_pixels():
    first, again, other = toy_batch(seed=0), toy_batch(seed=0), toy_batch(seed=1)
    assert torch.equal(first['inputs'][0], again['inputs'][0])
    assert not torch.equal(first['inputs'][0], other['inputs'][0])
    labels = torch.cat([sample.gt_sem_seg.data for sample in first['data_samples']])
    assert labels.shape == (2, 32, 32) and set(labels.unique().tolist()) <= {0, 1, 2, 3, 255}
    assert bool((labels == 255).any())


def test_unlabeled_branches_have_blank_labels_and_padding():
    batch = toy_branch_batch(num=2, branches=2)
    assert len(batch['unlabeled']) == 2
    for branch in batch['unlabeled']:
        assert set(torch.cat([sample.gt_sem_seg.data for sample in branch['data_samples']]).unique().tolist()) == {
            0,
            255,
        }


def test_data_sets_give_the_same_at_every_access():
    for data in (ToyDataset(3), ToyBranchDataset(3)):
        assert len(data) == 3
    assert torch.equal(ToyDataset(3)[1]['inputs'], ToyDataset(3)[1]['inputs'])
    assert set(ToyBranchDataset(3)[0]) == {'labeled', 'unlabeled'}
