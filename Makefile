# STACK is the stack that up and down act on: dev by default, fast for drills.
STACK ?= dev
.DEFAULT_GOAL := help
.PHONY: help up down test test-long images render preview check pictures clean

help: ## Show the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

# Node 24 comes with the packages; an older Node is enough to install them.
node_modules/.package-lock.json: package.json package-lock.json
	npm ci --no-audit --no-fund --loglevel=error || npm ci --no-audit --no-fund --loglevel=error
	@touch $@

up: node_modules/.package-lock.json ## From nothing to a healthy stack with its URLs printed (STACK=dev)
	@npm run --silent up -- $(STACK)

down: node_modules/.package-lock.json ## Stop the stack; data stays unless DATA=delete
	@npm run --silent down -- $(STACK) $(if $(filter delete,$(DATA)),--data)

test: node_modules/.package-lock.json ## All tests, with what they need
	@npm run --silent test:all

test-long: node_modules/.package-lock.json ## The tests with everything that they repeat at length
	@npm run --silent test:all -- --long

images: node_modules/.package-lock.json ## Build the third-party images from package registries
	@npm exec --silent -- node airgap/cli.ts images

render: node_modules/.package-lock.json ## Render the stack into out/STACK for review
	@npm run --silent render -- --stack $(STACK) --out out/$(STACK)

preview: node_modules/.package-lock.json ## What pulumi up would change
	@npm exec --silent -- node tools/preview.ts $(STACK)

check: node_modules/.package-lock.json ## Types, lint and unit tests
	@npm run --silent check

pictures: node_modules/.package-lock.json ## Draw the dashboards of the running stack by its Grafana, into docs/pictures
	@npm exec --silent -- node tools/pictures.ts $(STACK)

clean: ## Remove rendered files and bundles; state and images stay
	rm -rf dist out test-results
