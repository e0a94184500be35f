import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import fc from 'fast-check';
import { jsonResponse } from '../../src/runtime/admin-server.ts';
import { createLogger } from '../../src/runtime/logger.ts';
import { redactSecrets } from '../../src/runtime/redact.ts';

const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
const pem = privateKey.export({ type: 'pkcs8', format: 'pem' }).toString();
const der = privateKey.export({ type: 'pkcs8', format: 'der' });
const body = pem.split('\n')[1] ?? '';
const jwt = `${Buffer.from('{"alg":"RS256"}').toString('base64url')}.${Buffer.from('{"sub":"system:serviceaccount:a:b"}').toString('base64url')}.c2lnbmF0dXJl`;

/** What is logged by mistake, and what of it must not appear. */
const mistakes: Readonly<Record<string, readonly [fields: object, secret: string]>> = {
  'an identity with its key': [{ identity: { name: 'a', privateKey: pem } }, body],
  'a key in the middle of a message': [{ error: new Error(`bad input: ${pem} at line 3`).message }, body],
  'a key in a stack': [{ stack: new Error(pem).stack }, body],
  'a key that is cut off': [{ error: pem.slice(0, 120) }, body.slice(0, 60)],
  'the bytes of a key': [{ der }, JSON.stringify([...der]).slice(1, 40)],
  'an encrypted key': [{ text: pem.replaceAll('PRIVATE', 'ENCRYPTED PRIVATE') }, body],
  'a token': [{ answer: `token ${jwt} was refused` }, jwt],
  headers: [{ headers: { authorization: 'Bearer abcdefghijkl' } }, 'abcdefghijkl'],
  'a header in a message': [{ error: 'sent Bearer abcdefghijkl and got 401' }, 'abcdefghijkl'],
  'an entry of the token file': [{ entry: { token: 'not a "JWT" at all', node: 'node1' } }, 'JWT'],
};

describe('what is logged by mistake', () => {
  for (const format of ['json', 'text'] as const)
    for (const [name, [fields, secret]] of Object.entries(mistakes))
      it(`${name} does not get out (${format})`, () => {
        const lines: string[] = [];
        const logger = createLogger({ level: 'debug', format, write: (line) => void lines.push(line) });

        logger.debug('went wrong', { before: 1, ...fields, after: 2 });

        const text = lines.join('');
        assert.ok(!text.includes(secret), text);
        assert.match(text, /before.{1,3}1/);
        assert.match(text, /after.{1,3}2/, 'the rest of the line is there');
      });

  it('nor does it from the admin endpoint', () => {
    for (const [fields, secret] of Object.values(mistakes)) {
      const { body: text } = jsonResponse(fields);
      assert.ok(!text.includes(secret), text);
      JSON.parse(text);
    }
  });
});

describe('what is no secret', () => {
  it('stays as it is: certificates, paths of token files, names', () => {
    const text = JSON.stringify({
      certificate: pem.replaceAll('PRIVATE KEY', 'CERTIFICATE'),
      tokenFile: '/var/run/secrets/tokens/culvert-token',
      token: null,
      secretName: 'cacerts',
      identity: 'spiffe://cluster.local/ns/shop/sa/bearer-of-tokens',
    });

    assert.equal(redactSecrets(text), text);
  });

  it('leaves JSON that can be read, whatever it holds', () => {
    fc.assert(
      fc.property(fc.jsonValue(), fc.constantFrom(pem, jwt, 'Bearer abcdefghijkl', ''), (value, secret) => {
        const text = JSON.stringify({ token: value, value, text: `x${secret}"`, key_pem: secret });
        JSON.parse(redactSecrets(text));
      }),
    );
  });
});
