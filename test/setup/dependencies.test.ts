import assert from 'node:assert/strict';
import { modulesAreCurrent } from '../../setup/dependencies.js';
import { networkFault } from '../../setup/run-program.js';

describe('installed modules', () => {
  const bundled = `node_modules/node-linux-${process.arch}`;
  const lock = {
    packages: {
      '': { version: '0.1.0' },
      'node_modules/pino': { version: '10.4.0' },
      'node_modules/node-linux-other': { version: '24.21.0', optional: true },
      [bundled]: { version: '24.21.0', optional: true },
    },
  };
  const installed = (packages: Record<string, { version: string }>): object => ({
    packages: { [bundled]: { version: '24.21.0' }, 'node_modules/pino': { version: '10.4.0' }, ...packages },
  });

  it('are current if every version is the lock’s, whatever other platforms need', () => {
    assert.equal(
      modulesAreCurrent(lock, installed({}), () => true),
      true,
    );
  });

  it('are not current if there are none', () => {
    assert.equal(
      modulesAreCurrent(lock, undefined, () => true),
      false,
    );
  });

  it('are not current if one has another version or is missing', () => {
    assert.equal(
      modulesAreCurrent(lock, installed({ 'node_modules/pino': { version: '10.3.0' } }), () => true),
      false,
    );
    assert.equal(
      modulesAreCurrent(lock, { packages: { [bundled]: { version: '24.21.0' } } }, () => true),
      false,
    );
  });

  it('are not current without the Node that is to run', () => {
    assert.equal(
      modulesAreCurrent(lock, { packages: { 'node_modules/pino': { version: '10.4.0' } } }, () => true),
      false,
    );
  });

  it('are not current if the folder of one was deleted', () => {
    assert.equal(
      modulesAreCurrent(lock, installed({}), (path: string) => path !== 'node_modules/pino'),
      false,
    );
  });
});

describe('a download that fails', () => {
  for (const [what, said, reason] of [
    [
      'for npm without DNS',
      'npm error code EAI_AGAIN\nnpm error request to https://registry.npmjs.org/pino failed, reason: getaddrinfo EAI_AGAIN registry.npmjs.org\n',
      'getaddrinfo EAI_AGAIN registry.npmjs.org',
    ],
    [
      'for npm without a route',
      'npm error FetchError: request failed, reason: connect ECONNREFUSED 127.0.0.1:443\n',
      'connect ECONNREFUSED 127.0.0.1:443',
    ],
    [
      'for apt without DNS',
      "Err:1 http://deb.debian.org/debian bookworm InRelease\n  Temporary failure resolving 'deb.debian.org'\nE: Unable to locate package clang\n",
      "Temporary failure resolving 'deb.debian.org'",
    ],
    ['for another reason', 'npm error code EINTEGRITY\n', undefined],
  ] as const)
    it(`${what} is ${reason === undefined ? 'not ' : ''}put down to the network`, () => {
      assert.equal(networkFault(said), reason);
    });
});
