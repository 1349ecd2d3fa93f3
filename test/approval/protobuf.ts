/** Kubernetes' protobuf, written by hand as typed Go clients write it. */

function field(number: number, value: string | Uint8Array): Buffer {
  const bytes = Buffer.from(value);
  if (bytes.length > 0x7f) throw new RangeError('too long for one byte');
  return Buffer.concat([Buffer.from([(number << 3) | 2, bytes.length]), bytes]);
}

function envelope(version: string, kind: string, object: Uint8Array): Buffer {
  const type = Buffer.concat([field(1, version), field(2, kind)]);
  return Buffer.concat([Buffer.from('k8s\0'), field(1, type), field(2, object), field(3, ''), field(4, '')]);
}

export function configMap(namespace: string, name: string, data: Readonly<Record<string, string>>): Buffer {
  const metadata = Buffer.concat([field(1, name), field(3, namespace)]);
  const entries = Object.entries(data).map(([key, value]) => field(2, Buffer.concat([field(1, key), field(2, value)])));
  return envelope('v1', 'ConfigMap', Buffer.concat([field(1, metadata), ...entries]));
}

/** Without any limits: what it says is its label. A PUT makes it where it is not there. */
export function limitRange(namespace: string, name: string, label: string): Buffer {
  const entry = Buffer.concat([field(1, 'says'), field(2, label)]);
  const metadata = Buffer.concat([field(1, name), field(3, namespace), field(11, entry)]);
  return envelope('v1', 'LimitRange', Buffer.concat([field(1, metadata), field(2, '')]));
}

export function deleteOptions(propagationPolicy: string): Buffer {
  return envelope('v1', 'DeleteOptions', field(4, propagationPolicy));
}
