import { randomUUID } from 'node:crypto';
import { isIP } from 'node:net';
import { checkServerIdentity, createSecureContext, setDefaultCACertificates } from 'node:tls';
import { ChannelCredentials, type ChannelOptions, Client, Metadata } from '@grpc/grpc-js';
import { splitHostPort } from '#model/address/ip.ts';
import { WeftError } from '#model/error.ts';
import { CONTROL } from '#model/settings/control-planes.ts';

/** How a process reaches the control plane. */
export type ControlEndpoint = {
  /** `host:port`, of several control planes divided by commas; or `unix:<path>` where the network does not lead to it. */
  address: string;
  /** Roots to verify it with, read again for each connection. */
  rootsPem: () => Promise<string>;
  /** The bearer token, read again for each call. */
  token: () => Promise<string>;
  /** Name its certificate must carry; null: the host of the address, `localhost` for a path. */
  serverName: string | null;
  /** Sent as `clusterid`. */
  clusterId: string;
};

// A mesh trusts its own roots alone. Node.js would read those of the web beside them: 15 ms and 1.7 MB for each process.
setDefaultCACertificates([]);

const NO_LIMIT = -1;
/** A server name is sent even where the host is an address, which TLS does not allow as a server name. */
const NAME_FOR_ADDRESSES = 'weft-control';
const UNIX = 'unix:';
/** Tells the calls of one process from those of another with the same token. */
export const INSTANCE_HEADER = 'weft-instance';
const INSTANCE = randomUUID();

/** A gRPC client over TLS 1.3 for one of the endpoint's addresses. Errors: WEFT_CONTROL_ADDRESS, WEFT_CONTROL_ROOTS. */
export async function openClient(endpoint: ControlEndpoint, address = endpoint.address): Promise<Client> {
  const name = endpoint.serverName ?? hostOf(address);
  const credentials = ChannelCredentials.createFromSecureContext(secureContext(await endpoint.rootsPem()), {
    checkServerIdentity: (_host, certificate) => checkServerIdentity(name, certificate),
  });
  const options: ChannelOptions = {
    'grpc.ssl_target_name_override': isIP(name) === 0 ? name : NAME_FOR_ADDRESSES,
    'grpc.default_authority': address.startsWith(UNIX) ? name : address,
    'grpc.max_receive_message_length': NO_LIMIT,
    'grpc.keepalive_time_ms': CONTROL.keepaliveMs,
    'grpc.keepalive_timeout_ms': CONTROL.keepaliveTimeoutMs,
    'grpc.enable_http_proxy': 0,
    // Connections are ours alone: a stream's connection must not fail for another's sake.
    'grpc.use_local_subchannel_pool': 1,
    'grpc.initial_reconnect_backoff_ms': 100,
    'grpc.service_config_disable_resolution': 1,
  };
  return new Client(address, credentials, options);
}

function hostOf(address: string): string {
  if (address.startsWith(`${UNIX}/`)) return 'localhost';
  const target = splitHostPort(address);
  if (target !== null) return target.host;
  throw new WeftError('WEFT_CONTROL_ADDRESS', `"${address}" is not the address of a control plane`, {
    remedy: 'write host:port, for example control.example:15012',
  });
}

/** Headers of a call. Errors: WEFT_CONTROL_TOKEN when the token is empty. */
export async function callMetadata(endpoint: ControlEndpoint): Promise<Metadata> {
  const token = (await endpoint.token()).trim();
  if (token === '') {
    throw new WeftError('WEFT_CONTROL_TOKEN', 'the token for the control plane is empty', {
      remedy: 'write the token that the control plane made for this node into the token file',
    });
  }
  const metadata = new Metadata();
  metadata.set('authorization', `Bearer ${token}`);
  metadata.set('clusterid', endpoint.clusterId);
  metadata.set(INSTANCE_HEADER, INSTANCE);
  return metadata;
}

function secureContext(rootsPem: string): ReturnType<typeof createSecureContext> {
  try {
    if (!rootsPem.includes('-----BEGIN CERTIFICATE-----')) throw new Error('there is no certificate in it');
    return createSecureContext({ ca: rootsPem, minVersion: 'TLSv1.3' });
  } catch (error) {
    throw new WeftError('WEFT_CONTROL_ROOTS', 'the root certificate of the control plane cannot be read', {
      cause: error,
      remedy: 'give the root certificate of the mesh in PEM: root-cert.pem in the state directory of the control plane',
    });
  }
}
