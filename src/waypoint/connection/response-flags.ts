/**
 * Why a request did not simply get its response, in the short names of access logs (waypoint-l7 11.2):
 * `-` nothing special, DC client left, DPE client's protocol error, NC no such service, NR no route, UC upstream closed,
 * UF upstream connect failure, UH no healthy endpoint, UPE upstream's protocol error, UR upstream reset, UT timeout,
 * LR reset by us, DR the client withdrew the request.
 */
export type ResponseFlag = '-' | 'DC' | 'DR' | 'DPE' | 'LR' | 'NC' | 'NR' | 'UC' | 'UF' | 'UH' | 'UPE' | 'UR' | 'UT';
