/** Rules of a policy: whoever looks is let through, whoever writes needs a person. */
export const WRITES_WAIT = `
    - name: look
      action: Allow
      match: {verbs: [get, list, watch], apiGroups: ["*"], resources: ["*"]}
    - name: writes
      action: RequireApproval
      match: {verbs: [create, update, patch, delete, deletecollection], apiGroups: ["*"], resources: ["*", "*/*"]}`;
