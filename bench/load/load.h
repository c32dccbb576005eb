/* SPDX-License-Identifier: Apache-2.0
 * What the load's servers and clients share. */
#ifndef WEFT_BENCH_LOAD_H
#define WEFT_BENCH_LOAD_H
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define PING_BYTES 64
#define BULK_CHUNK (256 * 1024)
#define REPLY_BYTES (64 * 1024)

static inline void fail(const char *what)
{
	perror(what);
	exit(1);
}

static inline void no_delay(int fd)
{
	int one = 1;
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
}

static inline int read_all(int fd, char *into, size_t bytes)
{
	while (bytes > 0) {
		ssize_t got = read(fd, into, bytes);
		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			return -1;
		into += got;
		bytes -= (size_t)got;
	}
	return 0;
}

static inline int write_all(int fd, const char *from, size_t bytes)
{
	while (bytes > 0) {
		ssize_t put = write(fd, from, bytes);
		if (put < 0 && errno == EINTR)
			continue;
		if (put <= 0)
			return -1;
		from += put;
		bytes -= (size_t)put;
	}
	return 0;
}

/* Neither returns. */
void serve(int port);
void serve_web(int port);

#endif
