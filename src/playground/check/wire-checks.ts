// A packet capture between the nodes, taken from before the first program started, is the witness.
import type { Wiretap } from '../wiretap.ts';
import type { Check } from './checklist.ts';
import { expect } from './expect.ts';
import { readCapture } from './packets.ts';
import type { Scenario } from './scenario.ts';
import { claimTunnels, reportWire } from './wire.ts';

const tunnelPort = 15_008;

/** The claims about everything that was captured so far; the tap ends with them. */
export function wireChecks(scenario: Scenario, tap: Wiretap): readonly Check[] {
  return [
    {
      title: 'between nodes: TLS on port 15008 only',
      run: async () => {
        const packets = readCapture(await tap.stop());
        expect(packets.damaged === 0, `${packets.damaged} packets of the capture are not whole`);
        const report = reportWire(packets, scenario.marker);
        const claims = claimTunnels(report, members(scenario), { tunnelPort, whole: true });
        expect(claims.faults.length === 0, claims.faults.slice(0, 5).join('\n'));
        expect(claims.tlsRecords > 100, `only ${claims.tlsRecords} TLS records were captured`);
        // The witness can see: the same text did cross in plain TCP, to the pod outside the mesh.
        const seen = report.streams.some((stream) => stream.marked);
        expect(seen, 'the capture does not even show the marker where plain TCP carries it');
        const megabytes = (claims.bytes / 1e6).toFixed(0);
        return `${claims.tlsRecords} records, ${megabytes} MB, ${claims.streams} streams`;
      },
    },
  ];
}

/** For moments of failure: streams may have begun earlier, but none may leave the tunnel port or show the marker. */
export async function expectNoPlaintext(scenario: Scenario, tap: Wiretap): Promise<string> {
  const packets = readCapture(await tap.stop());
  const report = reportWire(packets, scenario.marker);
  const claims = claimTunnels(report, members(scenario), { tunnelPort, whole: false });
  expect(claims.faults.length === 0, claims.faults.slice(0, 5).join('\n'));
  return `${packets.tcp.length} packets, none plain`;
}

function members({ mesh }: Scenario): ReadonlySet<string> {
  return new Set(mesh.shop.pods.filter((pod) => pod.enrolled).flatMap((pod) => pod.addresses));
}
