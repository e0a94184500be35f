import assert from 'node:assert/strict';
import fc from 'fast-check';
import { RateLimitedLog, createLogger } from '../../src/runtime/logger.ts';
import type { LoggerOptions } from '../../src/runtime/logger.ts';
import { FakeClock } from '../support/fake-clock.ts';
import { anyText, check } from '../support/properties.ts';

function logger(options: Partial<LoggerOptions> = {}) {
  const lines: string[] = [];
  return {
    lines,
    log: createLogger({ level: 'info', format: 'text', write: (line) => void lines.push(line), ...options }),
  };
}

describe('a logger', () => {
  it('writes a line for people', () => {
    const { lines, log } = logger();

    log.child('xds').child('client').warn('not connected', { peer: '10.0.0.1:15012', why: 'no route' });

    assert.match(
      lines[0] ?? '',
      /^\S+Z warn  xds\.client: not connected peer=10\.0\.0\.1:15012 why="no route"\n$/,
    );
  });

  it('writes one line, whatever a peer or a manifest has put into it', () => {
    const { lines, log } = logger();
    log.warn('a\n2026-01-01T00:00:00.000Z error forged\x1b[2J', { peer: '\u202e\x9b31m' });

    assert.match(
      lines[0] ?? '',
      /a\\u000a2026-01-01T00:00:00\.000Z error forged\\u001b\[2J peer=\\u202e\\u009b31m\n$/,
    );
    check(
      fc.property(anyText, anyText, fc.jsonValue(), (message, key, value) => {
        for (const format of ['text', 'json'] as const) {
          const one = logger({ format });
          one.log.info(message, { [`x${key}`]: value });
          assert.equal(one.lines.length, 1);
          assert.match(one.lines[0] ?? '', /^[^\n\r]*\n$/);
        }
      }),
    );
  });

  it('writes a line for machines', () => {
    const { lines, log } = logger({ format: 'json' });

    log.child('access').info('connection complete', { bytes: 5 });

    const line = JSON.parse(lines[0] ?? '') as Record<string, unknown>;
    assert.equal(line['level'], 'info');
    assert.equal(line['scope'], 'access');
    assert.equal(line['bytes'], 5);
  });

  it('changes the level of everyone at once, also of loggers that exist', () => {
    const { lines, log } = logger();
    const pods = log.child('pods');
    pods.debug('before');

    log.levels.set('debug');
    pods.debug('after');

    assert.equal(lines.length, 1);
    assert.match(lines[0] ?? '', /after/);
  });

  it('gives a scope a level of its own, which holds for the scopes within', () => {
    const { lines, log } = logger();
    const client = log.child('xds').child('client');

    log.levels.set('debug', 'xds');
    client.debug('heard');
    log.child('pods').debug('not heard');
    log.levels.reset();
    client.debug('no longer');

    assert.deepEqual(
      lines.map((line) => line.trim().split(': ').at(-1)),
      ['heard'],
    );
  });

  it('says nothing at all if silent', () => {
    const { lines, log } = logger({ level: 'silent' });

    log.error('nobody hears');

    assert.deepEqual(lines, []);
  });
});

describe('a rate-limited log', () => {
  it('speaks once per key and interval and counts what it left out', () => {
    const clock = new FakeClock();
    const limited = new RateLimitedLog({ clock, intervalMs: 1000 });
    const said: string[] = [];
    const say = (key: string): void => limited.try(key, (left) => void said.push(`${key}+${left}`));

    for (const key of ['a', 'a', 'b', 'a']) say(key);
    clock.advance(1000);
    say('a');

    assert.deepEqual(said, ['a+0', 'b+0', 'a+2']);
  });

  it('lets a flood of keys write no more lines than it has keys for', () => {
    const clock = new FakeClock();
    const limited = new RateLimitedLog({ clock, intervalMs: 1000, keysMax: 2 });
    const said: string[] = [];
    const say = (key: string): void => limited.try(key, () => void said.push(key));

    for (const key of ['a', 'b', 'c', 'd', 'a']) say(key);
    clock.advance(1000);
    for (const key of ['e', 'f', 'g']) say(key);

    assert.deepEqual(said, ['a', 'b', 'e', 'f']);
  });
});
