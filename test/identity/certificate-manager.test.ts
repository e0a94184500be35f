import assert from 'node:assert/strict';
import { once } from 'node:events';
import type { CertificateManagerOptions, IssuedCertificate } from '../../src/identity/certificate-manager.ts';
import { CertificateManager } from '../../src/identity/certificate-manager.ts';
import { readSigningRequest } from '../../src/identity/csr.ts';
import { issueLeaf } from '../../src/identity/issue.ts';
import { silentLogger } from '../../src/runtime/logger.ts';
import { TestAuthority } from '../support/certificates.ts';
import { FakeClock } from '../support/fake-clock.ts';

const hourMs = 3_600_000;
const identity = (name: string): string => `spiffe://cluster.local/ns/shop/sa/${name}`;
const cart = identity('cart');

/** A certificate service whose answers a test can hold back, and break. */
class Service {
  readonly clock = new FakeClock();
  readonly asked: string[] = [];
  broken = false;
  underWay = 0;
  underWayMax = 0;
  #held: (() => void)[] | undefined;
  readonly #authority: TestAuthority;

  constructor(authority: TestAuthority) {
    this.#authority = authority;
  }

  hold(): void {
    this.#held = [];
  }

  release(): void {
    const held = this.#held ?? [];
    this.#held = undefined;
    held.forEach((answer) => answer());
  }

