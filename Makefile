# make demo: set up and run the main job.   make test: set up and pass every check.   Needs Python 3.11+ and make, nothing else.
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
JOBS   ?= auto
SPREAD := -n $(JOBS) --dist worksteal # a worker keeps to neighbouring tests, which share what they begin with
FUZZ_SECONDS ?= 10

.PHONY: demo test quick torture peers lint format fixtures docs picture fuzz wine bench bench-peers clean

$(BIN)/.ready: pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "tokar needs Python 3.11 or newer: make $(MAKECMDGOALS) PYTHON=python3.12"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[dev]'
	@touch $@

demo: $(BIN)/.ready
	$(BIN)/tokar demo build/demo

test: lint
	$(BIN)/pytest $(SPREAD)

quick: $(BIN)/.ready
	$(BIN)/pytest $(SPREAD) -q -m "not torture and not slow"

torture: $(BIN)/.ready
	$(BIN)/pytest $(SPREAD) -m torture
	TOKAR_ALL_EXAMPLES=1 $(BIN)/pytest $(SPREAD) -m "hypothesis and not torture"

peers: $(BIN)/.ready
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[peers]'
	$(BIN)/pytest -q tests/live/test_peers.py tests/live/test_kerberos.py

lint: $(BIN)/.ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(BIN)/.ready
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

fixtures: $(BIN)/.ready
	$(BIN)/python -m fixtures.generate

docs: $(BIN)/.ready
	$(BIN)/python -m docs
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet --strict

picture: $(BIN)/.ready
	$(BIN)/python -m docs.picture

fuzz: $(BIN)/.ready
	@$(BIN)/python -c 'import atheris' 2>/dev/null || $(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[fuzz]'
	$(BIN)/python -m tests.fuzz --seconds $(FUZZ_SECONDS) $(FUZZ_TARGETS)

wine: $(BIN)/.ready
	$(BIN)/python -m tests.wine $(WINE_TESTS)

bench: $(BIN)/.ready
	$(BIN)/python -m benchmarks

bench-peers: $(BIN)/.ready
	$(BIN)/python -m benchmarks.peers $(PEERS_OPTIONS)

clean:
	rm -rf $(VENV) build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis
