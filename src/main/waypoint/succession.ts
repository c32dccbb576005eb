import { closeSync } from 'node:fs';
import { WAYPOINT } from '#model/settings/waypoints.ts';
import { systemClock } from '#platform/clock.ts';
import { HandedSockets } from '#platform/linux/netns/handed-sockets.ts';
import { duplicate, ownTcpListener } from '#platform/linux/netns/sockets.ts';
import { announceEnd, askForSockets, offerSockets } from '#platform/linux/process/socket-heir.ts';
import { Succession } from '#waypoint/listener/succession.ts';

const PLACE = 'waypoint';
/** All in one namespace: there is nothing to tell apart. */
const OWN = { netnsCookie: '', transport: 'tcp' } as const;

/** The succession of this process, in a namespace in which waypoints alone listen; `leavingFile`: where it says that it ends. */
export function processSuccession(leavingFile: string | undefined): Succession {
  return new Succession({
    clock: systemClock,
    async ask() {
      const { handover, taken } = await askForSockets(PLACE);
      const handed = new HandedSockets(handover);
      return {
        take: (port) => handed.take({ ...OWN, port }),
        taken() {
          handed.close();
          taken();
        },
      };
    },
    offer: ({ give, taken }) =>
      offerSockets(PLACE, { give: () => give().map((one) => ({ ...OWN, ...one })), taken }, WAYPOINT.takenMs),
    bind: (port) => ownTcpListener(port).fd,
    duplicate,
    close: closeSync,
    announce: () => leavingFile !== undefined && announceEnd(leavingFile),
  });
}
