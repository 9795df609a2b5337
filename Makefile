# Two commands do everything on a fresh machine: `make demo` and `make test`.
PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin
INPUTS = $(wildcard requirements/*) pyproject.toml setup.py Makefile
PYTEST = $(BIN)/python -m pytest --numprocesses auto --maxprocesses 8 --dist worksteal
PIP = $(BIN)/python -m pip --disable-pip-version-check install --quiet

.PHONY: demo demo-real test test-fast test-slow coverage mutation test-upstream lint docs clean

demo: $(VENV)/.ready
	$(BIN)/python examples/demo.py $(OPTIONS)

# The same on photographs, with `tools/distill.py`, and half of the iterations of docs/benchmarks/camvid.md: a quarter of an
# hour on two cores. It needs data/camvid (docs/data.md).
REAL = work_dirs/demo_real
STUDENT = configs/camvid/ddrnet_23_slim_half_camvid.py
SHORT = --cfg-options train_cfg.max_iters=1200 param_scheduler.0.end=1200
TEACHER = configs/camvid/lite2_camvid.py --checkpoint docs/benchmarks/teachers/lite2_camvid.pth
demo-real: $(VENV)/.ready
	$(BIN)/python tools/train.py $(STUDENT) --work-dir $(REAL)/baseline $(SHORT) $(OPTIONS)
	$(BIN)/python tools/distill.py $(STUDENT) --teacher $(TEACHER) --before $(REAL)/baseline/iter_1200.pth \
		--work-dir $(REAL)/distilled $(SHORT) $(OPTIONS)
	$(BIN)/python tools/compare.py $(REAL)/baseline $(REAL)/distilled --predictions 4 --out $(REAL)/comparison

test: $(VENV)/.ready
	$(PYTEST)

# Without what starts processes of its own or takes a fifth of a second, and with one config per folder.
# `make test-fast OPTIONS=--write-long-tests` after `: > tests/long_tests.txt` measures again what takes long.
test-fast: $(VENV)/.ready
	$(PYTEST) -m 'not slow and not process and not long' $(OPTIONS)

test-slow: $(VENV)/.ready
	$(PYTEST) -m slow
	$(PYTEST) --hypothesis-profile deep $(wildcard tests/*/test_*_properties.py)
	$(MAKE) coverage
	$(MAKE) mutation LIMIT=4

# Of the lines and branches that `make test` runs, in all processes that it starts.
coverage: $(VENV)/.ready
	rm -f .coverage .coverage.*
	$(PYTEST) --cov --cov-fail-under=95 --cov-report=term-missing:skip-covered

# Whether the tests notice changed operations: hours for all of losses/ and distillers/; LIMIT draws some of each file.
# Files that did not change since benchmarks/mutation_results.json are not tried again.
FILES ?= losses/*.py distillers/*.py
LIMIT ?= 1000000
mutation: $(VENV)/.ready
	$(BIN)/python benchmarks/mutation.py $(foreach pattern,$(FILES),'$(pattern)') --limit $(LIMIT) --least 85

lint: $(VENV)/.ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# The documentation as a site, in docs/_build/html.
docs: $(VENV)/.ready
	$(BIN)/python -m sphinx -E -W --keep-going -q -b html docs docs/_build/html

# The same tests on the upstream distributions. mmcv has no wheel for current torch: its operators are compiled (minutes).
test-upstream: .venv-upstream/.ready
	.venv-upstream/bin/python -m pytest

$(VENV)/.ready: $(INPUTS)
	$(PYTHON) -m venv --clear $(VENV)
	$(PIP) -c requirements/constraints.txt -e '.[onedl,demo,tests,lint,docs]'
	$(PIP) -c requirements/constraints.txt --no-deps torchvision timm
	$(BIN)/python requirements/torchvision_beside_cpu_torch.py
	touch $@

.venv-upstream/.ready: $(INPUTS)
	$(PYTHON) -m venv --clear .venv-upstream
	.venv-upstream/bin/python -m pip install --quiet -c requirements/constraints.txt torch numpy ninja psutil wheel 'setuptools<81'
	MMCV_WITH_OPS=1 .venv-upstream/bin/python -m pip install --quiet -c requirements/constraints.txt --no-build-isolation mmcv
	.venv-upstream/bin/python -m pip install --quiet -c requirements/constraints.txt -e '.[openmmlab,demo,tests]'
	.venv-upstream/bin/python -m pip install --quiet -c requirements/constraints.txt --no-deps torchvision timm
	.venv-upstream/bin/python requirements/torchvision_beside_cpu_torch.py
	touch $@

clean:
	rm -rf .venv .venv-upstream work_dirs .pytest_cache .ruff_cache .mypy_cache docs/_build docs/api docs/zoo
