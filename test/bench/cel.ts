/** Evaluations per second of typical policy expressions: `node test/bench/cel.ts`. */
import { readFile } from 'node:fs/promises';
import { Budget, type CelValue, compile, DYN, isMap, mapGet, parseJson } from '../../src/policy/cel/engine.ts';

const objects = parseJson(await readFile(new URL('../cel/objects.json', import.meta.url), 'utf8'));
const object = (name: string): CelValue => (isMap(objects) && mapGet(objects, name)) || null;

const threeContainers = parseJson(
  JSON.stringify({
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name: 'web', namespace: 'shop', labels: { app: 'web' } },
    spec: {
      containers: ['web', 'exporter', 'logs'].map((name) => ({
        name,
        image: `registry.shop.example/shop/${name}:1.4.2`,
        securityContext: { privileged: false, runAsUser: 10001, allowPrivilegeEscalation: false },
        resources: { limits: { memory: '256Mi', cpu: '500m' } },
      })),
    },
  }),
);

const CASES: readonly [name: string, expression: string, object: CelValue][] = [
  ['three containers, not privileged', 'object.spec.containers.all(c, !c.securityContext.privileged)', threeContainers],
  [
    'three containers, image and user',
    "object.spec.containers.all(c, c.image.startsWith('registry.shop.example/') && c.securityContext.runAsUser >= 10000)",
    threeContainers,
  ],
  [
    'three containers, has()',
    'object.spec.containers.all(c, has(c.securityContext) && has(c.securityContext.privileged) && !c.securityContext.privileged)',
    threeContainers,
  ],
  [
    'three containers, optional',
    'object.spec.containers.all(c, !c.?securityContext.?privileged.orValue(false))',
    threeContainers,
  ],
  [
    'three containers, matches',
    "object.spec.containers.all(c, c.image.matches('^registry[.]shop[.]example/'))",
    threeContainers,
  ],
  [
    'three containers, quantity',
    "object.spec.containers.all(c, quantity(c.resources.limits.memory).isLessThan(quantity('1Gi')))",
    threeContainers,
  ],
  ['a field and a list', "object.metadata.namespace in ['shop', 'data'] && object.kind == 'Pod'", threeContainers],
  [
    'images that are foreign',
    "object.spec.containers.filter(c, !c.image.startsWith('registry.shop.example/')).map(c, c.image)",
    object('pod-privileged'),
  ],
];

const SECONDS = Number(process.env['SECONDS'] ?? 1);

function rate(run: () => void): number {
  const batch = 1000;
  const measure = (seconds: number): number => {
    const end = performance.now() + seconds * 1000;
    const start = performance.now();
    let count = 0;
    while (performance.now() < end) {
      for (let i = 0; i < batch; i++) run();
      count += batch;
    }
    return (count / (performance.now() - start)) * 1000;
  };
  measure(SECONDS / 2);
  return measure(SECONDS);
}

const print = (name: string, perSecond: number): void => {
  process.stdout.write(`${name.padEnd(40)} ${Math.round(perSecond).toLocaleString('en').padStart(12)} /s\n`);
};

for (const [name, expression, value] of CASES) {
  const program = compile(expression, { variables: { object: DYN } });
  const activation = { object: value };
  print(
    name,
    rate(() => {
      program.evaluate(activation, new Budget());
    }),
  );
}

const text = JSON.stringify(object('pod-web'));
print(
  `JSON.parse of a Pod of ${text.length} bytes`,
  rate(() => JSON.parse(text)),
);
print(
  'parseJson of the same',
  rate(() => parseJson(text)),
);
print(
  'compile',
  rate(() => compile(CASES[1]![1], { variables: { object: DYN } })),
);
