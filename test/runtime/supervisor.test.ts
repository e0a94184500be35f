import assert from 'node:assert/strict';
import { createLogger } from '../../src/runtime/logger.ts';
import { Supervisor } from '../../src/runtime/supervisor.ts';

function collected(): { lines: string[]; supervisor: Supervisor; failures: string[] } {
  const lines: string[] = [];
  const failures: string[] = [];
  const logger = createLogger({ level: 'info', format: 'json', write: (line) => void lines.push(line) });
  return { lines, failures, supervisor: new Supervisor(logger, (name) => void failures.push(name)) };
}

describe('a supervisor', () => {
  it('logs a failure once, with its code, and tells who asked', async () => {
    const { lines, failures, supervisor } = collected();

    supervisor.run('audit', async () => {
      await Promise.resolve();
      throw Object.assign(new Error('no such pod'), { code: 'ERR_CULVERT_X' });
    });
    await supervisor.settled();

    assert.equal(lines.length, 1);
    const { msg, code } = JSON.parse(lines[0] ?? '') as { msg: string; code: string };
    assert.equal(msg, 'audit failed: no such pod');
    assert.equal(code, 'ERR_CULVERT_X');
    assert.deepEqual(failures, ['audit']);
  });

  it('takes cancelled work for an expected end', async () => {
    const { lines, supervisor } = collected();

    supervisor.run('watch', Promise.reject(new DOMException('stopped', 'AbortError')));
    await supervisor.settled();

    assert.deepEqual(lines, []);
  });

  it('waits for what was started meanwhile', async () => {
    const { supervisor } = collected();
    let second = false;

    supervisor.run('first', async () => {
      await Promise.resolve();
      supervisor.run('second', async () => {
        await new Promise((r) => setImmediate(r));
        second = true;
      });
    });
    await supervisor.settled();

    assert.equal(second, true);
    assert.equal(supervisor.size, 0);
  });

  it('survives work that throws before it is a promise', async () => {
    const { lines, supervisor } = collected();

    supervisor.run('parse', () => {
      throw new Error('at once');
    });
    await supervisor.settled();

    assert.match(lines[0] ?? '', /at once/);
  });
});
