import { type Person, ServerRefusal } from '../../kubernetes/person.ts';
import type { ResourcePath } from '../../kubernetes/resource-path.ts';
import { readAccessReview, type SubjectAccessReviewSpec } from '../../kubernetes/review.ts';

/** An object, as far as the doctor looks into it. */
// biome-ignore lint/suspicious/noExplicitAny: what somebody else has written is read member by member.
export type Found = any;

/** The installation as an administrator sees it, straight at the API server. */
export class Patient {
  readonly person: Person;
  /** The gateway's. */
  readonly namespace: string;

  constructor(person: Person, namespace: string) {
    this.person = person;
    this.namespace = namespace;
  }

  /** @returns undefined where there is none. @throws ServerRefusal */
  async get(path: ResourcePath | '/version'): Promise<Found | undefined> {
    try {
      return await this.person.ask({ path });
    } catch (error) {
      if (error instanceof ServerRefusal && error.status === 404) return undefined;
      throw error;
    }
  }

  async list(path: ResourcePath): Promise<readonly Found[]> {
    const items: Found[] = [];
    let next = '';
    do {
      const page = (await this.person.ask({ path, query: { limit: '500', ...(next && { continue: next }) } })) as {
        items?: Found[];
        metadata?: { continue?: string };
      };
      items.push(...(page.items ?? []));
      next = page.metadata?.continue ?? '';
    } while (next !== '');
    return items;
  }

  async subjectAccessReview(spec: SubjectAccessReviewSpec) {
    const path = { group: 'authorization.k8s.io', version: 'v1', resource: 'subjectaccessreviews' };
    const body = { apiVersion: 'authorization.k8s.io/v1', kind: 'SubjectAccessReview', spec };
    return readAccessReview(await this.person.ask({ method: 'POST', path, body }));
  }

  /** The account of a controller that runs on its own, by the name that the chart and the examples give it. */
  async controllerAccount(): Promise<string | undefined> {
    const name = 'sallyport-controller';
    const path = { group: '', version: 'v1', resource: 'serviceaccounts', namespace: this.namespace, name };
    try {
      return (await this.get(path)) === undefined ? undefined : name;
    } catch (error) {
      // Whoever may not look is told so by what is looked at next.
      if (error instanceof ServerRefusal) return undefined;
      throw error;
    }
  }

  secret(name: string): Promise<Found | undefined> {
    return this.get({ group: '', version: 'v1', resource: 'secrets', namespace: this.namespace, name });
  }
}

export const registration = (resource: string, name: string): ResourcePath => ({
  group: 'admissionregistration.k8s.io',
  version: 'v1',
  resource,
  name,
});
