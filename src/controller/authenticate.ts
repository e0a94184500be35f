// Callers by token file: for a mesh without a Kubernetes API server to review tokens. Two forms:
//   JSON:   [{"token": "...", "namespace": "culvert-system", "serviceAccount": "ztunnel", "node": "node1"}]
//   lines:  token,namespace,serviceAccount[,node]      (# starts a comment)
import { createHash, timingSafeEqual } from 'node:crypto';
import { stat } from 'node:fs/promises';
import { z } from 'zod';
import { messageOf } from '../runtime/errors.ts';
import type { Logger } from '../runtime/logger.ts';
import { readPrivateFile } from '../runtime/private-files.ts';
import type { Authenticator, Caller } from '../xds/types.ts';
import { CaError } from './ca/errors.ts';

interface Entry {
  readonly digest: Buffer;
  readonly caller: Caller;
}

const entriesMax = 10_000;
const fileBytesMax = 4 * 2 ** 20;

const name = z.string().min(1).max(253);
const schema = z
  .array(
    z.strictObject({
      token: z.string().min(8).max(16_384),
      namespace: name,
      serviceAccount: name,
      node: name.optional(),
    }),
  )
  .max(entriesMax);

/** The callers that a token file declares. Throws ERR_CULVERT_CA_FILES with the line or entry, never with a token. */
export function parseTokenFile(text: string): readonly Entry[] {
  const trimmed = text.trim();
  const raw: unknown = trimmed.startsWith('[') ? parseJson(trimmed) : parseLines(text);
  const result = schema.safeParse(raw);
  if (!result.success) throw new CaError('ERR_CULVERT_CA_FILES', describe(result.error));
  return result.data.map(({ token, namespace, serviceAccount, node }) => ({
    digest: digestOf(token),
    caller: {
      namespace,
      serviceAccount,
      ...(node !== undefined && { node }),
      name: `${namespace}/${serviceAccount}${node === undefined ? '' : `@${node}`}`,
    },
  }));
}

/** Where and of what kind, without a name or a value that was found there: a token in the wrong place is a token. */
function describe(error: z.ZodError): string {
  return error.issues
    .slice(0, 5)
    .map((issue) => {
      const [index, field] = issue.path;
      const place = [index === undefined ? '' : `entry ${Number(index) + 1}`, field]
        .filter(Boolean)
        .join(', ');
      const what = issue.code === 'unrecognized_keys' ? unknownFields(issue.keys) : issue.message;
      return place === '' ? what : `${place}: ${what}`;
    })
    .join('; ');
}

/** Named only if they look like fields. */
function unknownFields(keys: readonly string[]): string {
  const named = keys.map((key) => (/^[A-Za-z]{1,20}$/.test(key) ? key : '(not a name)'));
  return `no such field: ${named.join(', ')}`;
}

/** Not with JSON.parse's own message and not as its cause: it quotes what stands around the mistake, tokens. */
function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw new CaError('ERR_CULVERT_CA_FILES', 'it starts like JSON and is not JSON');
  }
}

function parseLines(text: string): readonly object[] {
  const lines = text.split('\n').map((line, index) => ({ fields: line.trim(), number: index + 1 }));
  return lines
    .filter(({ fields }) => fields !== '' && !fields.startsWith('#'))
    .map(({ fields, number }) => {
      const [token, namespace, serviceAccount, node, ...rest] = fields
        .split(',')
        .map((field) => field.trim());
      if (serviceAccount === undefined || rest.length > 0)
        throw new CaError(
          'ERR_CULVERT_CA_FILES',
          `line ${number}: token,namespace,serviceAccount[,node] is expected`,
        );
      return { token, namespace, serviceAccount, ...(node !== undefined && node !== '' && { node }) };
    });
}

/** Looks at the file at each call and reads it again when it has changed. A file that cannot be understood leaves
 *  the last good content in force; one that is gone accepts nobody. */
export class TokenFileAuthenticator implements Authenticator {
  readonly #path: string;
  readonly #logger: Logger;
  #entries: readonly Entry[] = [];
  #stamp = '';

  constructor(options: { readonly path: string; readonly logger: Logger }) {
    this.#path = options.path;
    this.#logger = options.logger;
  }

  /** Rejects if the file cannot be read, or has never been understood. */
  async authenticate(token: string): Promise<Caller | undefined> {
    await this.#refresh();
    const digest = digestOf(token);
    let caller: Caller | undefined;
    // Every entry is compared, over digests of one length: time tells nothing of which token came close.
    for (const entry of this.#entries) if (timingSafeEqual(entry.digest, digest)) caller ??= entry.caller;
    return caller;
  }

  async #refresh(): Promise<void> {
    const { mtimeNs, size, ino } = await stat(this.#path, { bigint: true });
    const stamp = `${ino} ${size} ${mtimeNs}`;
    if (stamp === this.#stamp) return;
    try {
      if (size > fileBytesMax) throw new CaError('ERR_CULVERT_CA_FILES', `larger than ${fileBytesMax} bytes`);
      this.#entries = parseTokenFile(await readPrivateFile(this.#path));
      this.#stamp = stamp;
    } catch (error) {
      const message = `the token file ${this.#path} cannot be used: ${messageOf(error)}`;
      if (this.#stamp === '') throw new CaError('ERR_CULVERT_CA_FILES', message, { cause: error });
      this.#stamp = stamp;
      this.#logger.error(message);
    }
  }
}

function digestOf(token: string): Buffer {
  return createHash('sha256').update(token).digest();
}
