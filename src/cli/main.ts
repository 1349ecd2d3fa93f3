import type { CommandIO, Terminal } from './command-io.ts';

const USAGE = `sallyport: a guarded double gate for AI agents in front of Kubernetes

For whoever runs the gateway
  sallyport gateway --config FILE [--check]   run the gateway, or only check its configuration
  sallyport controller --config FILE          run only what the gateway does in the background
  sallyport release kinds|check|end|sweep     what the Helm chart runs around an installation
  sallyport doctor                            what is wrong with an installation, and what to do
  sallyport session list                      agent sessions, newest first
  sallyport session revoke NAME | --agent A   end sessions, open streams with them
  sallyport freeze AGENT | --all              stop an agent, or everyone, within a second
  sallyport unfreeze AGENT | --all            let them go on

For people and their agents
  sallyport kubeconfig --agent A --gateway U  write a kubeconfig for an agent; no secret is in it
  sallyport credential                        what that kubeconfig runs to sign in (kubectl's exec plugin)

For approvers, with their own kubeconfig (kubectl approvals, kubectl approve, kubectl deny are the same)
  sallyport approvals [--watch]               what waits for a decision, newest first
  sallyport approve NAME... | --session S     show it, and approve it
  sallyport deny NAME... [--reason TEXT]      deny it, or take an approval back

For policy authors
  sallyport cel FILE.jsonl                    run CEL cases, as Kubernetes would answer them
  sallyport mask FILE | - [--rules FILE]      try masking out, with the gateway's own engines

For auditors, from the store of recordings
  sallyport recording list | show | search    what agents did
  sallyport recording verify [NAME | DIR]     whether anything in it was altered, and where; needs no server
  sallyport recording replay NAME             play it in this terminal
  sallyport recording export NAME             as asciicast, Kubernetes audit Events, OCSF
  sallyport recording rerun NAME              send it again, to another cluster

  sallyport version | help

Every command has --help where there is more to say; docs/ has a page for each.
`;

const io: CommandIO = {
  stdout: (text) => void process.stdout.write(text),
  stderr: (text) => void process.stderr.write(text),
  env: process.env,
  terminal: terminal(),
};

function terminal(): Terminal | undefined {
  if (process.stdin.isTTY !== true || process.stderr.isTTY !== true) return undefined;
  return {
    colours: process.stdout.isTTY === true && !process.env['NO_COLOR'],
    async ask(question) {
      const { createInterface } = await import('node:readline/promises');
      const lines = createInterface({ input: process.stdin, output: process.stderr });
      const closed = new Promise<string>((resolve) => lines.once('close', () => resolve('')));
      try {
        return await Promise.race([lines.question(question), closed]);
      } finally {
        lines.close();
      }
    },
  };
}

/** Commands are loaded when they are called: kubectl runs the credential plugin often, and waits for it. */
const COMMANDS: Readonly<Record<string, (args: string[]) => Promise<number>>> = {
  gateway: async (args) => (await import('./gateway-command.ts')).runGatewayCommand(args, io),
  controller: async (args) => (await import('./controller-command.ts')).runControllerCommand(args, io),
  doctor: async (args) => (await import('./doctor/doctor-command.ts')).runDoctor(args, io),
  session: async (args) => (await import('./session-command.ts')).runSession(args, io),
  freeze: async (args) => (await import('./freeze-command.ts')).runFreeze(args, io),
  unfreeze: async (args) => (await import('./freeze-command.ts')).runUnfreeze(args, io),
  kubeconfig: async (args) => (await import('./kubeconfig-command.ts')).runKubeconfig(args, io),
  credential: async (args) => (await import('./credential-command.ts')).runCredential(args, io),
  approvals: async (args) => (await import('./approvals-command.ts')).runApprovals(args, io),
  approve: async (args) => (await import('./decide-command.ts')).runApprove(args, io),
  deny: async (args) => (await import('./decide-command.ts')).runDeny(args, io),
  recording: async (args) => (await import('./recording-command.ts')).runRecording(args, io),
  release: async (args) => (await import('./release-command.ts')).runRelease(args, io),
  cel: async (args) => (await import('./cel-command.ts')).runCel(args, io),
  mask: async (args) => (await import('./mask-command.ts')).runMask(args, io),
  version: async () => {
    const { VERSION } = await import('../version.ts');
    io.stdout(`${VERSION}\n`);
    return 0;
  },
  help: async () => {
    io.stdout(USAGE);
    return 0;
  },
};

async function main([name = 'help', ...args]: string[]): Promise<number> {
  const command = COMMANDS[name.replace(/^(--help|-h)$/, 'help').replace(/^--version$/, 'version')];
  if (command !== undefined) return command(args);
  io.stderr(`sallyport: there is no command ${JSON.stringify(name)}; "sallyport help" lists them\n`);
  return 2;
}

process.exitCode = await main(process.argv.slice(2));
// The gateway has stopped whatever it could; a command has said its last word. Nothing that lingers may hold the exit.
process.stdout.write('', () => process.exit());
