// A connection to the controller: TLS with server authentication only, verified against the given roots alone.
import { isIP } from 'node:net';
import type { PeerCertificate } from 'node:tls';
import * as tls from 'node:tls';
import type { ClientOptions } from '@grpc/grpc-js';
import { Client, credentials, Metadata } from '@grpc/grpc-js';
import { XdsError } from './errors.ts';
import { messageBytesMax } from './grpc-methods.ts';

export interface ChannelOptions {
  /** `host:port`. */
  readonly address: string;
  /** PEM; asked for at each connection, so that a changed file counts. */
  readonly roots: () => string | Promise<string>;
  /** The name to find in the server's certificate, if it is not the host of the address. */
  readonly serverName?: string;
  /** Asked for at each stream and call, so that a rotated token counts. */
  readonly token: () => string | Promise<string>;
  /** Sent along with each stream and call, such as `clusterid`. */
  readonly headers?: Readonly<Record<string, string>>;
}

export async function openChannel(options: ChannelOptions): Promise<Client> {
  const roots = await options.roots();
  const name = options.serverName ?? hostOf(options.address);
  const channelOptions: ClientOptions = {
    'grpc.max_receive_message_length': messageBytesMax.toClient,
    'grpc.max_send_message_length': messageBytesMax.toServer,
    'grpc.keepalive_time_ms': 30_000,
    'grpc.keepalive_timeout_ms': 10_000,
    'grpc.keepalive_permit_without_calls': 1,
    // Attempts are ours to pace: no connection is shared, retried or kept in reserve behind our back.
    'grpc.use_local_subchannel_pool': 1,
    'grpc.enable_retries': 0,
    'grpc.service_config_disable_resolution': 1,
    // A proxy of the environment is not for the mesh's own channel.
    'grpc.enable_http_proxy': 0,
    'grpc.enable_channelz': 0,
    'grpc.ssl_target_name_override': isIP(name) === 0 ? name : sniForAddress,
  };
  const checkServerIdentity = (_: string, certificate: PeerCertificate): Error | undefined =>
    tls.checkServerIdentity(name, certificate);
  const secure = credentials.createSsl(Buffer.from(roots), null, null, { checkServerIdentity });
  return new Client(options.address, secure, channelOptions);
}

/** SNI carries names only (RFC 6066 section 3); an address is still what the certificate must name. */
const sniForAddress = 'controller.culvert';

function hostOf(address: string): string {
  const host = address.slice(0, Math.max(0, address.lastIndexOf(':')));
  return host.replace(/^\[(.*)\]$/, '$1');
}

/** Headers of one stream or call. Throws ERR_CULVERT_XDS_TOKEN if there is no token to send. */
export async function callMetadata(options: ChannelOptions): Promise<Metadata> {
  const token = (await options.token()).trim();
  if (token === '' || /\s/.test(token))
    throw new XdsError('ERR_CULVERT_XDS_TOKEN', 'there is no token to present to the controller');
  const metadata = new Metadata();
  for (const [name, value] of Object.entries(options.headers ?? {})) metadata.set(name, value);
  metadata.set('authorization', `Bearer ${token}`);
  return metadata;
}
