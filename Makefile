# `make train` sets up an environment and runs the main job; `make test` sets up and runs lint, types and tests.
PYTHON ?= python3
VENV ?= .venv
VENV_TFIO ?= .venv-tfio
VENV_FRESH ?= .venv-fresh
VENV_LOWEST ?= .venv-lowest
PYTHON_LOWEST ?= python3.11
RUN = $(VENV)/bin/python
TFIO_TESTS = tests/data/test_bigquery_tfio.py tests/data/test_bigquery.py tests/data/test_records.py tests/models/test_losses_and_metric.py

.PHONY: train test docs sbom soak bench lint types test-slow test-jax test-tfio test-export test-lowest clean

train: $(VENV)/.installed
	$(RUN) -m ariel_tf.train --wavelength 12

# One process runs all tests of a file, so that its fixtures are made once; pytest 9.2 ignores `xdist_group` marks.
test: lint types
	$(RUN) -m pytest -n 2 --dist loadfile

# Models, transforms and metric on Keras's JAX backend.
test-jax: $(VENV)/.installed-test
	$(RUN) -m pip install --quiet --disable-pip-version-check --editable '.[jax]'
	KERAS_BACKEND=jax $(RUN) -m pytest tests/models

# tensorflow-io's reader of BigQuery with the lowest supported versions, in an environment of its own.
test-tfio: $(VENV)/.installed-test $(VENV_TFIO)/.installed
	ARIEL_EMULATOR_PYTHON=$(abspath $(RUN)) $(VENV_TFIO)/bin/python -m pytest -m 'tfio or not slow' $(TFIO_TESTS)

# Exported models without this package: onnxruntime, TensorFlow, or Keras on JAX, in one environment each.
test-export: $(VENV)/.installed-test $(VENV_FRESH)/onnx/.installed $(VENV_FRESH)/savedmodel/.installed $(VENV_FRESH)/keras/.installed
	ARIEL_FRESH=$(abspath $(VENV_FRESH)) $(RUN) -m pytest -m fresh tests/commands/test_export.py

# The whole suite at the lower bounds of setup.cfg, on the oldest Python, in an environment of its own. uv finds
# versions that fit together in seconds, where pip tries one after another for an hour. Packages are compiled: a
# warning about a package's source at its first import would be an error of the tests.
test-lowest: $(VENV_LOWEST)/.installed
	$(VENV_LOWEST)/bin/python -m pytest -n 2 --dist loadfile

# The sweeps, and with real training the test files that otherwise pretend to train (tests/support/pretended.py).
test-slow: export ARIEL_REAL_TRAINING = 1
test-slow: $(VENV)/.installed-test
	$(RUN) -m pytest -m slow
	$(RUN) -m pytest $(shell grep -rl --include='test_*.py' pretended_training tests)

# A software bill of materials of the environment, CycloneDX JSON; needs no network.
sbom: $(VENV)/.installed
	$(RUN) tools/sbom.py > sbom.json

# Kills and full disks at file-system steps, damaged files, bad bytes; prints the numbers of trials and failures
# (docs/reliability.md).
soak: $(VENV)/.installed-test
	$(RUN) -m pytest -m soak -rf

# The tables of docs/speed.md, with PyTorch for comparison (the extra `bench`); an hour on two cores.
bench: $(VENV)/.installed-bench
	$(RUN) -m benchmarks.step_speed dense squid
	$(RUN) -m benchmarks.stack_peers squid
	$(RUN) -m benchmarks.stack_peers squid --onednn yes
	$(RUN) -m benchmarks.jit_speed squid baseline linear dense
	$(RUN) -m benchmarks.streaming_speed
	$(RUN) -m benchmarks.reading_speed --planets 120
	$(RUN) -m benchmarks.full_size --scale 0.02

# The documentation site in site/; needs no network once its packages are installed, and a warning is an error.
docs: $(VENV)/.installed-docs
	NO_MKDOCS_2_WARNING=1 COLUMNS=100 $(VENV)/bin/mkdocs build --strict

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

$(VENV)/.installed-bench: setup.cfg | $(VENV)/bin/python
	$(RUN) -m pip install --quiet --disable-pip-version-check --editable '.[bench]'
	touch $@ $(VENV)/.installed

$(VENV)/.installed-docs: setup.cfg | $(VENV)/bin/python
	$(RUN) -m pip install --quiet --disable-pip-version-check --editable '.[docs]'
	touch $@ $(VENV)/.installed

$(VENV_TFIO)/.installed: setup.cfg
	$(PYTHON) -m venv $(VENV_TFIO)
	$(VENV_TFIO)/bin/python -m pip install --quiet --disable-pip-version-check --editable '.[tfio]' 'pytest >=8,<10' 'pytest-xdist >=3.5,<4' 'hypothesis >=6.100,<7'
	touch $@

$(VENV_LOWEST)/.installed: setup.cfg tools/lowest.py
	$(PYTHON_LOWEST) -m venv $(VENV_LOWEST)
	$(PYTHON_LOWEST) tools/lowest.py test > $(VENV_LOWEST)/requirements.txt
	$(VENV_LOWEST)/bin/python -m pip install --quiet --disable-pip-version-check 'uv >=0.5,<1'
	$(VENV_LOWEST)/bin/uv pip install --quiet --compile-bytecode --python $(VENV_LOWEST)/bin/python --requirement $(VENV_LOWEST)/requirements.txt
	$(VENV_LOWEST)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --editable .
	touch $@

$(VENV_FRESH)/onnx/.installed: PACKAGES = onnxruntime numpy
$(VENV_FRESH)/savedmodel/.installed: PACKAGES = 'tensorflow <2.22'
$(VENV_FRESH)/keras/.installed: PACKAGES = 'keras <3.16' jax
$(VENV_FRESH)/%/.installed:
	$(PYTHON) -m venv $(VENV_FRESH)/$*
	$(VENV_FRESH)/$*/bin/python -m pip install --quiet --disable-pip-version-check $(PACKAGES)
	touch $@

clean:
	rm -rf $(VENV) $(VENV_TFIO) $(VENV_FRESH) $(VENV_LOWEST) build dist site *.egg-info
