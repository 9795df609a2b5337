"""The order of the algorithm, by students and a teacher that only remember what they were shown."""

import errno
import json
import os
import socket
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import torch.distributed as dist
from fork_server import run_ranks
from mmengine.config import Config
from PIL import Image

from mmseg_kd.engine import MCKDLoop, OwnPartitionMCKDLoop
from mmseg_kd.engine.loops.mckd_state import MCKDState
from mmseg_kd.labeling import read_summary

IMAGES = [f'{city}_{number}' for city in 'xyz' for number in range(4)]
CLASSES = [f'class {number}' for number in range(8)]


class Stubs:
    """Each network labels every pixel with a class of its own, so that a map tells who made it."""

    def __init__(self):
        self.labeled, self.trained = [], []  # (who, image), (who, {image: who labeled it}, parent)
        self.networks = ['teacher']

    def labeler(self, config, checkpoint, tta=False):
        name = 'teacher' if checkpoint == 'teacher.pth' else '/'.join(Path(checkpoint).parts[-3:-1])
        number = self.networks.index(name)

        def label(path):
            self.labeled.append((name, Path(path).stem))
            return torch.eye(8)[number][:, None, None].expand(-1, 2, 2)

        label.classes, label.palette = CLASSES, None
        return label

    def start(self, config):
        name = Path(config.work_dir).parts[-2:]
        name = '/'.join(name) if name[-1] in 'ab' else name[-1]
        shown = config.train_dataloader.dataset
        known = {image: Path(folder) for folder in shown.labels for image in read_summary(folder)['images']}
        ids = Path(shown.ids).read_text().split() if 'ids' in shown else list(known)
        made = {image: self.networks[np.asarray(Image.open(known[image] / f'{image}.png'))[0, 0]] for image in ids}
        self.trained.append((name, made, config.load_from, config.randomness.seed))
        if name not in self.networks:
            self.networks.append(name)
        folder = Path(config.work_dir)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / 'epoch_2.pth').write_text('x')
        (folder / 'last_checkpoint').write_text(str(folder / 'epoch_2.pth'))


@pytest.fixture
def stubs():
    return Stubs()


@pytest.fixture
def images(tmp_path):
    folder = tmp_path / 'images'
    folder.mkdir()
    for name in IMAGES:
        (folder / f'{name}.png').write_bytes(b'')
    return folder


def make(
    stubs,
    images,
    loop=MCKDLoop,
    resume=False,
    work='work',
    classes=8,
    lr=0.1,
    val=None,
    model='EncoderDecoder',
    **settings,
):
    cfg = Config(
        dict(
            model=dict(type=model, decode_head=dict(num_classes=classes)),
            val_dataloader=val,
            optim_wrapper=dict(optimizer=dict(lr=lr)),
            train_dataloader=dict(
                dataset=dict(type='PseudoLabelDataset', images=str(images), **settings.pop('dataset', {}))
            ),
            randomness=dict(seed=5),
        )
    )
    runner = SimpleNamespace(
        cfg=cfg, work_dir=str(images.parent / work), _resume=resume, model=None, experiment_name='mckd', logger=None
    )
    made = loop(
        runner,
        cfg.train_dataloader,
        teacher=dict(config='teacher.py', checkpoint='teacher.pth'),
        train=dict(max_epochs=2),
        **settings,
    )
    made.networks.labeler, made.networks.start = stubs.labeler, stubs.start
    made.rehearse_once = made.draw = lambda: None
    return made


def halves(images, work='work'):
    return {half: set((images.parent / work / 'partition' / f'{half}.txt').read_text().split()) for half in 'ab'}


@pytest.mark.parametrize('stages', [1, 2, 3])
def test_nobody_learns_from_labels_that_it_made_and_the_last_sees_all(stubs, images, stages):
    make(stubs, images, num_stages=stages).run()
    parts = halves(images)
    assert parts['a'] | parts['b'] == set(IMAGES) and not parts['a'] & parts['b'] and len(parts['a']) == 6
    names = [f'stage_{stage}/{half}' for stage in range(1, stages + 1) for half in 'ab']
    assert [name for name, *_ in stubs.trained] == [*names, 'final']
    for name, made, parent, _ in stubs.trained[:-1]:
        stage, half = int(name[6]), name[-1]
        assert set(made) == parts[half] and parent is None
        # The student of the other half, of the stage before.
        assert set(made.values()) == {'teacher' if stage == 1 else f'stage_{stage - 1}/{"ba"["ab".index(half)]}'}
    _, made, *_ = stubs.trained[-1]
    assert set(made) == set(IMAGES)
    assert all(made[image] == f'stage_{stages}/{"b" if image in parts["a"] else "a"}' for image in IMAGES)
    # No network ever labeled an image that it had learned from.
    learned = {name: set(made) for name, made, *_ in stubs.trained}
    assert all(image not in learned[who] for who, image in stubs.labeled if who != 'teacher')
    assert sorted(image for who, image in stubs.labeled if who == 'teacher') == IMAGES
    assert [seed for *_, seed in stubs.trained] == list(range(6, 6 + 2 * stages + 1))


