import { spawn } from 'node:child_process';

/** Why set-up cannot go on, in one line for the person at the terminal. */
export class SetupError extends Error {}

/**
 * Runs a program quietly; if it fails, shows what it said and throws. For want of a network, one line says it all, and
 * calls the program by `options.name` if its file says little.
 */
export async function quietly(file, args, { name = file, ...options } = {}) {
  const { status, output } = await captured(file, args, options);
  if (status === 0) return output;
  const fault = networkFault(output);
  if (fault !== undefined)
    throw new SetupError(`${name} cannot download (${fault}): check the network, DNS and proxy settings`);
  process.stderr.write(output);
  throw new SetupError(`\`${[file, ...args].join(' ').slice(0, 200)}\` failed (${status})`);
}

/** What npm, apt or pip said about a server that cannot be reached, or undefined if they failed for another reason. */
export function networkFault(output) {
  return [
    /getaddrinfo \w+ [\w.-]+/,
    /connect (?:ECONNREFUSED|ETIMEDOUT|EHOSTUNREACH|ENETUNREACH)[^\n]*/,
    /(?:network|fetch) (?:timeout|request to \S+ failed)[^\n]*/i,
    /(?:self[- ]signed certificate|unable to (?:get|verify)[^\n]*certificate)[^\n]*/i,
    /Temporary failure resolving '[^']*'/,
    /Could not connect to [^\n]*/,
    /Temporary failure in name resolution/,
  ]
    .map((pattern) => pattern.exec(output)?.[0].trim())
    .find((fault) => fault !== undefined);
}

/** Runs a program and resolves to its exit code and all it said; 127 if it cannot be started. */
export function captured(file, args, options = {}) {
  return new Promise((done) => {
    const child = spawn(file, args, { ...options, stdio: ['ignore', 'pipe', 'pipe'] });
    let output = '';
    for (const stream of [child.stdout, child.stderr])
      stream.setEncoding('utf8').on('data', (text) => {
        output = (output + text).slice(-1_000_000);
      });
    child.on('error', (error) => done({ status: 127, output: `${error.message}\n` }));
    child.on('close', (code, signal) => done({ status: code ?? signal, output }));
  });
}

/**
 * Gives the terminal to a program and resolves to its exit code. A signal must not end us before the program has
 * cleaned up: it is passed on. Ctrl-C is not, since the terminal sends it to the program as well.
 */
export function foreground(file, args, options = {}) {
  return new Promise((done) => {
    const child = spawn(file, args, { ...options, stdio: 'inherit' });
    const pass = (signal) => {
      if (signal !== 'SIGINT' || !process.stdin.isTTY) child.kill(signal);
    };
    const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'];
    for (const signal of signals) process.on(signal, pass);
    const end = (code) => {
      for (const signal of signals) process.off(signal, pass);
      done(code);
    };
    child.on('error', (error) => {
      process.stderr.write(`culvert: ${file}: ${error.message}\n`);
      end(127);
    });
    child.on('close', (code, signal) => end(code ?? 128 + (signalNumbers[signal] ?? 0)));
  });
}

const signalNumbers = { SIGHUP: 1, SIGINT: 2, SIGQUIT: 3, SIGABRT: 6, SIGKILL: 9, SIGSEGV: 11, SIGTERM: 15 };
