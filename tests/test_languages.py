"""The demo site's admin in the language that one chooses; its API in English."""

import re

import pytest

from tests.admin.operator import Operator
from tests.clients.rest import SERVICES, request
from tests.programs import DemoSite

TITLES = {
    "en": "Live monitor",
    "de": "Live-Monitor",
    "es": "Monitor en vivo",
    "fr": "Moniteur en direct",
}


@pytest.mark.parametrize("language", TITLES)
def test_browser_is_answered_in_its_language(embedded: DemoSite, language: str) -> None:
    operator = Operator(embedded)
    operator._session.headers["Accept-Language"] = language
    sid = operator.stream_sid()

    answer = operator.get(f"sync_streams/stream/{sid}/monitor/")

    assert TITLES[language] in answer.text
    assert answer.headers["Content-Language"] == language
    assert "Accept-Language" in answer.headers["Vary"]


def test_chosen_language_is_kept_whatever_the_browser_asks_for(
    embedded: DemoSite,
) -> None:
    operator = Operator(embedded)
    operator._session.headers["Accept-Language"] = "es"

    operator.post("../language", language="fr", next="/admin/")
    answer = operator.get("sync_streams/stream/")

    assert answer.headers["Content-Language"] == "fr"
    assert re.search(r'aria-current="true"\s*>Français<', answer.text)
    assert re.findall(
        r">\s*(\w+)</button>", answer.text.partition('"languages"')[2]
    ) == [*("English", "Deutsch", "Español", "Français")]


def test_api_responds_in_english_and_does_not_vary(embedded: DemoSite) -> None:
    path = f"{SERVICES}/default/Streams/none"
    answer = request(embedded, "GET", path, {"Accept-Language": "de"})

    assert answer.status_code == 404
    assert "Accept-Language" not in answer.headers.get("Vary", "")
    assert "Content-Language" not in answer.headers
