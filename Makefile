# Every target sets itself up; the stamps make it quick the second time. ARGS="…" goes to the program.
PYTHON ?= python3
BIN := .venv/bin
SAM := SAM_CLI_TELEMETRY=0 PATH="$(CURDIR)/.venv-sam/bin:$$PATH" sam
PEERS := pipecat agents_sdk livekit floor
LOCKED := shared/requirements functions/requirements media_container/requirements local/requirements .ci/requirements-sam .ci/requirements-openapi .ci/requirements-browser \
	$(PEERS:%=benchmarks/peers/%.requirements) benchmarks/quality.requirements benchmarks/charts.requirements
UV_VERSION := 0.13.9

# `make image`: the engine is the first one that works, and the image is for this machine.
ARCH ?= $(if $(filter aarch64 arm64,$(shell uname -m)),arm64,amd64)
IMAGE ?= phonebridge-media:$(ARCH)

.PHONY: help setup environments check-style check-types check-template image image-check demo dev ring call deploy destroy logs doctor prove invoke browser screenshots test check build bench bench-peers bench-pages bench-quality bench-scale bench-first-words bench-interruption bench-steering bench-page bench-instructions bench-check bench-faults bench-quarter cost drill fuzz soak diagrams reference lock

help:                           ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## *\(.*\)/  make \1	\2/p' Makefile | expand -t 27

setup: .venv/.stamp             ## install the development environment

environments: .venv/.browser .venv-sam/.stamp .venv-openapi/.stamp .build/typescript_client/.stamp ## install all that checks and tests need; -j4 side by side

demo: .venv/.stamp              ## run one whole call on this machine and print it as it happens
	$(BIN)/python local/demo.py $(ARGS)

dev: .venv/.stamp               ## run the whole system on http://localhost:3000 until Ctrl-C
	$(BIN)/python local/dev.py $(ARGS)

ring: .venv/.stamp              ## let a simulated caller call a number of `make dev`; TO=+15550100 FROM=+15550123
	@$(BIN)/python local/ring.py $(TO) $(if $(FROM),--from $(FROM)) $(ARGS)

call: .venv/.stamp              ## call a phone from `make dev` until Ctrl-C; TO=+15550123 ARGS=--set-webhook
	@$(BIN)/python local/call.py $(TO) $(ARGS)

deploy: .venv/.stamp .venv-sam/.stamp ## deploy this checkout to your AWS account; asks for what it does not know
	SAM_CLI_TELEMETRY=0 PATH="$(CURDIR)/.venv-sam/bin:$$PATH" $(BIN)/python local/deploy.py $(ARGS)

destroy: .venv/.stamp           ## delete the stack after you type its name; the records of calls stay
	$(BIN)/python local/destroy.py $(ARGS)

logs: .venv/.stamp              ## follow the logs of Lambdas and containers; ARGS="--call ID"
	$(BIN)/python local/logs.py $(ARGS)

doctor: .venv/.stamp            ## ask the real services whether a call would work; ARGS="--stack NAME"
	$(BIN)/python local/doctor.py $(ARGS)

prove: .venv/.stamp             ## call your phone and ask the providers what their documents leave open; TO=+15550123
	@$(BIN)/python local/prove.py $(TO) $(ARGS)

invoke: .venv/.stamp .venv-sam/.stamp ## run every function with its sample events by sam local; needs docker or podman
	@SAM_CLI_TELEMETRY=0 PATH="$(CURDIR)/.venv-sam/bin:$$PATH" $(BIN)/python local/invoke_events.py $(ARGS)

browser: .venv/.browser         ## install what the tests of the pages need: Playwright and Chromium

screenshots: .venv/.browser     ## docs/images, taken by the tests of the talk page
	SCREENSHOTS=docs/images $(BIN)/pytest -q tests/console/test_appearance.py

# Without bytecode, each process compiles all modules again.
test check-template: export PYTHONDONTWRITEBYTECODE =
test: .venv/.browser .venv-openapi/.stamp .build/typescript_client/.stamp ## run all tests; ARGS="…" goes to pytest
	@$(if $(ARGS),$(BIN)/pytest $(ARGS),.ci/tests $(BIN)/pytest)

