# Every target sets up .venv by itself. PYTHON chooses the interpreter (3.11 or newer).
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
DEMO_STAMP := $(VENV)/.installed-demo
STAMP := $(VENV)/.installed
DOCS_STAMP := $(VENV)/.installed-docs
SPHINX := $(BIN)/python -m sphinx -c docs/site -W --keep-going -q

.PHONY: help demo test test-browser lint format docs tables linkcheck types bench bench-quick bench-deps test-hub test-wheel test-versions clean

help:
	@echo "make demo         a photograph and a voice as tokens; PCA, autoencoder, VAE and VQ-VAE on built-in clothes and photographs: pictures and reports (3 minutes)"
	@echo "make test         the test suite"
	@echo "make test-browser the pages of the lab in Chromium, as a person uses them (3 minutes)"
	@echo "make test-hub     models to the hub and back with the oldest and the newest huggingface-hub that is allowed"
	@echo "make test-wheel   the sdist and the wheel: their files, and the commands of the installed wheel"
	@echo "make test-versions the oldest and the newest NumPy, Pillow, safetensors and typer that are allowed"
	@echo "make lint         ruff and mypy"
	@echo "make format       ruff format and import order"
	@echo "make docs         the documentation site, in build/docs: runs the tutorials; no warning, no broken link"
	@echo "make tables       the tables of docs/parts.md and docs/results-format.md"
	@echo "make linkcheck    the links of the pages to other sites (network)"
	@echo "make bench        all benchmarks (make bench-quick: a short look)"
	@echo "make bench-deps   install what the benchmarks compare with"

# What the package itself needs, and nothing that only its developers use.
$(DEMO_STAMP): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e .
	@touch $(DEMO_STAMP)

$(STAMP): pyproject.toml constraints.txt | $(DEMO_STAMP)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $(STAMP)

demo: $(DEMO_STAMP)
	$(BIN)/vqkit demo

# One process a core, each with one thread: threads of two processes would wait for each other.
test: $(STAMP)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses 2 --dist loadfile

test-browser: $(STAMP)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m browser

test-hub: $(STAMP)
	@for version in "==0.30.0" "<3"; do \
		rm -rf build/hub && $(BIN)/python -m pip install --quiet --target build/hub "huggingface-hub$$version" && \
		PYTHONPATH=build/hub $(BIN)/python -c "import huggingface_hub as hub; print('huggingface-hub', hub.__version__)" && \
		PYTHONPATH=build/hub $(BIN)/python -m pytest tests/pretrained/test_hub.py tests/models/test_models.py -k hub || exit 1; \
	done

test-wheel: $(STAMP)
	$(BIN)/python packaging/check.py

test-versions: $(STAMP)
	$(BIN)/python packaging/versions.py

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(STAMP)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

$(DOCS_STAMP): $(STAMP)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[docs]'
	@touch $(DOCS_STAMP)

docs: $(DOCS_STAMP) tables
	$(SPHINX) -b html . build/docs
	@echo "build/docs/index.html"

tables: $(STAMP)
	$(BIN)/python -m tests.docs.tables

linkcheck: $(DOCS_STAMP)
	$(SPHINX) -b linkcheck . build/linkcheck

bench-deps: $(STAMP)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[bench]'

bench: bench-deps
	@for script in benchmarks/[a-z]*.py; do echo "== $$script"; $(BIN)/python $$script || exit 1; done

bench-quick: bench-deps
	@for script in benchmarks/[a-z]*.py; do echo "== $$script"; $(BIN)/python $$script --quick || exit 1; done

clean:
	rm -rf $(VENV) build dist runs .pytest_cache .mypy_cache .ruff_cache .hypothesis
