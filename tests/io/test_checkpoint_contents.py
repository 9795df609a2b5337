import pickle
import zipfile

import pytest
import torch
from canaries import Canary, poison_checkpoint
from torch import nn

from mmseg_kd.io.checkpoint_contents import MalformedError, read_contents


@pytest.mark.parametrize('legacy', [False, True])
def test_names_of_code_are_found_and_not_run(tmp_path, legacy):
    poison_checkpoint(tmp_path / 'c.pth', tmp_path / 'ran', legacy)
    names = read_contents(tmp_path / 'c.pth').names
    assert {'posix.mkdir', 'torch._utils._rebuild_tensor_v2'} <= names and not (tmp_path / 'ran').exists()


@pytest.mark.parametrize('legacy', [False, True])
def test_the_memory_of_tensors_is_counted(tmp_path, legacy):
    content = dict(a=torch.ones(10, 3), b=nn.Parameter(torch.ones(4).half()), c=torch.ones(2, 0), d=torch.tensor(1))
    torch.save(content, tmp_path / 'c.pth', _use_new_zipfile_serialization=not legacy)
    contents = read_contents(tmp_path / 'c.pth')
    assert not contents.bomb
    if legacy:  # the zip format has further members
        assert contents.claimed == 10 * 3 * 4 + 4 * 2 + 8


def test_tensors_of_every_kind_are_read(tmp_path):
    kinds = [torch.float8_e4m3fn, torch.uint16, torch.bfloat16, torch.complex64, torch.bool, torch.int8]
    kinds = [kind for kind in kinds if kind is not None]
    content = {str(kind): torch.zeros(3).to(kind) for kind in kinds}
    content.update(sparse=torch.eye(2).to_sparse(), view=torch.arange(10)[2:8:2], meta=torch.ones(3, device='meta'))
    torch.save(content, tmp_path / 'c.pth')
    assert not read_contents(tmp_path / 'c.pth').bomb


def rewrite(path, change):
    """Write an archive again; ``change`` turns the list of its members (name, content) into another one."""
    with zipfile.ZipFile(path) as archive:
        members = [(name, archive.read(name)) for name in archive.namelist()]
    with zipfile.ZipFile(path, 'w', zipfile.ZIP_DEFLATED) as archive:
        for name, content in change(members):
            archive.writestr(name, content)


def test_a_small_file_that_unpacks_to_much_is_found_by_its_declared_sizes(tmp_path):
    torch.save(dict(a=torch.zeros(5_000_000)), tmp_path / 'c.pth')
    rewrite(tmp_path / 'c.pth', lambda members: members)
    contents = read_contents(tmp_path / 'c.pth')
    assert contents.stored < 100_000 and contents.claimed > 20_000_000 and contents.bomb


def test_a_view_that_repeats_one_number_is_found(tmp_path):
    torch.save(dict(a=torch.zeros(1).expand(10**9)), tmp_path / 'c.pth')
    assert read_contents(tmp_path / 'c.pth').bomb
    torch.save(dict(a=torch.zeros(1, 7).expand(5, 7)), tmp_path / 'c.pth')
    assert not read_contents(tmp_path / 'c.pth').bomb


class Call:
    def __init__(self, function, *args):
        self.call = function, args

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize('call', [Call(bytearray, 10**9), Call(torch.FloatTensor, 10**9)], ids=['bytes', 'tensor'])
def test_a_call_that_takes_memory_is_found(tmp_path, call):
    torch.save(dict(a=call), tmp_path / 'c.pth')
    assert read_contents(tmp_path / 'c.pth').bomb


def test_a_tensor_larger_than_its_storage_is_malformed(tmp_path):
    storage = torch.zeros(4).untyped_storage()
    for size, stride in (((5,), (1,)), ((2, 2), (4, 1)), ((3,), (-1,))):
        call = Call(
            torch._utils._rebuild_tensor_v2,
            torch.storage.TypedStorage(wrap_storage=storage, dtype=torch.float32, _internal=True),
            0,
            size,
            stride,
            False,
            {},
        )
        torch.save(dict(a=call), tmp_path / 'c.pth')
        with pytest.raises(MalformedError, match='a tensor'):
            read_contents(tmp_path / 'c.pth')


@pytest.mark.parametrize(
    'change, message',
    [
        (lambda members: [m for m in members if '/data/' not in m[0]], 'a storage of 40 bytes is missing'),
        (lambda members: [(n, c[:8] if '/data/' in n else c) for n, c in members], 'of 40 bytes holds 8 bytes'),
        (lambda members: members + [('c/DATA.PKL', b'')], 'two members of one name'),
        (lambda members: [m for m in members if not m[0].endswith('data.pkl')], 'holds no c/data.pkl'),
    ],
)
def test_archives_that_torch_does_not_write_are_malformed(tmp_path, change, message):
    torch.save(dict(a=torch.ones(10)), tmp_path / 'c.pth')
    rewrite(tmp_path / 'c.pth', change)
    with pytest.raises(MalformedError, match=message):
        read_contents(tmp_path / 'c.pth')


def test_a_truncated_file_of_the_old_format_is_malformed(tmp_path):
    torch.save(dict(a=torch.ones(10)), tmp_path / 'c.pth', _use_new_zipfile_serialization=False)
    (tmp_path / 'c.pth').write_bytes((tmp_path / 'c.pth').read_bytes()[:-1])
    with pytest.raises(MalformedError, match='its tensors need 48 bytes, but only 47 are there'):
        read_contents(tmp_path / 'c.pth')


@pytest.mark.parametrize('content', [
    b'', b'text', pickle.dumps([1]), b'\x80\x02\x82\x01.', b'\x80\x02Vx\nQ.', b'\x80\x02r\xff\xff\xff\x7f.',
])  # fmt: skip
def test_other_pickles_are_malformed(tmp_path, content):
    (tmp_path / 'c.pth').write_bytes(content)
    with pytest.raises(MalformedError):
        read_contents(tmp_path / 'c.pth')


def test_code_is_named_even_if_the_pickle_does_not_end(tmp_path):
    (tmp_path / 'c.pth').write_bytes(pickle.dumps(Canary(tmp_path / 'ran'))[:-1])
    assert read_contents(tmp_path / 'c.pth').names == {'posix.mkdir'}
