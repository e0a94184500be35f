import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { run } from '../../src/cli/main.ts';
import { recordedTerminal } from '../support/terminal.ts';

describe('completion', () => {
  let script: string;
  before(async () => {
    const terminal = recordedTerminal();
    await run(['completion', 'bash'], terminal);
    script = terminal.out();
  });

  /** What bash would offer for a half-typed line. */
  function offered(...words: string[]): string[] {
    const quoted = words.map((word) => `'${word}'`).join(' ');
    const line = `${script}\nCOMP_WORDS=(${quoted}); COMP_CWORD=${words.length - 1}; _culvert; printf '%s\\n' "\${COMPREPLY[@]}"`;
    return spawnSync('bash', ['--norc', '-c', line], { encoding: 'utf8' }).stdout.trim().split('\n');
  }

  for (const [words, some] of [
    [['culvert', 'st'], ['status']],
    [['culvert', 'pol'], ['policy']],
    [['culvert', 'policy', ''], ['check']],
    [['culvert', 'playground', 'e'], ['exec']],
    [['culvert', 'ztunnel', '--drain'], ['--drain-timeout']],
    [['culvert', 'controller', '--ca-d'], ['--ca-directory']],
    [['culvert', 'completion', 'z'], ['zsh']],
  ] as const)
    it(`of \`${words.join(' ')}\` offers ${some.join(' ')} in bash`, () => {
      const found = offered(...words);
      for (const word of some) assert.ok(found.includes(word), found.join(' '));
    });

  it('offers files where a file is meant', () => {
    assert.deepEqual(offered('culvert', 'policy', 'check', '/etc/os-rel'), ['/etc/os-release']);
  });

  it('is a script that zsh can read', async function () {
    if (spawnSync('zsh', ['--version']).status !== 0) {
      // Not a matter of privileges: the syntax that both shells share was checked above.
      const terminal = recordedTerminal();
      assert.equal(await run(['completion', 'zsh'], terminal), 0);
      assert.match(terminal.out(), /^#compdef culvert\n/);
      return;
    }
    const directory = mkdtempSync(join(tmpdir(), 'culvert-zsh-'));
    const terminal = recordedTerminal();
    await run(['completion', 'zsh'], terminal);
    writeFileSync(join(directory, '_culvert'), terminal.out());
    const checked = spawnSync('zsh', ['-n', join(directory, '_culvert')], { encoding: 'utf8' });
    rmSync(directory, { recursive: true });
    assert.equal(checked.stderr, '');
  });
});