def test_no_stage_is_plain_distillation(stubs, images):
    make(stubs, images, num_stages=0).run()
    ((name, made, _, _),) = stubs.trained
    assert name == 'final' and made == dict.fromkeys(IMAGES, 'teacher')


def test_the_control_relabels_what_it_learnt(stubs, images):
    make(stubs, images, OwnPartitionMCKDLoop).run()
    parts = halves(images)
    _, made, *_ = stubs.trained[-1]
    assert all(made[image] == f'stage_1/{"a" if image in parts["a"] else "b"}' for image in IMAGES)
    assert parts == (make(stubs, images, work='cross').run(), halves(images, 'cross'))[1]


def test_warm_students_go_on_from_that_of_their_own_half(stubs, images):
    make(stubs, images, num_stages=2, warm_start=True).run()
    parents = {name: parent for name, _, parent, _ in stubs.trained}
    work = images.parent / 'work'
    assert parents == {
        'stage_1/a': None,
        'stage_1/b': None,
        'stage_2/a': str(work / 'stage_1/a/epoch_2.pth'),
        'stage_2/b': str(work / 'stage_1/b/epoch_2.pth'),
        'final': None,
    }


def test_a_group_stays_together(stubs, images):
    make(stubs, images, group='^([a-z])_').run()
    for half in halves(images).values():
        assert all(f'{name[0]}_{number}' in half for name in half for number in range(4))
    with pytest.raises(ValueError, match='12 images in 1 groups cannot be split'):
        make(stubs, images, group='(_)', work='one').run()
    with pytest.raises(ValueError, match=r'group \^\(y\) must match every id, but does not match x_0'):
        make(stubs, images, group='^(y)', work='none').run()
    with pytest.raises(ValueError, match='must be a regular expression with a group'):
        make(stubs, images, group='^y')


def test_only_listed_images_take_part(stubs, images, tmp_path):
    (tmp_path / 'ids.txt').write_text('x_0\ny_1\n')
    make(stubs, images, num_stages=0, dataset=dict(ids=str(tmp_path / 'ids.txt'))).run()
    assert set(stubs.trained[0][1]) == {'x_0', 'y_1'}
    (tmp_path / 'ids.txt').write_text('x_0\nq_1\n')
    with pytest.raises(ValueError, match='1 of 2 ids of .*ids.txt have no image in .*, such as q_1'):
        make(stubs, images, work='other', dataset=dict(ids=str(tmp_path / 'ids.txt'))).run()


@pytest.mark.parametrize('break_at', range(1, 9))
def test_what_is_finished_is_not_repeated(stubs, images, monkeypatch, break_at):
    """Killed between any two parts; the rest is as if nothing had been."""
    finish = MCKDState.finish
    count = []

    def killed(self, name, facts):
        finish(self, name, facts)
        count.append(name)
        if len(count) == break_at:
            raise KeyboardInterrupt

    monkeypatch.setattr(MCKDState, 'finish', killed)
    parts = ['labels/teacher', 'partition', 'stage_1/a', 'stage_1/b', 'labels/stage_1/a', 'labels/stage_1/b', 'final']
    if break_at <= len(parts):
        with pytest.raises(KeyboardInterrupt):
            make(stubs, images).run()
        make(stubs, images, resume=True).run()
    else:
        make(stubs, images).run()
    assert count == parts
    assert [name for name, *_ in stubs.trained] == ['stage_1/a', 'stage_1/b', 'final']
    assert len(stubs.labeled) == 2 * len(IMAGES)
    table = (images.parent / 'work' / 'mckd.md').read_text()
    assert [line.split('|')[1].strip() for line in table.splitlines()[2:]] == [
        part for part in parts if part != 'partition'
    ]


FULL = [  # which file is written when the disk is full, and how often it was written before
    ('y_1.png', 0),
    ('x_3.npz', 1),
    ('settings.json', 2),
    ('labels.json', 0),
    ('b.txt', 0),
    ('mckd.json', 0),
    ('mckd.json', 2),
    ('mckd.md', 0),
]


