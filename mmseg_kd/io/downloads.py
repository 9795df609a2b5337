"""Downloads that are complete, checked, and kept under their whole address."""

import hashlib
import os
import re
import sys
import urllib.request
from http.client import HTTPException
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import unquote, urlparse

import torch
from mmengine.dist import barrier, is_main_process

from .files import file_hash
from .progress import ProgressLine
from .trust import REMEDY, trusted

# OpenMMLab and torchvision end the names of published files with the beginning of their SHA-256.
HASH = re.compile(r'-([0-9a-f]{8,64})\.\w+$')
DATE = re.compile(r'20[0-9]{6}')
BLOCK, TIMEOUT = 2**20, 60


class DownloadError(ValueError):
    """The address is not safe or does not answer, or the file is incomplete or another one than its name says."""


def download(address: str) -> str:
    """Download a file once; later calls return the same path.

    The file lies in torch's hub folder, in a folder of its own for each address. A file that torch.hub has downloaded
    before is used if its name holds its hash and the content fits.

    Args:
        address: Address that begins with ``https://``; ``http://`` needs trust in files.

    Returns:
        str: Path of the complete file.

    Raises:
        DownloadError: If the address is not ``https``, leads to one that is not, or does not answer, or if the file is
            incomplete or does not fit the hash in its name.
    """
    name = unquote(os.path.basename(urlparse(address).path))
    if name in ('', '.', '..') or '/' in name or '\\' in name:
        raise DownloadError(f'cannot download {address}: the address must end with the name of a file')
    folder = Path(torch.hub.get_dir(), 'checkpoints')
    target = folder / hashlib.sha256(address.encode()).hexdigest()[:16] / name
    try:
        if is_main_process():
            _ensure(address, target, folder / name)
    finally:
        barrier()
    _ensure(address, target, folder / name)  # machines of a cluster may have a folder each
    return str(target if target.is_file() else folder / name)


def _ensure(address: str, target: Path, former: Path) -> None:
    wanted = _hash_in(target.name)
    if target.is_file() or (wanted and former.is_file() and file_hash(former).startswith(wanted)):
        return
    _check_scheme(address, address)
    # Two processes may download at once. Each writes a file of its own, and the last one to finish stays.
    partial = target.with_name(f'.{target.name}.{os.getpid()}.tmp')
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        request = urllib.request.Request(address, headers={'User-Agent': 'mmseg_kd'})
        with open_address(request, timeout=TIMEOUT) as answer, open(partial, 'wb') as file:
            digest = _copy(answer, file, address, target.name)
        if wanted and not digest.startswith(wanted):
            raise DownloadError(
                f'{address} has a SHA-256 that begins with {digest[:8]}, but its name says {wanted}: it was changed or '
                f'damaged; download it elsewhere and pass its path'
            )
        os.replace(partial, target)
    except (OSError, HTTPException) as error:
        hint = f'; {former} has no hash in its name, so pass its path if it is the file' if former.is_file() else ''
        raise DownloadError(f'cannot download {address}: {error}{hint}') from None
    finally:
        partial.unlink(missing_ok=True)


def _copy(answer: Any, file: BinaryIO, address: str, name: str) -> str:
    """Write the body of an answer into a file; its SHA-256."""
    length = answer.headers.get('Content-Length')
    total = int(length) if length and length.isdecimal() else 0
    digest, done = hashlib.sha256(), 0
    line = ProgressLine(name, total, sys.stderr)
    while block := answer.read(BLOCK):
        file.write(block)
        digest.update(block)
        done += len(block)
        if total:
            line.update(done)
    if total and done != total:
        raise OSError(f'the connection ended after {done} of {total} bytes')
    file.flush()
    os.fsync(file.fileno())
    line.close(f'{done / 2**20:.1f} MiB from {address}')
    return digest.hexdigest()


class _SafeRedirects(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, request: Any, file: Any, code: int, message: str, headers: Any, address: str) -> Any:
        _check_scheme(address, request.full_url)
        return super().redirect_request(request, file, code, message, headers, address)


def open_address(request: urllib.request.Request, timeout: float) -> Any:
    """Open an address; redirects must keep to ``https``.

    Args:
        request: Request to send.
        timeout: Seconds without an answer after which it fails.
    """
    return urllib.request.build_opener(_SafeRedirects).open(request, timeout=timeout)


def _check_scheme(address: str, asked: str) -> None:
    if urlparse(address).scheme == 'https' or (urlparse(address).scheme == 'http' and trusted()):
        return
    leads = '' if address == asked else f' leads to {address}, which'
    raise DownloadError(f'{asked}{leads} is not downloaded: an address must begin with https://; {REMEDY}')


def _hash_in(name: str) -> str:
    match = HASH.search(name)
    return '' if match is None or DATE.fullmatch(match[1]) else match[1]
