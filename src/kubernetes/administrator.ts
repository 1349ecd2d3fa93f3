import {
  ApiException,
  AuthenticationV1Api,
  CustomObjectsApi,
  KubeConfig,
  PatchStrategy,
  setHeaderOptions,
} from '@kubernetes/client-node';

/** An object of one of our kinds, as the API server gives it. */
export interface CustomObject {
  readonly metadata: { readonly name: string; readonly uid: string; readonly creationTimestamp?: string };
  readonly spec: Readonly<Record<string, unknown>>;
  readonly status?: Readonly<Record<string, unknown>>;
}

const GROUP = { group: 'sallyport.dev', version: 'v1alpha1' };

/** What the API server answered an administrator. */
export class AdministratorError extends Error {
  /** HTTP status code; 0 when there was no answer. */
  readonly status: number;

  constructor(status: number, message: string) {
    super(message);
    this.status = status;
  }
}

/**
 * Our kinds as an administrator's own kubeconfig sees them, straight at the API server: what a person's `kubectl` can
 * do (exec plugins of cloud providers included), nothing of the gateway's.
 */
export class Administrator {
  readonly #config: KubeConfig;
  readonly #namespace: string;

  /** @throws Error naming the file or context that is not there. */
  constructor(options: { kubeconfig?: string | undefined; context?: string | undefined; namespace: string }) {
    this.#config = new KubeConfig();
    if (options.kubeconfig === undefined) this.#config.loadFromDefault();
    else this.#config.loadFromFile(options.kubeconfig);
    if (options.context !== undefined) {
      if (this.#config.getContextObject(options.context) === null)
        throw new Error(`there is no context "${options.context}"`);
      this.#config.setCurrentContext(options.context);
    }
    this.#namespace = options.namespace;
  }

  /** Where requests go. */
  get server(): string {
    return this.#config.getCurrentCluster()?.server ?? '';
  }

  async list(plural: string, labelSelector?: string): Promise<readonly CustomObject[]> {
    const parameters = { ...GROUP, namespace: this.#namespace, plural, ...(labelSelector && { labelSelector }) };
    const items: CustomObject[] = [];
    let next: string | undefined;
    do {
      const page = (await this.#ask((api) =>
        api.listNamespacedCustomObject({ ...parameters, limit: 500, ...(next && { _continue: next }) }),
      )) as { items: CustomObject[]; metadata?: { _continue?: string; continue?: string } };
      items.push(...page.items);
      next = page.metadata?.continue ?? page.metadata?._continue;
    } while (next);
    return items;
  }

  async create(plural: string, kind: string, name: string, spec: object): Promise<void> {
    const body = { apiVersion: `${GROUP.group}/${GROUP.version}`, kind, metadata: { name }, spec };
    await this.#ask((api) => api.createNamespacedCustomObject({ ...GROUP, namespace: this.#namespace, plural, body }));
  }

  /** Merge patch of the status subresource, of exactly this object. */
  async patchStatus(plural: string, object: CustomObject, status: object): Promise<void> {
    const { name, uid } = object.metadata;
    await this.#ask((api) =>
      api.patchNamespacedCustomObjectStatus(
        { ...GROUP, namespace: this.#namespace, plural, name, body: { metadata: { uid }, status } },
        setHeaderOptions('Content-Type', PatchStrategy.MergePatch),
      ),
    );
  }

  async delete(plural: string, object: CustomObject): Promise<void> {
    const { name, uid } = object.metadata;
    await this.#ask((api) =>
      api.deleteNamespacedCustomObject({
        ...GROUP,
        namespace: this.#namespace,
        plural,
        name,
        body: { preconditions: { uid } },
      }),
    );
  }

  /** Who the API server takes this administrator for; '' where it does not say. */
  async whoami(): Promise<string> {
    try {
      const review = await this.#config.makeApiClient(AuthenticationV1Api).createSelfSubjectReview({ body: {} });
      return review.status?.userInfo?.username ?? '';
    } catch {
      return '';
    }
  }

  async #ask<T>(question: (api: CustomObjectsApi) => Promise<T>): Promise<T> {
    try {
      return await question(this.#config.makeApiClient(CustomObjectsApi));
    } catch (error) {
      throw explain(error, this.server);
    }
  }
}

function explain(error: unknown, server: string): Error {
  if (!(error instanceof ApiException)) {
    const code =
      (error as NodeJS.ErrnoException).code ?? ((error as Error).cause as NodeJS.ErrnoException | undefined)?.code;
    return new AdministratorError(0, `the API server ${server} cannot be asked: ${code ?? (error as Error).message}`);
  }
  let message = `HTTP ${error.code}`;
  try {
    const body: unknown = typeof error.body === 'string' ? JSON.parse(error.body) : error.body;
    const said = (body as { message?: unknown } | null)?.message;
    if (typeof said === 'string' && said !== '') message = said;
  } catch {
    // A proxy in between: the code speaks.
  }
  if (error.code === 404 && message.startsWith('404 page not found'))
    message = 'the kinds of sallyport.dev are not installed there';
  return new AdministratorError(error.code, message.slice(0, 500));
}
