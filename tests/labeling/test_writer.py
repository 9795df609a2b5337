import json
import os
import socket
import subprocess
from pathlib import Path

import numpy as np
import pytest
import torch
from fork_server import forked_python
from PIL import Image

from mmseg_kd.labeling import find_images, images_of_ids, read_summary, write_labels

CLASSES = ('sky', 'road', 'car')
PALETTE = [[1, 2, 3], [4, 5, 6], [7, 8, 9]]
# Two rows: sure of class 1, then undecided between 0 and 2.
PROBABILITIES = torch.tensor(
    [[[0.1, 0.1, 0.0], [0.5, 0.45, 0.2]], [[0.9, 0.8, 1.0], [0.0, 0.15, 0.2]], [[0.0, 0.1, 0.0], [0.5, 0.40, 0.6]]]
)


@pytest.fixture
def images(tmp_path):
    folder = tmp_path / 'images'
    for name in ('a/1.png', 'a/2.jpg', 'b/3.png', '.hidden/4.png', 'notes.txt'):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b'')
    return str(folder)


def label(path):
    return PROBABILITIES


def write(images, out, labeled=label, **more):
    return write_labels(labeled, find_images(images), images, str(out), CLASSES, PALETTE, **more)


def test_images_are_found_in_folders_of_folders(images, tmp_path):
    assert find_images(images) == ['a/1.png', 'a/2.jpg', 'b/3.png']
    with pytest.raises(ValueError, match='there is no folder'):
        find_images(str(tmp_path / 'nowhere'))
    (tmp_path / 'empty').mkdir()
    with pytest.raises(ValueError, match='must hold images'):
        find_images(str(tmp_path / 'empty'))


def test_maps_hold_the_most_probable_class_and_void_where_nothing_is_probable(images, tmp_path):
    summary = write(images, tmp_path / 'out', threshold=0.46)
    picture = Image.open(tmp_path / 'out' / 'a' / '2.png')
    assert np.asarray(picture).tolist() == [[1, 1, 1], [0, 255, 2]] and picture.getpalette()[:9] == sum(PALETTE, [])
    assert sorted(str(path.relative_to(tmp_path / 'out')) for path in (tmp_path / 'out').rglob('*.png')) == [
        'a/1.png',
        'a/2.png',
        'b/3.png',
    ]
    image = summary['images']['a/2']
    assert image['image'] == 'a/2.jpg' and image['size'] == [2, 3]
    assert image['share'] == pytest.approx([1 / 6, 3 / 6, 1 / 6], abs=1e-6) and image['void'] == pytest.approx(
        1 / 6, abs=1e-6
    )
    assert image['confidence'] == pytest.approx((0.9 + 0.8 + 1.0 + 0.5 + 0.45 + 0.6) / 6, abs=1e-6)
    assert read_summary(str(tmp_path / 'out')) == json.loads(json.dumps(summary))


def test_soft_labels_hold_the_best_classes_of_every_other_pixel(images, tmp_path):
    write(images, tmp_path / 'out', top_k=2, stride=2)
    with np.load(tmp_path / 'out' / 'b' / '3.npz') as soft:
        # From the middle of 2 x 2 pixels on: row 1, column 1.
        assert soft['classes'].dtype == np.uint8 and soft['classes'].tolist() == [[[0]], [[2]]]
        assert soft['shares'].dtype == np.float16
        assert soft['shares'].ravel().tolist() == pytest.approx([0.45, 0.40], abs=1e-3) and soft['stride'] == 2
        assert soft['rest'].dtype == np.float16 and soft['rest'].tolist() == [[pytest.approx(0.15, abs=1e-3)]]


def test_what_soft_labels_leave_out_is_known_even_where_it_is_little(images, tmp_path):
    """Half precision knows nothing between 0.9995 and 1, but 1e-5 itself to a hundredth."""
    probabilities = torch.tensor([1e-5, 1 - 3e-5, 2e-5])[:, None, None].expand(-1, 4, 4)
    write(images, tmp_path / 'out', lambda path: probabilities, top_k=1)
    with np.load(tmp_path / 'out' / 'b' / '3.npz') as soft:
        assert soft['shares'].item() == 1 and soft['rest'].item() == pytest.approx(3e-5, rel=0.01)


def test_what_is_there_is_not_labeled_again(images, tmp_path):
    seen = []

    def killed(path):
        if len(seen) == 2:
            raise KeyboardInterrupt
        seen.append(path)
        return PROBABILITIES

    with pytest.raises(KeyboardInterrupt):
        write(images, tmp_path / 'out', killed)
    with pytest.raises(ValueError, match='its labeling was interrupted; run it again'):
        read_summary(str(tmp_path / 'out'))

    def rest(path):
        seen.append(path)
        return PROBABILITIES

    summary = write(images, tmp_path / 'out', rest)
    assert sorted(os.path.relpath(path, images) for path in seen) == ['a/1.png', 'a/2.jpg', 'b/3.png']
    assert summary == write(images, tmp_path / 'elsewhere')


def test_a_map_that_is_gone_is_made_again(images, tmp_path):
    write(images, tmp_path / 'out')
    (tmp_path / 'out' / 'a' / '1.png').unlink()
    write(images, tmp_path / 'out')
    assert (tmp_path / 'out' / 'a' / '1.png').is_file()


def test_labels_of_other_sources_do_not_share_a_folder(images, tmp_path):
    write(images, tmp_path / 'out', source=dict(checkpoint='one.pth'))
    with pytest.raises(
        ValueError, match="with other settings: source was {'checkpoint': 'one.pth'}, but is now .*two.pth"
    ):
        write(images, tmp_path / 'out', source=dict(checkpoint='two.pth'))
    with pytest.raises(ValueError, match='with other settings: threshold was 0.0, but is now 0.5'):
        write(images, tmp_path / 'out', source=dict(checkpoint='one.pth'), threshold=0.5)
    (tmp_path / 'full').mkdir()
    (tmp_path / 'full' / 'thesis.tex').write_text('x')
    with pytest.raises(ValueError, match='must be empty or hold labels'):
        write(images, tmp_path / 'full')


