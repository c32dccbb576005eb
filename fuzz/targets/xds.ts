import { fromBinary } from '@bufbuild/protobuf';
import { WeftError } from '#model/error.ts';
import { DeltaDiscoveryResponseSchema } from '#proto/discovery_pb.js';
import { DeltaClientSession, deltaOf } from '#protocol/xds/client-session.ts';
import { decodeResource } from '#protocol/xds/decode-resource.ts';
import { ADDRESS_TYPE, AUTHORIZATION_TYPE, WAYPOINT_CONFIG_TYPE, WORKLOAD_TYPE } from '#protocol/xds/type-urls.ts';
import { type FuzzTarget, require } from '../target.ts';

const TYPES = [ADDRESS_TYPE, WORKLOAD_TYPE, AUTHORIZATION_TYPE, WAYPOINT_CONFIG_TYPE] as const;
const SUBSCRIPTIONS = TYPES.map((typeUrl) => ({ typeUrl, names: [] }));

function parseResponse(bytes: Buffer) {
  try {
    return fromBinary(DeltaDiscoveryResponseSchema, bytes);
  } catch {
    return null; // gRPC refuses such a message before we see it
  }
}

/** Resources and responses of a control plane: a bad one is refused by its name, alone. */
export const xdsTarget: FuzzTarget = {
  name: 'xds',
  tokens: ['\x0a', '\x12', '\x1a', '\x08\x01', '\x10\xff\xff\xff\xff\x0f', '\x0a\x04\x0a\0\0\x01', 'shop/cart.shop', ...TYPES],
  check(bytes) {
    for (const typeUrl of TYPES) {
      try {
        decodeResource(typeUrl, 'a', bytes);
      } catch (error) {
        if (!(error instanceof WeftError) || error.code !== 'WEFT_XDS_RESOURCE') throw error;
      }
    }
    const response = parseResponse(bytes);
    if (response === null) return;
    const session = new DeltaClientSession({ id: 'a', metadata: {} }, SUBSCRIPTIONS);
    session.open();
    const update = session.receive(response);
    require(update.updated.length + update.rejected.length <= response.resources.length, 'no resource comes of nothing');
    require(update.rejected.length === 0 || update.reply.errorDetail !== undefined, 'what was left out is told');
    deltaOf(update);
  },
};
