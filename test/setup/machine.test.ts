import assert from 'node:assert/strict';
import { machineFaults } from '../../setup/machine.js';

describe('set-up on a machine', () => {
  const fit = {
    node: '18.0.0',
    platform: 'linux',
    arch: 'x64',
    uid: 0,
    kernel: '6.1.0-13-amd64',
    hasBpf: true,
    hasBtf: true,
    capabilities: (1n << 41n) - 1n,
  };

  it('that has everything finds nothing', () => {
    assert.deepEqual(machineFaults(fit), []);
    assert.deepEqual(machineFaults({ ...fit, kernel: '5.17.0' }), []);
  });

  for (const [situation, change, words] of [
    ['with an old Node', { node: '16.20.2' }, /Node 16\.20\.2 is too old.*18/],
    ['not Linux', { platform: 'darwin' }, /Linux is needed.*VM/],
    ['not root', { uid: 1000 }, /root is needed.*sudo/],
    ['with an old kernel', { kernel: '5.10.0-26-amd64' }, /kernel is 5\.10\.0.*5\.17 is needed: upgrade/],
    ['with a very old kernel', { kernel: '4.19.0' }, /5\.17 is needed/],
    ['without eBPF', { hasBpf: false }, /CONFIG_BPF_SYSCALL/],
    ['without BTF', { hasBtf: false }, /CONFIG_DEBUG_INFO_BTF/],
    [
      'in a container without privileges',
      { capabilities: 0xa80425fbn },
      /CAP_NET_ADMIN and CAP_SYS_ADMIN.*--privileged/,
    ],
    ['of another processor', { arch: 'ia32' }, /x64 and arm64/],
  ] as const)
    it(`${situation} says in one line what is missing and how to get it`, () => {
      const faults = machineFaults({ ...fit, ...change });
      assert.equal(faults.length, 1);
      assert.match(faults[0] ?? '', words);
    });
});
