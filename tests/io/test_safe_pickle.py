import io
import pickle
from collections import OrderedDict

import numpy as np
import pytest
import torch
from canaries import Canary, poison_checkpoint
from mmengine.logging import HistoryBuffer

from mmseg_kd.io.safe_pickle import UnsafeFileError, check_file, load_file, load_pickle
from mmseg_kd.io.trust import TRUST


@pytest.mark.parametrize('read', [check_file, load_file])
def test_the_refusal_says_what_the_file_wanted_and_what_to_do(tmp_path, read):
    poison_checkpoint(tmp_path / 'c.pth', tmp_path / 'ran')
    with pytest.raises(UnsafeFileError, match=r'it wants posix\.mkdir; if you trust.*--trust-files.*MMSEG_KD_TRUST'):
        read(tmp_path / 'c.pth')
    assert not (tmp_path / 'ran').exists()


def test_a_trusted_file_may_run(tmp_path, monkeypatch):
    monkeypatch.setenv(TRUST, '1')
    poison_checkpoint(tmp_path / 'c.pth', tmp_path / 'ran')
    assert load_file(tmp_path / 'c.pth')['state_dict']['weight'] == 1 and (tmp_path / 'ran').exists()


@pytest.mark.parametrize('read', [check_file, load_file])
def test_a_file_that_would_fill_the_memory_is_refused(tmp_path, read):
    torch.save(dict(a=torch.zeros(1).expand(2**28)), tmp_path / 'c.pth')
    with pytest.raises(UnsafeFileError, match=r'its content would take 1\.0 GiB of memory.*--trust-files'):
        read(tmp_path / 'c.pth')


@pytest.mark.parametrize('legacy', [False, True])
def test_torch_below_2_4_reads_the_same_and_runs_nothing(tmp_path, monkeypatch, legacy):
    monkeypatch.delattr(torch.serialization, 'add_safe_globals')
    content = dict(
        state_dict=OrderedDict(a=torch.ones(2), b=torch.nn.Parameter(torch.ones(3).half())),
        log=HistoryBuffer([1.0, 2.0], [1, 1]),
        meta=dict(epoch=np.int64(3), lrs=np.ones(2)),
    )
    torch.save(content, tmp_path / 'c.pth', _use_new_zipfile_serialization=not legacy)
    found = load_file(tmp_path / 'c.pth')
    assert found['log'].mean() == 1.5 and found['meta']['epoch'] == 3 and found['meta']['lrs'].tolist() == [1, 1]
    assert torch.equal(found['state_dict']['b'], content['state_dict']['b'])
    # The second of two barriers, without the first.
    monkeypatch.setattr('mmseg_kd.io.safe_pickle.check_file', lambda path: None)
    poison_checkpoint(tmp_path / 'c.pth', tmp_path / 'ran', legacy)
    with pytest.raises(UnsafeFileError, match=r'GLOBAL posix\.mkdir is refused'):
        load_file(tmp_path / 'c.pth')
    assert not (tmp_path / 'ran').exists()


def test_pickles_of_data_are_read():
    content = [1, 'a', dict(x=(2.5, None)), {3}]
    assert load_pickle(io.BytesIO(pickle.dumps(content))) == content
    assert load_pickle(io.BytesIO(pickle.dumps(np.arange(3)))).tolist() == [0, 1, 2]


HISTORY = b'cmmengine.logging.history_buffer\nHistoryBuffer\n'


@pytest.mark.parametrize('content', [
    pickle.dumps(Canary('ran')),
    pickle.dumps(np.array([Canary('ran')], object)),
    b'cbuiltins\neval\n(V1\ntR.',
    b'cbuiltins\ngetattr\n(cnumpy\nndarray\nVtofile\ntR.',
    b'(cos\nsystem\nVtouch ran\no.',
    # A class whose methods would be replaced by its "state".
    HISTORY + b'(N}Vmean\nccollections\nOrderedDict\nstb.',
    # A method of an allowed class, called.
    b'cbuiltins\ngetattr\n(' + HISTORY + b'Vmean\ntR(tR.',
    b'\x80\x02\x82\x01.',
])  # fmt: skip
def test_pickles_that_do_more_than_hold_data_are_refused(tmp_path, monkeypatch, content):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UnsafeFileError, match=r'could run code \(GLOBAL .*--trust-files'):
        load_pickle(io.BytesIO(content))
    assert not (tmp_path / 'ran').exists()
