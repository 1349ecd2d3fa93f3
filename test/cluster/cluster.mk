# A real Kubernetes to try things on; NAME=… for several side by side, VERSION=1.35 for another one, NODE=no without pods.
NAME    ?= default
VERSION ?=
NODE    ?=

cluster_flags = --name $(NAME) $(if $(VERSION),--version $(VERSION)) $(if $(filter no,$(NODE)),--no-node) $(if $(filter yes,$(NODE)),--node)

cluster: install ## a real Kubernetes on this machine (with pods, as root on Linux)
	@node_modules/.bin/node test/cluster/main.ts up $(cluster_flags)

cluster-down: install ## ends it and removes all of it
	@node_modules/.bin/node test/cluster/main.ts down --name $(NAME)

cluster-load: install ## puts the image of "make image" on its node
	@node_modules/.bin/node test/cluster/main.ts load dist/sallyport.oci.tar --name $(NAME)

cluster-status: install ## which clusters run
	@node_modules/.bin/node test/cluster/main.ts status

binaries: install ## fetches or builds Kubernetes' programs into the cache folder
	@node_modules/.bin/node test/cluster/main.ts build $(if $(VERSION),--version $(VERSION))

.PHONY: cluster cluster-down cluster-load cluster-status binaries

cluster-kubeconfig: ## prints where the kubeconfig of its administrator is
	@echo $(CURDIR)/.cluster/$(NAME)/admin.kubeconfig

.PHONY: cluster-kubeconfig
