import { pipeline, Transform } from 'node:stream';
import { SallyportError } from '../../errors.ts';
import { MarkerSearch } from '../../masking/marker-search.ts';
import type { ClientRequest, Exchange } from '../exchange.ts';
import type { ChannelTap } from '../upgrade/context.ts';

/** The input of a command, as it comes: a placeholder in it ends the session before it arrives. */
export class InputSearch implements ChannelTap {
  readonly #search = new MarkerSearch();

  write(chunk: Buffer): Buffer {
    if (this.#search.finds(chunk)) throw misplaced('what is written to the command');
    return chunk;
  }

  end(): undefined {}
}

/** The body of a proxied request, as it is sent on: what follows a placeholder is not, and the request ends. */
export function searchedBody(exchange: Exchange, request: ClientRequest): Transform {
  const search = new MarkerSearch();
  const body = new Transform({
    transform(chunk: Buffer, _encoding, done) {
      if (search.finds(chunk)) exchange.end(misplaced('the body'));
      else done(null, chunk);
    },
  });
  pipeline(request, body, () => {});
  return body;
}

function misplaced(where: string): SallyportError {
  const message = `${where} holds a placeholder of a masked value: the value itself is not put there, and the placeholder means nothing to others`;
  return new SallyportError('SP_MASKING_PLACEHOLDER', message);
}
