# What a developer does with this repository. ARGS=… is handed on: make test ARGS="-k window", make run ARGS="--config my.toml"

SHELL := /bin/bash
BIN := .venv/bin
PYTHON_FOLDERS := services tests benchmarks chaos deploy
COMPOSE := docker compose -f deploy/compose.yaml
ARGS ?=
FUZZ_SECONDS ?= 30

.DEFAULT_GOAL := help
.PHONY: help setup setup-deploy run demo test fuzz check check-static fmt schemas dashboards lock picture bench chaos kafka kafka-stop image up down compose clean

help: ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{ printf "  make %-13s %s\n", $$1, $$2 }'

setup: ## .venv with every package the locks name; quick when up to date
	@requirements/install.sh

setup-deploy: setup ## also the tools that check deploy/ (hadolint, kubectl, schemas of Kubernetes)
	@requirements/install-deploy.sh

run: setup ## everything in one process on the embedded log
	@$(BIN)/liqwatch run $(ARGS)

demo: setup ## the same against simulated venues: a crash day in a minute
	@$(BIN)/liqwatch demo $(ARGS)

test: setup-deploy ## the tests
	@$(BIN)/python -m pytest $(ARGS)

fuzz: setup ## long fuzzing of every venue, FUZZ_SECONDS=30 each; ARGS="okx gate" for some of them
	@$(BIN)/python -m tests.fuzz --seconds $(FUZZ_SECONDS) $(ARGS)

check: check-static test ## all that must hold

check-static: setup ## format, lint, types, import contracts
	@$(BIN)/ruff format --check $(PYTHON_FOLDERS)
	@$(BIN)/ruff check $(PYTHON_FOLDERS)
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@$(BIN)/liqwatch schemas --out schemas --check

fmt: setup ## format, and mend what the linter can
	@$(BIN)/ruff check --fix-only --quiet $(PYTHON_FOLDERS)
	@$(BIN)/ruff format $(PYTHON_FOLDERS)

schemas: setup ## write the contracts of the topics to schemas/
	@$(BIN)/liqwatch schemas --out schemas

dashboards: setup ## write the Grafana dashboards to deploy/grafana/dashboards/
	@$(BIN)/python -m deploy.grafana.build

lock: setup ## resolve pyproject.toml into requirements/*.lock; ARGS=--upgrade takes newer versions
	@requirements/lock.sh $(ARGS)

picture: setup ## docs/page.png, the live page during a crash (needs a Chromium), and docs/alert.png
	@ALERT_PICTURE=$(CURDIR)/docs/alert.png $(BIN)/python -m pytest -q tests/unit/test_picture.py -k remembered
	@PAGE_PICTURE=$(CURDIR)/docs/page.png $(BIN)/python -m pytest -q tests/acceptance/test_page.py -k picture

bench: setup ## the published figures
	@$(BIN)/python -m benchmarks $(ARGS)

chaos: setup ## every fault against liqwatch and Alertmanager, about 20 minutes; ARGS="--only reload --runs 3"
	@$(BIN)/python -m chaos $(ARGS)

kafka: setup ## a single Apache Kafka broker on 127.0.0.1, without Docker
	@$(BIN)/python deploy/kafka/broker.py start $(ARGS)

kafka-stop: ## stop that broker
	@$(BIN)/python deploy/kafka/broker.py stop $(ARGS)

image: ## the container image, with Docker or buildah; BASE=… takes another base image
	@deploy/image.sh $(ARGS)

up: compose ## Kafka, the services, Prometheus and Grafana in containers
	@$(COMPOSE) up --build --detach --wait $(ARGS)

down: compose ## stop them; what they have stored stays
	@$(COMPOSE) down $(ARGS)

compose:
	@command -v docker >/dev/null || { echo "make up/down need Docker, which is not installed. Without it: make run (one process), or make kafka (a broker without containers)." >&2; exit 1; }
	@docker compose version >/dev/null 2>&1 || { echo "docker is here, its compose plugin is not. On Debian and Ubuntu: apt-get install docker-compose-v2 or docker-compose-plugin." >&2; exit 1; }
	@docker info >/dev/null 2>&1 || { echo "docker is here, its engine does not answer: is it running, and may you use it?" >&2; exit 1; }

clean: ## remove .venv and caches
	@rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
