// One line per step, with the time it took. Steps that had nothing to do say nothing.
const started = Date.now();

/** Runs a step that takes a while: says what it does, then how long it took. A failure is left to the caller. */
export async function step(what, work) {
  const from = Date.now();
  process.stderr.write(`culvert: ${what} ...\n`);
  const ticker = setInterval(
    () => process.stderr.write(`culvert: ${what} ... still at it after ${seconds(from)}\n`),
    20_000,
  );
  try {
    const result = await work();
    process.stderr.write(`culvert: ${what}: done in ${seconds(from)}\n`);
    return result;
  } finally {
    clearInterval(ticker);
  }
}

export function say(line) {
  process.stderr.write(`culvert: ${line}\n`);
}

/** `12.3 s`, since `from` or since the start. */
export function seconds(from = started) {
  return `${((Date.now() - from) / 1000).toFixed(1)} s`;
}
