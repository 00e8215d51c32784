# Each target makes what it needs on a fresh machine: a virtual environment in .venv with the pinned versions of constraints.txt.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP_INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-compile
# By a path, not by an import hook: else a folder called mimo_sim, such as this clone seen from its parent, hides the package.
EDITABLE := --config-settings editable_mode=compat --editable
export PIP_CONSTRAINT := $(CURDIR)/constraints.txt
export MPLBACKEND := Agg
# Nothing is compiled at the installation: the first import of a module keeps its bytecode, the processes that tests start read it.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: figure1 torch site test test-all fast-tests style types test-lowest wheel mutants lint format house check explore bench gpu-bench gpu-toy gpu-timing gpu-avmnist gpu-grid studies avmnist replication sensitivity beyond race race-store notebooks slides badges clean
.DEFAULT_GOAL := figure1

figure1: $(VENV)/.core  ## Reproduce Figure 1 into figures/ (and the convergence figure)
	$(BIN)/mimo-sim figure1 --out figures
	$(BIN)/mimo-sim convergence --out figures

torch: $(VENV)/.train  ## Also install PyTorch and what else training networks needs

PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto --dist loadfile --no-loadscope-reorder

test: $(VENV)/.dev  ## Style, types, and all tests that are not slow; types and tests at the same time
	$(MAKE) --no-print-directory --jobs=2 style types fast-tests

test-all: lint $(VENV)/.docs  ## Style, types, and every test
	$(PYTEST)

fast-tests: style
	$(PYTEST) -m "not slow"

test-lowest:  ## The toy with the lowest versions that pyproject.toml allows (needs PYTHON=python3.11)
	rm -rf build/lowest && $(PYTHON) -m venv build/lowest
	build/lowest/bin/python -m tests.lowest > build/lowest.txt
	env -u PIP_CONSTRAINT build/lowest/bin/python -m pip install --quiet --disable-pip-version-check --constraint build/lowest.txt --editable . pytest hypothesis
	build/lowest/bin/mimo-sim figure1 --quiet --seeds 2 --out build/lowest/figures
	OMP_NUM_THREADS=1 build/lowest/bin/python -m pytest -q -m "not slow" tests/problem tests/theory tests/dynamics/test_simulate.py tests/dynamics/test_trajectory.py tests/dynamics/test_ensemble.py tests/test_generators.py tests/test_checks.py

