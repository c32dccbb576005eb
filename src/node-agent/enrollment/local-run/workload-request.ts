import type { WorkloadRequest } from '#model/mesh/registration.ts';
import type { EnrollmentRequest } from '#node-agent/enrollment/enrollment.ts';

/** Where a workload lives. */
export type Sandbox = Pick<EnrollmentRequest, 'netnsPath' | 'addresses' | 'link'> & {
  cgroupPath: string;
  resolvConfPath: string;
};

/** What is enrolled for a workload that somebody asked for, once there is a place where it lives. */
export function requestOf(wanted: WorkloadRequest, uid: string, { addresses, netnsPath, link }: Sandbox): EnrollmentRequest {
  const { name, namespace, serviceAccount, labels, nativeTunnel, published = [], weight, annotations } = wanted;
  return {
    ...{ uid, name, namespace, serviceAccount, labels, nativeTunnel },
    ...(published.length === 0 ? {} : { published }),
    ...(weight === undefined ? {} : { weight }),
    ...(annotations === undefined ? {} : { annotations }),
    ...{ addresses: [...addresses], netnsPath, link },
  };
}
