// docs/settings.md, made from the tables that the processes read. A test checks that the page is current:
//   node src/cli/settings-page.ts     writes it anew
import { writeFileSync } from 'node:fs';
import { flagOf, variableOf } from '../runtime/settings.ts';
import type { SettingsTable } from '../runtime/settings.ts';
import { processTables } from './settings-options.ts';

const introduction = `# Settings

<!-- Made by \`node src/cli/settings-page.ts\` from the tables in src/*/settings.ts. Do not edit. -->

Every setting has one name, in three spellings. Where several are given, the flag wins over the environment variable,
and that over the file:

| where | spelling of \`drainTimeout\` |
| --- | --- |
| flag | \`--drain-timeout 30s\` |
| environment variable | \`CULVERT_DRAIN_TIMEOUT=30s\` |
| file given by \`--config\` or \`CULVERT_CONFIG\` (YAML) | \`drainTimeout: 30s\` |

A name that is none is an error that suggests the nearest one; a value of the wrong type is an error that names where it
came from. \`/config_dump\` shows the values in force and where each came from.
`;

/** The text of docs/settings.md. */
export function settingsPage(tables: Readonly<Record<string, SettingsTable>> = processTables): string {
  const chapters = Object.entries(tables).map(([name, table]) => `\n## culvert ${name}\n${sections(table)}`);
  return introduction + chapters.join('');
}

function sections(table: SettingsTable): string {
  const groups = Map.groupBy(Object.entries(table), ([, one]) => one.group);
  return [...groups]
    .map(([group, rows]) => {
      const lines = rows.map(([name, one]) => {
        // The default of a host name is the host's: it would differ wherever the page is made.
        const fallback = name === 'node' ? '' : one.format(one.fallback);
        const cells = [
          `\`${flagOf(name)}\``,
          `\`${variableOf(name)}\``,
          fallback === '' ? '' : `\`${fallback}\``,
          one.expectation,
          one.doc,
        ];
        return `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`;
      });
      return `\n### ${group}\n\n| flag | variable | default | is | what for |\n| --- | --- | --- | --- | --- |\n${lines.join('\n')}\n`;
    })
    .join('');
}

if (import.meta.main) writeFileSync(new URL('../../docs/settings.md', import.meta.url), settingsPage());
