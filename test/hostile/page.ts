// docs/hardening.md, made from the table of attacks and the figures of the last recorded run. test/tidy.test.ts checks
// that the page is current:
//   node test/hostile/page.ts     writes it anew
import { writeFileSync } from 'node:fs';
import type { Attack } from './attack.ts';
import { attacks } from './attacks.ts';
import { recordedFigures } from './figures.ts';
import type { Figures } from './figures.ts';

const introduction = `# Hardening

<!-- Made by \`node test/hostile/page.ts\` from test/hostile/. Do not edit. -->

A node proxy is at the end of every connection of every pod of its node: whoever reaches a pod's address reaches it. This
page lists what a hostile peer can try, what stops it, and what it costs. \`npm run test:hostile\` makes every attack below
on the real engine with the node proxy's own decisions, and fails if one is not ended with its reason, is not counted or not
logged, leaves memory behind, or is noticed by the well-behaved neighbour who talks through the same process all the while.

What holds for all of them:

- **Memory** for bytes under way is bounded for the node (\`bufferBytes\`, 128 MiB). Once it is spent, tunnels that hold
  64 KiB of it or more are not read and get no new streams; the others go on. At twice the bound everything waits.
- **CPU** is shared by turns: a tunnel gets half a millisecond or one receive of it per turn, all handshakes of a thread
  8 steps together.
- **Refusals** are counted in \`culvert_engine_events_total{event}\` by the name in the tables, those of bounds in
  \`culvert_overload_total{queue}\` too. A tunnel's end is in \`culvert_tunnels_closed_total\` or \`culvert_tunnels_failed_total\`
  by its reason.
- **Log**: one line per peer and reason in 10 s, and of peers without a certificate no more than 16 such lines in 10 s. Bounds
  have one line per bound in 10 s. The access log has one line per connection, as always (\`accessLog\`).
- **Limits** that depend on the size of a mesh are [settings](settings.md); those that no honest peer comes near are
  constants of the engine.

Time-outs are shorter in the run than their defaults, and \`bufferBytes\` is 16 MiB; everything else is as installed.
Addresses of one IPv6 /64 count as one where handshakes make room for others, and may hold 1024 tunnels. The kernel's own
queue takes 4096 connections per listener, as far as \`net.core.somaxconn\` lets it, and answers with SYN cookies beyond.
`;

const heads: Readonly<Record<Attack['group'], string>> = {
  'before TLS': 'Before anything is proven',
  certificates: 'Certificates of clients',
  'TLS records': 'TLS records of clients',
  'HTTP/2': 'HTTP/2 frames of clients',
  requests: 'Requests',
  'hostile servers': 'Servers that we dial',
};

const legend = `
Memory is what the process took on top while it lasted, in MB; CPU is of the engine's threads, in cores while it lasted (an
attack of a few milliseconds shows little). The neighbour's figures are round trips of 64 bytes through two tunnel ends,
before and during, in ms: on a machine that runs the attacker, the attacked and the neighbour on the same cores.
`;

const control = `
## The control channel

The controller's port takes configuration and certificate requests over TLS; clients prove themselves by a token.
test/xds/strangers.test.ts and the tests beside it show what that allows to those who have none, and to those who have one.

| attack | limit |
| --- | --- |
| connects and says nothing, or half a ClientHello | closed after 10 s |
| connects by the thousand | 8192 connections, 1024 of one address; more are reset when accepted and counted |
| shakes hands and asks for nothing | closed after 5 min without a call |
| plain text, TLS 1.2 | closed: TLS 1.3 alone |
| calls without a token, or with a wrong one | refused before a message is read, counted; one log line in 10 s |
| calls by the thousand | 128 streams per connection; 4096 whose token is being checked, 10 s for each |
| streams by the thousand, with a token | 4096 (\`streamsMax\`), 16 per caller |
| huge messages, with a token | 16 MiB |
| subscribes to everything that could be | 100 000 names per type |
| never acknowledges | the stream ends after 2 min |
| asks for certificates without end | 64 being signed at a time; only identities of pods of the caller's node |
`;

/** The text of docs/hardening.md. */
export function hardeningPage(figures: readonly Figures[] = recordedFigures()): string {
  const byName = new Map(figures.map((one) => [one.name, one]));
  const chapters = (Object.keys(heads) as Attack['group'][]).map((group) => {
    const rows = attacks
      .filter((attack) => attack.group === group)
      .map((attack) => row(attack, byName.get(attack.name)));
    return `\n## ${heads[group]}\n\n| attack | the attacker ... | limit | counted as | ends with | MB | CPU | neighbour p50 | p99 |\n| --- | --- | --- | --- | --- | --- | --- | --- | --- |\n${rows.join('\n')}\n`;
  });
  return `${introduction}${legend}${chapters.join('')}${control}`;
}

function row(attack: Attack, figures: Figures | undefined): string {
  const number = (value: number | undefined, digits: number): string =>
    value === undefined ? '-' : Math.max(0, value).toFixed(digits);
  const change = (key: 'p50Ms' | 'p99Ms'): string =>
    `${number(figures?.quiet[key], 1)} / ${number(figures?.during[key], 1)}`;
  const counted = attack.counter === undefined ? '' : `\`${attack.counter}\``;
  const cells = [attack.name, attack.does, attack.limit, counted, figures?.ended ?? '']
    .concat([
      number(figures?.megabytes.peak, 0),
      number(figures?.engineCores, 2),
      change('p50Ms'),
      change('p99Ms'),
    ])
    .map((cell) => cell.replaceAll('|', '\\|'));
  return `| ${cells.join(' | ')} |`;
}

if (import.meta.main) writeFileSync(new URL('../../docs/hardening.md', import.meta.url), hardeningPage());
