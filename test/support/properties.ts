// Properties of the readers of outside input: how they are run, and input made of good input by breaking it.
import fc from 'fast-check';

/**
 * Checks a property with `runs` inputs, random in each run of the tests; a failure prints its seed and the smallest
 * counterexample. With PROPERTY_SECONDS each property is tried for so long instead.
 */
export function check<T>(property: fc.IProperty<T>, runs = 200): void {
  fc.assert(property, parametersOf(runs));
}

/** `check` for a property that is a promise. */
export async function checkAsync<T>(property: fc.IAsyncProperty<T>, runs = 100): Promise<void> {
  await fc.assert(property, parametersOf(runs));
}

function parametersOf<T>(runs: number): fc.Parameters<T> {
  const seconds = Number(process.env['PROPERTY_SECONDS'] ?? 0);
  if (!(seconds > 0)) return { numRuns: runs };
  return { numRuns: 2 ** 31 - 1, interruptAfterTimeLimit: seconds * 1000, markInterruptAsFailure: false };
}

/** Mocha's time limit for a file of properties: none while they run by the clock. */
export function propertyTimeoutMs(): number {
  return Number(process.env['PROPERTY_SECONDS'] ?? 0) > 0 ? 0 : 60_000;
}

/** Texts that mean something to some reader. */
const nasty = fc.constantFrom(
  ...[
    '__proto__',
    'constructor',
    'toString',
    'hasOwnProperty',
    '\0',
    '\r\n',
    '\n',
    '\t',
    '\u2028',
    '\ufeff',
    '\u202e',
  ],
  ...[
    '%',
    '%00',
    '%ff',
    '%zz',
    '\\',
    '"',
    "'",
    '`',
    '$',
    '&a',
    '*a',
    '<<',
    '!!binary',
    '!!set',
    '? ',
    '- ',
    ': ',
    '|',
  ],
  ...[
    '---\n',
    '...\n',
    '{',
    '}',
    '[',
    ']',
    ',',
    ';',
    '=',
    '/',
    '//',
    ':',
    '@',
    '#',
    '~',
    'null',
    'true',
    'NaN',
    '-0',
  ],
  ...[
    '0x10',
    '010',
    '1e999',
    '-1',
    '65536',
    '99999999999999999999',
    '.5',
    '١',
    'ﬀ',
    'İ',
    '\ud800',
    '💥',
    'e\u0301',
  ],
  ...['::ffff:10.0.0.1', '::1.2.3.4', '127.0.0.1', '10.0.0.1:80', '[::1]:80', 'fe80::1%eth0', '0.0.0.0/0'],
);

/** Any text: short and nasty, long and plain, or the one within the other. */
export const anyText: fc.Arbitrary<string> = fc.oneof(
  fc.string({ unit: 'binary', maxLength: 40 }),
  fc.string({ unit: 'grapheme', maxLength: 40 }),
  fc.array(fc.oneof(nasty, fc.string({ maxLength: 4 })), { maxLength: 12 }).map((parts) => parts.join('')),
);

/** A good text with something cut out, put in, repeated, swapped or cut off, once or several times. */
export function brokenText(good: fc.Arbitrary<string>): fc.Arbitrary<string> {
  const edit = fc.record({
    at: fc.nat(),
    length: fc.nat(20),
    text: fc.oneof(nasty, fc.string({ maxLength: 3 })),
    kind: fc.constantFrom(
      'cut' as const,
      'insert' as const,
      'replace' as const,
      'repeat' as const,
      'end' as const,
    ),
  });
  return fc.tuple(good, fc.array(edit, { minLength: 1, maxLength: 4 })).map(([text, edits]) => {
    let changed = text;
    for (const { at, length, text: put, kind } of edits) {
      const from = changed.length === 0 ? 0 : at % changed.length;
      const [head, middle, tail] = [
        changed.slice(0, from),
        changed.slice(from, from + length),
        changed.slice(from + length),
      ];
      if (kind === 'cut') changed = head + tail;
      else if (kind === 'insert') changed = head + put + middle + tail;
      else if (kind === 'replace') changed = head + put + tail;
      else if (kind === 'repeat') changed = head + middle + middle + middle + tail;
      else changed = head;
    }
    return changed;
  });
}

/** Good bytes with bits turned, bytes set, cut out, doubled or cut off. */
export function brokenBytes(good: fc.Arbitrary<Uint8Array>): fc.Arbitrary<Uint8Array> {
  const edit = fc.record({
    at: fc.nat(),
    value: fc.nat(255),
    length: fc.nat(16),
    kind: fc.constantFrom('flip' as const, 'set' as const, 'cut' as const, 'repeat' as const, 'end' as const),
  });
  return fc.tuple(good, fc.array(edit, { minLength: 1, maxLength: 4 })).map(([bytes, edits]) => {
    let changed = Buffer.from(bytes);
    for (const { at, value, length, kind } of edits) {
      if (changed.length === 0) break;
      const from = at % changed.length;
      const middle = changed.subarray(from, from + length);
      const [head, tail] = [changed.subarray(0, from), changed.subarray(from + length)];
      if (kind === 'flip') changed[from] = (changed[from] ?? 0) ^ (1 << (value % 8));
      else if (kind === 'set') changed[from] = value;
      else if (kind === 'cut') changed = Buffer.concat([head, tail]);
      else if (kind === 'repeat') changed = Buffer.concat([head, middle, middle, middle, tail]);
      else changed = Buffer.from(head);
    }
    return changed;
  });
}

/** The error that `act` throws, or undefined. */
export function thrownBy(act: () => unknown): unknown {
  try {
    act();
    return undefined;
  } catch (error) {
    return error;
  }
}

/**
 * How much more of the processor's time reading `make(8 * size)` takes than reading `make(size)`: about 8 if it grows with
 * the length, 64 if it grows with its square.
 */
export function growth(
  size: number,
  make: (size: number) => string,
  read: (text: string) => unknown,
): number {
  const costOf = (text: string): number => {
    let least = Infinity;
    for (let i = 0; i < 3; i += 1) {
      const from = process.cpuUsage();
      read(text);
      const { user, system } = process.cpuUsage(from);
      least = Math.min(least, user + system);
    }
    return least;
  };
  const [short, long] = [make(size), make(8 * size)];
  read(long); // compiled by now
  // Less than a millisecond is noise.
  return costOf(long) / Math.max(1_000, costOf(short));
}