check: check-style check-types check-template ## check format, style, types, the template and its build

check-style: .venv/.stamp        ## check format and style
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

check-types: .venv/.browser       ## check types
	$(BIN)/mypy

check-template: .venv-sam/.stamp ## check the template and its build
	$(SAM) validate --lint
	$(SAM) build

build: .venv/.stamp .venv-sam/.stamp ## build what `sam deploy` uploads, and the packages of the image for arm64
	$(SAM) build $(ARGS)
	rm -rf .build/packages
	.venv-sam/bin/pip install --quiet --no-deps --require-hashes --target .build/packages \
		-r media_container/requirements.txt --only-binary=:all: --implementation cp \
		--python-version 3.13 --platform manylinux2014_aarch64 --platform manylinux_2_28_aarch64
	$(BIN)/python -m benchmarks.media.image_size .build/packages

image:                          ## build the media container's image; ENGINE=podman ARCH=arm64 BASE_IMAGE=… if needed
	@engine="$(ENGINE)"; for each in docker podman buildah; do \
		test -n "$$engine" || { $$each info >/dev/null 2>&1 && engine=$$each; } || true; done; \
	test -n "$$engine" || { echo "make image: no docker, podman or buildah works here" >&2; exit 1; }; \
	$$engine build --platform linux/$(ARCH) $(if $(BASE_IMAGE),--build-arg BASE_IMAGE=$(BASE_IMAGE)) \
		$(BUILD_ARGS) --file media_container/Dockerfile --tag $(IMAGE) .

image-check: .venv/.stamp image ## run the image as ECS does, and measure it against its budgets; CHECK_ARGS="--engine podman"
	$(BIN)/python local/image_check.py --image $(IMAGE) $(CHECK_ARGS)

bench: .venv/.stamp bench-peers ## compare the media container with its peers under one load; docs/performance.md
	$(BIN)/python -m benchmarks.media.run $(ARGS)
	$(BIN)/python -m benchmarks.control_plane.cold_start
	$(MAKE) bench-pages

bench-pages: .venv/.stamp .venv-peers/charts/.stamp ## write the pages and charts of the stored results again
	$(BIN)/python -m benchmarks.media.report
	$(MAKE) cost
	PYTHONPATH=local:functions $(BIN)/python -m benchmarks.control_plane.scale
	PYTHONPATH=shared .venv-peers/charts/bin/python -m benchmarks.media.draw_charts

bench-peers: $(PEERS:%=.venv-peers/%/.stamp) ## install the environments of the peers

bench-quality: .venv/.stamp .venv-peers/quality/.stamp ## compare speech with ideal G.711, in MOS and words; docs/performance.md
	PYTHONPATH=shared:media_container:local .venv-peers/quality/bin/python -m benchmarks.accuracy.quality
	$(BIN)/python -m benchmarks.media.report

bench-first-words: .venv/.stamp ## time the answer to the first word for each stream_setup; docs/first-words.md
	PYTHONPATH=local:functions $(BIN)/python -m benchmarks.control_plane.first_words $(ARGS)

bench-scale: .venv/.stamp       ## count what one call asks of the table; docs/scale.md
	PYTHONPATH=local:functions $(BIN)/python -m benchmarks.control_plane.count_requests
	PYTHONPATH=local:functions $(BIN)/python -m benchmarks.control_plane.scale

bench-interruption: .venv/.stamp ## measure how exactly the model knows what the caller heard
	$(BIN)/python -m benchmarks.accuracy.interruption $(ARGS)

bench-steering: .venv/.stamp    ## time a request to its effect on a live call; docs/steering.md
	PYTHONPATH=local:functions $(BIN)/python -m benchmarks.control_plane.steering $(ARGS)

bench-page: .venv/.browser      ## time the talk page: click to first sound, and its own delay; docs/browser.md
	PYTHONPATH=local:functions $(BIN)/python -m benchmarks.console.talk_page $(ARGS)

bench-instructions: .venv/.stamp ## count the instructions of each frame with valgrind; docs/performance.md
	$(BIN)/python -m benchmarks.media.instructions
	$(BIN)/python -m benchmarks.media.report

