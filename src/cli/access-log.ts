import { InvalidArgumentError, Option } from 'commander';
import { compileLineFormat } from '#model/telemetry/line-format.ts';

/** How waypoints write the lines of requests. */
export function accessLogFormatOption(): Option {
  return new Option(
    '--access-log-format <format>',
    "lines of requests at waypoints as text with Envoy's operators, such as '%REQ(:METHOD)% %RESPONSE_CODE%'; istio: as Istio's waypoints write them",
  )
    .default(undefined, 'fields, as other lines')
    .argParser(readLineFormat);
}

/** Checked here, so that a mistake is told to who made it and not in the log of a waypoint. */
function readLineFormat(text: string): string {
  const outcome = compileLineFormat(text);
  if (outcome.kind === 'refused') throw new InvalidArgumentError(`${outcome.why}.`);
  return text;
}
