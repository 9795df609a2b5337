import fcntl
import os
import threading

import pytest

from mmseg_kd.io import files
from mmseg_kd.io.files import _host, find_files, read_list, remove_leftovers, write_atomically


def test_text_and_bytes_replace_what_was_there(tmp_path):
    path = tmp_path / 'file'
    write_atomically(path, 'größer')
    assert path.read_text(encoding='utf-8') == 'größer'
    write_atomically(path, b'\x00\xff')
    assert path.read_bytes() == b'\x00\xff' and os.listdir(tmp_path) == ['file']


def test_a_file_that_cannot_be_written_stays_as_it_was(tmp_path, monkeypatch):
    path = tmp_path / 'file'
    write_atomically(path, 'before')

    def full(descriptor):
        raise OSError(28, 'No space left on device')

    monkeypatch.setattr(os, 'fsync', full)
    with pytest.raises(OSError, match=f"No space left on device: '{path}'"):
        write_atomically(path, 'after')
    assert path.read_text() == 'before' and os.listdir(tmp_path) == ['file']


def test_a_reader_never_sees_half_a_file(tmp_path):
    path, seen, stop = tmp_path / 'file', set(), threading.Event()
    write_atomically(path, 'a' * 100_000)

    def read():
        while not stop.is_set():
            seen.add(path.read_text())

    reader = threading.Thread(target=read)
    reader.start()
    for letter in 'bc' * 20:
        write_atomically(path, letter * 100_000)
    stop.set()
    reader.join()
    assert seen <= {letter * 100_000 for letter in 'abc'}


def test_temporary_files_of_the_dead_are_removed_and_no_others(tmp_path):
    dead = 2**22 + 1  # above the largest number of a process
    names = dict(
        dead=f'.mmseg_kd.{_host()}.{dead}.0.tmp',
        locked=f'.mmseg_kd.{_host()}.{dead}.1.tmp',  # a process of another container on this machine
        living=f'.mmseg_kd.{_host()}.{os.getpid()}.2.tmp',
        elsewhere='.mmseg_kd.elsewhere.7.3.tmp',
        old='.mmseg_kd.elsewhere.7.4.tmp',
        foreign='.labels.tmp',
    )
    for name in names.values():
        (tmp_path / name).touch()
    os.utime(tmp_path / names['old'], (0, 0))
    with open(tmp_path / names['locked'], 'rb') as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        removed = remove_leftovers(tmp_path)
    assert {path.name for path in removed} == {names['dead'], names['old']}
    assert set(os.listdir(tmp_path)) == set(names.values()) - {names['dead'], names['old']}
    assert remove_leftovers(tmp_path / 'missing') == []


def test_a_temporary_file_is_recognized_while_it_is_written_and_locked(tmp_path, monkeypatch):
    seen = []

    def look(descriptor):
        (path,) = tmp_path.iterdir()
        with open(path, 'rb') as file, pytest.raises(BlockingIOError):
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        seen.append(path.name)

    monkeypatch.setattr(os, 'fsync', look)
    write_atomically(tmp_path / 'file', 'text')
    assert seen[0].startswith(f'.mmseg_kd.{_host()}.{os.getpid()}.')


def tree(root, *names):
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    return root


def test_files_are_found_behind_links_in_any_case_and_but_once(tmp_path):
    disk = tree(tmp_path / 'disk', 'far/2.JPG', '3.jpeg')
    root = tree(
        tmp_path / 'root', 'b/1.jpg', 'b/notes.txt', 'b/c/4.Png', '.hidden.jpg', '.git/5.jpg', 'folder.jpg/6.jpg'
    )
    (root / 'a').symlink_to(root / 'b')  # before b in the order of the names, but not the folder's own path
    (root / 'b' / 'up').symlink_to(root)
    (root / 'elsewhere').symlink_to(disk)
    (disk / 'back').symlink_to(root / 'b')
    (root / 'again').symlink_to(disk / 'far')
    (root / 'link.jpg').symlink_to(disk / '3.jpeg')
    (root / 'gone.jpg').symlink_to(tmp_path / 'nowhere')
    assert find_files(root, ['.jpg', '.jpeg', '.PNG']) == [
        'again/2.JPG',
        'b/1.jpg',
        'b/c/4.Png',
        'elsewhere/3.jpeg',
        'folder.jpg/6.jpg',
        'gone.jpg',
        'link.jpg',
    ]
    assert 'b/notes.txt' in find_files(root)


def test_a_folder_that_cannot_be_read_is_named(tmp_path):
    with pytest.raises(OSError, match='nowhere'):
        find_files(tmp_path / 'nowhere')


@pytest.mark.parametrize(
    'content',
    [
        b'\xef\xbb\xbfa/1\r\n\r\n  b 2\t\r\nc\xc3\xa93',
        b'a/1\n \nb 2\nc\xc3\xa93\n\n',
        b'a/1\rb 2\rc\xc3\xa93\r',
        'a/1\r\nb 2\r\nc\u00e93\r\n'.encode('utf-16'),
    ],
)
def test_a_list_is_read_whichever_system_wrote_it(tmp_path, content):
    (tmp_path / 'list.txt').write_bytes(content)
    assert read_list(tmp_path / 'list.txt') == ['a/1', 'b 2', 'c\u00e93']


def test_a_list_that_is_no_text_is_named(tmp_path):
    (tmp_path / 'list.txt').write_bytes(b'caf\xe9\n')
    with pytest.raises(ValueError, match='list.txt must be a text file in UTF-8, but byte 3 is not UTF-8'):
        read_list(tmp_path / 'list.txt')


def test_equal_files_are_found_by_content_and_only_those_of_equal_size_are_read(tmp_path, monkeypatch):
    zeros = b'0' * 70000
    names = dict(
        one=b'1' * 9, copy=b'1' * 9, same_size=b'2' * 9, longer=b'1' * 10, big=zeros + b'1', other=zeros + b'1'
    )
    names |= dict(other_end=zeros + b'2', alone=zeros + b'3')
    paths = {name: str(tmp_path / name) for name in names}
    for name, content in names.items():
        (tmp_path / name).write_bytes(content)
    os.symlink(paths['one'], tmp_path / 'link')
    link, absent = str(tmp_path / 'link'), str(tmp_path / 'absent')
    others = [*(paths[name] for name in ('same_size', 'copy', 'other_end', 'other')), absent, 'https://host/one.jpg']
    asked = [link, absent, *(paths[name] for name in ('one', 'longer', 'big', 'alone'))]
    copy, other = paths['copy'], paths['other']
    assert files.equal_files(asked, others) == {link: copy, paths['one']: copy, paths['big']: other}
    monkeypatch.setattr(files, '_beginning', lambda path: pytest.fail('a file of another size was read'))
    assert files.equal_files([paths['longer']], others) == {}
