# Every target gets what it needs into .venv by itself; a machine needs Python 3.11+, git and make.
SHELL := /bin/sh
.DEFAULT_GOAL := help
.NOTPARALLEL:
unexport PYTHONDONTWRITEBYTECODE # each Airflow process starts three seconds sooner from compiled files
.PHONY: help demo test test-all mutants cover test-clouds test-kills soak fuzz test-scheduler test-history test-keycloak test-fleet test-celery test-browser screenshots test-matrix check prose docs diagrams bench bench-full bench-tokens walk build fmt clean

ready := @.ci/bootstrap
bin := .venv/bin
# A file at a time: what its tests share is made once. The slowest room first: both workers end together.
pytest := $(bin)/python -m pytest -q -n 2 --dist loadfile --no-loadscope-reorder --durations=10
tests := $(wildcard $(addprefix tests/,airflow contract property unit keycloak soak architecture))

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-16s %s\n", $$1, $$2 }' Makefile

demo: ## real Airflow loads thirty days of a made-up company into DuckDB, and shows what landed
	$(ready) demo
	@$(bin)/python example_dags/demo

test: ## every promise once on the real thing (about four minutes)
	$(ready) test check
	@$(pytest) -m "not long and not clouds and not keycloak" $(tests)

test-all: ## what make test leaves out: all engines and forms, more examples of each law (a quarter of an hour)
	$(ready) test check
	@WE360_EXAMPLES=ci $(pytest) -m "(long or hypothesis) and not clouds and not keycloak" $(tests)

mutants: ## put 64 small faults into a copy of the package, and count those that make test catches; ARGS='--seed 2'
	$(ready) test check
	@cd tests && ../$(bin)/python -m mutants --select "not long and not clouds and not keycloak" $(ARGS)

cover: ## branch coverage of make test by room, in one process (ten minutes)
	$(ready) test check cover
	@$(bin)/python -m coverage run -m pytest -q -m "not long and not clouds and not keycloak" $(tests)
	@$(bin)/python tests/coverage_by_room.py

test-clouds: ## object stores and cloud warehouses, each on its test server (minutes)
	$(ready) clouds
	@WE360_REQUIRE_CLOUDS=1 .venv-clouds/bin/python -m pytest -q -n 2 --dist worksteal tests/contract tests/airflow/test_examples_s3.py -m clouds

test-kills: ## kill the task's process at random moments of a load and run it again (minutes)
	$(ready) test
	@$(bin)/python -m pytest -q -s tests/kills

soak: ## random mixes of faults, drift and killed tasks from a seed; ARGS='--minutes 10 --seed 1'
	$(ready) test
	@cd tests && ../$(bin)/python -m soak $(ARGS)

fuzz: ## fuzz the decoder of responses, guided by coverage; ARGS='-max_total_time=600'
	$(ready) test fuzz
	@cd tests && ../$(bin)/python -m fuzz $(or $(ARGS),-max_total_time=120)

test-scheduler: ## all kinds of runs under a real scheduler, and the quickstart as written (minutes)
	$(ready) test
	@$(bin)/python -m pytest -q --durations=10 tests/e2e/test_scheduler.py tests/e2e/test_any_run.py tests/e2e/test_days_as_events.py tests/e2e/test_quickstart.py tests/e2e/test_waiting.py

test-history: ## five years of days with the example Dag under a real scheduler (minutes)
	$(ready) test
	@$(bin)/python -m pytest -q --durations=10 tests/e2e/test_history.py

test-keycloak: ## the simulator and a real Keycloak receive the same requests; needs Java 17 (minutes)
	$(ready) test
	@$(bin)/python -m pytest -q --durations=10 tests/keycloak

test-fleet: ## eight tasks at once under real Airflow share one token (three minutes)
	$(ready) test
	@$(bin)/python -m pytest -q --durations=10 tests/e2e/test_fleet.py

test-celery: ## the same under Celery, Redis and two workers; needs redis-server (three minutes)
	$(ready) test celery
	@WE360_REQUIRE_CELERY=1 $(bin)/python -m pytest -q --durations=10 tests/e2e/test_celery.py

test-browser: ## Connection form, Test Connection and a first load in real Airflow's UI; needs Chromium (three minutes)
	$(ready) test browser
	@WE360_REQUIRE_BROWSER=1 $(bin)/python -m pytest -q --durations=10 tests/browser

screenshots: ## the same, and take the pictures of README and documentation again, into docs/images
	$(ready) test browser
	@WE360_REQUIRE_BROWSER=1 WE360_SCREENSHOTS=docs/images $(bin)/python -m pytest -q tests/browser

test-matrix: ## the Airflow tests on each supported Airflow and Python, with the built wheel; ARGS='2.11-py3.11' (half an hour)
	$(ready) test build
	@cd tests && ../$(bin)/python -m matrix $(ARGS)

check: ## ruff, mypy, import-linter, spelling, secrets and private paths in texts
	$(ready) test check docs
	@failed=; for gate in "ruff check ." "ruff format --check ." mypy lint-imports codespell \
	    "python -m pytest -q tests/architecture/test_texts.py"; do \
	    echo "== $$gate"; $(bin)/$$gate || failed="$$failed  $$gate\n"; \
	done; \
	if [ -n "$$failed" ]; then printf "\nfailed:\n$$failed"; exit 1; fi

prose: ## measure the docstrings and comments of each room
	$(ready) test
	@cd tests && ../$(bin)/python -m prose

docs: ## the documentation, into docs/_build/html
	$(ready) docs
	AIRFLOW_HOME=$(CURDIR)/.cache/airflow $(bin)/sphinx-build -q -W -n --keep-going -b html docs docs/_build/html
	@echo "docs/_build/html/index.html"

diagrams: ## draw the diagrams of the documentation; needs Graphviz
	$(ready) docs
	@$(bin)/python docs/diagrams.py

bench: ## speed and memory of a load, compared with a hand-written pipeline and other tools (ARGS="postgres --repeats 1"; a quarter of an hour)
	$(ready) bench
	@cd tests && ../.venv-bench/bin/python -m benchmarks.imports
	@cd tests && ../.venv-bench/bin/python -m benchmarks $(ARGS)

bench-full: ## the same, and two million rows
	$(ready) bench
	@cd tests && ../.venv-bench/bin/python -m benchmarks --full $(ARGS)

bench-tokens: ## how many logins a fleet of tasks costs in a month, for every mix (seconds)
	$(ready) test
	@cd tests && ../$(bin)/python -m benchmarks.tokens

walk: ## how many calls one token and one row take through this package
	$(ready) test
	@cd tests && ../$(bin)/python -m benchmarks.walk

build: ## wheel and sdist, into dist
	$(ready) build
	@rm -rf dist
	$(bin)/python -m build --no-isolation --outdir dist .
	$(bin)/twine check --strict dist/*

fmt: ## format the code
	$(ready) check
	$(bin)/ruff format .
	$(bin)/ruff check --fix .

clean: ## remove everything that the other targets made, including .venv
	rm -rf .venv .venv-bench .venv-clouds .uv .demo .cache dist build docs/_build .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache .coverage
	find airflow_provider_we360 tests example_dags docs -name __pycache__ -type d -prune -exec rm -rf {} +
