import { strict as assert } from 'node:assert';
import { checkCapabilities, checkKernel } from '../../src/engine/preflight.ts';

describe('preflight', () => {
  for (const [version, ok] of [
    ['6.18.44-fc', true],
    ['5.17.0', true],
    ['6.1.0-18-amd64', true],
    ['5.16.20', false],
    ['5.15.0-100-generic', false],
    ['4.19.0', false],
    ['nonsense', false],
  ] as const) {
    it(`${ok ? 'accepts' : 'refuses'} kernel ${version}`, () => {
      assert.equal(checkKernel(version).ok, ok);
    });
  }

  it('names the capabilities that are missing', () => {
    assert.equal(checkCapabilities('CapEff:\t000001ffffffffff\n').ok, true);
    assert.match(checkCapabilities('CapEff:\t0000000000200000\n').detail, /missing NET_ADMIN:/);
    assert.match(checkCapabilities('CapEff:\t0000000000000000\n').detail, /missing NET_ADMIN, SYS_ADMIN/);
    assert.equal(checkCapabilities('').ok, false);
  });
});