bench-check: .venv/.stamp       ## fail if the container needs more instructions or CPU than it may
	$(BIN)/python -m benchmarks.media.check

bench-faults: .venv/.stamp      ## measure whether audio is late while the table fails; docs/reliability.md
	$(BIN)/python -m benchmarks.media.store_faults $(ARGS)

bench-quarter: .venv/.stamp     ## measure ten calls on a quarter of a vCPU, as root; docs/cost.md
	PYTHONPATH=local:functions $(BIN)/python -m benchmarks.media.small_task $(ARGS)
	$(MAKE) cost

cost: .venv/.stamp              ## compute docs/cost.md from template.yaml, prices and the stored results
	PYTHONPATH=local:functions $(BIN)/python -m benchmarks.control_plane.cost

drill: .venv/.stamp             ## cause faults and count what becomes of the calls; docs/reliability.md
	PYTHONPATH=local:functions $(BIN)/python -m benchmarks.drills.run $(ARGS)

fuzz: .venv/.stamp              ## give broken input to all decoders, handlers and sockets; ARGS="--seed N --only NAME"
	PYTHONPATH=local:functions $(BIN)/python -m benchmarks.fuzz.run $(ARGS)

soak: .venv/.stamp              ## run a container at capacity for 30 minutes; fails if memory grows; ARGS="--minutes 3"
	PYTHONPATH=local:functions $(BIN)/python -m benchmarks.soak.run $(ARGS)

diagrams: .venv/.stamp          ## docs/lifecycle.md and docs/design.md, drawn from the code
	PYTHONPATH=docs $(BIN)/python docs/diagrams/lifecycle.py
	PYTHONPATH=docs $(BIN)/python docs/diagrams/packages.py

reference: .venv/.stamp         ## docs/api.md, generated from the OpenAPI document
	PYTHONPATH=functions:docs $(BIN)/python docs/api_reference.py

lock: .venv-lock/.stamp         ## compile each requirements.in to its requirements.txt
	for name in $(LOCKED); do .venv-lock/bin/uv pip compile --quiet --universal --python-version 3.11 \
		--generate-hashes --no-emit-index-url --no-header $$name.in -o $$name.txt || exit 1; done

.venv/.stamp: local/requirements.txt pyproject.toml
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; (3, 11) <= v <= (3, 13) or sys.exit( \
		"Phonebridge needs Python 3.11 to 3.13; $(PYTHON) is %d.%d. Try: make PYTHON=python3.13" % v)'
	@$(PYTHON) -m venv .venv
	@.ci/install .venv local/requirements.txt
	@$(BIN)/pip install --quiet --no-deps --no-build-isolation -e .
	@touch $@

.venv/.browser: .venv/.stamp .ci/requirements-browser.txt
	@.ci/install .venv .ci/requirements-browser.txt
	@.ci/browser
	@touch $@

.venv-peers/quality/.stamp .venv-peers/charts/.stamp: .venv-peers/%/.stamp: benchmarks/%.requirements.txt
$(PEERS:%=.venv-peers/%/.stamp): .venv-peers/%/.stamp: benchmarks/peers/%.requirements.txt
.venv-peers/%/.stamp:
	@$(PYTHON) -m venv $(@D)
	@.ci/install $(@D) $<
	@touch $@

.venv-sam/.stamp: .ci/requirements-sam.txt
	@$(PYTHON) -m venv .venv-sam
	@.ci/install .venv-sam $<
	@touch $@

.venv-openapi/.stamp: .ci/requirements-openapi.txt
	@$(PYTHON) -m venv .venv-openapi
	@.ci/install .venv-openapi $<
	@touch $@

# Without node the test that needs it is skipped, except in CI.
.build/typescript_client/.stamp: tests/support/typescript_client/package-lock.json
	@mkdir -p $(@D)
	@cp tests/support/typescript_client/package*.json $(@D)
	@if command -v npm >/dev/null; then npm ci --prefix $(@D) --silent --no-audit --no-fund; fi
	@touch $@

.venv-lock/.stamp: Makefile
	$(PYTHON) -m venv .venv-lock
	.venv-lock/bin/pip install --quiet uv==$(UV_VERSION)
	touch $@
