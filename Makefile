# make demo | test | check are all a newcomer needs; each installs what it misses into .venv.
PYTHON ?= python3
BIN := .venv/bin
SHELL := /bin/bash
# most tests wait, so there may be more workers than processors
WORKERS ?= 5
# a proof computes
PROVERS ?= 2
# tests start hundreds of processes, and each compiled everything again where bytecode is not kept
unexport PYTHONDONTWRITEBYTECODE
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check

.PHONY: help demo test test-versions check format faults proof fuzz autobahn bench attack docs lock sbom audit clean system-packages

help:
	@echo "make demo    start broker, bridge, dashboards' front and a simulated plant on http://127.0.0.1:8080"
	@echo "make test    run the whole suite against a real Mosquitto and a real browser, and attack a bridge for a minute"
	@echo "make test-versions   run the suite on each Python found, 3.11 to 3.14, in random order"
	@echo "make check   format, lint and types"
	@echo "make faults | proof   fault injection, long proofs; both write docs/proof.md"
	@echo "make fuzz    fuzz what strangers send, 10 minutes for each of six targets; FUZZ_SECONDS=60 for a minute"
	@echo "make autobahn   the Autobahn suite against the WebSocket server, 247 cases; needs Python 2.7"
	@echo "make bench   measure all of docs/performance.md, at most 15 minutes; make bench QUICK=1  a part, in a minute"
	@echo "make attack  attack a bridge beside a working plant in 33 shapes, some 10 minutes; make attack QUICK=1  six, in a minute"
	@echo "make docs    generate schemas and docs/asyncapi.json again;  make lock  resolve the locked versions again"
	@echo "make audit   compare the locked versions with known vulnerabilities (needs pypi.org); make sbom  list them"

demo: .venv/.run
	@$(BIN)/floor demo $(ARGS)

test: .venv/.dev system-packages
	$(BIN)/python -m pytest -n $(WORKERS) --dist worksteal
	$(BIN)/python -m tests.attack --quick

test-versions: system-packages
	.ci/test-versions

check: .venv/.dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

format: .venv/.dev
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

faults: .venv/.dev system-packages
	FAULT_RECORD=faults $(BIN)/python -m pytest -m faults -s

# where there is an oracle: ten times the examples, and the runs of simulated days; the mutations; and a thousand kills;
# then the whole suite on each version of Python
PROVED := tests/recount tests/mutations tests/domain tests/protocol tests/ingest tests/contract/test_payload_contract.py tests/contract/test_revocations_schema.py \
	tests/mqtt/test_packet_parser_properties.py tests/ports/test_authenticator.py tests/ports/test_journal_model.py tests/journal/tools/test_verify.py tests/journal/tools/test_export.py \
	tests/journal/sqlite/test_lock_file.py tests/adapters/test_tokens.py tests/adapters/test_clock.py \
	tests/http/test_frame_properties.py tests/front/web/test_openapi.py tests/system/protocol/test_bad_inputs.py \
	tests/device_sim tests/front/simulation tests/front/test_caches.py tests/front/test_current_events.py tests/front/test_read_paths.py tests/pipeline/test_replay.py \
	tests/pipeline/test_exactly_once.py tests/pipeline/test_sequence_bounds.py tests/faults

proof: .venv/.dev system-packages
	FAULT_RECORD=proof HYPOTHESIS_PROFILE=proof $(BIN)/python -m pytest -n $(PROVERS) --dist worksteal -m "proof or not faults" $(PROVED)
	$(MAKE) test-versions

fuzz: .venv/.fuzz
	$(BIN)/python -m tests.fuzz all --seconds $(or $(FUZZ_SECONDS),600) $(ARGS)

autobahn: .venv/.dev
	$(BIN)/python -m tests.autobahn

bench: .venv/.dev system-packages
	$(BIN)/python -m tests.bench all $(if $(QUICK),--quick) $(ARGS)

attack: .venv/.dev system-packages
	$(BIN)/python -m tests.attack $(if $(QUICK),--quick) $(ARGS)

docs: .venv/.dev
	$(BIN)/python -m bridge schema --write docs

LOCK = .venv-tools/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate

lock: .venv-tools/.made
	$(LOCK) pyproject.toml --extra demo --group build -o requirements.lock
	$(LOCK) pyproject.toml --extra demo --group dev -o requirements-dev.lock
	$(LOCK) --group tools -o requirements-tools.lock
	$(LOCK) --group fuzz -o requirements-fuzz.lock
	$(MAKE) sbom

# a package that the advisory database does not answer for is a failure too
audit: .venv-tools/.made
	for lock in requirements*.lock; do \
		.venv-tools/bin/pip-audit --strict --require-hashes --disable-pip -r $$lock || exit 1; done

sbom: .venv-tools/.made
	.venv-tools/bin/cyclonedx-py requirements requirements.lock --pyproject pyproject.toml --mc-type application \
		--output-reproducible --spec-version 1.6 -o docs/sbom.cdx.json

clean:
	rm -rf .venv .venv-3.* .venv-tools .venv-autobahn .floor .fuzz .mypy_cache .ruff_cache .pytest_cache .hypothesis build dist *.egg-info

system-packages:
	@.ci/system-packages mosquitto chromium strace faketime cc=gcc,libc6-dev

.venv/.made:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "needs Python 3.11 or later: make demo PYTHON=python3.12"; exit 1; }
	@$(PYTHON) -m venv .venv || { echo "no venv module: install the package python3-venv"; exit 1; }
	@touch $@

# --no-build-isolation: the locked setuptools builds the package, nothing unlocked is fetched
.venv/.run: .venv/.made requirements.lock pyproject.toml
	@echo "installing locked dependencies into .venv"
	@$(PIP) --require-hashes -r requirements.lock
	@$(PIP) --no-build-isolation --no-deps -e .
	@touch $@

.venv-tools/.made: requirements-tools.lock
	@$(PYTHON) -m venv .venv-tools
	@.venv-tools/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-tools.lock
	@touch $@

.venv/.dev: .venv/.run requirements-dev.lock
	@$(PIP) --require-hashes -r requirements-dev.lock
	@touch $@

.venv/.fuzz: .venv/.dev requirements-fuzz.lock
	@$(PIP) --require-hashes -r requirements-fuzz.lock
	@touch $@
