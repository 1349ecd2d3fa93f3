/** Who is calling, as policies see them: names after the issuer's claim prefixes, before the upstream prefix. */
export interface Caller {
  /** How the caller was identified. */
  readonly method: 'OIDC' | 'TokenReview' | 'ClientCertificate' | 'AgentSession';
  /** The `iss` URL; `kubernetes` for TokenReview; `x509` for client certificates; for sessions the person's own issuer. */
  readonly issuer: string;
  /** Validated by `validName`. For a ServiceAccount `system:serviceaccount:<ns>:<name>`, as Kubernetes names it. */
  readonly username: string;
  /** Empty when the issuer gives none. */
  readonly uid: string;
  readonly groups: readonly string[];
  readonly serviceAccount: { readonly namespace: string; readonly name: string } | undefined;
  /** Which tool calls (`cursor`), where that is known. */
  readonly agent: string | undefined;
  /** The person on whose behalf an agent calls. */
  readonly onBehalfOf: string | undefined;
  /** metadata.name of the AgentSession. */
  readonly session: string | undefined;
  /** The CI run that the token was given to, where its issuer says. */
  readonly run?: string | undefined;
  /** Unix milliseconds when the credential ends; streams end then too. Infinity where it has no end of its own. */
  readonly expiresAt: number;
  /** OIDC `auth_time`, seconds, when given. */
  readonly authTime: number | undefined;
}
