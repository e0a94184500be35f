import assert from 'node:assert/strict';
import { parseArguments } from './arguments.ts';

const known = ['roundtrip', 'connect'];

describe('the command line of the bench', () => {
  it('asks everything once nothing is named', () => {
    assert.deepEqual(parseArguments([], known), {
      questions: [],
      rounds: undefined,
      smoke: false,
      save: false,
    });
  });

  it('takes questions, rounds in both notations, and switches', () => {
    const wanted = { questions: ['connect'], rounds: 3, smoke: true, save: true };
    assert.deepEqual(parseArguments(['connect', '--rounds', '3', '--smoke', '--save'], known), wanted);
    assert.deepEqual(parseArguments(['--save', '--rounds=3', 'connect', '--smoke'], known), wanted);
  });

  for (const [args, fault] of [
    [['speed'], 'there is no question speed; there are roundtrip, connect'],
    [['--rounds', '0'], '--rounds takes 1 to 100, not 0'],
    [['--rounds'], '--rounds takes 1 to 100, not undefined'],
    [['--fast'], 'there is no option --fast: npm run bench -- [question...] [--rounds N] [--save] [--smoke]'],
  ] as const)
    it(`refuses ${args.join(' ')}`, () => {
      assert.equal(parseArguments(args, known), fault);
    });
});
