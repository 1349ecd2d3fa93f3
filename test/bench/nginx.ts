import { execFile, spawn } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { CertificateAuthority } from '../cluster/certificates.ts';
import type { Cluster } from '../cluster/cluster.ts';
import { freePort } from '../cluster/free-port.ts';
import type { RunningProxy } from './running-proxy.ts';

const run = promisify(execFile);

/** Installs Debian's nginx where that can be done. @returns its version, or in words why there is none. */
export async function nginxVersion(): Promise<{ version: string } | { missing: string }> {
  const known = await version();
  if (known !== undefined) return { version: known };
  if (process.platform !== 'linux' || process.getuid?.() !== 0)
    return { missing: 'nginx is not installed, and only root could install it' };
  try {
    const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive', RUNLEVEL: '1' };
    await run('apt-get', ['install', '-y', '--no-install-recommends', 'nginx-light'], { env, timeout: 120_000 });
  } catch {
    return { missing: 'nginx is not installed, and apt-get could not install nginx-light' };
  }
  const installed = await version();
  return installed === undefined ? { missing: 'nginx-light does not run' } : { version: installed };
}

async function version(): Promise<string | undefined> {
  try {
    return /nginx\/(\S+)/.exec((await run('nginx', ['-v'], { env: searchPath() })).stderr)?.[1];
  } catch {
    return undefined;
  }
}

/** Debian's place for it is not in everyone's PATH. */
function searchPath(): NodeJS.ProcessEnv {
  return { ...process.env, PATH: `${process.env['PATH'] ?? ''}:/usr/sbin` };
}

/**
 * A plain TLS reverse proxy: HTTP/2 and HTTP/1.1 towards clients, kept-alive HTTP/1.1 with TLS towards the API server,
 * whose certificate it checks. It adds one fixed credential and name, and asks nobody.
 * @param headers flat (name, value, …): what it sends upstream in every request
 */
export async function startNginx(cluster: Cluster, headers: readonly string[]): Promise<RunningProxy> {
  const directory = await mkdtemp(join(tmpdir(), 'sallyport-nginx-'));
  const authority = await CertificateAuthority.create('bench');
  const serving = await authority.server('nginx', ['127.0.0.1', 'localhost']);
  const port = await freePort();
  await writeFile(join(directory, 'tls.crt'), serving.certPem);
  await writeFile(join(directory, 'tls.key'), serving.keyPem, { mode: 0o600 });
  const file = join(directory, 'nginx.conf');
  await writeFile(file, configuration(directory, port, cluster, headers), { mode: 0o600 });
  const child = spawn('nginx', ['-c', file, '-p', directory, '-e', join(directory, 'error.log')], {
    stdio: 'ignore',
    env: searchPath(),
  });
  const proxy: RunningProxy = {
    endpoint: { name: 'nginx', url: `https://127.0.0.1:${port}`, caPem: authority.certPem, headers: [] },
    pid: child.pid!,
    async stop() {
      if (child.exitCode === null && child.signalCode === null) {
        const ended = new Promise((resolve) => child.once('exit', resolve));
        // The master ends its workers; killed outright it would leave them.
        child.kill('SIGTERM');
        await ended;
      }
      await rm(directory, { recursive: true, force: true });
    },
  };
  for (let attempt = 0; attempt < 100; attempt++) {
    if (child.exitCode !== null) break;
    if (await listens(port)) return proxy;
    await sleep(50);
  }
  await proxy.stop();
  throw new Error('nginx does not start');
}

function configuration(directory: string, port: number, cluster: Cluster, headers: readonly string[]): string {
  const lines: string[] = [];
  for (let i = 0; i < headers.length; i += 2) {
    lines.push(`      proxy_set_header ${headers[i]} ${JSON.stringify(headers[i + 1])};`);
  }
  return `
daemon off;
${process.getuid?.() === 0 ? 'user root;' : ''}
worker_processes auto;
pid ${directory}/nginx.pid;
error_log ${directory}/error.log;
events { worker_connections 8192; }
http {
  access_log off;
  client_body_temp_path ${directory}/body;
  proxy_temp_path ${directory}/proxy;
  fastcgi_temp_path ${directory}/fastcgi;
  uwsgi_temp_path ${directory}/uwsgi;
  scgi_temp_path ${directory}/scgi;
  keepalive_requests 1000000;
  upstream kubernetes {
    server ${new URL(cluster.url).host};
    keepalive 64;
    keepalive_requests 1000000;
  }
  server {
    listen 127.0.0.1:${port} ssl http2;
    ssl_certificate ${directory}/tls.crt;
    ssl_certificate_key ${directory}/tls.key;
    location / {
      proxy_pass https://kubernetes;
      proxy_http_version 1.1;
      proxy_ssl_trusted_certificate ${cluster.caFile};
      proxy_ssl_verify on;
      proxy_ssl_name localhost;
      proxy_ssl_server_name off;
      proxy_buffering off;
      # Unbuffered, it reads as much at once as this: its default of 4 KiB would make it slower than it is.
      proxy_buffer_size 128k;
      proxy_buffers 8 128k;
      proxy_read_timeout 1h;
      proxy_set_header Connection "";
${lines.join('\n')}
    }
  }
}
`;
}

async function listens(port: number): Promise<boolean> {
  const { connect } = await import('node:net');
  return await new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1');
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => resolve(false));
  });
}
