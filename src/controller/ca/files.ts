// The authority's directory. The names are those of Istio's plug-in CA, so that an existing `cacerts` works here:
//   ca-key.pem      the signing key, mode 0600
//   ca-cert.pem     its certificate
//   cert-chain.pem  certificates between it and a root (only below a root of somebody else)
//   root-cert.pem   every root that is trusted
import { randomUUID } from 'node:crypto';
import { link, mkdir, open, readFile, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { RuntimeError, messageOf } from '../../runtime/errors.ts';
import { checkPrivateDirectory, checkPrivateFile } from '../../runtime/private-files.ts';
import { CaError } from './errors.ts';

export interface CaFiles {
  readonly keyPem: string | undefined;
  readonly certificatePem: string | undefined;
  readonly chainPem: string | undefined;
  readonly rootsPem: string | undefined;
}

const names = {
  key: 'ca-key.pem',
  certificate: 'ca-cert.pem',
  chain: 'cert-chain.pem',
  roots: 'root-cert.pem',
} as const;

/** Reads what is there. Throws ERR_CULVERT_CA_FILES if others than the owner can reach the key or replace a file. */
export async function readCaFiles(directory: string): Promise<CaFiles> {
  await checked(() => checkPrivateFile(join(directory, names.key)));
  const [keyPem, certificatePem, chainPem, rootsPem] = await Promise.all(
    [names.key, names.certificate, names.chain, names.roots].map((name) =>
      readIfThere(join(directory, name)),
    ),
  );
  return { keyPem, certificatePem, chainPem, rootsPem };
}

/** The roots as they are now; undefined if there is no file of them. */
export function readRoots(directory: string): Promise<string | undefined> {
  return readIfThere(join(directory, names.roots));
}

export async function createCaDirectory(directory: string): Promise<void> {
  try {
    await mkdir(directory, { recursive: true, mode: 0o700 });
  } catch (error) {
    throw unusable(directory, error);
  }
  await checked(() => checkPrivateDirectory(directory));
}

/** Stores a new key unless there is one already: of two controllers that start at once, one wins. */
export async function storeKey(directory: string, keyPem: string): Promise<'stored' | 'present'> {
  const temporary = join(directory, `.${names.key}.${randomUUID()}`);
  try {
    await writeDurably(temporary, keyPem, 0o600);
    await link(temporary, join(directory, names.key));
    return 'stored';
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return 'present';
    throw unusable(directory, error);
  } finally {
    await rm(temporary, { force: true });
  }
}

/** Stores the certificate of a self-signed authority, which is its own root. */
export async function storeRoot(directory: string, certificatePem: string): Promise<void> {
  try {
    for (const name of [names.roots, names.certificate]) {
      const temporary = join(directory, `.${name}.${randomUUID()}`);
      await writeDurably(temporary, certificatePem, 0o644);
      await rename(temporary, join(directory, name));
    }
  } catch (error) {
    throw unusable(directory, error);
  }
}

async function checked(check: () => Promise<void>): Promise<void> {
  try {
    await check();
  } catch (error) {
    if (!(error instanceof RuntimeError)) throw unusable('files', error);
    throw new CaError('ERR_CULVERT_CA_FILES', error.message, { cause: error });
  }
}

async function readIfThere(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw unusable(path, error);
  }
}

async function writeDurably(path: string, text: string, mode: number): Promise<void> {
  const file = await open(path, 'wx', mode);
  try {
    await file.writeFile(text);
    await file.sync();
  } finally {
    await file.close();
  }
}

function unusable(path: string, cause: unknown): CaError {
  const message = `the certificate authority's ${path} cannot be used: ${messageOf(cause)}`;
  return new CaError('ERR_CULVERT_CA_FILES', message, { cause });
}
