# make demo       PI-Net's tables and figures, with a verdict beside each claim
# make test       everything that CI checks
# make lab        JupyterLab, to read and change the notebooks
# make notebooks  all notebooks, PROFILE=smoke, cpu, gpu or paper
# make fuzz       10,000 damaged and hostile files for every reader; half an hour
# make lock       new exact versions in requirements.lock
#
# Needs git, make and Python 3.11 or newer; all else goes into .venv, once, and again when the lock changes.

PROFILE ?= auto
TORCH ?= 2.13.0
RECENT = import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11; do \
	$$p -c "$(RECENT)" >/dev/null 2>&1 && echo $$p && break; done)
READY = .venv/.ready
BOOKS = $(wildcard notebooks/*.ipynb)

.PHONY: demo test lab notebooks fuzz lock

demo: $(READY)
	.venv/bin/mp3d run pinet --profile $(PROFILE)

# One call of pytest, whose closing line is the last: unit tests, the pairs, and nbval on every notebook.
test: $(READY)
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	MP3D_PROFILE=smoke OMP_NUM_THREADS=1 .venv/bin/python -m pytest -q -n 2 --dist loadfile \
		--nbval-lax --nbval-current-env tests $(BOOKS)

lab: $(READY)
	.venv/bin/jupyter lab

notebooks: $(READY)
	set -e; for book in $(notdir $(basename $(BOOKS))); do \
		.venv/bin/mp3d run $$book --profile $(PROFILE); done

fuzz: $(READY)
	OMP_NUM_THREADS=1 .venv/bin/python -m tests.fuzz

$(READY): requirements.lock pyproject.toml
	@test -n "$(PYTHON)" || { echo "No Python 3.11 or newer (with venv) found: install one, or" \
		"make PYTHON=/path/to/python3"; exit 1; }
	@echo "Installing into .venv (once; some minutes)"
	$(PYTHON) -m venv .venv
	.venv/bin/python -m pip install -q --disable-pip-version-check -r requirements.lock
	.venv/bin/python -m pip install -q --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

# The releases of one machine, without what only its kind of machine needs: pip adds that by itself.
lock:
	rm -rf .lock && $(PYTHON) -m venv .lock
	.lock/bin/python -m pip install -q --disable-pip-version-check -e '.[all]' torch==$(TORCH)
	(echo "# Exact versions of the last green run, made by make lock."; \
		.lock/bin/python -m pip list --format=freeze --disable-pip-version-check \
		| sed 's/+.*//' | grep -v -i -E '^(pip|mp3d|triton|nvidia-.*|cuda-.*)==' \
		| LC_ALL=C sort -f) > .lock/new
	mv .lock/new requirements.lock
	rm -rf .lock
