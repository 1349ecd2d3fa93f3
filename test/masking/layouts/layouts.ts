import type { Mint } from './mint.ts';

/** A form in which secrets stand about: independent of the labelled corpus, written from what programs print and read. */
export type Layout = (m: Mint) => string;

const time = (m: Mint): string =>
  `2026-0${m.int(9) + 1}-1${m.int(9)}T0${m.int(9)}:${m.int(49) + 10}:${m.int(49) + 10}.${m.int(900) + 100}Z`;
const base64 = (text: string): string => Buffer.from(text).toString('base64');
const indent = (text: string, by: string): string =>
  text
    .split('\n')
    .map((line) => by + line)
    .join('\n');

export const LAYOUTS: Readonly<Record<string, Layout>> = {
  logfmt: (m) =>
    `ts=${time(m)} level=info caller=server.go:${m.int(900)} msg="login ok" user=${m.word()} token=${m.token()} trace_id=${m.keep(m.hex(32))} dur=12ms\nts=${time(m)} level=warn msg="retry" password="${m.password()}" attempt=3`,
  klog: (m) =>
    `I0612 14:03:22.${m.int(900000)} ${m.int(90)} round_trippers.go:466] curl -v -XGET -H "Authorization: Bearer ${m.jwt()}" 'https://${m.host()}/api'\nE0612 14:03:23.1     1 controller.go:12] failed to sync: secret_key=${m.key()} sum=${m.sha256()}`,
  nginx: (m) =>
    `10.0.${m.int(255)}.7 - ${m.word()} [12/Jun/2026:14:03:22 +0000] "GET /v1/items?page=2&api_key=${m.key()}&sort=asc HTTP/1.1" 200 ${m.int(9999)} "-" "curl/8.5.0" rid=${m.keep(m.hex(32))}\n10.0.0.8 - - [12/Jun/2026:14:03:23 +0000] "GET /cb?code=42&access_token=${m.token()} HTTP/2.0" 302 0 "https://${m.host()}/" "Mozilla/5.0"`,
  'java-trace': (m) =>
    `2026-06-12 14:03:22.123 ERROR 1 --- [nio-8080-exec-${m.int(9)}] c.e.Shop : could not connect\njava.sql.SQLException: Access denied, url=jdbc:mysql://${m.host()}:3306/shop?user=root&password=${m.password()}&useSSL=true\n\tat com.example.shop.Db.open(Db.java:${m.int(400)})\n\tat java.base/java.lang.Thread.run(Thread.java:840)\nCaused by: java.lang.IllegalStateException: bad token ${m.token()}`,
  syslog: (m) =>
    `<134>1 ${time(m)} ${m.word()} app ${m.int(9999)} ID47 [auth@32473 token="${m.token()}"] session opened\nJun 12 14:03:22 ${m.word()} sshd[${m.int(9999)}]: Accepted publickey for root: ED25519 SHA256:${m.keep(m.chars(43))}`,
  'env-dump': (m) =>
    `HOSTNAME=${m.keep(`${m.word()}-${m.hex(10)}-x7k2p`)}\nDATABASE_PASSWORD=${m.password()}\nGIT_COMMIT=${m.keep(m.hex(40))}\nSESSION_SECRET=${m.key()}\nREDIS_URL=redis://:${m.password()}@${m.host()}:6379/0\nAPP_VERSION=${m.version()}\nSOME_TOKEN=${m.token()}\nSECRET_NAME=${m.keep('shop-db-credentials')}\nPASSWORD_MIN_LENGTH=${m.keep('12')}`,
  compose: (m) =>
    `services:\n  db:\n    image: ${m.image()}\n    environment:\n      POSTGRES_PASSWORD: ${m.password()}\n      - MYSQL_ROOT_PASSWORD=${m.password()}\n      PGDATA: /var/lib/data\n    secrets: [db_password]\n`,
  ini: (m) =>
    `[database]\nhost = ${m.host()}\nuser = shop\npassword = ${m.password()}\n\n[api]\n; key of the partner\napi_key = "${m.key()}"\nchecksum = ${m.sha256()}\n`,
  toml: (m) =>
    `title = "shop"\n[auth]\nclient_secret = '${m.key()}'\ntoken = "${m.token()}"\n[auth.limits]\nmax = 4\nversion = "${m.version()}"\n`,
  properties: (m) =>
    `spring.datasource.url=jdbc:postgresql://${m.host()}:5432/shop\nspring.datasource.password=${m.password()}\nspring.security.oauth2.client.registration.github.client-secret: ${m.key()}\nmanagement.info.git.commit=${m.keep(m.hex(40))}\n`,
  netrc: (m) => `machine ${m.host()}\n  login ${m.word()}\n  password ${m.password()}\n`,
  'netrc-line': (m) => `machine api.example login ${m.word()} password ${m.password()}\n`,
  pgpass: (m) => `# hostname:port:database:username:password\n${m.host()}:5432:shop:app:${m.password()}\n`,
  npmrc: (m) =>
    `registry=https://registry.example/\n//registry.example/:_authToken=${m.token()}\n//npm.example/:_password=${base64(m.password())}\nalways-auth=true\n`,
  'npmrc-uuid': (m) => `//registry.example/:_authToken=${m.key()}\n`,
  dockerconfig: (m) => {
    const password = m.password();
    return `{"auths":{"registry.example":{"username":"ci","password":"${password}","auth":"${base64(`ci:${password}`)}"}}}`;
  },
  'dockerconfig-auth': (m) => {
    const encoded = base64(`robot:${m.chars(20)}`);
    m.values.secrets.push({ kind: 'docker-auth', value: encoded, structured: true });
    return `{\n\t"auths": {\n\t\t"https://index.example/v1/": {\n\t\t\t"auth": "${encoded}"\n\t\t}\n\t}\n}`;
  },
  'helm-values': (m) =>
    `image:\n  repository: registry.example/shop\n  tag: ${m.version()}\npostgresql:\n  auth:\n    username: app\n    password: ${m.password()}\n    existingSecret: ""\ningress:\n  tls:\n    - secretName: ${m.keep('shop-tls')}\nadminToken: ${m.token()}\nconfig:\n  jwtSecret: "${m.key()}"\n`,
  'terraform-output': (m) =>
    `Apply complete! Resources: 3 added, 0 changed, 0 destroyed.\n\nOutputs:\n\ndb_endpoint = "${m.host()}"\ndb_password = "${m.password()}"\nkubeconfig_token = "${m.jwt()}"\nstate_sha = "${m.sha256()}"\n`,
  curl: (m) =>
    `curl -sS -u admin:${m.password()} https://${m.host()}/api\ncurl -H 'X-Api-Key: ${m.key()}' -H "Authorization: token ${m.token()}" https://api.example/v1\ncurl --user ci:${m.password()} -X POST -d '{"id":"${m.uuid()}"}' https://api.example`,
  'wget-flags': (m) =>
    `wget --http-user=ci --http-password=${m.password()} https://api.example/x\nmysql -h ${m.host()} -u root -p${m.chars(0)}${m.password()} shop -e 'select 1'`,
  'connection-strings': (m) =>
    `mongodb+srv://app:${m.password()}@${m.host()}/shop?retryWrites=true\namqp://guest:${m.password()}@mq.example:5672/%2F\nServer=tcp:sql.example,1433;Database=shop;User ID=sa;Password=${m.password()};Encrypt=True;\nHost=db;Username=app;Password=${m.password()};Database=shop\nDefaultEndpointsProtocol=https;AccountName=shop;AccountKey=${base64(m.chars(64))};EndpointSuffix=core.example\noracle://sys:${m.password()}@//db.example:1521/ORCL\npostgresql://app:${m.password()}@[::1]:5432/shop\nclickhouse://default:${m.password()}@ch.example:9000/x`,
  dsn: (m) =>
    `app:${m.password()}@tcp(db.example:3306)/shop?parseTime=true\nhost=db.example user=app password=${m.password()} dbname=shop sslmode=require\nhttps://${m.secretHex()}@o1.ingest.example/4`,
  cookies: (m) =>
    `GET / HTTP/1.1\nHost: shop.example\nCookie: theme=dark; session=${m.jwt()}; lang=en\nSet-Cookie: auth_token=${m.token()}; Path=/; HttpOnly; Secure; SameSite=Lax\nETag: "${m.keep(m.hex(32))}"\nX-Request-Id: ${m.uuid()}`,
  'pem-json': (m) =>
    JSON.stringify({
      type: 'service_account',
      private_key_id: m.keep(m.hex(40)),
      private_key: `${m.pem()}\n`,
      client_email: 'x@y.example',
    }),
  'pem-yaml': (m) =>
    `tls:\n  cert: |\n${indent(m.certificate(), '    ')}\n  key: |\n${indent(m.pem(), '    ')}\nreplicas: 3\n`,
  'pem-one-line': (m) =>
    `TLS_KEY=${m.pem().replaceAll('\n', '\\n')}\nTLS_CERT=${m.certificate().replaceAll('\n', '\\n')}\n`,
  'pem-spaces': (m) => `key: ${m.pem().replaceAll('\n', ' ')}\nnext: ${m.version()}\n`,
  'pem-log': (m) =>
    m
      .pem()
      .split('\n')
      .map((line) => `${time(m)} stdout F ${line}`)
      .join('\n'),
  'base64-wrapped': (m) =>
    `-----BEGIN DATA-----\n${base64(`user: app\npassword: ${m.password()}\ntoken: ${m.token()}\nnote: a longer text so that it wraps over more than one line of seventy-six characters\n`).replace(/.{76}/g, '$&\n')}\n-----END DATA-----\n`,
  'base64-line': (m) => `config=${base64(JSON.stringify({ user: 'app', password: m.password(), token: m.token() }))}\n`,
  'url-encoded': (m) =>
    `grant_type=client_credentials&client_id=${m.word()}&client_secret=${m.key()}&scope=read%20write\nredirect=https%3A%2F%2Fapp%3A${m.password()}%40db.example%2Fx&state=${m.keep(m.hex(16))}`,
  csv: (m) =>
    `id,name,api_key,created\n${m.int(99)},${m.word()},${m.token()},2026-01-02\n${m.int(99)},${m.word()},${m.token()},2026-01-03\n`,
  describe: (m) =>
    `Name:         web-${m.keep(`${m.hex(10)}-x2z`)}\nImage:          ${m.image()}\nImage ID:       ${m.image()}\n    Environment:\n      DB_PASSWORD:   ${m.password()}\n      API_TOKEN:     ${m.token()}\n      DB_HOST:       ${m.host()}\n      LICENSE_KEY:   <set to the key 'license' in secret 'shop'>  Optional: false\nAnnotations:  checksum/config: ${m.sha256()}\n`,
  xml: (m) =>
    `<configuration>\n  <connectionStrings>\n    <add name="db" connectionString="Server=db;Database=shop;User Id=app;Password=${m.password()};" />\n  </connectionStrings>\n  <server>\n    <username>ci</username>\n    <password>${m.password()}</password>\n  </server>\n  <property name="apiToken" value="${m.token()}"/>\n  <version>${m.version()}</version>\n</configuration>\n`,
  'maven-property': (m) =>
    `<property>\n  <name>hive.metastore.password</name>\n  <value>${m.password()}</value>\n</property>\n`,
  graphql: (m) =>
    `{"query":"mutation { login(user: \\"app\\", password: \\"${m.password()}\\") { token } }","variables":{"apiKey":"${m.key()}"},"operationName":"login"}`,
  'yaml-block': (m) =>
    `data:\n  application.yaml: |\n    server:\n      port: 8080\n    auth:\n      clientSecret: ${m.key()}\n      tokens:\n        - ${m.token()}\n        - ${m.token()}\n  build: "${m.version()}"\n`,
  'yaml-list': (m) =>
    `env:\n  - name: DB_PASSWORD\n    value: ${m.password()}\n  - name: LEVEL\n    value: ${m.keep('debugging')}\n  - name: API_KEY\n    value: "${m.key()}"\n`,
  'json-pretty': (m) =>
    `{\n  "user": "app",\n  "password": "${m.password()}",\n  "nested": {\n    "accessToken" : "${m.token()}",\n    "digest": "sha256:${m.sha256()}"\n  }\n}\n`,
  'json-escaped-twice': (m) =>
    JSON.stringify({
      log: JSON.stringify({ msg: 'x', body: JSON.stringify({ password: m.password(), id: m.uuid() }) }),
    }),
  'json-name-value': (m) =>
    JSON.stringify([
      { name: 'DB_PASSWORD', value: m.password() },
      { name: 'LEVEL', value: m.keep('debugging') },
      { key: 'api_token', value: m.token() },
    ]),
  python: (m) =>
    `INFO:root:config {'user': 'app', 'password': '${m.password()}', 'debug': False, 'api_key': '${m.key()}'}\nboto3.client(aws_access_key_id='${m.token()}', aws_secret_access_key='${m.key()}')`,
  ruby: (m) =>
    `{:user=>"app", :password=>"${m.password()}", :api_key => "${m.key()}"}\nParameters: {"user"=>{"email"=>"a", "password"=>"${m.password()}"}}`,
  go: (m) =>
    `config: {User:app Password:${m.password()} Timeout:30s Token:${m.token()}}\n&Config{DSN:"postgres://app:${m.password()}@db/x", APIKey:"${m.key()}"}`,
  powershell: (m) =>
    `$env:API_TOKEN = "${m.token()}"\nset DB_PASSWORD=${m.password()}\nexport SECRET_KEY="${m.key()}"\nsetx CLIENT_SECRET "${m.key()}"`,
  dockerfile: (m) =>
    `ENV NPM_TOKEN=${m.token()}\nENV DB_PASSWORD ${m.password()}\nARG API_KEY="${m.key()}"\nFROM ${m.image()}\n`,
  hcl: (m) =>
    `provider "x" {\n  token      = "${m.token()}"\n  secret_key = "${m.key()}"\n  region     = "eu-1"\n}\nvariable "db_password" {\n  default = "${m.password()}"\n}\n`,
  kubeconfig: (m) =>
    `apiVersion: v1\nkind: Config\nusers:\n- name: admin\n  user:\n    token: ${m.jwt()}\n    client-key-data: ${m.keyData()}\n    client-certificate-data: ${m.keep(base64(`-----BEGIN CERTIFICATE-----\n${m.chars(200)}`))}\n    password: ${m.password()}\n`,
  'secret-manifest': (m) =>
    `apiVersion: v1\nkind: Secret\nmetadata:\n  name: shop\ntype: Opaque\nstringData:\n  anything: ${m.password()}\n  other: "${m.password()}"\ndata:\n  blob: ${m.dataOf()}\n`,
  ansi: (m) =>
    `\x1b[32m✔\x1b[0m \x1b[1mtoken\x1b[0m: \x1b[33m${m.token()}\x1b[0m\n\x1b[36mpassword\x1b[39m=\x1b[35m${m.password()}\x1b[39m\n\x1b[90m${m.sha256()}\x1b[39m`,
  table: (m) =>
    `NAME      TYPE      TOKEN\n${m.word()}    bearer    ${m.token()}\n${m.word()}    bearer    ${m.token()}\n`,
  'markdown-table': (m) =>
    `| name | value |\n|---|---|\n| API_KEY | ${m.key()} |\n| DB_PASSWORD | ${m.password()} |\n| GIT_SHA | ${m.keep(m.hex(40))} |\n`,
  'ssh-key-file': (m) => `$ cat id_ecdsa\n${m.pem()}\n$ cat id_ed25519.pub\n${m.sshPublicKey()}\n$ `,
  'http-trace': (m) =>
    `> POST /token HTTP/1.1\n> Host: ${m.host()}\n> Authorization: Basic ${m.basic()}\n> x-amz-security-token: ${m.key()}\n> X-Vault-Token: ${m.token()}\n< HTTP/1.1 200 OK\n< {"access_token":"${m.jwt()}","expires_in":3600,"refresh_token":"${m.key()}"}`,
  'git-remote': (m) =>
    `origin\thttps://oauth2:${m.token()}@git.example/shop.git (fetch)\ncloning https://ci:${m.password()}@git.example/a.git\nHEAD is now at ${m.keep(m.hex(40))}`,
  gradle: (m) =>
    `signing.keyId=24875D73\nsigning.password=${m.password()}\nossrhPassword=${m.password()}\norg.gradle.version=${m.version()}`,
  'systemd-unit': (m) =>
    `[Service]\nEnvironment="DB_PASSWORD=${m.password()}" "LEVEL=info"\nEnvironment=API_TOKEN=${m.token()}\nExecStart=/usr/bin/app --token ${m.token()} --password=${m.password()} --config /etc/app.yaml\n`,
  htpasswd: (m) => `users: admin:$2y$10$${m.keep(m.chars(53))}\n`,
  'redis-cli': (m) => `requirepass ${m.password()}\nmasterauth ${m.password()}\nmaxmemory 256mb\n`,
  ldap: (m) => `bind_dn: cn=admin,dc=example\nbind_password: ${m.password()}\nbindpw ${m.password()}\n`,
  wireguard: (m) =>
    `[Interface]\nPrivateKey = ${m.wireguard()}\nAddress = 10.0.0.2/32\n[Peer]\nPublicKey = ${m.keep(`${m.chars(43)}=`)}\nPresharedKey = ${m.wireguard()}\n`,
  sentence: (m) =>
    `Please use the token ${m.token()} and do not share it.\nYour password is: ${m.password()}\nThe new API key is ${m.key()}, valid until Friday.`,
  negatives: (m) =>
    `image ${m.image()} digest sha256:${m.sha256()} commit ${m.keep(m.hex(40))}\nuid=${m.uuid()} traceparent=00-${m.keep(m.hex(32))}-${m.keep(m.hex(16))}-01\n${m.sshPublicKey()}\n${m.picture()}\n${m.certificate()}\nversion ${m.version()} at ${m.host()}\npassword: ${m.placeholder()}\ntoken: ${m.placeholder()}\nmissing env DB_PASSWORD and API_TOKEN\nsecret/shop-db-credentials unchanged\nkey: ${m.keep('metadata.annotations')}\npassword must have at least 12 characters\n${m.keep('arn:aws:iam::123456789012:role/shop-deployer')}\nimagePullSecrets: [${m.keep('registry-credentials')}]\nsecretKeyRef: {name: ${m.keep('shop-db')}, key: ${m.keep('password')}}\ntokenExpirationSeconds: ${m.keep('3607')}\nmax_tokens=${m.keep('4096')} tokens_used=${m.keep('128123')} sort_key=${m.keep('created_at_desc_v2')}\nprimary_key=${m.keep('order_id_2024')} partition-key: ${m.keep('customer#12345678')}\npasswordSecretRef: ${m.keep('shop-db-password')}\nauthor: ${m.word()} ${m.keep('Signed-off-by: A Person')}\n-rw-r--r-- 1 root root ${m.keep('tls.key.bak-20260101')}\nGET /password-reset/step-2 ${m.keep('csrf-protection-enabled')}`,
};
