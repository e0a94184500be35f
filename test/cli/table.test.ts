import assert from 'node:assert/strict';
import fc from 'fast-check';
import { formatTable } from '../../src/cli/table.ts';

describe('a table', () => {
  const columns = [
    { title: 'NAME', value: (row: { name: string; n: number }) => row.name },
    { title: 'N', value: (row: { name: string; n: number }) => String(row.n), align: 'right' as const },
  ];

  it('is as wide as what is in it', () => {
    const lines = formatTable(
      columns,
      [
        { name: 'cart', n: 7 },
        { name: 'frontend', n: 12 },
      ],
      80,
    );

    assert.deepEqual(lines, ['NAME       N', 'cart       7', 'frontend  12']);
  });

  it('cuts the widest column to fit', () => {
    const lines = formatTable(columns, [{ name: 'a-very-long-name-of-a-pod', n: 123_456 }], 20);

    assert.deepEqual(lines, ['NAME               N', 'a-very-long…  123456']);
  });

  it('never lets what comes from elsewhere move the cursor', () => {
    const lines = formatTable(columns, [{ name: 'a\u001b[2Jb\n', n: 1 }], 80);

    assert.equal(lines[1], 'a?[2Jb?  1');
  });

  it('adds colour without counting it', () => {
    const painted = [
      { ...columns[0], title: 'NAME', value: () => 'x', paint: (text: string) => `<${text}>` },
    ];

    assert.deepEqual(formatTable(painted, [{}], 80), ['NAME', '<x   >']);
  });

  it('never has a line that is longer than the terminal is wide', () => {
    const rows = fc.array(fc.record({ name: fc.string(), n: fc.nat() }), { maxLength: 5 });
    fc.assert(
      fc.property(rows, fc.integer({ min: 20, max: 120 }), (some, width) => {
        for (const line of formatTable(columns, some, width)) assert.ok(line.length <= width, line);
      }),
    );
  });
});
