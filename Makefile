# Two commands: `make demo` shows the whole path on simulated observations, `make test` checks everything.
# Both make their own environment in .venv; nothing else on the machine changes.

PYTHON ?= python3
VENV ?= .venv
DIR ?= demo
BIN := $(VENV)/bin

.PHONY: demo test random kills validation

demo: $(VENV)/.installed
	$(BIN)/daxa demo "$(DIR)"

test: $(VENV)/.tools
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

# New random examples; the seed that is printed first brings them back: `make random DAXA_TEST_RANDOM=SEED`.
random: export DAXA_TEST_RANDOM ?= 1
random: $(VENV)/.tools
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder -v -m "not journey"

# The long soak: a hundred kills at random moments of a pipeline, and a hundred just before a rename (half an hour).
kills: export DAXA_TEST_KILLS ?= 102
kills: $(VENV)/.tools
	$(BIN)/python -m pytest -v tests/journey/test_interrupts.py tests/run/test_interruption.py

# What the science is checked against, as a page: docs/validation.md (a quarter of an hour; ONLY=NAME repeats one check).
validation: $(VENV)/.benchmarks
	$(BIN)/python -m benchmarks.validation --only "$(ONLY)"

$(VENV)/.created:
	@$(PYTHON) -c 'import sys; v = sys.version_info; sys.exit(f"daxa needs Python 3.11 or newer, and $(PYTHON) is {v[0]}.{v[1]}: name another with `make PYTHON=...`" if v < (3, 11) else 0)'
	@command -v git >/dev/null || { echo "daxa needs Git: install it first"; exit 1; }
	$(PYTHON) -m venv "$(VENV)"
	$(BIN)/python -m pip install --quiet --upgrade "pip>=25.1"
	touch $@

$(VENV)/.installed: $(VENV)/.created pyproject.toml
	$(BIN)/python -m pip install --quiet --editable .
	touch $@

$(VENV)/.tools: $(VENV)/.installed
	$(BIN)/python -m pip install --quiet --group test
	touch $@

$(VENV)/.benchmarks: $(VENV)/.tools
	$(BIN)/python -m pip install --quiet --group benchmark
	touch $@
