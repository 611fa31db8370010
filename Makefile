# make run    a live market on http://localhost:8080/        make test     build and pass all tests
# make check  the tests, the linters and the type checks      make bench    the micro-benchmarks
# make simulate SEEDS=2000 SEED=1   as many simulated worlds of clients
# make docs   the wire's reference                            make clean   forget everything that was built

PYTHON ?= python3
DEPOSIT := {"USDT": "1000000", "BTC": "5", "ETH": "50", "SOL": "500", "XRP": "100000"}
BIN := .venv/bin
SOURCES := $(wildcard engine/*.pyx engine/*.pxd)

.PHONY: run test lint check simulate bench docs clean

run: .venv/built
	$(BIN)/deltabook serve --source recorded --source simulated --set 'deposit=$(DEPOSIT)' $(ARGS)

test: .venv/tools
	$(BIN)/python -m pytest $(ARGS)

lint: .venv/linters
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/pyright --pythonpath $(BIN)/python
	$(BIN)/python -m mypy.stubtest --ignore-missing-stub --allowlist tests/stubtest.txt engine.levels engine.events engine.commands engine.book engine.exchange engine.model

check: test lint

simulate: .venv/tools
	DELTABOOK_SEEDS=$(or $(SEEDS),2000) DELTABOOK_SEED=$(or $(SEED),1) $(BIN)/python -m pytest tests/test_simulation.py -k promise

bench: .venv/tools
	$(BIN)/python -m pytest benchmarks --benchmark-enable --benchmark-only $(ARGS)

docs: .venv/built
	$(BIN)/python -m stream.reference > stream/PROTOCOL.md

clean:
	rm -rf .venv build *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis engine/*.c engine/*.so

.venv/pip: pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --upgrade pip 'setuptools>=77' 'cython>=3.1'
	@touch $@

.venv/built: .venv/pip setup.py $(SOURCES)
	$(BIN)/python -m pip install --quiet --no-build-isolation --editable .
	@touch $@

.venv/tools: .venv/built
	$(BIN)/python -m pip install --quiet --no-build-isolation --editable '.[test]'
	@touch $@

.venv/linters: .venv/built
	$(BIN)/python -m pip install --quiet --no-build-isolation --editable '.[test,lint]'
	@touch $@
