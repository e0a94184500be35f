// What a server has done since it started. Registered as metrics elsewhere.

export interface XdsServerStats {
  /** Open now. */
  streams: number;
  streamsOpened: number;
  /** Refused for a missing or wrong token. */
  refusedCredentials: number;
  /** Refused, or ended, because of a bound. */
  refusedLimit: number;
  requests: number;
  requestsUnknownType: number;
  acks: number;
  nacks: number;
  staleNonces: number;
  pushes: number;
  pushedBytes: number;
  resourcesSent: number;
  removalsSent: number;
  certificatesIssued: number;
  certificatesRefused: number;
}

export function emptyStats(): XdsServerStats {
  return {
    streams: 0,
    streamsOpened: 0,
    refusedCredentials: 0,
    refusedLimit: 0,
    requests: 0,
    requestsUnknownType: 0,
    acks: 0,
    nacks: 0,
    staleNonces: 0,
    pushes: 0,
    pushedBytes: 0,
    resourcesSent: 0,
    removalsSent: 0,
    certificatesIssued: 0,
    certificatesRefused: 0,
  };
}
