import { SallyportError } from '../../errors.ts';
import type { RemoteCommandHandler, SessionOutput } from '../../streams/remote-command/session.ts';
import { SPDY_REMOTE_COMMAND_PROTOCOLS, SpdyRemoteCommand } from '../../streams/remote-command/spdy-session.ts';
import {
  REMOTE_COMMAND_SUBPROTOCOLS,
  type RemoteCommandSubprotocol,
  WebSocketRemoteCommand,
} from '../../streams/remote-command/websocket-session.ts';
import { acceptFor } from '../../streams/websocket/handshake.ts';
import { PORT_FORWARD_TUNNEL } from '../../streams/websocket/spdy-tunnel.ts';
import { chooseSubprotocol } from '../../streams/websocket/subprotocol.ts';
import { credentialRefused } from '../../upstream/forward.ts';
import type { UpgradeContext, UpgradeOutcome } from './context.ts';
import { abortReason, type Declined, type DialRequest, dialUpgrade, type Switched } from './dial.ts';
import { readOffer, type UpgradeOffer } from './offer.ts';
import { Peer } from './peer.ts';
import { PortForwardBridge } from './port-forward.ts';
import { answerOrdinary, switchProtocols } from './raw-answer.ts';
import { pipeRaw } from './raw-pipe.ts';
import { RemoteCommandBridge, type SessionFactory } from './remote-command.ts';

const PORT_FORWARD_PROTOCOL = 'portforward.k8s.io';
/** The port-forward of WebSocket clients before tunnels: ports in the query, two channels each. */
const OLD_PORT_FORWARD = ['v4.channel.k8s.io', 'v4.base64.channel.k8s.io'] as const;

/**
 * Carries an allowed upgrade to its end: dials the API server, validates its 101, and only then changes the client's
 * connection over. Resolves when the stream has ended, also when the API server declined (its answer was relayed then).
 * @throws SallyportError while nothing was written to the client: the caller answers with it (`refuseUpgrade`).
 */
export async function handleUpgrade(context: UpgradeContext): Promise<UpgradeOutcome> {
  const offer = readOffer(context.request);
  const client = new Peer(context.socket, context.head);
  const { resource, subresource } = context.operation;
  if (context.signal.aborted) throw abortReason(context.signal);
  if (resource === 'pods' && (subresource === 'exec' || subresource === 'attach')) {
    return await remoteCommand(context, offer, client);
  }
  if (resource === 'pods' && subresource === 'portforward') return await portForward(context, offer, client);
  if (subresource === 'proxy') return await proxy(context, offer, client);
  throw new SallyportError('SP_UPGRADE_REFUSED', `nothing at this path changes protocols`);
}

async function remoteCommand(context: UpgradeContext, offer: UpgradeOffer, client: Peer): Promise<UpgradeOutcome> {
  const shape = context.operation.exec;
  if (shape === undefined) throw new SallyportError('SP_UPGRADE_REFUSED', 'the options of the command were not read');
  const supported = offer.family === 'websocket' ? REMOTE_COMMAND_SUBPROTOCOLS : SPDY_REMOTE_COMMAND_PROTOCOLS;
  const protocol = chooseSubprotocol(offer.protocols, supported);
  if (protocol === undefined) throw notSpoken(offer, supported);

  const answer = await dialEither(context, client, offer.family);
  if (answer.kind === 'declined') return relayDeclined(context, answer);
  const { family } = answer.asked;
  const bridge = new RemoteCommandBridge(context, {
    client,
    upstream: new Peer(answer.socket, answer.head),
    clientSession: sessions('server', offer.family, protocol, context),
    upstreamSession: sessions('client', family, answer.protocol, context),
    clientLeavesFirst: offer.family === 'spdy',
    accept: () => accept(context, offer, protocol),
    protocols: { protocol: `${offer.family} ${protocol}`, upstreamProtocol: `${family} ${answer.protocol}` },
  });
  const outcome = await bridge.run();
  if (outcome.status !== 101 && outcome.error !== undefined) throw outcome.error;
  return outcome;
}

/** WebSocket v5 and SPDY say the same; v4 over WebSocket cannot close stdin, so it is never asked for upstream. */
const UPSTREAM_REMOTE_COMMAND = {
  websocket: { family: 'websocket', protocols: ['v5.channel.k8s.io'] },
  spdy: { family: 'spdy', protocols: ['v4.channel.k8s.io'] },
} as const;

/**
 * Asks for the client's own family first, so that RBAC and errors are as they would be without the gateway, and for the other
 * one when the API server does not speak it. A Status is a decision: it is not asked again in other words.
 */
async function dialEither(
  context: UpgradeContext,
  client: Peer,
  family: 'websocket' | 'spdy',
): Promise<(Switched | Declined) & { asked: DialRequest }> {
  const first = UPSTREAM_REMOTE_COMMAND[family];
  const answer = await dial(context, client, first);
  if (answer.kind === 'switched' || answer.isStatus) return { ...answer, asked: first };
  const second = UPSTREAM_REMOTE_COMMAND[family === 'spdy' ? 'websocket' : 'spdy'];
  const other = await dial(context, client, second);
  return other.kind === 'switched' ? { ...other, asked: second } : { ...answer, asked: first };
}

