// The table: everything that the suite does to the engine.
import type { Attack } from './attack.ts';
import { certificateAttacks } from './attacks/certificates.ts';
import { connectionAttacks } from './attacks/connections.ts';
import { holdingAttacks } from './attacks/holding.ts';
import { http2Attacks } from './attacks/http2.ts';
import { requestAttacks } from './attacks/requests.ts';
import { serverAttacks } from './attacks/servers.ts';
import { recordAttacks } from './attacks/tls-records.ts';

export const attacks: readonly Attack[] = [
  ...connectionAttacks,
  ...certificateAttacks,
  ...recordAttacks,
  ...http2Attacks,
  ...requestAttacks,
  ...holdingAttacks,
  ...serverAttacks,
];
