/* SPDX-License-Identifier: Apache-2.0
 * The load of the benchmarks, in C so that it costs little itself: an echo/sink server and its clients.
 *   load serve PORT
 *   load ping  HOST PORT ROUNDS     64-byte round trips on one connection: prints p50 and p99 in nanoseconds
 *   load bulk  HOST PORT MEGABYTES  one-way bytes on one connection: prints bytes and seconds
 *   load rate  HOST PORT SECONDS    one-byte connections one after another: prints connections and seconds
 * Each prints one line of JSON. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define PING_BYTES 64
#define BULK_CHUNK (256 * 1024)
#define WARM_UP_ROUNDS 500

static void fail(const char *what)
{
	perror(what);
	exit(1);
}

static uint64_t now_ns(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000ull + (uint64_t)t.tv_nsec;
}

static void no_delay(int fd)
{
	int one = 1;
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
}

static int read_all(int fd, char *into, size_t bytes)
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

static int write_all(int fd, const char *from, size_t bytes)
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

/* The first byte says what the client wants: P echo, B sink (answers the count at the end), C one byte back. */
static void *serve_one(void *argument)
{
	int fd = (int)(intptr_t)argument;
	char *buffer = malloc(BULK_CHUNK), kind;

	no_delay(fd);
	if (read_all(fd, &kind, 1) == 0) {
		if (kind == 'P') {
			while (read_all(fd, buffer, PING_BYTES) == 0 && write_all(fd, buffer, PING_BYTES) == 0)
				;
		} else if (kind == 'B') {
			uint64_t total = 0;
			ssize_t got;
			while ((got = read(fd, buffer, BULK_CHUNK)) > 0)
				total += (uint64_t)got;
			write_all(fd, (char *)&total, sizeof(total));
		} else if (kind == 'C') {
			write_all(fd, &kind, 1);
		}
	}
	close(fd);
	free(buffer);
	return NULL;
}

static void serve(int port)
{
	struct sockaddr_in6 address = { .sin6_family = AF_INET6, .sin6_port = htons((uint16_t)port) };
	int listener = socket(AF_INET6, SOCK_STREAM, 0), one = 1;

	setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (bind(listener, (struct sockaddr *)&address, sizeof(address)) || listen(listener, 4096))
		fail("listen");
	printf("{\"event\":\"listening\",\"pid\":%d}\n", getpid());
	fflush(stdout);
	for (;;) {
		pthread_t thread;
		int fd = accept(listener, NULL, NULL);
		if (fd < 0)
			continue;
		if (pthread_create(&thread, NULL, serve_one, (void *)(intptr_t)fd))
			fail("thread");
		pthread_detach(thread);
	}
}

static struct addrinfo *resolve(const char *host, const char *port)
{
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICHOST }, *found;
	if (getaddrinfo(host, port, &hints, &found))
		fail("address");
	return found;
}

static int dial(const struct addrinfo *to, char kind)
{
	int fd = socket(to->ai_family, SOCK_STREAM, 0);
	if (fd < 0 || connect(fd, to->ai_addr, to->ai_addrlen))
		fail("connect");
	no_delay(fd);
	if (write_all(fd, &kind, 1))
		fail("write");
	return fd;
}

static int by_value(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
	return x < y ? -1 : x > y;
}

static void ping(const struct addrinfo *to, int rounds)
{
	uint64_t *took = calloc((size_t)rounds, sizeof(*took));
	char message[PING_BYTES] = { 'x' };
	int fd = dial(to, 'P');

	for (int at = -WARM_UP_ROUNDS; at < rounds; at++) {
		uint64_t start = now_ns();
		if (write_all(fd, message, PING_BYTES) || read_all(fd, message, PING_BYTES))
			fail("ping");
		if (at >= 0)
			took[at] = now_ns() - start;
	}
	qsort(took, (size_t)rounds, sizeof(*took), by_value);
	printf("{\"p50\":%llu,\"p99\":%llu}\n", (unsigned long long)took[rounds / 2], (unsigned long long)took[rounds * 99 / 100]);
}

static void bulk(const struct addrinfo *to, int megabytes)
{
	char *buffer = calloc(1, BULK_CHUNK);
	int fd = dial(to, 'B');
	uint64_t start = now_ns(), total = 0, left = (uint64_t)megabytes * 1024 * 1024;

	while (left > 0) {
		size_t piece = left < BULK_CHUNK ? (size_t)left : BULK_CHUNK;
		if (write_all(fd, buffer, piece))
			fail("bulk");
		left -= piece;
	}
	shutdown(fd, SHUT_WR);
	if (read_all(fd, (char *)&total, sizeof(total)))
		fail("bulk answer");
	printf("{\"bytes\":%llu,\"seconds\":%.6f}\n", (unsigned long long)total, (double)(now_ns() - start) / 1e9);
}

static void rate(const struct addrinfo *to, int seconds)
{
	uint64_t start = now_ns(), end = start + (uint64_t)seconds * 1000000000ull, count = 0;
	struct linger abort_close = { .l_onoff = 1, .l_linger = 0 };

	while (now_ns() < end) {
		char reply;
		int fd = dial(to, 'C');
		if (read_all(fd, &reply, 1))
			fail("rate");
		/* Closing with a reset keeps the client's ports from running out in TIME_WAIT. */
		setsockopt(fd, SOL_SOCKET, SO_LINGER, &abort_close, sizeof(abort_close));
		close(fd);
		count++;
	}
	printf("{\"connections\":%llu,\"seconds\":%.6f}\n", (unsigned long long)count, (double)(now_ns() - start) / 1e9);
}

int main(int argc, char **argv)
{
	signal(SIGPIPE, SIG_IGN);
	if (argc == 3 && !strcmp(argv[1], "serve")) {
		serve(atoi(argv[2]));
		return 0;
	}
	if (argc != 5) {
		fprintf(stderr, "usage: load serve PORT | load ping|bulk|rate HOST PORT AMOUNT\n");
		return 2;
	}
	struct addrinfo *to = resolve(argv[2], argv[3]);
	if (!strcmp(argv[1], "ping"))
		ping(to, atoi(argv[4]));
	else if (!strcmp(argv[1], "bulk"))
		bulk(to, atoi(argv[4]));
	else if (!strcmp(argv[1], "rate"))
		rate(to, atoi(argv[4]));
	else
		return 2;
	return 0;
}
