import errno
import os
import resource

import pytest
import torch

from mmseg_kd.io.open_files import STATUS, CheckedWorker, OpenFilesError, open_files_explained

MESSAGE = r'more open files than the limit of \d+ for each process; run `ulimit -n 4096`'


class Images(torch.utils.data.Dataset):
    def __len__(self):
        return 1

    def __getitem__(self, index):
        return [torch.zeros(3) for _ in range(64)]


class Low:
    """A ``worker_init_fn`` that takes nearly all open files away."""

    def __call__(self, worker):
        used = len(os.listdir('/proc/self/fd'))
        resource.setrlimit(resource.RLIMIT_NOFILE, (used + 16, used + 16))


def test_a_data_loader_without_open_files_ends_instead_of_hanging():
    loader = torch.utils.data.DataLoader(
        Images(), num_workers=1, collate_fn=list, worker_init_fn=CheckedWorker(Low()), timeout=60
    )
    with pytest.raises(OpenFilesError, match=MESSAGE), open_files_explained():
        next(iter(loader))


@pytest.mark.parametrize(
    'error',
    [
        OSError(errno.EMFILE, os.strerror(errno.EMFILE), 'image.png'),
        RuntimeError('unable to open shared memory object </torch_1_2_3> in read-write mode: Too many open files (24)'),
        RuntimeError('received 0 items of ancdata'),
        RuntimeError(f'DataLoader worker (pid 7) exited unexpectedly with exit code {STATUS}. Details are lost'),
    ],
)
def test_each_form_of_the_error_is_explained(error):
    with pytest.raises(OpenFilesError, match=MESSAGE), open_files_explained():
        raise error


@pytest.mark.parametrize('error', [FileNotFoundError('a.py'), RuntimeError('DataLoader worker (pid 2024) is killed')])
def test_other_errors_are_left_alone(error):
    with pytest.raises(type(error)) as caught, open_files_explained():
        raise error
    assert caught.value is error