@pytest.mark.parametrize('name, before', FULL)
def test_a_full_disk_ends_the_run_in_one_line_and_loses_nothing(stubs, images, monkeypatch, name, before):
    make(stubs, images, work='undisturbed', top_k=1).run()
    whole, count = (stubs.trained.copy(), len(stubs.labeled)), []
    stubs.__init__()

    def fsync(descriptor):
        path = Path(os.readlink(f'/proc/self/fd/{descriptor}'))
        count.append(path.name.endswith(f'.{name}.tmp'))
        if count[-1] and sum(count) > before:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(os, 'fsync', fsync)
        with pytest.raises(OSError, match=f"^.Errno 28. No space left on device: '.*{name}'$"):
            make(stubs, images, top_k=1).run()
    assert not list((images.parent / 'work').rglob('*.tmp'))
    make(stubs, images, top_k=1, resume=True).run()
    # A training whose end could not be recorded is gone on with, from its last checkpoint; all else is done once, but
    # for the image in whose labeling it happened.
    repeated = ['stage_1/a'] * ((name, before) == ('mckd.json', 2))
    assert [training for training, *_ in stubs.trained] == repeated + [training for training, *_ in whole[0]]
    assert [what[1:] for what in stubs.trained[len(repeated) :]] == [what[1:] for what in whole[0]]
    assert len(stubs.labeled) == whole[1] + name.endswith(('.png', '.npz'))
    maps = {
        path.relative_to(images.parent / 'work'): path.read_bytes() for path in (images.parent / 'work').rglob('*.png')
    }
    assert maps == {
        path.relative_to(images.parent / 'undisturbed'): path.read_bytes()
        for path in (images.parent / 'undisturbed').rglob('*.png')
    }


def test_an_unreadable_image_is_named_and_may_be_taken_away(stubs, images):
    labeler = stubs.labeler

    def broken(*arguments):
        label = labeler(*arguments)

        def labels(path):
            if path.endswith('y_2.png'):
                raise ValueError(f"{path} can't be read as an image")
            return label(path)

        labels.classes, labels.palette = label.classes, label.palette
        return labels

    loop = make(stubs, images)
    loop.networks.labeler = broken
    with pytest.raises(ValueError, match="y_2.png can't be read as an image"):
        loop.run()
    known = len(stubs.labeled)
    (images / 'y_2.png').unlink()
    make(stubs, images, resume=True).run()
    assert known == IMAGES.index('y_2') and len(stubs.labeled) == 2 * (len(IMAGES) - 1)
    _, made, *_ = stubs.trained[-1]
    assert set(made) == set(IMAGES) - {'y_2'}


def test_what_cannot_be_split_is_said_unless_nothing_is_to_be_split(stubs, images):
    for name in IMAGES[1:]:
        (images / f'{name}.png').unlink()
    with pytest.raises(ValueError, match='1 images in 1 groups cannot be split into two halves; give more images, or'):
        make(stubs, images).run()
    assert not stubs.trained and not (images.parent / 'work' / 'partition').exists()
    make(stubs, images, work='plain', num_stages=0).run()
    ((name, made, _, _),) = stubs.trained
    assert (name, made) == ('final', {IMAGES[0]: 'teacher'}) and not (images.parent / 'plain' / 'partition').exists()
    (images / f'{IMAGES[0]}.png').unlink()
    with pytest.raises(ValueError, match='must hold images .*, but holds none'):
        make(stubs, images, work='nothing').run()


def test_soft_labels_are_written_with_the_hard_ones(stubs, images):
    make(stubs, images, top_k=2).run()
    for folder in ('teacher', 'stage_1/a', 'stage_1/b'):
        labels = images.parent / 'work' / 'labels' / folder
        assert {path.stem for path in labels.glob('*.npz')} == {path.stem for path in labels.glob('*.png')} > set()
        assert read_summary(labels)['top_k'] == 2
    pipeline = [dict(type='LoadAnnotations'), dict(type='LoadSoftLabels')]
    make(stubs, images, top_k=1, dataset=dict(pipeline=pipeline))
    with pytest.raises(ValueError, match='train_cfg.top_k must be 1, 2, 3, ... if the pipeline .* but is 0; set it'):
        make(stubs, images, dataset=dict(pipeline=pipeline))


