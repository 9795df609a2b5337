"""The benchmark of steps with unlabeled images: that it counts the passes that a step makes, none of them twice."""

import functools
import sys
from collections import Counter
from pathlib import Path

import pytest
import torch
from mmengine.config import Config

from mmseg_kd import config_file

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / 'benchmarks'))

import semi as benchmark  # noqa: E402

BATCH, CROP = 2, 33
WAYS = [f'mmseg_kd::semi/{way}_r18quarter_camvid.py' for way in ('mt', 'cps', 'kd', 'mgd')]


@functools.cache
def prepared(way):
    model = benchmark.build(Config.fromfile(config_file(way)), CROP)
    return model, benchmark.draw(model.num_classes, BATCH, CROP)


def networks(model):
    teachers = [teacher.module for teacher in model.teachers.values()]
    return list(dict.fromkeys([model.student, *teachers]))


class Watch:
    """The images that each network runs on, and whether it was to learn from them."""

    def __init__(self, model):
        self.seen = {network: [] for network in networks(model)}
        self._hooks = [
            network.backbone.register_forward_pre_hook(
                lambda _, inputs, seen=seen: seen.append((inputs[0].clone(), torch.is_grad_enabled()))
            )
            for network, seen in self.seen.items()
        ]

    def __enter__(self):
        return self.seen

    def __exit__(self, *_):
        for hook in self._hooks:
            hook.remove()


def images_of(passes):
    return Counter(image.float().numpy().tobytes() for images, _ in passes for image in images)


@pytest.mark.parametrize('way', WAYS)
def test_no_network_sees_an_image_twice(way):
    model, batch = prepared(way)
    with Watch(model) as seen:
        benchmark.step(model, batch)
    for passes in seen.values():
        assert set(images_of(passes).values()) == {1}


@pytest.mark.parametrize('way', WAYS)
def test_a_step_makes_the_passes_that_it_is_compared_with(way):
    model, batch = prepared(way)
    with Watch(model) as seen:
        benchmark.step(model, batch)
    found = {
        (network, learns): sum(len(images) for images, gradient in passes if gradient == learns)
        for network, passes in seen.items()
        for learns in (True, False)
    }
    expected = Counter({(part.network, part.learns): 0 for part in benchmark.parts(model)})
    for part in benchmark.parts(model):
        expected[part.network, part.learns] += BATCH
    assert {key: images for key, images in found.items() if images} == expected


# By the papers: a teacher of multi-granularity distillation runs on the labeled images, on the two unlabeled batches
# before they are mixed, and on the mixture.
PASSES = dict(mt=(2, 2), cps=(4, 4), kd=(2, 2), mgd=(2, 8))


@pytest.mark.parametrize('way', WAYS)
def test_the_passes_are_those_of_the_papers(way):
    model, _ = prepared(way)
    passes = benchmark.parts(model)
    name = way.rpartition('/')[2].partition('_')[0]
    assert (sum(part.learns for part in passes), sum(not part.learns for part in passes)) == PASSES[name]


def test_a_second_look_at_an_image_is_noticed():
    model, batch = prepared(WAYS[-1])
    teacher = model.teachers['deep']
    with Watch(model) as seen:
        for _ in range(2):
            teacher.read(batch.inputs['labeled'], ['logits'])
    assert set(images_of(seen[teacher.module]).values()) == {2}


def test_the_table_has_a_line_for_every_config(capsys):
    benchmark.main([*WAYS[:2], '--crop', str(CROP), '--repeats', '1'])
    lines = capsys.readouterr().out.strip().splitlines()[4:]
    rows = [[cell.strip() for cell in line.strip('|').split('|')] for line in lines]
    assert [row[:3] for row in rows] == [['mt_r18quarter_camvid', '2', '2'], ['cps_r18quarter_camvid', '4', '4']]
    for *_, whole, parts, ratio in rows:
        assert float(ratio) == pytest.approx(float(whole) / float(parts), rel=0.2)
