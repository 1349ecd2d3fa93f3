/**
 * Loaded into the process of each test file. The runner ends that as soon as its tests are over (--test-force-exit); what has not been
 * reported by then is lost: which tests ran, which skipped themselves. So its end waits until nothing more is reported.
 */
if (process.env['NODE_TEST_CONTEXT'] === 'child-v8') {
  const exit = process.exit.bind(process);
  let ending = false;
  const end = (reported: number): void => {
    const { bytesWritten } = process.stdout;
    if (bytesWritten === reported) exit();
    else setTimeout(end, 10, bytesWritten);
  };
  process.exit = ((code?: number) => {
    if (ending) return;
    ending = true;
    if (code !== undefined) process.exitCode = code;
    setTimeout(end, 10, -1);
  }) as typeof process.exit;
}
