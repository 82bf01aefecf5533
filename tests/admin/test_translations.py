"""The admin in other languages: every word, compiled; the wire stays English."""

import ast
import gettext
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.test import Client
from pytest_django import Settings

from sync_streams.models import Stream
from tests.programs import ROOT

APP = ROOT / "sync_streams"
LANGUAGES = ["de", "es", "fr"]
PRODUCT = {"SID", "Stream", "Sync Streams", "TTL", "TTL: %(ttl)d s.", "Webhook"}
SAME = {
    "de": PRODUCT | {"Client", "Name", "Service", "Version", "live"},
    "es": PRODUCT | {"bytes", "monitor", "stream", "streams"},
    "fr": PRODUCT
    | {"Client", "Messages", "Pages", "Pause", "Service", "Version"}
    | {"service", "services", "stream", "streams"},
}
"""Words that are the same in English."""

FUNCTIONS = {"_", "gettext", "gettext_lazy", "ngettext"}


def catalog(language: str) -> gettext.GNUTranslations:
    path = APP / f"locale/{language}/LC_MESSAGES/django.mo"
    with path.open("rb") as file:
        return gettext.GNUTranslations(file)


def source_of(language: str) -> dict[str, str]:
    """Return what the ``.po`` file says, first plural forms only."""
    path = APP / f"locale/{language}/LC_MESSAGES/django.po"
    pairs = re.findall(
        r'^msgid (".*")\n(?:msgid_plural ".*"\n)?msgstr(?:\[0\])? (".*")$',
        path.read_text(encoding="utf-8"),
        re.MULTILINE,
    )
    return {ast.literal_eval(key): ast.literal_eval(text) for key, text in pairs}


def words_of_python(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name):
            continue
        if node.func.id in FUNCTIONS and isinstance(node.args[0], ast.Constant):
            yield str(node.args[0].value)


def words_of_template(path: Path) -> list[str]:
    text = path.read_text(encoding="utf-8")
    return re.findall(r'(?:{% translate |=_\()"([^"]*)"', text)


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_word_of_the_admin_is_translated(language: str) -> None:
    words = {word for path in APP.rglob("*.py") for word in words_of_python(path)}
    words |= {word for path in APP.rglob("*.html") for word in words_of_template(path)}

    translated = {key for key, text in source_of(language).items() if key and text}

    assert words == translated


@pytest.mark.parametrize("language", LANGUAGES)
def test_nothing_is_left_english(language: str) -> None:
    same = {key for key, text in source_of(language).items() if key and key == text}

    assert same - SAME[language] == set()


def test_templates_say_nothing_that_the_tests_do_not_find() -> None:
    for path in APP.rglob("*.html"):
        assert "{% blocktrans" not in path.read_text(encoding="utf-8"), path


@pytest.mark.parametrize("language", LANGUAGES)
def test_compiled_catalog_matches_its_source(language: str) -> None:
    compiled = catalog(language)

    for key, text in source_of(language).items():
        if key:
            assert text in {compiled.gettext(key), compiled.ngettext(key, key, 1)}


@pytest.mark.parametrize("language", LANGUAGES)
def test_translations_keep_the_places_for_values(language: str) -> None:
    for key, text in source_of(language).items():
        places = r"%\(\w+\)[sd]"
        assert sorted(re.findall(places, text)) == sorted(re.findall(places, key))


@pytest.mark.parametrize(
    ("language", "words"),
    [
        ("de", ["Live-Monitor", "Abonnenten", "Testnachricht veröffentlichen"]),
        ("es", ["Monitor en vivo", "Suscriptores", "Publicar un mensaje de prueba"]),
        ("fr", ["Moniteur en direct", "Abonnés", "Publier un message de test"]),
    ],
)
def test_monitor_speaks_the_language(
    admin: Client, stream: Stream, settings: Settings, language: str, words: list[str]
) -> None:
    settings.LANGUAGE_CODE = language

    answer = admin.get(f"/admin/sync_streams/stream/{stream.sid}/monitor/")

    page = answer.content.decode()
    assert [word for word in words if word not in page] == []


@pytest.mark.parametrize("language", LANGUAGES)
def test_errors_keep_the_text_of_the_wire(
    admin: Client, stream: Stream, settings: Settings, language: str
) -> None:
    settings.LANGUAGE_CODE = language

    url = f"/admin/sync_streams/stream/{stream.sid}/change/"
    answer = admin.post(url, {"ttl": "-1"})

    errors = answer.context["adminform"].form.errors
    assert errors == {"ttl": ["Invalid TTL (54011)"]}
