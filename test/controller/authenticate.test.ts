import assert from 'node:assert/strict';
import { mkdtemp, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { inspect } from 'node:util';
import fc from 'fast-check';
import { TokenFileAuthenticator, parseTokenFile } from '../../src/controller/authenticate.ts';
import { CaError } from '../../src/controller/ca/errors.ts';
import { silentLogger } from '../../src/runtime/logger.ts';
import { anyText, brokenText, check, propertyTimeoutMs, thrownBy } from '../support/properties.ts';

describe('callers by token file', () => {
  let directory: string;
  let path: string;
  let authenticator: TokenFileAuthenticator;
  const replace = async (text: string): Promise<void> => {
    await writeFile(`${path}.new`, text, { mode: 0o600 });
    await rename(`${path}.new`, path);
  };

  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), 'culvert-tokens-'));
    path = join(directory, 'tokens');
    authenticator = new TokenFileAuthenticator({ path, logger: silentLogger });
  });
  afterEach(() => rm(directory, { recursive: true }));

  it('are known by lines, with or without a node', async () => {
    await replace('# nodes\ntoken-one,culvert-system,ztunnel,node1\n\ntoken-two, shop , waypoint\n');

    assert.deepEqual(await authenticator.authenticate('token-one'), {
      namespace: 'culvert-system',
      serviceAccount: 'ztunnel',
      node: 'node1',
      name: 'culvert-system/ztunnel@node1',
    });
    assert.equal((await authenticator.authenticate('token-two'))?.node, undefined);
    assert.equal(await authenticator.authenticate('token-on'), undefined);
    assert.equal(await authenticator.authenticate(''), undefined);
  });

  it('are known by JSON', async () => {
    await replace(JSON.stringify([{ token: 'token-one', namespace: 'a', serviceAccount: 'b', node: 'n' }]));

    assert.equal((await authenticator.authenticate('token-one'))?.name, 'a/b@n');
  });

  it('change with the file', async () => {
    await replace('token-one,a,b,n\n');
    await authenticator.authenticate('token-one');

    await replace('token-new,a,b,n\n');

    assert.equal(await authenticator.authenticate('token-one'), undefined);
    assert.equal((await authenticator.authenticate('token-new'))?.name, 'a/b@n');
  });

  it('stay as they were when the file is broken, and are nobody when it is gone', async () => {
    await replace('token-one,a,b,n\n');
    await authenticator.authenticate('token-one');

    await replace('broken');
    assert.equal((await authenticator.authenticate('token-one'))?.name, 'a/b@n');

    await rm(path);
    await assert.rejects(authenticator.authenticate('token-one'));
  });

  for (const [what, text, message] of [
    ['a line with too few fields', 'token-one,a\n', /line 1/],
    ['a line with too many', '# x\ntoken-one,a,b,c,d\n', /line 2/],
    ['a token that is too short', 'short,a,b\n', /token/],
    ['JSON with a wrong type', '[{"token": 5}]', /token/],
    [
      'JSON with an unknown field',
      '[{"token":"token-one","namespace":"a","serviceAccount":"b","nod":"x"}]',
      /nod/,
    ],
    ['half-written JSON', '[{"token"', /JSON/],
  ] as const)
    it(`are refused altogether at start by ${what}`, async () => {
      await replace(text);

      await assert.rejects(authenticator.authenticate('token-one'), {
        code: 'ERR_CULVERT_CA_FILES',
        message,
      });
    });

  it('are read behind a byte order mark', () => {
    const entry = { token: 'token-one', namespace: 'a', serviceAccount: 'b' };

    assert.equal(parseTokenFile(`\ufeff${JSON.stringify([entry])}`).length, 1);
    assert.equal(parseTokenFile('\ufefftoken-one,a,b\n').length, 1);
  });

  for (const text of [
    '[{"token": secret-token-1234567}]',
    '[{"token": "secret-token-1234567" "namespace": "a"}]',
    '[{"secret-token-1234567": "a"}]',
    '[["secret-token-1234567"]]',
    'secret-token-1234567',
    'secret-token-1234567,a,b,c,d',
    '["secret-token-1234567',
  ])
    it(`that cannot be read are no reason to tell a token: ${text}`, () => {
      const error = thrownBy(() => parseTokenFile(text));

      assert.ok(error instanceof CaError);
      assert.doesNotMatch(inspect(error, { depth: null }), /secret/);
    });

  it('are read as they were written, in both forms, or refused without a word of what is in the file', () => {
    const name = fc.stringMatching(/^[a-z0-9-]{1,20}$/);
    const entry = fc.record(
      {
        token: fc.stringMatching(/^SECRET[A-Za-z0-9]{8,30}$/),
        namespace: name,
        serviceAccount: name,
        node: name,
      },
      { requiredKeys: ['token', 'namespace', 'serviceAccount'], noNullPrototype: true },
    );
    const entries = fc.array(entry, { maxLength: 4 });
    const linesOf = (each: readonly object[]): string =>
      each.map((fields) => `${Object.values(fields).join(',')}\n`).join('');
    check(
      fc.property(entries, (each) => {
        const callers = each.map(({ namespace, serviceAccount, node }) => [namespace, serviceAccount, node]);
        for (const text of [JSON.stringify(each), linesOf(each)])
          assert.deepEqual(
            parseTokenFile(text).map(({ caller }) => [caller.namespace, caller.serviceAccount, caller.node]),
            callers,
          );
      }),
    );
    const written = entries.map((each) => (each.length % 2 === 0 ? JSON.stringify(each) : linesOf(each)));
    check(
      fc.property(fc.oneof(brokenText(written), anyText), (text) => {
        const error = thrownBy(() => parseTokenFile(text));
        if (error === undefined) return;
        assert.ok(error instanceof CaError, String(error));
        assert.doesNotMatch(inspect(error, { depth: null }), /SECRET/);
      }),
      500,
    );
  }).timeout(propertyTimeoutMs());
});
