# `make test` and `make demo` set up all they need from nothing.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
AUDIT := .venv-audit
SERVERS := .venv-servers

.PHONY: help test audit lint demo dashboards docs golden faults fuzz siege soak servers bench tools clean

help: ## this list
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/make \1\t\2/p' $(MAKEFILE_LIST)

test: $(STAMP) tools ## everything that proves it, from nothing
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/pytest -n 3 --dist loadfile

lint: $(STAMP) ## style and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

audit: $(STAMP) ## known weaknesses of the libraries, the installed ones and the oldest that are allowed
	@test -x $(AUDIT)/bin/pip-audit || { $(PYTHON) -m venv $(AUDIT) && \
	  $(AUDIT)/bin/pip install --quiet --disable-pip-version-check pip-audit; }
	@$(BIN)/pip freeze --disable-pip-version-check --exclude-editable > $(AUDIT)/installed.txt
	@$(BIN)/python tests/lowest.py > $(AUDIT)/lowest.txt
	$(AUDIT)/bin/pip-audit --strict --no-deps --disable-pip --requirement $(AUDIT)/installed.txt
	$(AUDIT)/bin/pip-audit --strict --no-deps --disable-pip --requirement $(AUDIT)/lowest.txt

demo: $(STAMP) ## a simulated cloud, the exporter over it, and Prometheus if there is one
	@$(BIN)/python prometheus/demo.py

dashboards: $(STAMP) ## write the dashboards' JSON anew from grafana/source
	$(BIN)/python -m grafana.source

docs: $(STAMP) ## write the tables of the README and the operator's rules anew
	$(BIN)/python tests/docs.py
	$(BIN)/python tests/operatorrules.py

golden: $(STAMP) ## write the golden pages anew
	GOLDEN=write $(BIN)/pytest -q tests/test_collector.py

faults: $(STAMP) ## hundreds of mixtures of faults, and every field of every type
	FAULTS=all $(BIN)/pytest -q -n 3 --dist load tests/test_faults*.py

fuzz: $(STAMP) ## every property of parsers, settings and pages, over hundreds of thousands of inputs
	FUZZ=$(or $(FUZZ),40) $(BIN)/pytest -q -n 2 --dist load -m hypothesis
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[fuzz]'
	@if $(BIN)/python -c 'import atheris' 2>/dev/null; then $(BIN)/python tests/guided.py; \
	else echo "There is no atheris for this machine; nothing is grown towards code not yet reached."; fi

siege: $(STAMP) ## the attacks of the tests, with a thousand attackers
	SIEGE_SIZE=1000 SIEGE_SECONDS=5 $(BIN)/pytest -q tests/test_siege.py

soak: $(STAMP) ## thousands of scrapes, with faults, kills and reloads: SOAK_SCRAPES, SOAK_SEED, SOAK_MINUTES
	$(BIN)/python tests/soak.py

bench: $(STAMP) ## how fast and small it is, in one run, as ratios: BENCH="--only NAME"
	@$(BIN)/python tests/bench.py $(BENCH)

servers: ## servers compared, in peace and under attack: the figures of the README
	@test -x $(SERVERS)/bin/python || $(PYTHON) -m venv $(SERVERS)
	@$(SERVERS)/bin/python -m pip install --quiet --disable-pip-version-check --editable '.[servers]'
	$(SERVERS)/bin/python tests/servers.py

$(STAMP): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Python 3.11 or newer is needed; name one: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[test]'
	@touch $(STAMP)

# A real Prometheus, a real Alertmanager, a real browser and what judges systemd's units, from Debian's packages.
tools:
	@missing=""; \
	command -v promtool >/dev/null || missing="$$missing prometheus"; \
	command -v amtool >/dev/null || missing="$$missing prometheus-alertmanager"; \
	command -v chromium >/dev/null || missing="$$missing chromium"; \
	command -v chromedriver >/dev/null || missing="$$missing chromium-driver"; \
	command -v systemd-analyze >/dev/null || missing="$$missing systemd"; \
	test -x /bin/kill || missing="$$missing procps"; \
	test -z "$$missing" && exit 0; \
	if command -v apt-get >/dev/null && [ "$$(id -u)" = 0 ]; then \
	  apt-get update -qq && RUNLEVEL=1 DEBIAN_FRONTEND=noninteractive \
	    apt-get install -y -qq --no-install-recommends $$missing >/dev/null; \
	else echo "The tests need these programs; install them:$$missing"; exit 1; fi

clean: ## remove what was made
	rm -rf $(VENV) $(SERVERS) $(AUDIT) build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
