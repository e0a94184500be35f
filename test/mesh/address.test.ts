import assert from 'node:assert/strict';
import { isIP } from 'node:net';
import fc from 'fast-check';
import ipaddr from 'ipaddr.js';
import {
  cidr,
  cidrContains,
  formatSocketAddress,
  ip,
  ipFromBytes,
  ipToBytes,
  parseCidr,
  parseIp,
  parseSocketAddress,
} from '../../src/mesh/address.ts';
import { anyText, brokenText, check } from '../support/properties.ts';

const octets = (length: number): fc.Arbitrary<Uint8Array> =>
  fc.uint8Array({ minLength: length, maxLength: length });
const anyIp = fc.oneof(octets(4), octets(16)).map((bytes) => {
  const address = ipFromBytes(bytes);
  assert.ok(address !== undefined);
  return address;
});

describe('an IP address', () => {
  for (const [text, canonical] of [
    ['10.0.0.1', '10.0.0.1'],
    ['FD00:0:0::1', 'fd00::1'],
    ['::ffff:10.0.0.1', '10.0.0.1'],
    ['::FFFF:0a00:0001', '10.0.0.1'],
    ['::', '::'],
    // Not IPv4-mapped: these have nothing to do with 1.2.3.4.
    ['::1.2.3.4', '::102:304'],
    ['64:ff9b::1.2.3.4', '64:ff9b::102:304'],
  ] as const) {
    it(`${text} is ${canonical}`, () => assert.equal(parseIp(text), canonical));
  }

  for (const text of [
    '',
    '10.0.0',
    '10.0.0.256',
    '010.0.0.1',
    '1',
    '0x0a000001',
    'fe80::1%eth0',
    ':::',
    'a.b.c.d',
    '1.2.3.4.',
    // Octal or decimal? Readers differ, so neither.
    '::ffff:010.0.0.1',
    '::ffff:0x0a.0.0.1',
    `${'0'.repeat(100_000)}::1`,
    `${'1:'.repeat(100_000)}1`,
  ]) {
    it(`"${text.slice(0, 40)}" is none`, () => assert.equal(parseIp(text), undefined));
  }

  it('survives bytes and back', () => {
    fc.assert(fc.property(anyIp, (address) => ipFromBytes(ipToBytes(address)) === address));
  });

  it('survives text and back', () => {
    fc.assert(fc.property(anyIp, (address) => parseIp(address) === address));
  });

  it('reads and writes as ipaddr.js does', () => {
    const groups = fc.array(fc.constantFrom(0, 0, 0, 1, 0xfd00, 0xffff), { minLength: 8, maxLength: 8 });
    const sparse = groups.map((some) => Uint8Array.from(some.flatMap((group) => [group >> 8, group & 0xff])));
    fc.assert(
      fc.property(fc.oneof(octets(4), octets(16), sparse), (bytes) => {
        const address = ipFromBytes(bytes) ?? assert.fail();
        const theirs = ipaddr.process(ipaddr.fromByteArray([...bytes]).toString());

        assert.equal(address, theirs.toString());
        assert.deepEqual([...ipToBytes(address)], theirs.toByteArray());
      }),
    );
  });

  it('of IPv4 is read from exactly the texts that ipaddr.js takes for four decimal numbers', () => {
    const part = fc.oneof(fc.nat(300).map(String), fc.constantFrom('', '01', '00', '0x1', ' 1', '1e1', '-1'));
    const text = fc.array(part, { minLength: 3, maxLength: 5 }).map((parts) => parts.join('.'));
    fc.assert(
      fc.property(text, (some) => {
        assert.equal(parseIp(some), ipaddr.IPv4.isValidFourPartDecimal(some) ? some : undefined);
      }),
    );
  });

  it('is one to this reader exactly if it is one to the system’s, and canonical afterwards', () => {
    const written = fc.oneof(anyIp, fc.ipV4(), fc.ipV6(), fc.ipV4Extended());
    check(
      fc.property(fc.oneof(written, anyText, brokenText(written)), (text) => {
        const address = parseIp(text);
        assert.equal(address !== undefined, isIP(text) !== 0 && !text.includes('%'));
        if (address !== undefined) assert.equal(ipFromBytes(ipToBytes(address)), address);
      }),
      1_000,
    );
  });

  it('of 5 bytes is none', () => assert.equal(ipFromBytes(new Uint8Array(5)), undefined));
});

describe('a CIDR block', () => {
  it('clears its host bits', () =>
    assert.deepEqual(parseCidr('10.1.2.3/8'), { address: '10.0.0.0', length: 8 }));
  it('may be a bare address', () =>
    assert.deepEqual(parseCidr('fd00::1'), { address: 'fd00::1', length: 128 }));

  for (const text of [
    '10.0.0.0/33',
    '::/129',
    '10.0.0.0/',
    '10.0.0.0/a',
    '/8',
    '10.0.0.0/-1',
    '10.0.0.0/8/8',
  ]) {
    it(`"${text}" is none`, () => assert.equal(parseCidr(text), undefined));
  }

  it('holds the address it was made from, at any length', () => {
    fc.assert(
      fc.property(anyIp, fc.nat(128), (address, length) => {
        const bits = address.includes(':') ? 128 : 32;
        return cidrContains(cidr(address, Math.min(length, bits)), address);
      }),
    );
  });

  it('is read or not, and read back as it was written', () => {
    const written = fc.tuple(anyIp, fc.nat(130)).map(([address, length]) => `${address}/${length}`);
    check(
      fc.property(fc.oneof(written, anyText, brokenText(written)), (text) => {
        const block = parseCidr(text);
        if (block !== undefined) assert.deepEqual(parseCidr(`${block.address}/${block.length}`), block);
      }),
      500,
    );
  });

  it('of one family holds no address of the other', () => {
    assert.equal(cidrContains({ address: ip('0.0.0.0'), length: 0 }, ip('::1')), false);
    assert.equal(cidrContains({ address: ip('::'), length: 0 }, ip('10.0.0.1')), false);
  });

  it('ends where its bits end', () => {
    const block = parseCidr('10.244.128.0/17');
    assert.ok(block !== undefined);

    assert.equal(cidrContains(block, ip('10.244.255.255')), true);
    assert.equal(cidrContains(block, ip('10.244.127.255')), false);
  });
});

describe('a socket address', () => {
  it('survives text and back', () => {
    fc.assert(
      fc.property(anyIp, fc.integer({ min: 1, max: 65535 }), (address, port) => {
        const parsed = parseSocketAddress(formatSocketAddress({ ip: address, port }));
        return parsed?.ip === address && parsed.port === port;
      }),
    );
  });

  it('is read or not, and what is read is written as one', () => {
    const written = fc.tuple(anyIp, fc.nat(70_000)).map(([ip, port]) => formatSocketAddress({ ip, port }));
    check(
      fc.property(fc.oneof(written, anyText, brokenText(written)), (text) => {
        const address = parseSocketAddress(text);
        if (address !== undefined)
          assert.deepEqual(parseSocketAddress(formatSocketAddress(address)), address);
      }),
      500,
    );
  });

  for (const text of [
    '10.0.0.1',
    '10.0.0.1:0',
    '10.0.0.1:65536',
    'fd00::1:80',
    'cart:80',
    'u@10.0.0.1:80',
    '[10.0.0.1:80',
    ' 10.0.0.1:80',
    '10.0.0.1:80 ',
  ]) {
    it(`"${text}" is none`, () => assert.equal(parseSocketAddress(text), undefined));
  }
});
