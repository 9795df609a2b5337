import hashlib
import http.server
import threading

import pytest
import torch

from mmseg_kd.io import downloads
from mmseg_kd.io.downloads import DownloadError, download
from mmseg_kd.io.trust import TRUST

CONTENT = b'weights' * 1000
DIGEST = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture
def server(tmp_path, monkeypatch):
    """A server on this machine. Paths: a/..., b/... (other content), half/..., to/<address> (a redirect)."""
    monkeypatch.setenv('TORCH_HOME', str(tmp_path))
    monkeypatch.setenv(TRUST, '1')  # it speaks http

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            requests.append(self.path)
            kind = self.path.split('/')[1]
            if kind == 'to':
                self.send_response(302)
                self.send_header('Location', self.path[len('/to/') :])
                self.end_headers()
                return
            content = CONTENT if kind != 'b' else b'other'
            self.send_response(404 if kind == 'none' else 200)
            self.send_header('Content-Length', str(len(content)))
            self.end_headers()
            self.wfile.write(content[:100] if kind == 'half' else content)

        def log_message(self, *args):
            pass

    requests = []
    with http.server.ThreadingHTTPServer(('127.0.0.1', 0), Handler) as found:
        thread = threading.Thread(target=lambda: found.serve_forever(poll_interval=0.01), daemon=True)
        thread.start()
        found.requests, found.address = requests, f'http://127.0.0.1:{found.server_port}'
        yield found
        found.shutdown()


def files(folder):
    return [path for path in folder.rglob('*') if path.is_file()]


def test_a_file_is_downloaded_once(server, tmp_path, capsys):
    paths = {download(f'{server.address}/a/w.pth') for _ in range(2)}
    (path,) = paths
    assert open(path, 'rb').read() == CONTENT and server.requests == ['/a/w.pth']
    assert files(tmp_path) and 'w.pth' in capsys.readouterr().err


def test_two_addresses_with_one_file_name_are_two_files(server):
    first, second = download(f'{server.address}/a/w.pth'), download(f'{server.address}/b/w.pth')
    assert open(first, 'rb').read() == CONTENT and open(second, 'rb').read() == b'other'
    assert download(f'{server.address}/a/w.pth?v=2') not in (first, second)


def test_a_body_that_ends_early_leaves_nothing(server, tmp_path):
    with pytest.raises(DownloadError, match='ended after 100 of 7000 bytes'):
        download(f'{server.address}/half/w.pth')
    assert files(tmp_path) == []


def test_a_file_must_fit_the_hash_in_its_name(server, tmp_path):
    assert download(f'{server.address}/a/w-{DIGEST[:8]}.pth').endswith(f'w-{DIGEST[:8]}.pth')
    with pytest.raises(DownloadError, match=f'SHA-256 that begins with {DIGEST[:8]}, but its name says 01234567'):
        download(f'{server.address}/a/w-01234567.pth')
    assert len(files(tmp_path)) == 1
    download(f'{server.address}/a/w-20240131.pth')  # a date


def test_an_address_that_does_not_answer_is_one_line(server, tmp_path):
    with pytest.raises(DownloadError, match=r'cannot download http.*/none/w\.pth: .*404') as error:
        download(f'{server.address}/none/w.pth')
    assert '\n' not in str(error.value) and files(tmp_path) == []


def test_http_needs_trust(server, monkeypatch):
    monkeypatch.delenv(TRUST)
    with pytest.raises(DownloadError, match='must begin with https://.*--trust-files'):
        download(f'{server.address}/a/w.pth')
    assert server.requests == []


@pytest.mark.parametrize('target', ['http://a.example/w.pth', 'file:///etc/passwd', 'ftp://a.example/w.pth'])
def test_a_redirect_to_something_else_than_https_is_refused(monkeypatch, target):
    redirects = downloads._SafeRedirects()
    request = downloads.urllib.request.Request('https://a.example/w.pth')
    with pytest.raises(DownloadError, match=f'https://a.example/w.pth leads to {target}, which is not downloaded'):
        redirects.redirect_request(request, None, 302, '', {}, target)
    assert redirects.redirect_request(request, None, 302, '', {}, 'https://b.example/w.pth').host == 'b.example'


def test_a_redirect_is_followed_and_kept_under_the_address_that_was_asked(server):
    path = download(f'{server.address}/to/{server.address}/a/w.pth')
    assert open(path, 'rb').read() == CONTENT and path != download(f'{server.address}/a/w.pth')
    with pytest.raises(DownloadError, match="Redirection to url 'file:///etc/passwd' is not allowed"):
        download(f'{server.address}/to/file:///etc/passwd')


def test_a_file_of_torch_hub_is_used_if_its_hash_fits(server, tmp_path, monkeypatch):
    folder = tmp_path / 'hub' / 'checkpoints'
    folder.mkdir(parents=True)
    monkeypatch.setattr(torch.hub, 'get_dir', lambda: str(tmp_path / 'hub'))
    name = f'w-{DIGEST[:8]}.pth'
    (folder / name).write_bytes(CONTENT)
    assert download(f'https://nowhere.example/{name}') == str(folder / name)
    (folder / name).write_bytes(b'another')
    assert download(f'{server.address}/a/{name}') != str(folder / name)
    (folder / 'w.pth').write_bytes(b'from another address')
    assert open(download(f'{server.address}/a/w.pth'), 'rb').read() == CONTENT
    with pytest.raises(DownloadError, match=r'w\.pth has no hash in its name, so pass its path'):
        download(f'{server.address}/none/w.pth')


@pytest.mark.parametrize('address', ['https://a.example', 'https://a.example/', 'https://a.example/x/..',
                                     'https://a.example/..%2Fx.pth'])  # fmt: skip
def test_the_name_of_a_file_must_end_the_address(address):
    with pytest.raises(DownloadError, match='must end with the name of a file'):
        download(address)
