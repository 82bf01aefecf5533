"""The unmodified ``twilio`` library for Node against the demo site, over real HTTP."""

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.programs import DemoSite, cannot_have, site_environ

pytestmark = pytest.mark.clients

HERE = Path(__file__).parent


# Up to 3.40 the library sends its parameters as multipart forms, later urlencoded.
@pytest.fixture(scope="module", params=["twilio", "twilio-3"])
def outcome(_embedded: DemoSite, request: pytest.FixtureRequest) -> Any:
    """The library's result of each call."""
    package = HERE / "node_modules" / request.param
    if not shutil.which("node") or not package.exists():
        cannot_have(f"Node with npm's {request.param}")
    _embedded.ensure_running()
    site = _embedded
    done = subprocess.run(
        [
            *("node", str(HERE / "twilio_node.js"), site.base_url),
            *(site.account_sid, site.auth_token),
            *(site.api_key_sid, site.api_key_secret),
        ],
        env=site_environ(
            site.data_dir,
            TWILIO_PACKAGE=request.param,
            TWILIO_EDGE="",
            TWILIO_REGION="",
        ),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_services_are_created_updated_listed_and_removed(outcome: Any) -> None:
    assert outcome["services"] == {
        "created": ["é", True, None],
        "isDate": True,
        "updated": ["New", True],
        "isListed": True,
        "onPage": 1,
        "removed": True,
        "removedTwice": ["RestException", 404, 20404],
    }


def test_streams_are_listed_in_every_way(outcome: Any) -> None:
    streams = outcome["streams"]
    made = streams["made"]

    assert streams["listed"] == streams["unlimited"] == streams["each"] == made
    assert streams["limited"] == made[:3]
    assert streams["pages"] == [made[:3], made[3:], made[:3]]


def test_streams_are_fetched_updated_and_removed(outcome: Any) -> None:
    streams = outcome["streams"]

    assert streams["fetched"] == streams["made"][0]
    assert streams["endless"] is None
    assert streams["removed"] is True
    assert streams["missing"] == ["RestException", 404, 20404]


def test_names_that_the_library_normalises_away_remove_nothing(outcome: Any) -> None:
    streams = outcome["streams"]

    assert streams["dotted"] == ["RestException", 400, 54302]
    assert [error[1:3] for error in streams["removedAbove"]] == [[404, 20404]] * 4
    assert streams["removed"] is True, "the Service is still there"


def test_taken_name_is_refused(outcome: Any) -> None:
    text = "Unique name already exists"

    assert outcome["streams"]["duplicate"] == ["RestException", 409, 54301, text]


def test_messages_are_published_or_refused(outcome: Any) -> None:
    text = "Request entity too large"

    assert outcome["messages"] == {
        "data": {"é": "🙂", "n": None, "a": [1.5, True]},
        "largest": "TZ",
        "tooLarge": ["RestException", 413, 54006, text],
        "array": ["RestException", 400, 54008],
        "text": ["RestException", 400, 54008],
    }


def test_api_key_is_accepted_and_wrong_credentials_are_not(outcome: Any) -> None:
    assert outcome["withKey"] == "default"
    assert outcome["wrong"] == ["RestException", 401, 20003, "Authenticate"]
