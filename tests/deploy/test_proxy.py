"""The proxy's configuration, run by the proxy."""

import re
import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from tests.server.http.house import House, running
from tests.servers import Deployment

CONFIGURATION = Path(__file__).parents[2] / "deploy" / "nginx.conf"
NGINX = shutil.which("nginx")
SQLITE = pytest.mark.parametrize("deployment", ["sqlite"], indirect=True)


@pytest.fixture
def house(tmp_path: Path, deployment: Deployment) -> Iterator[House]:
    with deployment.new(tmp_path) as places, running(**places, trusted_proxies="127.0.0.0/8") as house:
        yield house


def configured(folder: Path, house: House, port: int) -> Path:
    """The file as it is, but without certificates, and with ports and folders of the test."""
    server = re.sub(r"(?m)^ *(ssl_certificate|listen \[).*\n", "", CONFIGURATION.read_text())
    server = server.replace("443 ssl", f"127.0.0.1:{port}").replace("http://127.0.0.1:8000", house.url)
    kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    places = "".join(f"{kind}_temp_path {folder / kind};" for kind in kinds)
    path = folder / "nginx.conf"
    main = f"daemon off; pid {folder / 'pid'}; error_log {folder / 'log'};"
    path.write_text(f"{main}\nevents {{}}\nhttp {{ access_log off; {places}\n{server}\n}}")
    return path


@SQLITE
@pytest.mark.skipif(NGINX is None, reason="nginx is not there")
def test_long_uploads_and_the_clients_name_pass_and_figures_do_not(tmp_path: Path, house: House) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    path, key = configured(tmp_path, house, port), house.caller().http.key
    headers = {"Host": "stems.example.com", "Authorization": f"Bearer {key}"}
    address, files = f"http://127.0.0.1:{port}/api/file-stream-upload", {"file": ("a.wav", bytes(3 << 20))}
    with (
        subprocess.Popen([str(NGINX), "-p", str(tmp_path), "-c", str(path)]) as nginx,
        httpx2.Client(transport=httpx2.HTTPTransport(retries=9), timeout=60) as client,
    ):
        try:
            data = client.post(address, headers=headers, files=files).json()["data"]
            assert client.get(f"http://127.0.0.1:{port}/metrics").status_code == 404
        finally:
            nginx.terminate()
    assert data["fileSize"] == 3 << 20
    assert data["downloadUrl"].startswith("http://stems.example.com/s/")
