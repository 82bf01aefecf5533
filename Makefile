# `make run` and `make test` need python3 (3.11 or later), pip and make; they do the rest.
# What is built is kept in .venv and built again when pyproject.toml or the lock changes.

PYTHON ?= python3
MINUTES ?= 30
FUZZ_SECONDS ?= 300
HOST ?= 127.0.0.1
PORT ?= 8000
WORKERS ?= 1
# Much of the suite waits for servers: more than one for each core.
TEST_PROCESSES ?= 5
PARALLEL = -n $(TEST_PROCESSES)
DJANGO ?= 6.1
TESTS ?= tests
export HOST PORT
# Hundreds of programs start for the tests: each would compile the app anew.
unexport PYTHONDONTWRITEBYTECODE

VENV := .venv
PY := $(VENV)/bin/python
LOCK := requirements-dev.lock
# Shells often set a lower limit of open files, and so of connections, than is allowed.
FILES := ulimit -Sn "$$(ulimit -Hn)" 2>/dev/null || echo "At most $$(ulimit -n) connections: ulimit -n" >&2
INSTALL := .ci/install $(PY) -c $(LOCK)

# A .venv is built again if its Python is gone, or if it was copied from elsewhere.
ifeq ($(shell grep -sF '$(CURDIR)/$(VENV)' $(VENV)/pyvenv.cfg && $(PY) --version),)
STALE := stale
endif

.PHONY: help run serve run-cluster soak test check docs fuzz audit oldest newest hosts languages themes bench walk lock clean stale

help:  ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' Makefile | expand -t 16

run: $(VENV)/.run  ## start the demo site on HOST:PORT (127.0.0.1:8000)
	@$(FILES); exec $(PY) -m project

serve: $(VENV)/.run  ## start it for production: uvicorn, WORKERS processes
	@[ $(WORKERS) = 1 ] || [ "$$REDIS_URL" ] || { echo "WORKERS=$(WORKERS) needs REDIS_URL." >&2; exit 1; }
	@$(PY) -m project provision
	@$(FILES); exec $(VENV)/bin/uvicorn project.asgi:application --host $(HOST) --port $(PORT) \
		--workers $(WORKERS) --http sync_streams.uvicorn:BoundedHttpProtocol \
		--ws sync_streams.uvicorn:FramePathProtocol \
		--ws-max-size 262144 --ws-per-message-deflate false --lifespan on --no-access-log

run-cluster: $(VENV)/.run  ## start two workers behind nginx, with Redis and PostgreSQL
	@exec $(PY) -m project cluster

soak: $(VENV)/.dev  ## load such a cluster for MINUTES (30) and look for leaks
	@$(PY) -m bench.soak $(MINUTES)

test: $(VENV)/.dev  ## install what the tests need, and run them
	@tests/install-services.sh $(PY)
	@$(PY) -m pytest $(PARALLEL)

check: $(VENV)/.dev  ## lint, types, layers, migrations, templates
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy
	$(VENV)/bin/lint-imports
	$(PY) manage.py makemigrations --settings tests.settings --check --dry-run
	$(VENV)/bin/djlint --check --lint templates $(wildcard sync_streams/templates)

docs: $(VENV)/.dev  ## build the documentation into site/, in this version's folder
	@$(PY) -m docs.generate
	@$(VENV)/bin/zensical build --clean --strict
	@$(PY) -m docs.generate.versions

fuzz: $(VENV)/.dev $(VENV)-fuzz/bin/schemathesis  ## fuzz every input for up to FUZZ_SECONDS (300), and the REST API from its description
	@$(PY) -m tests.fuzz $(FUZZ_SECONDS)
	@$(PY) -m tests.rest.fuzz $(VENV)-fuzz/bin/schemathesis
	@if $(VENV)-fuzz/bin/python -m pip install --quiet --only-binary atheris \
			--group guided -e '.[redis,uvicorn]'; then \
		$(VENV)-fuzz/bin/python -m tests.door.fuzz $$(( $(FUZZ_SECONDS) / 2 )); \
	else echo "NOT DONE: inputs guided by coverage, since atheris has no wheel for this Python and machine."; fi

