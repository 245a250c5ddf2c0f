# make run: serve the sample company on http://127.0.0.1:8080    make test: every test
PYTHON ?= python3
BIN := .venv/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check install --quiet --no-deps --require-hashes

.PHONY: run test lint lock clean

run: .venv/run
	$(BIN)/sangdam run

test: .venv/test
	command -v chromium >/dev/null || (apt-get update -qq && apt-get install -y -qq chromium fonts-noto-cjk >/dev/null)
	$(BIN)/pytest

lint: .venv/test
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# The locks are complete, so pip has nothing to resolve.
.venv/run: requirements.lock pyproject.toml
	$(PYTHON) -m venv .venv
	$(PIP) -r requirements.lock
	$(BIN)/python -m pip --disable-pip-version-check install --quiet --no-deps --no-build-isolation --editable .
	touch $@

.venv/test: .venv/run tests/requirements.lock
	$(PIP) -r tests/requirements.lock
	touch $@

lock:
	uv pip compile --quiet --universal --generate-hashes --no-header --no-annotate --python-version 3.11 \
	  pyproject.toml --group build -o requirements.lock
	uv pip compile --quiet --universal --generate-hashes --no-header --no-annotate --python-version 3.11 \
	  --group pyproject.toml:dev -c requirements.lock -o tests/requirements.lock

clean:
	rm -rf .venv data dist
