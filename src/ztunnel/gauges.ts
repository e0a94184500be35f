// Values that are read at each scrape instead of being counted.
import { readDescriptors } from '../runtime/descriptors.ts';
import type { Metrics } from '../runtime/metrics.ts';
import type { TunnelMetrics } from './tunnel-metrics.ts';
import type { Ztunnel } from './ztunnel.ts';

/** Returns the function that ends it. */
export function registerGauges(metrics: Metrics, ztunnel: Ztunnel, tunnels: TunnelMetrics): () => void {
  const sockets = metrics
    .gauge({ name: 'istio_tcp_sockets_open', help: 'Connections that are open.' })
    .child({});
  const queues = metrics.gauge({
    name: 'culvert_queue_length',
    help: 'Fill of each bounded queue or table.',
    labels: ['queue'],
  });
  const limits = metrics.gauge({
    name: 'culvert_queue_limit',
    help: 'Bound of each queue or table.',
    labels: ['queue'],
  });
  const openTunnels = metrics.gauge({
    name: 'culvert_tunnels_open',
    help: 'HBONE tunnels that are up.',
    labels: ['direction'],
  });
  const pods = metrics.gauge({
    name: 'culvert_pods',
    help: 'Pods of this node, by what has become of them.',
    labels: ['phase'],
  });
  const mended = metrics
    .gauge({ name: 'culvert_capture_mended', help: 'Audits that found capture amiss, since the start.' })
    .child({});
  const captured = metrics.counter({
    name: 'culvert_capture_connections_total',
    help: 'New connections of captured pods, by what capture did with them.',
    labels: ['outcome'],
  });
  const guarded = metrics.counter({
    name: 'culvert_capture_guard_packets_total',
    help: 'TCP packets without the mark of ztunnel that the egress guard saw, by what it did with them.',
    labels: ['outcome'],
  });
  const older = metrics
    .gauge({
      name: 'culvert_capture_older_connections',
      help: 'Open connections that are older than the capture of their pod.',
    })
    .child({});
  const connected = metrics
    .gauge({ name: 'culvert_xds_connected', help: '1 while the controller is connected.' })
    .child({});
  const expired = metrics
    .gauge({ name: 'culvert_certificates_expired', help: 'Identities in use without a valid certificate.' })
    .child({});
  const nextExpiry = metrics
    .gauge({
      name: 'culvert_certificate_next_expiry_seconds',
      help: 'Unix time at which the first certificate in use runs out; 0 if there is none.',
    })
    .child({});
  const restarts = metrics
    .gauge({
      name: 'culvert_holder_restarts',
      help: 'Processes of this node that died and were started again, as the holder told this one.',
    })
    .child({});
  return metrics.onRender(() => {
    restarts.set(ztunnel.options.handover?.facts?.restarts ?? 0);
    const stats = ztunnel.engine.stats();
    ztunnel.table.countLiveBytes((id) => ztunnel.engine.liveBytes(id));
    tunnels.engine(stats);
    sockets.set(stats.connections);
    openTunnels.child({ direction: 'inbound' }).set(stats.tunnelsInbound);
    openTunnels.child({ direction: 'outbound' }).set(stats.tunnelsOutbound);
    for (const [queue, { used, max }] of Object.entries(queueFill(ztunnel, stats))) {
      queues.child({ queue }).set(used);
      limits.child({ queue }).set(max);
    }
    for (const [phase, count] of Object.entries(ztunnel.pods.counts())) pods.child({ phase }).set(count);
    mended.set(ztunnel.pods.mended);
    older.set(ztunnel.pods.captureCounts.kept());
    for (const [name, total] of Object.entries(ztunnel.pods.captureCounts.totals())) {
      const outcome = name.replace(/^guard_/, '');
      const counter = (outcome === name ? captured : guarded).child({ outcome });
      counter.inc(total - counter.value);
    }
    connected.set(ztunnel.control.status().state === 'connected' ? 1 : 0);
    expired.set(ztunnel.identities.expired.length);
    const expiries = ztunnel.identities.list().flatMap(({ notAfterMs }) => notAfterMs ?? []);
    nextExpiry.set(expiries.length === 0 ? 0 : Math.min(...expiries) / 1000);
  });
}

/** Every bounded thing that is worth watching, with its bound. */
export function queueFill(
  ztunnel: Ztunnel,
  stats = ztunnel.engine.stats(),
): Readonly<Record<string, { readonly used: number; readonly max: number }>> {
  const { settings } = ztunnel.options;
  return {
    undecided: { used: stats.undecided, max: settings.undecidedTotal },
    waiting_for_workload: { used: ztunnel.waiting, max: settings.undecidedTotal },
    remembered_answers: { used: stats.rememberedChoices, max: 16_384 },
    buffered_bytes: { used: stats.bufferedBytes, max: settings.bufferBytes },
    pods: { used: ztunnel.pods.size, max: settings.podsMax },
    ...holderFill(ztunnel),
    connections: { used: ztunnel.table.size, max: ztunnel.table.max },
    descriptors: { used: readDescriptors().used, max: stats.descriptorsMax },
    pods_to_reauthorize: { used: ztunnel.table.reauthorizing, max: settings.podsMax },
  };
}

/** Pods whose listeners the holder keeps. */
function holderFill({ options: { handover } }: Ztunnel): ReturnType<typeof queueFill> {
  return handover?.facts === undefined
    ? {}
    : { holder_pods: { used: handover.size, max: handover.facts.podsMax } };
}
