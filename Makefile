# Sallyport: `make demo` and `make test` are the two commands; each installs what it needs.
.DEFAULT_GOAL := help
SHELL := /bin/bash
NODE  := node_modules/.bin/node
export PATH := $(CURDIR)/node_modules/.bin:$(PATH)

-include test/cluster/cluster.mk

help: ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/' | expand -t 18

node_modules/.installed: package.json package-lock.json
	npm ci --no-audit --no-fund
	@touch $@

install: node_modules/.installed ## the packages that everything below needs

format: install ## write the house's format
	biome check --write .

check: install ## format, lint (with the walls between the rooms), types
	biome ci .
	tsc --noEmit

unit: install ## unit tests
	$(NODE) test/run.ts unit

test: install ## everything that this machine allows; says in words what it left out
	$(NODE) test/run.ts all

demo: install ## the whole story on a real API server (KEEP=1 leaves it running)
	$(NODE) test/demo/main.ts

image: install ## the image, as an archive in dist/, and its bill of materials
	$(NODE) image/main.ts image

manifests: install ## raw manifests from the chart, in deploy/
	$(NODE) test/docs/generate.ts
	$(NODE) test/chart/write-manifests.ts

bench: install ## benchmarks, side by side, written to docs/benchmarks.md
	$(NODE) test/bench/main.ts

soak: install ## ten minutes of 200 recorded sessions, written to docs/soak.md (QUICK=1: twenty seconds)
	BENCH_ONLY=soak BENCH_WRITE=$(if $(QUICK),0,1) $(NODE) test/bench/main.ts

.PHONY: help install format check unit test demo image manifests bench soak
