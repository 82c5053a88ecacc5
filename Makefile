# `make demo` shows the whole path on simulated observations, `make quick` checks in a minute, `make test` everything.
# They make their own environment in .venv; nothing else on the machine changes.

PYTHON ?= python3
VENV ?= .venv
DIR ?= demo
BIN := $(VENV)/bin

# Tests of single functions, and the examples in docstrings: no whole pipelines, no kills, no servers that let one wait.
# Together some 105 CPU seconds.
QUICK := daxa tests/missions tests/archive/test_address.py tests/archive/test_check.py tests/archive/test_config.py \
	tests/archive/test_gate.py tests/archive/test_layout.py tests/archive/test_override.py tests/backends/native/test_intervals.py \
	tests/backends/native/test_parameters.py tests/cli/test_conditions.py tests/cli/test_init.py tests/cli/test_missions.py \
	tests/cli/test_options.py tests/cli/test_show.py tests/fetch/test_directories.py tests/fetch/test_listing.py \
	tests/fetch/test_file_choice.py tests/fetch/test_rows.py tests/publish/test_version.py tests/query/matching/test_algebra.py \
	tests/query/criteria/test_areas.py tests/query/criteria/test_bad_input.py tests/query/criteria/test_criteria.py \
	tests/query/criteria/test_keywords.py tests/query/criteria/test_labels.py tests/query/matching/test_match.py tests/query/tables/test_normalise.py \
	tests/query/criteria/test_sample.py tests/query/criteria/test_coordinates.py tests/run/test_equality.py tests/run/test_hashes.py \
	tests/run/test_plan.py tests/selection/test_difference.py tests/selection/test_selection_file.py tests/test_contributing.py \
	tests/test_dependencies.py tests/test_exports.py tests/test_metadata.py tests/test_names.py \
	tests/test_quantities.py tests/test_settings.py tests/test_text.py tests/xray/eventlists/test_clock.py \
	tests/xray/cleaning/test_cut.py tests/xray/eventlists/test_expression.py tests/xray/eventlists/test_formats.py tests/xray/eventlists/test_frames.py \
	tests/xray/eventlists/test_gti.py tests/xray/cleaning/test_livetime.py tests/xray/detection/test_psf.py tests/xray/eventlists/test_regions.py \
	tests/xray/eventlists/test_sky_grid.py tests/xray/eventlists/test_fits_tables.py tests/xray/telescopes/test_telescopes.py

.PHONY: demo quick test random kills environments cluster validation check-sas check-esass check-ciao check-heasoft

demo: $(VENV)/.installed
	$(BIN)/daxa demo "$(DIR)"

quick: $(VENV)/.tools
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports
	$(BIN)/mypy
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder -m "not journey" $(QUICK)

test: $(VENV)/.tools
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports
	$(BIN)/mypy
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

# New random examples; the seed that is printed first brings them back: `make random DAXA_TEST_RANDOM=SEED`.
random: export DAXA_TEST_RANDOM ?= 1
random: $(VENV)/.tools
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder -v -m "not journey"

# The long soak: a hundred kills at random moments of a pipeline, a hundred of the commands that make and move versions, a
# hundred just before a rename, and some of every command that ends in a release (more than an hour).
kills: export DAXA_TEST_KILLS ?= 102
kills: $(VENV)/.tools
	$(BIN)/python -m pytest -v tests/journey/test_interrupts.py tests/journey/test_kills.py tests/journey/test_grow.py tests/run/test_interruption.py \
		tests/backends/test_whole_processes.py

# A release made again in the environment that it records: installs packages from the index (2 GB, some minutes).
environments: export DAXA_TEST_ENVIRONMENTS := 1
environments: $(VENV)/.tools
	PATH="$(abspath $(BIN)):$$PATH" $(BIN)/python -m pytest -v -rs tests/journey/test_environments.py

# Stages on a real Slurm that is started on this machine: Debian's slurm-wlm and munge, as root (some minutes).
cluster: export DAXA_TEST_SLURM := 1
cluster: $(VENV)/.tools
	$(BIN)/python -m pytest -v -rs --durations=0 tests/cluster

# On a machine with the software, set up in this shell: public observations from raw files to products, and reports to send to
# the authors, below PLACE.  MISSION=swift OBS=... tries another one.
check-sas check-esass check-ciao check-heasoft: check-%: $(VENV)/.tools
	$(BIN)/python -m tests.acceptance.check_suite "$(or $(PLACE),$@)" $* "$(MISSION)" "$(OBS)"

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
	$(BIN)/python -m compileall -q daxa
	touch $@

$(VENV)/.tools: $(VENV)/.installed
	$(BIN)/python -m pip install --quiet --group test
	touch $@

$(VENV)/.benchmarks: $(VENV)/.tools
	$(BIN)/python -m pip install --quiet --group benchmark
	touch $@
