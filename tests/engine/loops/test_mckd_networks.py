from pathlib import Path
from types import SimpleNamespace

import pytest
from mmengine.config import Config

from mmseg_kd.engine.loops.mckd_networks import MCKDNetworks


@pytest.fixture
def networks(tmp_path):
    config = Config(
        dict(
            randomness=dict(seed=7),
            train_cfg=dict(type='MCKDLoop'),
            visualizer=dict(type='SegLocalVisualizer', name='visualizer'),
            train_dataloader=dict(
                dataset=dict(type='RepeatDataset', dataset=dict(type='PseudoLabelDataset', images='images'))
            ),
        )
    )
    runner = SimpleNamespace(cfg=config, work_dir=str(tmp_path), experiment_name='run')
    return MCKDNetworks(runner, dict(config='teacher.py'), dict(type='EpochBasedTrainLoop', max_epochs=2), tta=False)


def test_a_training_has_its_own_labels_images_seed_and_names(networks):
    config = networks.training('stage1/first', 3, Path('work'), ['labels/teacher'], Path('first.txt'))
    dataset = config.train_dataloader.dataset.dataset
    assert (dataset.labels, dataset.ids, dataset.images) == (['labels/teacher'], 'first.txt', 'images')
    assert config.randomness.seed == 10 and config.train_cfg.max_epochs == 2 and config.work_dir == 'work'
    assert config.visualizer.name == config.experiment_name == 'run_stage1_first'
    again = networks.training('final', 4, Path('work'), [], None).train_dataloader.dataset.dataset
    assert 'ids' not in again and again.labels == []


def test_teacher_and_student_are_loaded_with_their_weights(networks, monkeypatch, tmp_path):
    loaded = []
    monkeypatch.setattr(
        'mmseg_kd.engine.loops.mckd_networks.Labeler', lambda *arguments: loaded.append(arguments) or 'labeler'
    )
    (tmp_path / 'first').mkdir()
    (tmp_path / 'first' / 'last_checkpoint').write_text('iter_5.pth')
    (tmp_path / 'first' / 'iter_5.pth').touch()
    assert networks.teacher() == networks.student('first') == 'labeler'
    first, (student, weights, *_) = loaded
    assert first == ('teacher.py', None, False, None)
    assert student.randomness.seed == 7 and weights == str(tmp_path / 'first' / 'iter_5.pth')
    with pytest.raises(ValueError, match='second: the training left no checkpoint'):
        networks.student('second')


def test_a_training_starts_from_its_parent_or_resumes_its_own_checkpoint(networks, monkeypatch, tmp_path):
    started = []
    monkeypatch.setattr(networks, 'start', lambda config: started.append((config.resume, config.load_from)))
    for name in ('first', 'second'):
        (tmp_path / name).mkdir()
    (tmp_path / 'first' / 'last_checkpoint').write_text('iter_5.pth')
    (tmp_path / 'first' / 'iter_5.pth').touch()
    config = networks.training('second', 1, tmp_path / 'second', [], None)
    assert networks.train(config, 'first') == dict(iterations=0)
    monkeypatch.setattr('mmseg_kd.engine.loops.mckd_networks.saved_checkpoints', lambda folder: {5: 'iter_5.pth'})
    networks.train(config, 'first')
    assert started == [(False, str(tmp_path / 'first' / 'iter_5.pth')), (True, None)]
