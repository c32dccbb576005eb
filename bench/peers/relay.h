/* SPDX-License-Identifier: Apache-2.0
 * What the two files of the C relay share: relay.c holds the tunnel and the loop, relay-streams.c the streams. */
#ifndef WEFT_BENCH_RELAY_H
#define WEFT_BENCH_RELAY_H
#include <netinet/in.h>
#include <stddef.h>
#include <stdint.h>

#define HEAD_BYTES 8
#define WINDOW (1 << 20)
#define STREAMS_MAX (1 << 18)

enum frame_type { DATA, OPEN, ACK, END, RESET, CREDIT };

struct stream {
	int fd, connecting, open, read_end, write_end, shut, added;
	uint32_t id, events, owed;
	int64_t credit;
	uint8_t *queue;
	size_t queued, queue_at;
};

/* The epoll descriptor, and where the far side connects streams to. */
extern int set;
extern struct sockaddr_in app;
/* Frames that wait to be written into the tunnel: from `out_at` to `out_end`. */
extern uint8_t *out;
extern size_t out_at, out_end;

void die(const char *what);
void no_delay(int fd);
void frame(enum frame_type type, uint32_t id, const uint8_t *payload, size_t length);
void accept_stream(int fd, uint32_t id);
void on_frame(enum frame_type type, uint32_t id, const uint8_t *payload, size_t length);
void on_app(uint32_t id, uint32_t events);

#endif
