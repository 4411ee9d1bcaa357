# Every verb sets itself up; the stamps make it quick the second time. ARGS="…" goes to the program.
PYTHON ?= python3
BIN := .venv/bin
SAM := SAM_CLI_TELEMETRY=0 PATH="$(CURDIR)/.venv-sam/bin:$$PATH" sam
PEERS := pipecat agents_sdk livekit floor
LOCKED := shared/requirements functions/requirements media_container/requirements local/requirements .ci/requirements-sam \
	$(PEERS:%=benchmarks/peers/%.requirements) benchmarks/quality.requirements
UV_VERSION := 0.13.9

.PHONY: setup demo dev deploy destroy logs doctor test check build bench bench-peers bench-quality bench-scale bench-cores bench-first-words bench-interruption bench-steering bench-instructions bench-check lock

setup: .venv/.stamp             ## the development environment

demo: .venv/.stamp              ## one whole call on this machine, printed as it happens
	$(BIN)/python local/demo.py $(ARGS)

dev: .venv/.stamp               ## the whole system on http://localhost:3000, until Ctrl-C
	$(BIN)/python local/dev.py $(ARGS)

deploy: .venv/.stamp .venv-sam/.stamp   ## this checkout in your AWS account; asks what it does not know
	SAM_CLI_TELEMETRY=0 PATH="$(CURDIR)/.venv-sam/bin:$$PATH" $(BIN)/python local/deploy.py $(ARGS)

destroy: .venv/.stamp           ## the stack, once its name is typed; the records of calls stay
	$(BIN)/python local/destroy.py $(ARGS)

logs: .venv/.stamp              ## of Lambdas and containers as they come; ARGS="--call ID"
	$(BIN)/python local/logs.py $(ARGS)

doctor: .venv/.stamp            ## asks the real services whether a call would work; ARGS="--stack NAME"
	$(BIN)/python local/doctor.py $(ARGS)

test: .venv/.stamp
	$(BIN)/pytest -n auto --dist loadfile --no-loadscope-reorder --max-worker-restart 0 $(ARGS)

check: .venv/.stamp .venv-sam/.stamp    ## format, lint, types, template and its build
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(SAM) validate --lint
	$(SAM) build

build: .venv/.stamp .venv-sam/.stamp    ## what `sam deploy` uploads; the image's packages, for arm64, and its size
	$(SAM) build $(ARGS)
	rm -rf .build/packages
	.venv-sam/bin/pip install --quiet --no-deps --require-hashes --target .build/packages \
		-r media_container/requirements.txt --only-binary=:all: --implementation cp \
		--python-version 3.13 --platform manylinux2014_aarch64 --platform manylinux_2_28_aarch64
	$(BIN)/python benchmarks/image_size.py .build/packages

bench: .venv/.stamp bench-peers ## the media container beside its peers under one load; docs/performance.md, docs/cost.md
	$(BIN)/python benchmarks/run.py $(ARGS)
	$(BIN)/python benchmarks/cold_start.py
	$(BIN)/python benchmarks/report.py
	$(BIN)/python benchmarks/cost.py

bench-peers: $(PEERS:%=.venv-peers/%/.stamp)    ## the environments of those we compare with

bench-quality: .venv/.stamp .venv-peers/quality/.stamp  ## speech against ideal G.711, in MOS and words; docs/performance.md
	PYTHONPATH=shared:media_container:local .venv-peers/quality/bin/python benchmarks/quality.py
	$(BIN)/python benchmarks/report.py

bench-first-words: .venv/.stamp ## from the answer to the first word, for each stream_setup; docs/first-words.md
	PYTHONPATH=local:functions $(BIN)/python benchmarks/first_words.py $(ARGS)

bench-scale: .venv/.stamp       ## what one call asks of the table, and where the next limit lies; docs/scale.md
	PYTHONPATH=local:functions $(BIN)/python benchmarks/scale.py

bench-cores: .venv/.stamp       ## processes behind one port against tasks behind the balancer; benchmarks/cores.json
	$(BIN)/python benchmarks/cores.py

bench-interruption: .venv/.stamp        ## how exactly the model knows what the caller heard
	$(BIN)/python benchmarks/interruption.py $(ARGS)

bench-steering: .venv/.stamp    ## from a request to its effect on a live call; docs/steering.md
	PYTHONPATH=local:functions $(BIN)/python benchmarks/steering.py $(ARGS)

bench-instructions: .venv/.stamp        ## of each frame, counted by valgrind; docs/performance.md
	$(BIN)/python benchmarks/instructions.py
	$(BIN)/python benchmarks/report.py

bench-check: .venv/.stamp       ## fails if the container's instructions, or its CPU beside the plain relay's, grew
	$(BIN)/python benchmarks/check.py

lock: .venv-lock/.stamp         ## requirements.txt from each requirements.in
	for name in $(LOCKED); do .venv-lock/bin/uv pip compile --quiet --universal --python-version 3.11 \
		--generate-hashes --no-emit-index-url --no-header $$name.in -o $$name.txt || exit 1; done

.venv/.stamp: local/requirements.txt pyproject.toml
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; (3, 11) <= v <= (3, 13) or sys.exit( \
		"Phonebridge needs Python 3.11 to 3.13; $(PYTHON) is %d.%d. Try: make PYTHON=python3.13" % v)'
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --no-deps --require-hashes -r local/requirements.txt
	$(BIN)/pip install --quiet --no-deps --no-build-isolation -e .
	touch $@

.venv-peers/quality/.stamp: benchmarks/quality.requirements.txt
$(PEERS:%=.venv-peers/%/.stamp): .venv-peers/%/.stamp: benchmarks/peers/%.requirements.txt
.venv-peers/%/.stamp:
	$(PYTHON) -m venv $(@D)
	$(@D)/bin/pip install --quiet --no-deps --require-hashes -r $<
	touch $@

.venv-sam/.stamp: .ci/requirements-sam.txt
	$(PYTHON) -m venv .venv-sam
	.venv-sam/bin/pip install --quiet --no-deps --require-hashes -r .ci/requirements-sam.txt
	touch $@

.venv-lock/.stamp: Makefile
	$(PYTHON) -m venv .venv-lock
	.venv-lock/bin/pip install --quiet uv==$(UV_VERSION)
	touch $@
