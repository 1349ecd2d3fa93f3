import { runGateway, VERSION } from '../main.ts';

const USAGE = `sallyport: a guarded double gate for AI agents in front of Kubernetes

  sallyport gateway --config FILE [--check]     run the gateway, or only check its configuration
  sallyport cel FILE.jsonl                      run CEL cases
  sallyport version

`;

const output = {
  stdout: (text: string): void => void process.stdout.write(text),
  stderr: (text: string): void => void process.stderr.write(text),
};

async function main([command, ...args]: string[]): Promise<number> {
  switch (command) {
    case 'gateway': {
      const index = args.indexOf('--config');
      const file = index === -1 ? undefined : args[index + 1];
      if (file === undefined) {
        output.stderr('sallyport gateway: --config FILE is missing\n');
        return 2;
      }
      return runGateway(file, args.includes('--check'), output);
    }
    case 'version':
      output.stdout(`${VERSION}\n`);
      return 0;
    case undefined:
    case 'help':
    case '--help':
      output.stdout(USAGE);
      return 0;
    default:
      output.stderr(`sallyport: there is no command "${command}"\n\n${USAGE}`);
      return 2;
  }
}

process.exitCode = await main(process.argv.slice(2));
if (process.argv[2] === 'gateway') process.exit();
