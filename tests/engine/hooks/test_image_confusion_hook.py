import numpy as np
import pytest
import torch
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample
from torch.utils.data import DataLoader, Subset

from mmseg_kd.engine.hooks import image_confusion_hook
from mmseg_kd.engine.hooks.image_confusion_hook import confusion_cells
from mmseg_kd.io.image_confusion import BEST, LAST, TEST, read_image_confusion, write_image_confusion
from mmseg_kd.testing.toys import ToyDataset, toy_runner, toy_segmentor

LOADER = dict(
    dataset=ToyDataset(3),
    batch_size=2,
    sampler=dict(type='DefaultSampler', shuffle=False),
    collate_fn=dict(type='pseudo_collate'),
)
EVALUATED = dict(
    val_dataloader=LOADER,
    val_cfg=dict(type='ValLoop'),
    val_evaluator=dict(type='IoUMetric'),
    test_dataloader=LOADER,
    test_cfg=dict(type='TestLoop'),
    test_evaluator=dict(type='IoUMetric'),
)


def runner(folder, **settings):
    train_cfg = dict(by_epoch=False, max_iters=settings.pop('until', 2), val_interval=1)
    return toy_runner(toy_segmentor(4, num_classes=4), folder, train_cfg=train_cfg, **{**EVALUATED, **settings})


def validations(runner):
    """mIoU of the validations as IoUMetric computes it."""
    found = []
    call = runner.call_hook

    def call_hook(name, **arguments):
        call(name, **arguments)
        if name == 'after_val_epoch':
            found.append(arguments['metrics']['mIoU'])

    runner.call_hook = call_hook
    runner.train()
    return found


def test_a_training_and_a_test_write_the_matrices_of_all_images(tmp_path):
    one = runner(tmp_path)
    mious = validations(one)
    last, best = read_image_confusion(tmp_path / LAST), read_image_confusion(tmp_path / BEST)
    assert len(last.images) == 3 and last.iteration == 2 and last.classes == list(ToyDataset(1).metainfo['classes'])
    assert last.miou == pytest.approx(mious[-1], abs=0.006) and best.miou == pytest.approx(max(mious), abs=0.006)
    labels = [ToyDataset(3)[i]['data_samples'].gt_sem_seg.data for i in range(3)]
    assert [last.matrix(i).sum() for i in range(3)] == [int((one != 255).sum()) for one in labels]
    # As the rehearsal of MCKD does; only the evaluator knows the classes of such a part.
    one._test_loop = one.build_test_loop(one._test_loop)
    part = Subset(one.test_loop.dataloader.dataset, range(3))
    one.test_loop.dataloader = DataLoader(part, collate_fn=one.test_loop.dataloader.collate_fn)
    one.test()
    assert read_image_confusion(tmp_path / TEST).miou == last.miou


def test_the_best_is_known_after_a_resume_and_not_after_a_fresh_start(tmp_path):
    runner(tmp_path, until=1).train()
    perfect = read_image_confusion(tmp_path / BEST)
    perfect.cell = perfect.cell // 4 * 5
    write_image_confusion(tmp_path / BEST, perfect)
    runner(tmp_path, until=2, resume=True).train()
    assert read_image_confusion(tmp_path / BEST).miou == 100
    perfect.iteration = 50  # of a validation that is repeated
    write_image_confusion(tmp_path / BEST, perfect)
    runner(tmp_path, until=3, resume=True).train()
    assert read_image_confusion(tmp_path / BEST).miou < 100
    write_image_confusion(tmp_path / BEST, perfect)
    runner(tmp_path, until=1).train()
    assert read_image_confusion(tmp_path / BEST).iteration == 1


def test_images_of_several_processes_are_in_the_order_of_the_data(tmp_path, monkeypatch):
    """Process 0 has the images 0, 2; process 1 has 1, and 0 again to fill its batch."""
    runner(tmp_path / 'alone').train()
    alone = read_image_confusion(tmp_path / 'alone' / LAST)

    def collect(parts, size, device):
        ((complete, found),) = parts
        return [(complete, [found[0], found[2]]), (complete, [found[1], found[0]])]

    monkeypatch.setattr(image_confusion_hook, 'collect_results', collect)
    runner(tmp_path / 'several').train()
    several = read_image_confusion(tmp_path / 'several' / LAST)
    assert several.images == alone.images
    for name in ('image', 'cell', 'pixels'):
        np.testing.assert_array_equal(getattr(several, name), getattr(alone, name))


def test_nothing_is_written_without_labels_or_on_a_full_disk(tmp_path, monkeypatch):
    one = runner(tmp_path)
    hook = next(hook for hook in one.hooks if type(hook).__name__ == 'ImageConfusionHook')
    evaluator = type('E', (), dict(dataset_meta=dict(classes='ab'), metrics=[]))
    hook._count([SegDataSample(pred_sem_seg=PixelData(data=torch.zeros(1, 2, 2)))], evaluator)
    assert not hook._complete and hook._collect(one, one.val_loop) is None

    def full(*_):
        raise OSError(28, 'No space left on device')

    monkeypatch.setattr(image_confusion_hook, 'write_image_confusion', full)
    one.train()  # goes on
    assert not list(tmp_path.glob('*.npz'))


def test_cells_by_hand():
    truth = torch.tensor([[0, 0, 1], [2, 255, 1]])
    predicted = torch.tensor([[0, 1, 1], [0, 2, 1]])
    cells, pixels = confusion_cells(predicted, truth, 3)
    assert cells.tolist() == [0, 1, 4, 6] and pixels.tolist() == [1, 1, 2, 1]
