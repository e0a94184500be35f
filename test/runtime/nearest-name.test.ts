import assert from 'node:assert/strict';
import { nearest } from '../../src/runtime/nearest-name.ts';

describe('the nearest name', () => {
  const names = ['drainTimeout', 'dialTimeout', 'hbonePort'];
  for (const [typed, meant] of [
    ['drainTimout', 'drainTimeout'],
    ['drianTimeout', 'drainTimeout'],
    ['hboneport', 'hbonePort'],
    ['diallTimeout', 'dialTimeout'],
    ['something', undefined],
    ['', undefined],
  ] as const)
    it(`for "${typed}" is ${meant ?? 'none'}`, () => assert.equal(nearest(typed, names), meant));
});