  readonly requestCertificate: CertificateManagerOptions['requestCertificate'] = async (name, csr) => {
    this.asked.push(name);
    this.underWay += 1;
    this.underWayMax = Math.max(this.underWayMax, this.underWay);
    const held = this.#held;
    if (held !== undefined) await new Promise<void>((resolve) => held.push(resolve));
    this.underWay -= 1;
    if (this.broken) throw new Error('connection refused');
    const now = this.clock.now();
    const { publicKey, names } = readSigningRequest(csr);
    const leaf = { publicKey, names, notBeforeMs: now - 900_000, notAfterMs: now + 24 * hourMs };
    return [issueLeaf(leaf, this.#authority.issuer), this.#authority.rootPem];
  };
}

/** Lets promises and key generation proceed until the condition holds. */
async function until(condition: () => boolean): Promise<void> {
  const deadline = Date.now() + 10_000;
  while (!condition()) {
    assert.ok(Date.now() < deadline, 'the condition never held');
    await new Promise((resolve) => setImmediate(resolve));
  }
}

describe('a certificate manager', () => {
  let service: Service;
  let manager: CertificateManager;
  const start = (options: Partial<CertificateManagerOptions> = {}): void => {
    const { clock, requestCertificate } = service;
    manager = new CertificateManager({
      clock,
      requestCertificate,
      logger: silentLogger,
      random: () => 0.5,
      ...options,
    });
  };

  beforeEach(async () => {
    service = new Service(await TestAuthority.create({ nowMs: 1_700_000_000_000 }));
    start();
  });
  afterEach(() => manager.close());

  it('fetches a certificate for exactly the identity that is needed', async () => {
    const certificate = await manager.fetch(cart);

    assert.equal(certificate.identity, cart);
    assert.equal(manager.current(cart), certificate);
    assert.match(certificate.privateKey, /BEGIN PRIVATE KEY/);
    assert.match(certificate.roots, /BEGIN CERTIFICATE/);
  });

  it('asks once however many wait', async () => {
    const certificates = await Promise.all(Array.from({ length: 20 }, () => manager.fetch(cart)));

    assert.equal(new Set(certificates).size, 1);
    assert.deepEqual(service.asked, [cart]);
  });

  it('renews at half life and says so, with a new key', async () => {
    const first = await manager.fetch(cart);
    const renewed = once(manager, 'renewed') as Promise<[IssuedCertificate]>;

    service.clock.advance(12 * hourMs);
    const [second] = await renewed;

    assert.equal(service.asked.length, 2);
    assert.notEqual(second.serial, first.serial);
    assert.notEqual(second.privateKey, first.privateKey);
    assert.equal(manager.current(cart), second);
  });

  /** Lets the manager notice that the clock was set. */
  const settle = (): void => service.clock.advance(5000);

  it('renews at once when the clock jumps over half of its life, and over its end', async () => {
    for (const hours of [13, 72]) {
      const before = await manager.fetch(cart);
      const renewed = once(manager, 'renewed') as Promise<[IssuedCertificate]>;

      service.clock.jump(hours * hourMs);
      assert.equal(manager.current(cart) === undefined, hours > 24, 'judged by the clock as it is');
      settle();
      const [after] = await renewed;

      assert.notEqual(after.serial, before.serial);
      assert.equal(manager.current(cart), after);
    }
  });

  it('asks for another when the clock is set back to before its start, and serves the old one until then', async () => {
    const before = await manager.fetch(cart);
    service.broken = true;
    const failed = once(manager, 'failed');

    service.clock.jump(-365 * 24 * hourMs);
    settle();
    await failed;
    assert.equal(manager.current(cart), before);

    service.broken = false;
    const renewed = once(manager, 'renewed') as Promise<[IssuedCertificate]>;
    service.clock.advance(2000);
    const [after] = await renewed;
    assert.ok(after.notBeforeMs <= service.clock.now() && after.notAfterMs > service.clock.now());
  });

  it('is as before when the clock goes forward without a controller and comes back', async () => {
    const certificate = await manager.fetch(cart);
    service.broken = true;
    const failed = once(manager, 'failed');

    service.clock.jump(72 * hourMs);
    settle();
    await failed;
    assert.equal(manager.current(cart), undefined);

    service.clock.jump(-72 * hourMs);
    assert.equal(manager.current(cart), certificate);
    service.broken = false;
    const renewed = once(manager, 'renewed');
    settle();
    await renewed;
  });

  it('keeps its dates when the clock is set by a little', async () => {
    await manager.fetch(cart);

    service.clock.jump(-hourMs);
    settle();
    service.clock.advance(12 * hourMs);
    assert.equal(service.asked.length, 1);
    const renewed = once(manager, 'renewed');
    service.clock.advance(hourMs);
    await renewed;
  });

  it('serves the old certificate while renewal fails, backs off up to the cap, and recovers', async () => {
    const first = await manager.fetch(cart);
    let failures = 0;
    let retryMs = 0;
    manager.on('failed', (failure) => {
      failures += 1;
      retryMs = failure.retryAtMs - service.clock.now();
    });
    service.broken = true;

    service.clock.advance(12 * hourMs);
    for (let attempt = 1; attempt <= 12; attempt += 1) {
      await until(() => failures === attempt);
      assert.ok(retryMs <= 150_000);
      assert.equal(manager.current(cart), first);
      if (attempt < 12) service.clock.advance(retryMs);
    }
    assert.ok(retryMs >= 75_000, 'the delay has grown');
    service.broken = false;
    service.clock.advance(retryMs);
    await until(() => manager.current(cart) !== first);

    assert.equal(manager.list()[0]?.lastError, undefined);
  });

  it('has no certificate any more once it has expired, and says so', async () => {
    await manager.fetch(cart);
    let expired = '';
    manager.on('expired', (name) => (expired = name));
    service.broken = true;

    service.clock.advance(24 * hourMs);

    assert.equal(expired, cart);
    assert.equal(manager.current(cart), undefined);
  });

  it('fails at once for whoever asks while it backs off', async () => {
    service.broken = true;

    await assert.rejects(manager.fetch(cart), /connection refused/);
    await assert.rejects(manager.fetch(cart), { code: 'ERR_CULVERT_CERTIFICATE_FETCH' });

    assert.equal(service.asked.length, 1);
  });

  it('never has more requests under way than its concurrency, and takes the urgent first', async () => {
    start({ concurrency: 2 });
    service.hold();

    for (const name of ['a', 'b', 'c', 'd']) manager.need(identity(name), 'background');
    manager.need(identity('e'), 'warmup');
    const urgent = manager.fetch(identity('d'));
    await until(() => service.asked.length === 2);
    service.release();
    await urgent;
    await until(() => manager.list().every((entry) => entry.state === 'resting'));

    assert.equal(service.underWayMax, 2);
    const rounds = [service.asked.slice(0, 2), service.asked.slice(2, 4), service.asked.slice(4)];
    assert.deepEqual(
      rounds.map((round) => round.toSorted()),
      [['a', 'b'], ['d', 'e'], ['c']].map((round) => round.map(identity)),
    );
  });

  it('forgets an identity while its request is under way', async () => {
    service.hold();
    const fetched = manager.fetch(cart);
    await until(() => service.asked.length === 1);

    manager.forget(cart);
    service.release();

    await assert.rejects(fetched, /not wanted any more/);
    assert.deepEqual(manager.list(), []);
    assert.equal(manager.current(cart), undefined);
  });

  it('gives up a request that is never answered, and tries again', async () => {
    service.hold();
    const fetched = manager.fetch(cart);
    await until(() => service.asked.length === 1);

    service.clock.advance(10_000);

    await assert.rejects(fetched, /did not answer in time/);
    assert.equal(manager.list()[0]?.state, 'failed');
  });

  it('refuses identities above its bound', () => {
    start({ identitiesMax: 1 });
    manager.need(cart, 'background');

    assert.throws(() => manager.need(identity('web'), 'background'), {
      code: 'ERR_CULVERT_CERTIFICATE_LIMIT',
    });
  });

  it('leaves no timer behind when it is closed', async () => {
    await manager.fetch(cart);

    manager.close();

    assert.equal(service.clock.pending, 0);
  });

  const foreign: [
    string,
    (good: readonly string[], authority: TestAuthority) => Promise<readonly string[]>,
  ][] = [
    [
      'of another identity',
      async (_, authority) => [(await authority.issue(identity('web'))).certificatePem, authority.rootPem],
    ],
    [
      'for another key',
      async (_, authority) => [(await authority.issue(cart)).certificatePem, authority.rootPem],
    ],
    [
      'of a root that did not sign it',
      async (good) => [good[0] ?? '', (await TestAuthority.create()).rootPem],
    ],
    ['without a root', (good) => Promise.resolve(good.slice(0, 1))],
    ['that is no certificate', () => Promise.resolve(['junk', 'junk'])],
  ];
  for (const [what, answer] of foreign) {
    it(`refuses an answer ${what}`, async () => {
      const authority = await TestAuthority.create({ nowMs: service.clock.now() });
      const requestCertificate: CertificateManagerOptions['requestCertificate'] = async (name, csr, signal) =>
        answer(await service.requestCertificate(name, csr, signal), authority);
      start({ requestCertificate });

      await assert.rejects(manager.fetch(cart));

      assert.equal(manager.current(cart), undefined);
    });
  }
});
