"""The demo site's address for a phone: only where other machines may reach it."""

import pytest
import requests

from project import phone
from project.phone import phone_url, to_svg
from tests.conftest import StartSite
from tests.programs import DemoSite, free_port


@pytest.mark.parametrize(
    ("public_url", "host", "url"),
    [
        ("", "127.0.0.1", ""),
        ("", "localhost", ""),
        ("", "::1", ""),
        ("", "192.168.1.7", "http://192.168.1.7:8000"),
        ("", "0.0.0.0", "http://10.1.2.3:8000"),
        ("", "[::]", "http://10.1.2.3:8000"),
        ("https://streams.example", "127.0.0.1", "https://streams.example"),
        ("http://localhost:8000", "0.0.0.0", ""),
    ],
)
def test_phone_gets_an_address_at_which_it_can_reach_the_site(
    monkeypatch: pytest.MonkeyPatch, public_url: str, host: str, url: str
) -> None:
    monkeypatch.setattr(phone, "lan_address", lambda: "10.1.2.3")

    assert phone_url(public_url, host, "8000") == url


def test_machine_without_a_network_has_no_address(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(phone, "lan_address", lambda: "")

    assert phone_url("", "0.0.0.0", "8000") == ""


def test_code_is_an_image_without_scripts_or_styles() -> None:
    svg = to_svg("http://10.1.2.3:8000/")

    assert svg.startswith("<svg")
    assert "script" not in svg
    assert "style" not in svg


def test_site_on_loopback_has_no_code(embedded: DemoSite) -> None:
    answer = requests.get(f"{embedded.base_url}/phone.svg", timeout=30)
    page = requests.get(embedded.base_url, timeout=30)

    assert answer.status_code == 404
    assert "Open on a phone" not in page.text


def test_site_that_a_phone_can_reach_shows_its_code(start_site: StartSite) -> None:
    port, url = free_port(), "http://10.1.2.3:8000"
    start_site(PORT=str(port), PUBLIC_URL=url, DEMO_OPEN="1")

    page = requests.get(f"http://127.0.0.1:{port}/", timeout=30).text
    code = requests.get(f"http://127.0.0.1:{port}/phone.svg", timeout=30)

    assert f'alt="QR code of {url}"' in page
    assert code.headers["Content-Type"] == "image/svg+xml"
    assert code.text == to_svg(f"{url}/")
