from itertools import islice

import pytest

from mmseg_kd.datasets import InfiniteViewSampler, SemiSupervisedDataset, ViewDataset, ViewSampler

SIZE = 5


def build(kind=ViewSampler, rank=0, world=1, monkeypatch=None, **settings):
    if monkeypatch is not None:
        monkeypatch.setattr('mmseg_kd.datasets.view_sampler.get_dist_info', lambda: (rank, world))
    return kind(ViewDataset(list(range(SIZE))), **{'seed': 0, **settings})


def passes(sampler, count):
    result = []
    for epoch in range(count):
        sampler.set_epoch(epoch)
        result.append(list(sampler))
    return result


def test_pass_k_visits_view_k_of_every_image_once_in_an_order_of_its_own():
    shown = passes(build(), 3)
    assert [sorted(numbers) for numbers in shown] == [list(range(k * SIZE, (k + 1) * SIZE)) for k in range(3)]
    assert len({tuple(n % SIZE for n in numbers) for numbers in shown}) == 3
    assert passes(build(), 3) == shown != passes(build(seed=1), 3)
    assert passes(build(shuffle=False), 2) == [[0, 1, 2, 3, 4], [5, 6, 7, 8, 9]]


def test_without_end_it_joins_the_passes():
    joined = [n for numbers in passes(build(), 3) for n in numbers]
    sampler = build(InfiniteViewSampler)
    assert list(islice(sampler, 15)) == joined and len(sampler) == SIZE


@pytest.mark.parametrize('seen', [0, 2, 4, 5])
def test_it_starts_within_a_pass_and_goes_on_with_whole_passes(seen):
    expected, sampler = passes(build(), 3), build()
    sampler.start_at(1, seen)
    sampler.set_epoch(1)  # MMEngine says it again
    assert list(sampler) == expected[1][seen:]
    sampler.set_epoch(2)
    assert list(sampler) == expected[2]
    endless = build(InfiniteViewSampler)
    endless.skip(SIZE + seen)
    endless.set_epoch(0)
    assert list(islice(endless, 5)) == (expected[1] + expected[2])[seen : seen + 5]


def test_processes_share_a_pass_and_start_together(monkeypatch):
    whole = passes(build(), 1)[0]
    shares = [build(rank=rank, world=2, monkeypatch=monkeypatch) for rank in range(2)]
    assert [list(share) for share in shares] == [whole[::2], [*whole[1::2], whole[0]]]
    assert [len(share) for share in shares] == [3, 3]
    for share in shares:
        share.start_at(0, 2)
    assert [list(share) for share in shares] == [[whole[4]], [whole[0]]]


def test_processes_without_end_draw_together_what_one_process_draws(monkeypatch):
    joined = list(islice(build(InfiniteViewSampler), 16))
    for rank in range(3):
        share = build(InfiniteViewSampler, rank=rank, world=3, monkeypatch=monkeypatch)
        share.skip(1)
        assert list(islice(share, 4)) == joined[rank + 3 :: 3][:4]


def test_it_sets_the_seed_of_the_augmentations(monkeypatch):
    assert build(seed=7).dataset.seed == 7
    monkeypatch.setattr('mmseg_kd.datasets.view_sampler.sync_random_seed', lambda: 9)
    sampler = build(seed=None)
    assert sampler.seed == sampler.dataset.seed == 9


def test_pairs_have_numbers_without_end_as_well_and_other_data_sets_are_refused():
    pairs = SemiSupervisedDataset.__new__(SemiSupervisedDataset)
    pairs.labeled, pairs.unlabeled, pairs.images = range(2), range(3), ViewDataset([])
    assert sorted(ViewSampler(pairs, seed=0)) == [0, 1, 2]
    with pytest.raises(ValueError, match='ViewSampler needs a ViewDataset .* but .* is a list; wrap it'):
        ViewSampler([1, 2], seed=0)
