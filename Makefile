# `make train` sets up an environment and runs the main job; `make test` sets up and runs lint, types and tests.
PYTHON ?= python3
VENV ?= .venv
RUN = $(VENV)/bin/python

.PHONY: train test lint types test-slow test-jax clean

train: $(VENV)/.installed
	$(RUN) -m ariel_tf.train --wavelength 12

test: lint types
	$(RUN) -m pytest -n 2 --dist loadgroup

# Models, transforms and metric on Keras's JAX backend.
test-jax: $(VENV)/.installed-test
	$(RUN) -m pip install --quiet --disable-pip-version-check --editable '.[jax]'
	KERAS_BACKEND=jax $(RUN) -m pytest tests/test_models.py tests/test_metrics.py

test-slow: $(VENV)/.installed-test
	$(RUN) -m pytest -m slow

lint: $(VENV)/.installed-test
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .

types: $(VENV)/.installed-test
	$(VENV)/bin/mypy

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: setup.cfg | $(VENV)/bin/python
	$(RUN) -m pip install --quiet --disable-pip-version-check --editable .
	touch $@

$(VENV)/.installed-test: setup.cfg | $(VENV)/bin/python
	$(RUN) -m pip install --quiet --disable-pip-version-check --editable '.[test]'
	touch $@ $(VENV)/.installed

clean:
	rm -rf $(VENV) build *.egg-info