def test_an_unreadable_image_is_named_and_passed_over_only_if_told_to(images, tmp_path):

    def broken(path):
        if path.endswith('2.jpg'):
            raise ValueError(f"{path} can't be read")
        return PROBABILITIES

    with pytest.raises(ValueError, match=r"2\.jpg can't be read"):
        write(images, tmp_path / 'out', broken)
    summary = write(images, tmp_path / 'out', broken, skip_unreadable=True)
    assert list(summary['images']) == ['a/1', 'b/3'] and list(summary['unreadable']) == ['a/2']


def test_a_full_disk_leaves_nothing_half_written(images, tmp_path, monkeypatch):

    def full(descriptor):
        raise OSError(28, 'No space left on device')

    write_labels(label, ['a/1.png'], images, str(tmp_path / 'out'), CLASSES)
    before = sorted(path.name for path in (tmp_path / 'out').rglob('*.png'))
    monkeypatch.setattr(os, 'fsync', full)
    with pytest.raises(OSError, match='No space left'):
        write_labels(label, ['a/1.png', 'b/3.png'], images, str(tmp_path / 'out'), CLASSES)
    assert sorted(path.name for path in (tmp_path / 'out').rglob('*.png')) == before
    assert not list((tmp_path / 'out').rglob('*.tmp'))


def test_impossible_settings_are_refused(images, tmp_path):
    with pytest.raises(ValueError, match='threshold must be a probability in 0..1, but is 2'):
        write(images, tmp_path / 'out', threshold=2)
    with pytest.raises(ValueError, match='top_k must be in 0..3, the number of classes, but is 4'):
        write(images, tmp_path / 'out', top_k=4)
    with pytest.raises(ValueError, match='at most 255 classes, but there are 256'):
        write_labels(label, ['a/1.png'], images, str(tmp_path / 'out'), list(map(str, range(256))))
    with pytest.raises(ValueError, match='differ from others only in the suffix, such as a/1.jpg'):
        write_labels(label, ['a/1.jpg', 'a/1.png'], images, str(tmp_path / 'out'), CLASSES)
    with pytest.raises(ValueError, match='the network predicts 3 classes, but 2 are named'):
        write_labels(label, ['a/1.png'], images, str(tmp_path / 'new'), CLASSES[:2])
    with pytest.raises(
        FloatingPointError, match=f'NaN or infinite probabilities for {images}/a/1.png; its weights are broken'
    ):
        write_labels(lambda path: PROBABILITIES * float('nan'), ['a/1.png'], images, str(tmp_path / 'nan'), CLASSES)


WORKER = """
import sys, os
import torch
import torch.distributed as dist
from mmseg_kd.labeling import find_images, write_labels
rank, port, images, out = int(sys.argv[1]), sys.argv[2], sys.argv[3], sys.argv[4]
os.environ.update(MASTER_ADDR='127.0.0.1', MASTER_PORT=port, RANK=str(rank), WORLD_SIZE='2')
dist.init_process_group('gloo')
def label(path):
    open(os.path.join(out + '_seen', f'{rank}_' + os.path.basename(path)), 'w').close()
    return torch.ones(2, 1, 1) / 2
summary = write_labels(label, find_images(images), images, out, ['x', 'y'])
print(len(summary['images']), flush=True)
dist.barrier()
os._exit(0)
"""


def test_two_processes_label_seven_images_once_each(tmp_path):
    images, out = tmp_path / 'images', tmp_path / 'out'
    images.mkdir()
    (tmp_path / 'out_seen').mkdir()
    for number in range(7):
        (images / f'{number}.png').write_bytes(b'')
    with socket.socket() as probe:
        probe.bind(('127.0.0.1', 0))
        port = str(probe.getsockname()[1])
    workers = [
        subprocess.Popen(
            [forked_python(), '-c', WORKER, str(rank), port, str(images), str(out)],
            stdout=subprocess.PIPE,
            text=True,
            cwd=Path(__file__).parents[2],
        )
        for rank in range(2)
    ]
    assert [worker.communicate(timeout=600)[0].split()[-1] for worker in workers] == ['7', '7']
    seen = sorted(path.name.split('_')[1] for path in (tmp_path / 'out_seen').iterdir())
    assert seen == [f'{number}.png' for number in range(7)]
    assert len({path.name[0] for path in (tmp_path / 'out_seen').iterdir()}) == 2


def test_the_images_of_a_list_are_found_by_their_ids(images):
    assert images_of_ids(images, ['b/3', 'a/1'], '--ids', 'x.txt') == {'b/3': 'b/3.png', 'a/1': 'a/1.png'}
    with pytest.raises(ValueError, match='^--ids: 1 of 2 ids of x.txt have no image in .*, such as a/9$'):
        images_of_ids(images, ['a/1', 'a/9'], '--ids', 'x.txt')


def test_records_of_somebody_else_may_not_lead_out_of_the_folder(tmp_path):
    probabilities = torch.tensor([[[0.9]], [[0.1]]])
    label = (lambda path: probabilities, ['1.jpg'], 'images', str(tmp_path / 'labels'), ['a', 'b'])
    write_labels(*label)
    (tmp_path / 'labels' / 'parts' / 'x.jsonl').write_text('{"../../outside": {"image": "1.jpg"}}\n')
    with pytest.raises(ValueError, match=r'parts lists \.\./\.\./outside, which lies outside of its folder'):
        write_labels(*label)
