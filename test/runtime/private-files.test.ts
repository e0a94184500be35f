import assert from 'node:assert/strict';
import {
  chmodSync,
  chownSync,
  mkdirSync,
  mkdtempSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  checkPrivateDirectory,
  checkPrivateFile,
  listenPrivately,
  readPrivateFile,
} from '../../src/runtime/private-files.ts';
import { requireRoot } from '../support/netns.ts';

describe('a file for its owner alone', () => {
  let directory: string;
  let path: string;
  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), 'culvert-modes-'));
    path = join(directory, 'token');
    writeFileSync(path, 'secret', { mode: 0o600 });
  });
  afterEach(() => rmSync(directory, { recursive: true }));

  for (const mode of [0o600, 0o400, 0o700])
    it(`is read with mode 0${mode.toString(8)}`, async () => {
      chmodSync(path, mode);

      assert.equal(await readPrivateFile(path), 'secret');
    });

  for (const mode of [0o604, 0o640, 0o620, 0o602, 0o644, 0o666, 0o601])
    it(`is refused with mode 0${mode.toString(8)}, which the error names`, async () => {
      chmodSync(path, mode);
      const refusal = {
        code: 'ERR_CULVERT_FILE_MODE',
        message: new RegExp(`^${path} has mode 0${mode.toString(8)}: `),
      };

      await assert.rejects(readPrivateFile(path), refusal);
      await assert.rejects(checkPrivateFile(path), refusal);
    });

  it('is refused if others can put another one in its place', async () => {
    chmodSync(directory, 0o777);

    await assert.rejects(readPrivateFile(path), { message: new RegExp(`^${directory} has mode 0777: `) });
  });

  it('is refused if it belongs to somebody else', async function () {
    requireRoot(this);
    chownSync(path, 65534, 65534);

    await assert.rejects(readPrivateFile(path), /belongs to user 65534/);
  });

  it('is judged where its link leads', async () => {
    const link = join(directory, 'link');
    symlinkSync(path, link);
    assert.equal(await readPrivateFile(link), 'secret');
    chmodSync(path, 0o644);

    await assert.rejects(readPrivateFile(link), { code: 'ERR_CULVERT_FILE_MODE' });
  });

  it('may be readable in a volume as kubelet writes it, but not writable', async () => {
    const data = join(directory, '..2026_01_01_00_00_00.1234567');
    mkdirSync(data, { mode: 0o755 });
    writeFileSync(join(data, 'key'), 'mounted', { mode: 0o644 });
    symlinkSync('..2026_01_01_00_00_00.1234567', join(directory, '..data'));
    const mounted = join(directory, 'key');
    symlinkSync('..data/key', mounted);

    assert.equal(await readPrivateFile(mounted), 'mounted');
    chmodSync(join(data, 'key'), 0o666);
    await assert.rejects(readPrivateFile(mounted), { code: 'ERR_CULVERT_FILE_MODE' });
  });

  it('that is not there is an ordinary error to a reader, and nothing to a check', async () => {
    await checkPrivateFile(join(directory, 'none'));

    await assert.rejects(readPrivateFile(join(directory, 'none')), { code: 'ENOENT' });
  });

  it('a directory may be looked into, not written to', async () => {
    for (const mode of [0o700, 0o755, 0o1777]) {
      chmodSync(directory, mode);
      await checkPrivateDirectory(directory);
    }
    for (const mode of [0o775, 0o757, 0o777]) {
      chmodSync(directory, mode);
      await assert.rejects(checkPrivateDirectory(directory), { code: 'ERR_CULVERT_FILE_MODE' });
    }
    chmodSync(directory, 0o700);
  });

  it('a socket is private from its first moment, whatever the umask', async () => {
    const umask = process.umask(0);
    const server = createServer();
    try {
      const listening = Promise.withResolvers<void>();
      listenPrivately(server, join(directory, 'socket'), listening.resolve);

      assert.equal(statSync(join(directory, 'socket')).mode & 0o777, 0o600);
      assert.equal(process.umask(), 0);
      await listening.promise;
    } finally {
      process.umask(umask);
      server.close();
    }
  });
});
