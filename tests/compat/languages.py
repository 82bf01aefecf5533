"""The examples in Go and Java of docs/migrating-from-twilio.md, built and executed.

Not part of the suite, since loading Twilio's libraries and building takes minutes:
``make languages``.
"""

import os
from pathlib import Path

from tests.clients.rest import call
from tests.compat.test_migrating import DOCUMENT
from tests.conftest import StartSite
from tests.documents import EXAMPLE_ORIGIN, code_block, printed_by
from tests.programs import DemoSite

BUILD_SECONDS = 900
GO_SECRETS = """package main

const (
	accountSid = "{sid}"
	authToken  = "{token}"
)
"""
JAVA_MAIN = "public class Moved {\n"
JAVA_SECRETS = """  static final String accountSid = "{sid}";
  static final String authToken = "{token}";

"""
POM = """<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>moved</groupId><artifactId>moved</artifactId><version>1</version>
  <dependencies><dependency>
    <groupId>com.twilio.sdk</groupId><artifactId>twilio</artifactId>
    <version>13.0.1</version>
  </dependency></dependencies>
</project>
"""


def run(*command: str, cwd: Path) -> str:
    return printed_by(*command, folder=cwd, within=BUILD_SECONDS)


def example(site: DemoSite, language: str, containing: str) -> str:
    block = code_block(DOCUMENT, language, containing)
    return block.replace(EXAMPLE_ORIGIN, site.base_url.removeprefix("http://"))


def secrets(site: DemoSite, template: str) -> str:
    return template.format(sid=site.account_sid, token=site.auth_token)


def names(site: DemoSite) -> list[str]:
    page = call(site, "GET", "/default/Streams")
    return [stream["unique_name"] for stream in page["streams"]]


def test_go(start_site: StartSite, tmp_path: Path) -> None:
    site = start_site()
    (tmp_path / "main.go").write_text(example(site, "go", "package main"))
    (tmp_path / "secrets.go").write_text(secrets(site, GO_SECRETS))
    run("go", "mod", "init", "moved", cwd=tmp_path)
    run("go", "get", "github.com/twilio/twilio-go@v1.31.0", cwd=tmp_path)
    run("go", "mod", "tidy", cwd=tmp_path)
    assert run("gofmt", "-l", "main.go", cwd=tmp_path) == ""

    run("go", "run", ".", cwd=tmp_path)

    assert "moved from Go" in names(site)


def test_java(start_site: StartSite, tmp_path: Path) -> None:
    site = start_site()
    code = example(site, "java", JAVA_MAIN)
    code = code.replace(JAVA_MAIN, JAVA_MAIN + secrets(site, JAVA_SECRETS))
    (tmp_path / "Moved.java").write_text(code)
    (tmp_path / "pom.xml").write_text(POM)
    copy = ("dependency:copy-dependencies", f"-DoutputDirectory={tmp_path}/lib")
    run("mvn", "--quiet", "--batch-mode", *copy, cwd=tmp_path)
    run("javac", "-cp", "lib/*", "-d", "out", "Moved.java", cwd=tmp_path)

    run("java", "-cp", f"lib/*{os.pathsep}out", "Moved", cwd=tmp_path)

    assert "moved-from-java" in names(site)