def test_a_soft_label_distiller_without_soft_labels_is_refused_before_anything_is_labeled(stubs, images):
    make(
        stubs,
        images,
        model='SoftLabelDistiller',
        top_k=2,
        dataset=dict(
            pipeline=[
                dict(type='RandomApply', transforms=[dict(type='LoadSoftLabels')]),
                dict(type='PackSoftSegInputs'),
            ]
        ),
    )
    for kept, missing in (('LoadSoftLabels', 'PackSoftSegInputs'), ('PackSoftSegInputs', 'LoadSoftLabels')):
        with pytest.raises(
            ValueError, match=rf"pipeline of train_dataloader.dataset has no dict\(type='{missing}'\); add it"
        ):
            make(stubs, images, model='mmseg_kd.SoftLabelDistiller', top_k=2, dataset=dict(pipeline=[dict(type=kept)]))
    assert not stubs.labeled


def test_classes_in_another_order_than_those_of_validation_are_refused(stubs, images):
    swapped = [CLASSES[1], CLASSES[0], *CLASSES[2:]]
    with pytest.raises(
        ValueError, match='class 0 is class 0 in train_cfg.teacher and class 1 in val_dataloader.dataset; reorder'
    ):
        make(stubs, images, val=dict(dataset=dict(type='BaseSegDataset', metainfo=dict(classes=swapped)))).run()
    assert not stubs.labeled


def test_a_changed_config_is_refused_and_named(stubs, images):
    make(stubs, images).run()
    with pytest.raises(ValueError, match='already holds a run; continue it with --resume'):
        make(stubs, images).run()
    before = json.loads((images.parent / 'work' / 'mckd.json').read_text())
    with pytest.raises(
        ValueError, match='started with another config: optim_wrapper.optimizer.lr: 0.1 -> 0.2. Restore that config'
    ):
        make(stubs, images, resume=True, lr=0.2).run()
    assert json.loads((images.parent / 'work' / 'mckd.json').read_text()) == before
    make(stubs, images, resume=True).run()
    assert len(stubs.trained) == 3


def test_bad_settings_are_refused_before_anything_is_labeled(stubs, images):
    with pytest.raises(ValueError, match='num_stages must be 0, 1, 2, ..., but is -1'):
        make(stubs, images, num_stages=-1)
    with pytest.raises(ValueError, match='train_cfg.teacher has 8 and the student 5'):
        make(stubs, images, classes=5).run()
    loop = make(stubs, images, work='ignoring')
    loop._runner.cfg.model.decode_head.ignore_index = 100
    with pytest.raises(ValueError, match='model.decode_head.ignore_index must be 255, .* but is 100; leave it out'):
        loop.run()
    (images / 'x_0.jpg').write_bytes(b'')
    with pytest.raises(ValueError, match='1 images differ from others only in the suffix, such as x_0.jpg'):
        make(stubs, images, work='twins').run()
    with pytest.raises(ValueError, match='must hold one data set with the key "images"'):
        MCKDLoop(
            SimpleNamespace(work_dir='w', cfg=None),
            dict(dataset=dict(type='CamVidDataset')),
            dict(config='', checkpoint=''),
            {},
        )
    assert not stubs.labeled


def work(rank, port, images):
    """One of two processes, whose networks note who was shown which image."""
    torch.set_num_threads(1)
    dist.init_process_group('gloo', init_method=f'tcp://127.0.0.1:{port}', rank=rank, world_size=2)
    stubs = Stubs()
    make(stubs, images, top_k=1).run()
    (images.parent / f'shown_{rank}.json').write_text(json.dumps([stubs.labeled, [name for name, *_ in stubs.trained]]))
    dist.barrier()
    os._exit(0)


@pytest.mark.skipif(not dist.is_gloo_available(), reason='torch without gloo')
def test_two_processes_label_each_of_seven_images_once_and_train_together(stubs, images):
    for name in IMAGES[7:]:
        (images / f'{name}.png').unlink()
    make(stubs, images, work='alone', top_k=1).run()
    with socket.socket() as probe:
        probe.bind(('127.0.0.1', 0))
        port = probe.getsockname()[1]
    run_ranks(work, (port, images), nprocs=2)
    shown = [json.loads((images.parent / f'shown_{rank}.json').read_text()) for rank in range(2)]
    assert [trained for _, trained in shown] == 2 * [[name for name, *_ in stubs.trained]]
    (first, _), (second, _) = shown
    assert sorted(map(tuple, first + second)) == sorted(stubs.labeled) and len(stubs.labeled) == 2 * 7
    for who in ('teacher', 'stage_1/a', 'stage_1/b'):
        counts = [sum(name == who for name, _ in images) for images in (first, second)]
        assert abs(counts[0] - counts[1]) <= 1 and min(counts) > 0
    for path in (images.parent / 'alone').rglob('*'):
        if path.suffix in ('.png', '.txt', '.md'):
            assert (
                path.read_bytes() == (images.parent / 'work' / path.relative_to(images.parent / 'alone')).read_bytes()
            )
