import assert from 'node:assert/strict';
import type { FlowRow } from '../../../src/playground/live/flows.ts';
import { Screen, redraw } from '../../../src/playground/live/screen.ts';
import { formatBytes, renderTable, tableWidth } from '../../../src/playground/live/table.ts';

const row: FlowRow = {
  from: 'frontend',
  to: 'cart:80',
  identity: 'shop/frontend',
  link: 'mTLS',
  connections: 12,
  open: 1,
  bytes: 123_456,
  bytesPerSecond: 2_000,
  outcome: 'allowed',
  quietMs: 0,
};

describe('the table of connections', () => {
  it('fits a terminal of 80 columns whatever the names are', () => {
    const long = 'a-name-that-goes-on-and-on-and-on';
    const rows = [row, { ...row, from: long, to: long, identity: long, outcome: long }];

    for (const line of renderTable(rows, { color: false, rowsMax: 10 }))
      assert.ok(line.length <= tableWidth, line);
  });

  it('shows a flow with its identity, link, bytes, rate and outcome', () => {
    const line = renderTable([row], { color: false, rowsMax: 10 })[1];

    assert.match(line ?? '', /^frontend +cart:80 +shop\/frontend +mTLS +123K +2\.0K\/s allowed$/);
  });

  it('counts the rows that do not fit', () => {
    const lines = renderTable([row, row, row], { color: false, rowsMax: 1 });

    assert.equal(lines.at(-1), '... and 2 more');
  });

  it('colours only when asked to', () => {
    const denied = { ...row, outcome: 'denied by x' };

    assert.ok(!renderTable([denied], { color: false, rowsMax: 1 }).join('').includes('\u001b'));
    assert.ok(renderTable([denied], { color: true, rowsMax: 1 })[1]?.startsWith('\u001b[31m'));
  });

  for (const [bytes, text] of [
    [0, '0'],
    [999, '999'],
    [1000, '1.0K'],
    [9_949, '9.9K'],
    [9_960, '10K'],
    [999_499, '999K'],
    [999_500, '1.0M'],
    [5e9, '5.0G'],
  ] as const)
    it(`writes ${bytes} bytes as ${text}`, () => assert.equal(formatBytes(bytes), text));
});

describe('the screen', () => {
  it('draws over exactly what it drew before', () => {
    assert.equal(redraw(2, ['a']), '\u001b[2A\r\u001b[2Ka\n\u001b[0J');
  });

  it('prints plain blocks at an interval when it is not a terminal', () => {
    let text = '';
    const screen = new Screen({ write: (part) => (text += part) }, { plainIntervalMs: 1000 });

    screen.draw(0, ['one']);
    screen.draw(500, ['two']);
    screen.draw(1000, ['three']);
    screen.close();

    assert.equal(text, 'one\nthree\n');
  });

  it('hides the cursor on a terminal and gives it back', () => {
    let text = '';
    const screen = new Screen({ isTTY: true, write: (part) => (text += part) });

    screen.close();

    assert.equal(text, '\u001b[?25l\u001b[?25h');
  });
});
