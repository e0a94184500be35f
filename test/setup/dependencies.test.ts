import assert from 'node:assert/strict';
import { modulesAreCurrent } from '../../setup/dependencies.js';

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
    assert.equal(modulesAreCurrent(lock, installed({})), true);
  });

  it('are not current if there are none', () => {
    assert.equal(modulesAreCurrent(lock, undefined), false);
  });

  it('are not current if one has another version or is missing', () => {
    assert.equal(modulesAreCurrent(lock, installed({ 'node_modules/pino': { version: '10.3.0' } })), false);
    assert.equal(modulesAreCurrent(lock, { packages: { [bundled]: { version: '24.21.0' } } }), false);
  });

  it('are not current without the Node that is to run', () => {
    assert.equal(
      modulesAreCurrent(lock, { packages: { 'node_modules/pino': { version: '10.4.0' } } }),
      false,
    );
  });
});
