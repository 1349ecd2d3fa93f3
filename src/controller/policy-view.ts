import { Informer } from '../kubernetes/informer.ts';
import type { Transport } from '../kubernetes/transport.ts';
import type { Logger } from '../observe/log.ts';
import type { Metrics } from '../observe/metrics.ts';
import type { AgentPolicy, Subject } from '../policy/agent-policy.ts';
import { OWN_KINDS } from '../upstream/own-kinds.ts';

/** What the controller keeps of a policy. */
export interface PolicyView {
  readonly name: string;
  readonly uid: string;
  readonly generation: number;
  readonly subjects: readonly Subject[];
  /** Namespaces that its rules name, without patterns. */
  readonly namespaces: readonly string[];
}

/** Policies as the controller sees them; `changed` is told of more than one change in a burst. */
export function policyViews(
  transport: Transport,
  log: Logger,
  metrics: Metrics,
  changed: (view: PolicyView) => void,
): Informer<PolicyView> {
  const { group, version, resource } = OWN_KINDS.AgentPolicy;
  return new Informer<PolicyView>(transport, {
    name: 'controller/AgentPolicy',
    path: { group, version, resource },
    accept: (object) => viewOf(object as unknown as AgentPolicy),
    handlers: {
      add: changed,
      delete: changed,
      // A status that is written is no change here.
      update: (view, before) => {
        if (view.uid !== before.uid || view.generation !== before.generation) changed(view);
      },
    },
    onFailure: (error, failures) => {
      metrics.watchFailures.inc('controller/AgentPolicy');
      log.warn({ error, failures, informer: 'controller/AgentPolicy' }, 'a watch failed and is begun anew');
    },
  });
}

function viewOf({ metadata, spec }: AgentPolicy): PolicyView {
  const namespaces = (spec.rules ?? []).flatMap(({ match }) => match?.namespaces ?? []);
  return {
    name: metadata.name,
    uid: metadata.uid ?? '',
    generation: metadata.generation ?? 0,
    subjects: spec.subjects ?? [],
    namespaces: [...new Set(namespaces)].filter((name) => /^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/.test(name)),
  };
}
