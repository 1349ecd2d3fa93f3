import { ETCD_VERSION, HELM_VERSION, HELM3_VERSION, versionParts } from './versions.ts';

/** How one program is made from Go modules. */
export interface Recipe {
  /** The folder in the cache: several programs of one Kubernetes version lie side by side. */
  product: string;
  version: string;
  program: string;
  module: string;
  moduleVersion: string;
  /** The main package; `main` holds its source when the module itself has none fit to be built from outside. */
  package: string;
  main?: string;
  linkerFlags: string[];
}

export type ServerProgram = 'kube-apiserver' | 'kube-controller-manager' | 'kube-scheduler' | 'kubelet' | 'kube-proxy';
export type Program = ServerProgram | 'kubectl' | 'etcd' | 'helm' | 'helm3';

export function recipeFor(program: Program, kubernetesVersion: string): Recipe {
  switch (program) {
    case 'etcd':
      return etcd();
    case 'helm':
      return helm('helm', HELM_VERSION);
    case 'helm3':
      return helm('helm3', HELM3_VERSION);
    case 'kubectl':
      return kubectl(kubernetesVersion);
    default:
      return server(program, kubernetesVersion);
  }
}

function server(program: ServerProgram, version: string): Recipe {
  return {
    product: 'kubernetes',
    version,
    program,
    module: 'k8s.io/kubernetes',
    moduleVersion: `v${version}`,
    package: `k8s.io/kubernetes/cmd/${program}`,
    linkerFlags: kubernetesVersionFlags(version),
  };
}

/** kubectl is published as a module of its own, which spares an old client the whole server's sources. */
function kubectl(version: string): Recipe {
  const [, minor, patch] = versionParts(version);
  return {
    product: 'kubernetes',
    version,
    program: 'kubectl',
    module: 'k8s.io/kubectl',
    moduleVersion: `v0.${minor}.${patch}`,
    package: '.',
    main: KUBECTL_MAIN,
    linkerFlags: kubernetesVersionFlags(version),
  };
}

function etcd(): Recipe {
  return {
    product: 'etcd',
    version: ETCD_VERSION,
    program: 'etcd',
    module: 'go.etcd.io/etcd/server/v3',
    moduleVersion: `v${ETCD_VERSION}`,
    package: '.',
    main: ETCD_MAIN,
    linkerFlags: [],
  };
}

function helm(program: 'helm' | 'helm3', version: string): Recipe {
  const module = `helm.sh/helm/v${versionParts(version)[0]}`;
  return {
    product: 'helm',
    version,
    program,
    module,
    moduleVersion: `v${version}`,
    package: `${module}/cmd/helm`,
    linkerFlags: [`-X ${module}/internal/version.version=v${version}`],
  };
}

/** Without these, client and server report version 0.0, and whatever asks for a minimum version refuses them. */
function kubernetesVersionFlags(version: string): string[] {
  const [major, minor] = versionParts(version);
  const values = { gitVersion: `v${version}`, gitMajor: major, gitMinor: minor, gitTreeState: 'clean' };
  return Object.entries(values).map(([name, value]) => `-X k8s.io/component-base/version.${name}=${value}`);
}

const ETCD_MAIN = `package main

import (
	"os"

	"go.etcd.io/etcd/server/v3/etcdmain"
)

func main() { etcdmain.Main(os.Args) }
`;

const KUBECTL_MAIN = `package main

import (
	_ "k8s.io/client-go/plugin/pkg/client/auth"
	"k8s.io/component-base/cli"
	"k8s.io/kubectl/pkg/cmd"
	"k8s.io/kubectl/pkg/cmd/util"
)

func main() {
	if err := cli.RunNoErrOutput(cmd.NewDefaultKubectlCommand()); err != nil {
		util.CheckErr(err)
	}
}
`;
