import type { FuzzTarget } from '../target.ts';
import { dnsTarget } from './dns.ts';
import { http1RequestTarget, http1ResponseTarget } from './http1.ts';
import { hpackTarget, http2ClientTarget, http2Target } from './http2.ts';
import { localApiTarget } from './local-api.ts';
import { textTarget } from './text-headers.ts';
import { xdsTarget } from './xds.ts';
import { yamlTarget } from './yaml.ts';

/** Every parser of bytes that come from outside the process. */
export const TARGETS: readonly FuzzTarget[] = [
  http1RequestTarget,
  http1ResponseTarget,
  http2Target,
  http2ClientTarget,
  hpackTarget,
  dnsTarget,
  textTarget,
  yamlTarget,
  xdsTarget,
  localApiTarget,
];
