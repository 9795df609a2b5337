import io
from pathlib import Path
from types import SimpleNamespace

from mmengine.config import Config

from mmseg_kd.doctor.diagnosis import Diagnosis
from mmseg_kd.doctor.labeling_checks import check_trainings, stand_in_loader, whole_length
from mmseg_kd.testing.toys import ToyDataset

TRAINING = Config(
    dict(
        work_dir='labels/run',
        train_cfg=dict(type='EpochBasedTrainLoop', max_epochs=3),
        train_dataloader=dict(
            batch_size=4,
            num_workers=2,
            persistent_workers=True,
            sampler=dict(type='DefaultSampler', shuffle=False),
            dataset=ToyDataset(),
        ),
    )
)


def test_epochs_over_few_images_become_the_iterations_over_all():
    loop = SimpleNamespace(number_of_images=lambda: 10)
    # Three batches of at most four images in each of three epochs.
    assert whole_length((loop, TRAINING)).train_cfg == dict(type='IterBasedTrainLoop', max_iters=9)
    assert TRAINING.train_cfg.type == 'EpochBasedTrainLoop'
    by_iteration = Config(dict(TRAINING, train_cfg=dict(type='IterBasedTrainLoop', max_iters=7)))
    assert whole_length((loop, by_iteration)) is by_iteration


def test_the_rehearsal_runs_in_the_folder_of_the_labels():
    tried, out = [], io.StringIO()
    loop = SimpleNamespace(rehearse=lambda training, folder: tried.append((training, folder)))
    Diagnosis(out).run('labeling', check_trainings, (loop, TRAINING))
    assert tried == [(TRAINING, Path('labels'))] and 'one step, one validation' in out.getvalue()


def test_placeholder_labels_are_loaded_without_workers():
    out = io.StringIO()
    loader = Diagnosis(out).run('training data', stand_in_loader, (None, TRAINING))
    assert loader.num_workers == 0 and loader.batch_size == 4
    assert f'placeholder labels of {len(loader.dataset)} images are used' in out.getvalue()
