import { LeaderElection } from '../../src/controller/leader-election.ts';
import { locate } from '../../src/kubernetes/locate.ts';
import { Transport } from '../../src/kubernetes/transport.ts';
import { Own } from '../../src/upstream/own.ts';

/** A replica that only leads: to be killed and stopped. Run as `elector-process.ts KUBECONFIG NAMESPACE MILLISECONDS`. */
const [kubeconfig = '', namespace = '', duration = ''] = process.argv.slice(2);
const election = new LeaderElection({
  own: new Own(new Transport(locate({ kubeconfig }), { timeout: 1_500 }), namespace),
  lease: 'sallyport-controller',
  identity: `process-${process.pid}`,
  leaseDuration: Number(duration),
  lead: async (signal) => {
    process.stdout.write('leads\n');
    await new Promise((resolve) => signal.addEventListener('abort', resolve, { once: true }));
    process.stdout.write('ended\n');
  },
});
election.start();