function sessions(
  role: 'server' | 'client',
  family: 'websocket' | 'spdy',
  protocol: string,
  context: UpgradeContext,
): SessionFactory {
  const shape = context.operation.exec!;
  return (handler: RemoteCommandHandler, output: SessionOutput) =>
    family === 'spdy'
      ? new SpdyRemoteCommand(role, shape, handler, output)
      : new WebSocketRemoteCommand(role, protocol as RemoteCommandSubprotocol, shape, handler, output);
}

async function portForward(context: UpgradeContext, offer: UpgradeOffer, client: Peer): Promise<UpgradeOutcome> {
  const tunnelled = offer.family === 'websocket' && offer.protocols.includes(PORT_FORWARD_TUNNEL);
  if (offer.family === 'websocket' && !tunnelled) return await oldPortForward(context, offer, client);
  if (offer.family === 'spdy' && !offer.protocols.includes(PORT_FORWARD_PROTOCOL)) {
    throw notSpoken(offer, [PORT_FORWARD_PROTOCOL]);
  }
  const answer = await dial(context, client, { family: 'spdy', protocols: [PORT_FORWARD_PROTOCOL] });
  if (answer.kind === 'declined') return relayDeclined(context, answer);
  const protocol = tunnelled ? PORT_FORWARD_TUNNEL : PORT_FORWARD_PROTOCOL;
  accept(context, offer, protocol);
  const bridge = new PortForwardBridge(context, {
    client,
    upstream: new Peer(answer.socket, answer.head),
    tunnelled,
    protocols: { protocol: `${offer.family} ${protocol}`, upstreamProtocol: `spdy ${answer.protocol}` },
  });
  return await bridge.run();
}

async function oldPortForward(context: UpgradeContext, offer: UpgradeOffer, client: Peer): Promise<UpgradeOutcome> {
  const protocol = chooseSubprotocol(offer.protocols, OLD_PORT_FORWARD);
  if (protocol === undefined) throw notSpoken(offer, [PORT_FORWARD_TUNNEL, ...OLD_PORT_FORWARD]);
  const ports = context.operation.portForward?.ports ?? [];
  if (ports.length === 0) throw new SallyportError('SP_UPGRADE_REFUSED', 'no ports are named');
  for (const port of ports) await context.judgePort(port);
  return await raw(context, offer, client, { family: 'websocket', protocols: [protocol] }, ports);
}

async function proxy(context: UpgradeContext, offer: UpgradeOffer, client: Peer): Promise<UpgradeOutcome> {
  return await raw(context, offer, client, { family: offer.family, protocols: offer.protocols }, []);
}

async function raw(
  context: UpgradeContext,
  offer: UpgradeOffer,
  client: Peer,
  wanted: DialRequest,
  ports: readonly number[],
): Promise<UpgradeOutcome> {
  const answer = await dial(context, client, wanted);
  if (answer.kind === 'declined') return relayDeclined(context, answer);
  accept(context, offer, answer.protocol);
  const named = `${offer.family} ${answer.protocol}`.trim();
  const upstream = new Peer(answer.socket, answer.head);
  return await pipeRaw(context, client, upstream, { protocol: named, upstreamProtocol: named, ports });
}

/** Dials, and gives up when the client leaves meanwhile. */
async function dial(context: UpgradeContext, client: Peer, wanted: DialRequest): Promise<Switched | Declined> {
  const left = new AbortController();
  client.onceGone(() => left.abort(new SallyportError('SP_BAD_REQUEST', 'the client left')));
  const signal = AbortSignal.any([context.signal, left.signal]);
  const answer = await dialUpgrade({ ...context, signal }, wanted);
  if (!signal.aborted) return answer;
  if (answer.kind === 'switched') answer.socket.destroy();
  throw abortReason(signal);
}

function accept(context: UpgradeContext, offer: UpgradeOffer, protocol: string): void {
  context.onAnswer?.(101);
  const headers = [...context.answerHeaders];
  if (offer.family === 'websocket') {
    headers.push('Sec-WebSocket-Accept', acceptFor(offer.key));
    if (protocol !== '') headers.push('Sec-WebSocket-Protocol', protocol);
    switchProtocols(context.socket, 'websocket', headers);
  } else {
    if (protocol !== '') headers.push('X-Stream-Protocol-Version', protocol);
    switchProtocols(context.socket, 'SPDY/3.1', headers);
  }
}

/** The API server's refusal goes to the client as an ordinary answer: whatever follows it on that socket is not the client's. */
function relayDeclined(context: UpgradeContext, answer: Declined): UpgradeOutcome {
  if (answer.status === 401) throw credentialRefused();
  // A success is no answer to an upgrade, and a 1xx or a redirect would send the client on with its credential.
  if (answer.status < 400) {
    const cause = new Error(`status ${answer.status}`);
    throw new SallyportError('SP_UPSTREAM_UNREACHABLE', 'the API server did not change protocols', { cause });
  }
  context.onAnswer?.(answer.status);
  answerOrdinary(context.socket, answer.status, [...answer.headers, ...context.answerHeaders], answer.body);
  return {
    status: answer.status,
    protocol: '',
    upstreamProtocol: '',
    endedBy: 'upstream',
    error: undefined,
    exit: undefined,
    bytesFromClient: 0,
    bytesToClient: answer.body.length,
    ports: [],
  };
}

function notSpoken(offer: UpgradeOffer, supported: readonly string[]): SallyportError {
  const what = offer.family === 'websocket' ? 'WebSocket sub-protocols' : 'versions of the stream protocol';
  return new SallyportError(
    'SP_UPGRADE_REFUSED',
    `none of the ${what} is spoken here; these are: ${supported.join(', ')}`,
  );
}