audit:  ## look for known vulnerabilities in the locked dependencies
	@[ -x $(VENV)-audit/bin/pip-audit ] || { .ci/venv $(PYTHON) $(VENV)-audit && \
		$(VENV)-audit/bin/python -m pip install --quiet --group audit; }
	@$(VENV)-audit/bin/pip-audit --strict --disable-pip --no-deps -r $(LOCK) # strict: what is unknown fails

oldest:  ## run the core's tests with the oldest dependencies allowed
	@[ -x $(VENV)-oldest/bin/pytest ] || { .ci/venv $(PYTHON) $(VENV)-oldest && \
		$(VENV)-oldest/bin/python .ci/lowest > $(VENV)-oldest/lowest.txt && \
		$(VENV)-oldest/bin/python -m pip install --quiet -r $(VENV)-oldest/lowest.txt --group test; }
	@tests/install-services.sh $(VENV)-oldest/bin/python
	@$(VENV)-oldest/bin/python -m pytest tests/core tests/rest tests/contract tests/websocket \
		tests/twilsock tests/host_api tests/webhooks tests/hosts tests/test_checks.py

newest:  ## run TESTS (tests) with DJANGO (6.1); it may need PYTHON=python3.12 or later
	@[ -x $(VENV)-$(DJANGO)/bin/pytest ] || { .ci/venv $(PYTHON) $(VENV)-$(DJANGO) && \
		grep -vi '^django==' $(LOCK) > $(VENV)-$(DJANGO)/lock.txt && \
		.ci/install $(VENV)-$(DJANGO)/bin/python -c $(VENV)-$(DJANGO)/lock.txt \
			-e '.[postgres,uvicorn]' 'Django~=$(DJANGO).0' --group dev; }
	@tests/install-services.sh $(VENV)-$(DJANGO)/bin/python
	@$(VENV)-$(DJANGO)/bin/python -m pytest $(PARALLEL) $(TESTS)

hosts:  ## run odd host projects with Django 5.2, 6.0 and 6.1; needs PYTHON=python3.12 or later
	@set -e; for django in 5.2 6.0 6.1; do \
		$(MAKE) --no-print-directory newest DJANGO=$$django TESTS=tests/hosts; done

languages: $(VENV)/.dev  ## run the examples of migrating in Go and Java
	@$(PY) -m pytest tests/compat/languages.py

themes: $(VENV)/.dev  ## check the admin with unfold, jazzmin, grappelli and admin-interface
	@$(INSTALL) --group themes
	@tests/install-services.sh $(PY)
	@$(PY) -m pytest tests/browser/themes.py

bench: $(VENV)/.dev  ## measure deliveries per second and publish latency
	@$(INSTALL) --group bench
	@$(PY) -m bench
	@$(PY) -m bench.document

walk: $(VENV)/.dev  ## follow docs/deployment.md on an empty Debian; takes minutes, needs root and debootstrap
	@$(PY) -m tests.walk

lock:  ## resolve all dependencies again and record their versions
	@.ci/lock $(PYTHON) > $(LOCK).new
	@mv $(LOCK).new $(LOCK)

clean:  ## remove what was built; the demo site's .data stays
	rm -rf $(VENV) $(VENV)-[a-z0-9]* build dist site .coverage htmlcov .*_cache .hypothesis

$(PY): $(STALE)
	@rm -rf $(VENV)
	@.ci/venv $(PYTHON) $(VENV)

# In an environment of its own: its pytest plug-in must not be loaded here.
$(VENV)-fuzz/bin/schemathesis:
	@.ci/venv $(PYTHON) $(VENV)-fuzz
	@$(VENV)-fuzz/bin/python -m pip install --quiet --group fuzz

$(VENV)/.run: $(PY) pyproject.toml $(LOCK)
	@echo "Installing what the demo site needs into $(VENV) …"
	@$(INSTALL) -e '.[postgres,uvicorn]' --group demo
	@touch $@

$(VENV)/.dev: $(VENV)/.run
	@echo "Installing what checks and tests need into $(VENV) …"
	@$(INSTALL) --group dev
	@touch $@
