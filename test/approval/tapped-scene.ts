import { sharedCluster } from '../cluster/cluster.ts';
import { Scene } from '../gateway/scene.ts';
import { WireTap } from '../gateway/wire-tap.ts';
import { WRITES_WAIT } from './writes-wait.ts';

/** Approvals by a gateway whose way to the API server is listened to, and held up or cut where a test wants it. */
export class TappedScene {
  readonly scene: Scene;
  readonly tap: WireTap;
  /** Told of each piece that the gateway sends, as WireTap.start has it. */
  meddle: (text: string) => Promise<'Pass' | 'Drop'> | undefined = () => undefined;

  private constructor(scene: Scene, tap: WireTap) {
    this.scene = scene;
    this.tap = tap;
  }

  static async open(prefix: string): Promise<TappedScene> {
    const cluster = await sharedCluster();
    let opened: TappedScene | undefined;
    const tap = await WireTap.start(cluster, (text) => opened?.meddle(text));
    const adjust = (configuration: { upstream: { kubeconfig: string } }): void =>
      tap.divert(configuration.upstream.kubeconfig, cluster);
    opened = new TappedScene(await Scene.open(prefix, { rules: WRITES_WAIT, cluster, adjust }), tap);
    return opened;
  }

  async close(): Promise<void> {
    await this.scene.close();
    await this.tap.close();
  }
}
