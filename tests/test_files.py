import os
import threading

import pytest

from mmseg_kd.files import write_atomically


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