wheel:  ## Build the wheel and try it in an empty environment: Figure 1, the files in it, the extras that are missing
	rm -rf build/wheel && $(PYTHON) -m venv build/wheel
	build/wheel/bin/python -m pip wheel --quiet --disable-pip-version-check --no-deps --wheel-dir build/wheel/dist .
	build/wheel/bin/python -m pip install --quiet --disable-pip-version-check build/wheel/dist/*.whl
	cd build/wheel && bin/python $(CURDIR)/tests/wheel.py dist/*.whl

mutants: $(VENV)/.dev  ## Mutation test of the core (about 20 minutes on 2 cores); writes tests/mutants.json
	$(PIP_INSTALL) $(EDITABLE) ".[dev,mutants]"
	$(BIN)/python -m tests.mutants

lint: style types  ## Style and types, code and notebooks

style: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.dev
	$(BIN)/mypy

format: $(VENV)/.dev  ## Rewrite files in the house style
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

house: $(VENV)/.dev  ## Print the import graph, floor by floor, and what is wrong with it
	$(BIN)/python -m tests.house

explore: $(VENV)/.core  ## Write the explorer, a page that trains the toy in a browser, and open it
	$(BIN)/mimo-sim explore --out build/explorer.html

check: $(VENV)/.dev  ## Check the claims of the paper and write the ledger into paper_checks/ledger/
	$(BIN)/mimo-sim check --out paper_checks/ledger

bench: $(VENV)/.dev  ## Measure speed as ratios within one run; writes benchmarks/bench.json
	$(BIN)/python -m benchmarks.bench
	$(BIN)/python -m benchmarks.ensemble
	$(BIN)/python -m benchmarks.zls
	$(BIN)/python -m benchmarks.training
	$(PIP_INSTALL) $(EDITABLE) ".[dev,bench]"
	$(BIN)/python -m benchmarks.media
	$(BIN)/python -m benchmarks.streaming
	$(BIN)/mimo-sim bench timing --threads 1 --out benchmarks

# On a machine with a CUDA device, in pieces of at most ten minutes. A file that is there is not measured again; delete it to do so.
# Training goes on from what is stored: call gpu-avmnist or gpu-grid again until it says that all runs were there already.
GPU_RUN = timeout --signal=INT 520 $(BIN)/mimo-sim bench run --out results/gpu-$(1) --seeds 3 $(2) || test $$? -eq 124
GPU_MAIN := $(addprefix --method ,vanilla unimodal linear_scalarization mimo umt ogm_ge mmpareto mla)

gpu-bench: gpu-toy gpu-timing gpu-avmnist gpu-grid  ## All of the following, on a machine with a CUDA device

gpu-toy: $(VENV)/.dev  ## GPU tests, then a million runs of the toy: benchmarks/ensemble_cuda.json
	$(BIN)/python -m pytest -m gpu
	test -f benchmarks/ensemble_cuda.json || $(BIN)/python -m benchmarks.ensemble --cuda --runs 1000000 --steps 10000 --out benchmarks/ensemble_cuda.json

gpu-timing: $(VENV)/.dev  ## Step times with ResNet-18 on CREMA-D shapes, and of captured LeNet steps: benchmarks/gpu/
	test -f benchmarks/gpu/timing-resnet18.json || $(BIN)/mimo-sim bench timing --network resnet18 --out benchmarks/gpu
	test -f benchmarks/gpu/timing-lenet.json || $(BIN)/mimo-sim bench timing --captured --out benchmarks/gpu

gpu-avmnist: $(VENV)/.dev  ## AV-MNIST at full size, main methods, 3 seeds: benchmarks/gpu-avmnist/
	$(call UNPACK,benchmarks/gpu-avmnist/runs.csv.gz,results/gpu-avmnist)
	$(call GPU_RUN,avmnist,--dataset avmnist --setting A --setting B --setting D --preset full $(GPU_MAIN))
	$(call GPU_STORE,avmnist)

gpu-grid: $(VENV)/.dev  ## GRID words, all methods, 3 seeds: benchmarks/gpu-grid/
	$(call UNPACK,benchmarks/gpu-grid/runs.csv.gz,results/gpu-grid)
	$(call GPU_RUN,grid,--dataset grid --setting clean --setting -10 --preset full --method all)
	$(call GPU_STORE,grid)

# A folder of results is filled with what is stored, so that it is not trained again.
UNPACK = if test -f $(1); then $(BIN)/mimo-sim bench unpack $(1) --out $(2); fi
GPU_STORE = $(BIN)/mimo-sim bench pack results/gpu-$(1) --out benchmarks/gpu-$(1)/runs.csv.gz

studies: $(VENV)/.train  ## The studies over many runs of the toy: figures/phase_* and figures/fusion_* (about 8 minutes)
	$(BIN)/mimo-sim study all --out figures
	$(BIN)/mimo-sim animate --out figures/race.png

# Runs are trained in results/, which git ignores, and stored in benchmarks/, a data set in one file. A folder that is not there yet
# is filled with the stored runs, so that they are not trained again. To train a row anew, fill the folder without it:
#   mimo-sim bench unpack benchmarks/records/avmnist.csv.gz --out results/records --without avmnist-A/mimo
#   make avmnist
# To take in runs that were made elsewhere, fill the folder and copy theirs over it:
#   make results/records && cp -r elsewhere/. results/records
#   make avmnist
results/records results/replication results/sensitivity: | $(VENV)/.train
	rm -rf $@.part
	$(BIN)/mimo-sim bench unpack benchmarks/$(@F)/avmnist.csv.gz --out $@.part
	mv $@.part $@

# Compare refuses rows that mix runs of different code. It comes first, so that such runs are not stored.
define STORE
$(BIN)/mimo-sim bench compare results/$(1) --quiet
$(BIN)/mimo-sim bench pack results/$(1) --out benchmarks/$(1)/avmnist.csv.gz
endef
TABLE = $(BIN)/mimo-sim bench compare benchmarks/$(1)/avmnist.csv.gz --out benchmarks/$(1)

AVMNIST := $(BIN)/mimo-sim bench run --dataset avmnist --preset cpu --out results/records
SETTINGS := --setting A --setting B --setting D
RULES := extrapolation,validation,epoch_minimum,zero

avmnist: $(VENV)/.train results/records  ## AV-MNIST, settings A, B, D, every method and every f* rule of MIMO, 3 seeds, main ones 8, small preset (hours on 2 cores); continues where it was stopped
	$(AVMNIST) $(SETTINGS) --seeds 3 --method all
	$(AVMNIST) $(SETTINGS) --seeds 3 --method mimo --grid f_star=reference,$(RULES)
	$(AVMNIST) $(SETTINGS) --seeds 3 --method mimo --set decay=0
	$(AVMNIST) $(SETTINGS) --seeds 3 --method mimo --set f_star=reference --set normalise=true --grid lam=2,4
	$(AVMNIST) $(SETTINGS) --seeds 3 --method mimo --set normalise=true --grid f_star=$(RULES)
	$(AVMNIST) $(SETTINGS) --seeds 3 --method mimo --set normalise=true --set decay=0
	$(AVMNIST) $(SETTINGS) --seeds 8 --method vanilla --method linear_scalarization --method unimodal --method mimo
	$(AVMNIST) $(SETTINGS) --seeds 8 --method mimo --set normalise=true
	$(AVMNIST) $(SETTINGS) --seeds 8 --method mimo --set normalise=true --grid f_star=extrapolation
	$(call STORE,records)
	$(call TABLE,records) --html benchmarks/records/comparison.html
	$(call TABLE,records) --curves mimo-normalise
	$(call TABLE,records) --split validation

REPLICATE := $(BIN)/mimo-sim bench run --dataset avmnist --preset cpu --setting A --seeds 8 --first-seed 8 --out results/replication
SENSITIVITY := $(BIN)/mimo-sim bench run --dataset avmnist --preset cpu --setting A --seeds 3 --out results/sensitivity

replication: $(VENV)/.train results/replication  ## AV-MNIST A: the estimate of f* that was chosen on seeds 0 to 7, on seeds 8 to 15 (about 15 minutes on 2 cores)
	$(REPLICATE) --method vanilla --method linear_scalarization
	$(REPLICATE) --method mimo --set normalise=true --set f_star=extrapolation
	$(call STORE,replication)
	$(call TABLE,replication) --baseline linear_scalarization

sensitivity: $(VENV)/.train results/sensitivity  ## AV-MNIST A: lam x mu with that estimate (about 15 minutes on 2 cores)
	$(SENSITIVITY) --method vanilla --method linear_scalarization
	$(SENSITIVITY) --method mimo --set normalise=true --set f_star=extrapolation --grid lam=1,2,8 --grid mu=0.02,0.1,0.5
	$(call STORE,sensitivity)
	$(call TABLE,sensitivity) --split validation
	$(call TABLE,sensitivity)

# Beyond late fusion: the same three trainings in other networks, and uni-modal losses by heads or by masks.
BEYOND := $(BIN)/mimo-sim bench run --preset cpu --seeds 3
MAIN := --method vanilla --method linear_scalarization --method mimo
define FUSION
$(call UNPACK,benchmarks/fusion/$(1)-$(3)-$(4).csv.gz,results/fusion/$(1)-$(3)-$(4))
$(BEYOND) --dataset $(1) --setting $(2) --fusion $(3) --unimodal $(4) $(MAIN) $(5) --out results/fusion/$(1)-$(3)-$(4)
$(BIN)/mimo-sim bench pack results/fusion/$(1)-$(3)-$(4) --out benchmarks/fusion/$(1)-$(3)-$(4).csv.gz
endef

beyond: $(VENV)/.tune  ## GRID at -10 dB and AV-MNIST A in attention and MMTM networks, 3 seeds (GRID: about 3 minutes a network on 2 cores); continues
	$(call FUSION,grid,-10,attention,heads,--method rollingq)
	$(call FUSION,grid,-10,attention,masked)
	$(call FUSION,grid,-10,mmtm,heads,--method greedy)
	$(call FUSION,avmnist,A,attention,heads,--method rollingq)
	$(call FUSION,avmnist,A,attention,masked)
	$(call FUSION,avmnist,A,mmtm,heads,--method greedy)

# Every method at its defaults.
define EVERY
$(call UNPACK,benchmarks/records/$(1).csv.gz,results/$(1))
$(BIN)/mimo-sim bench run --preset cpu --seeds 3 --method all --dataset $(1) $(2) --out results/$(1)
$(BIN)/mimo-sim bench pack results/$(1) --out benchmarks/records/$(1).csv.gz
endef
RANKED := $(addprefix --dataset ,digits mfeat cremad_ratings avmnist-A grid--10)

every-method: $(VENV)/.tune  ## digits, mfeat, cremad_ratings and GRID at -10 dB, every method, 3 seeds; then ranks with AV-MNIST A (an hour on 2 cores); continues
	$(call EVERY,digits)
	$(call EVERY,mfeat)
	$(call EVERY,cremad_ratings)
	$(call EVERY,grid,--setting -10)
	$(BIN)/mimo-sim bench compare benchmarks/records/grid.csv.gz --out benchmarks/grid
	$(BIN)/mimo-sim bench rank benchmarks/records/*.csv.gz $(RANKED) --out benchmarks/records

# The race goes on from what is stored in benchmarks/race, on this machine or another. It is stored after every command below, and
# by make race-store, at any time, also after a kill: trials that are over and finished runs, in one file to commit.
RACE := $(BIN)/mimo-sim bench tune --trials 12 --seeds 8 --out results/race
RACE_FILE := benchmarks/race/race.csv.gz
STORE_RACE = $(BIN)/mimo-sim bench pack results/race --out $(RACE_FILE)
RACERS := $(addprefix --method ,vanilla unimodal linear_scalarization mimo umt ogm_ge mmpareto mla)
F_STAR := --method mimo --space normalise=true,false --space f_star=running_minimum,epoch_minimum,extrapolation,validation,zero

race: $(VENV)/.tune  ## digits, AV-MNIST A and GRID words: main methods, 12 trials each on validation, then 8 fresh seeds (hours on 2 cores); goes on from benchmarks/race
	$(call UNPACK,$(RACE_FILE),results/race)
	$(RACE) --dataset digits $(RACERS)
	$(STORE_RACE)
	$(RACE) --dataset digits $(F_STAR)
	$(STORE_RACE)
	$(RACE) --dataset grid --setting -10 $(RACERS)
	$(STORE_RACE)
	$(RACE) --dataset grid --setting -10 $(F_STAR)
	$(STORE_RACE)
	$(RACE) --dataset avmnist --setting A $(RACERS)
	$(STORE_RACE)
	$(RACE) --dataset avmnist --setting A $(F_STAR)
	$(STORE_RACE)
	$(RACE) --dataset grid --setting clean $(RACERS)
	$(STORE_RACE)
	$(RACE) --dataset grid --setting clean $(F_STAR)
	$(STORE_RACE)
	$(BIN)/mimo-sim bench compare $(RACE_FILE) --baseline linear_scalarization --out benchmarks/race --html benchmarks/race/comparison.html

race-store: $(VENV)/.tune  ## Store what make race has found so far into benchmarks/race, to commit and go on elsewhere
	$(STORE_RACE)

site: $(VENV)/.docs  ## Build the documentation site into build/site/: executes the notebooks, checks every link (minutes; again: seconds)
	$(BIN)/python -m website --out build/site

notebooks: $(VENV)/.notebooks  ## Execute the notebooks and write them as pages into notebooks/_rendered/ (no network needed to read them)
	$(BIN)/python -m mimo_sim.course.pages notebooks/[0-9]*.ipynb --out notebooks/_rendered

slides: $(VENV)/.notebooks  ## Slides for a class of 90 minutes, one file that needs no network: build/slides.html
	$(BIN)/python -m mimo_sim.course.slides notebooks/slides.ipynb --out build/slides.html

badges: $(VENV)/.notebooks  ## Write badges for Colab and Binder into the notebooks, for the address that this clone is from
	$(BIN)/python -m mimo_sim.course.badges notebooks/[0-9]*.ipynb

clean:  ## Remove the environment and caches
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis notebooks/_rendered
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.core: pyproject.toml constraints.txt | $(BIN)/python
	@echo "installing mimo_sim and its dependencies into $(VENV)"
	$(PIP_INSTALL) $(EDITABLE) .
	@touch $@

$(VENV)/.train: pyproject.toml constraints.txt | $(BIN)/python
	@echo "installing mimo_sim with what training networks needs into $(VENV)"
	$(PIP_INSTALL) $(EDITABLE) ".[train]"
	@touch $(VENV)/.core $@

$(VENV)/.tune: pyproject.toml constraints.txt | $(BIN)/python
	@echo "installing mimo_sim with what tuning needs into $(VENV)"
	$(PIP_INSTALL) $(EDITABLE) ".[media,tune]"
	@touch $(VENV)/.core $(VENV)/.train $@

$(VENV)/.dev: pyproject.toml constraints.txt | $(BIN)/python
	@echo "installing mimo_sim, its dependencies and the development tools into $(VENV)"
	$(PIP_INSTALL) $(EDITABLE) ".[dev]"
	@touch $(VENV)/.core $(VENV)/.train $(VENV)/.tune $@

$(VENV)/.notebooks: $(VENV)/.train
	@echo "installing Jupyter into $(VENV)"
	$(PIP_INSTALL) $(EDITABLE) ".[notebooks]"
	@touch $@

$(VENV)/.docs: pyproject.toml constraints.txt | $(BIN)/python
	@echo "installing mimo_sim with what the documentation site needs into $(VENV)"
	$(PIP_INSTALL) $(EDITABLE) ".[docs]"
	@touch $(VENV)/.core $(VENV)/.train $(VENV)/.tune $@
