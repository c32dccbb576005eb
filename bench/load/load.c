/* SPDX-License-Identifier: Apache-2.0
 * The load of the benchmarks, in C so that it costs little itself: servers (serve.c) and their clients.
 *   load serve PORT                     echo, sink, one byte back
 *   load web   PORT                     an HTTP/1.1 origin with a KiB for every request
 *   load ping  HOST PORT ROUNDS         64-byte round trips on one connection, fewer after SIGTERM: p50 and p99 in nanoseconds
 *   load bulk  HOST PORT MEGABYTES [N]  one-way bytes over N connections: bytes and seconds
 *   load rate  HOST PORT SECONDS [N]    one-byte connections one after another, N at a time: connections and seconds
 *   load small HOST PORT SECONDS [N]    64-byte messages back and forth on N connections: messages and seconds
 *   load pipelined, load replies        the same with 16 messages under way on each; the same with 64 KiB for each message
 *   load http  HOST PORT SECONDS [N]    HTTP/1.1 requests with a connection for each, N at a time: connections and seconds
 *   load idle  HOST PORT COUNT          opens connections, says "open", and holds them until it is ended
 *   load idle-http HOST PORT COUNT      the same after a request and its answer on each
 * Each prints one line of JSON. */
#define _GNU_SOURCE
#include "load.h"
#include <arpa/inet.h>
#include <netdb.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <time.h>

#define WARM_UP_ROUNDS 500
#define AT_A_TIME_MAX 256
#define PIPELINED 16
#define REQUEST "GET / HTTP/1.1\r\nHost: web\r\nConnection: close\r\n\r\n"
#define REQUEST_THAT_STAYS "GET / HTTP/1.1\r\nHost: web\r\n\r\n"
#define ANSWER_BYTES_MIN 1024

/* What the client was asked for. */
static const struct addrinfo *target;
static uint64_t amount;
static int at_a_time = 1;
static volatile sig_atomic_t told_to_end;

static void tell_to_end(int unused)
{
	(void)unused;
	told_to_end = 1;
}

static uint64_t now_ns(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000ull + (uint64_t)t.tv_nsec;
}

static double seconds_since(uint64_t start)
{
	return (double)(now_ns() - start) / 1e9;
}

static struct addrinfo *resolve(const char *host, const char *port)
{
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICHOST }, *found;
	if (getaddrinfo(host, port, &hints, &found))
		fail("address");
	return found;
}

static int dial_with(const char *bytes, size_t length)
{
	int fd = socket(target->ai_family, SOCK_STREAM, 0);
	if (fd < 0 || connect(fd, target->ai_addr, target->ai_addrlen))
		fail("connect");
	no_delay(fd);
	if (write_all(fd, bytes, length))
		fail("write");
	return fd;
}

static int dial(char kind)
{
	return dial_with(&kind, 1);
}

static int by_value(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
	return x < y ? -1 : x > y;
}

static void ping(void)
{
	int rounds = (int)amount, fd = dial('P');
	uint64_t *took = calloc((size_t)rounds, sizeof(*took));
	char message[PING_BYTES] = { 'x' };

	for (int at = -WARM_UP_ROUNDS; at < rounds; at++) {
		uint64_t start = now_ns();
		if (write_all(fd, message, PING_BYTES) || read_all(fd, message, PING_BYTES))
			fail("ping");
		if (at >= 0)
			took[at] = now_ns() - start;
		if (told_to_end && at >= 0)
			rounds = at + 1;
	}
	qsort(took, (size_t)rounds, sizeof(*took), by_value);
	printf("{\"p50\":%llu,\"p99\":%llu}\n", (unsigned long long)took[rounds / 2], (unsigned long long)took[rounds * 99 / 100]);
}

/* Runs one of these for each connection at a time, and returns the sum of what they return. */
static uint64_t together(void *(*one)(void *))
{
	pthread_t threads[AT_A_TIME_MAX];
	uint64_t sum = 0;

	for (int at = 0; at < at_a_time; at++)
		if (pthread_create(&threads[at], NULL, one, NULL))
			fail("thread");
	for (int at = 0; at < at_a_time; at++) {
		void *part;
		pthread_join(threads[at], &part);
		sum += (uint64_t)(uintptr_t)part;
	}
	return sum;
}

static void *bulk_one(void *unused)
{
	char *buffer = calloc(1, BULK_CHUNK);
	uint64_t total = 0, left = amount * 1024 * 1024 / (uint64_t)at_a_time;
	int fd = dial('B');

	(void)unused;
	while (left > 0) {
		size_t piece = left < BULK_CHUNK ? (size_t)left : BULK_CHUNK;
		if (write_all(fd, buffer, piece))
			fail("bulk");
		left -= piece;
	}
	shutdown(fd, SHUT_WR);
	if (read_all(fd, (char *)&total, sizeof(total)))
		fail("bulk answer");
	return (void *)(uintptr_t)total;
}

/* Closing with a reset keeps the client's ports from running out in TIME_WAIT. */
static void abort_connection(int fd)
{
	struct linger abort_close = { .l_onoff = 1, .l_linger = 0 };
	setsockopt(fd, SOL_SOCKET, SO_LINGER, &abort_close, sizeof(abort_close));
	close(fd);
}

static void *rate_one(void *unused)
{
	uint64_t end = now_ns() + amount * 1000000000ull, count = 0;

	(void)unused;
	for (; now_ns() < end; count++) {
		char reply;
		int fd = dial('C');
		if (read_all(fd, &reply, 1))
			fail("rate");
		abort_connection(fd);
	}
	return (void *)(uintptr_t)count;
}

/* A connection with one request that was answered well. */
static int asked(const char *request)
{
	char answer[4096], *body;
	size_t total = 0;
	int fd = dial_with(request, strlen(request));

	/* Its body is a KiB; whoever ends the connection then, it is at its end. */
	while (!(body = memmem(answer, total, "\r\n\r\n", 4)) || answer + total < body + 4 + ANSWER_BYTES_MIN) {
		ssize_t got = read(fd, answer + total, sizeof(answer) - total);
		if (got <= 0)
			break;
		total += (size_t)got;
	}
	if (total < ANSWER_BYTES_MIN || memcmp(answer, "HTTP/1.1 200", 12) != 0) {
		fprintf(stderr, "http: %zu bytes: %.*s\n", total, (int)(total < 200 ? total : 200), answer);
		exit(1);
	}
	return fd;
}

static void *http_one(void *unused)
{
	uint64_t end = now_ns() + amount * 1000000000ull, count = 0;

	(void)unused;
	for (; now_ns() < end; count++)
		close(asked(REQUEST));
	return (void *)(uintptr_t)count;
}

/* On each connection so many messages are under way, and the next one leaves when one is answered with so many bytes. One thread, so
 * that the client's own cost stays small. */
static void messages(char kind, size_t answer_bytes, size_t under_way)
{
	static size_t came[AT_A_TIME_MAX];
	static char message[PIPELINED * PING_BYTES], answer[REPLY_BYTES];
	int set = epoll_create1(0), fds[AT_A_TIME_MAX];
	uint64_t start = now_ns(), end = start + amount * 1000000000ull, count = 0;
	struct epoll_event events[AT_A_TIME_MAX];

	for (int at = 0; at < at_a_time; at++) {
		struct epoll_event event = { .events = EPOLLIN, .data.u32 = (uint32_t)at };
		fds[at] = dial(kind);
		epoll_ctl(set, EPOLL_CTL_ADD, fds[at], &event);
		if (write_all(fds[at], message, under_way * PING_BYTES))
			fail("messages");
	}
	while (now_ns() < end) {
		int ready = epoll_wait(set, events, AT_A_TIME_MAX, 100);
		for (int k = 0; k < ready; k++) {
			uint32_t at = events[k].data.u32;
			ssize_t got = read(fds[at], answer, under_way * answer_bytes - came[at]);
			if (got <= 0)
				fail("messages");
			came[at] += (size_t)got;
			size_t answered = came[at] / answer_bytes;
			if (answered == 0)
				continue;
			came[at] %= answer_bytes;
			count += answered;
			if (write_all(fds[at], message, answered * PING_BYTES))
				fail("messages");
		}
	}
	printf("{\"messages\":%llu,\"seconds\":%.6f}\n", (unsigned long long)count, seconds_since(start));
}

static void idle(int http)
{
	char reply;

	for (uint64_t at = 0; at < amount; at++)
		if (http)
			asked(REQUEST_THAT_STAYS);
		else if (read_all(dial('I'), &reply, 1))
			fail("idle");
	printf("{\"open\":%llu}\n", (unsigned long long)amount);
	fflush(stdout);
	pause();
}

static void counted(const char *what, void *(*one)(void *))
{
	uint64_t start = now_ns(), count = together(one);
	printf("{\"%s\":%llu,\"seconds\":%.6f}\n", what, (unsigned long long)count, seconds_since(start));
}

static int client(const char *mode)
{
	if (!strcmp(mode, "ping")) {
		signal(SIGTERM, tell_to_end);
		ping();
	} else if (!strcmp(mode, "bulk"))
		counted("bytes", bulk_one);
	else if (!strcmp(mode, "rate"))
		counted("connections", rate_one);
	else if (!strcmp(mode, "http"))
		counted("connections", http_one);
	else if (!strcmp(mode, "small"))
		messages('P', PING_BYTES, 1);
	else if (!strcmp(mode, "pipelined"))
		messages('E', PING_BYTES, PIPELINED);
	else if (!strcmp(mode, "replies"))
		messages('R', REPLY_BYTES, 1);
	else if (!strncmp(mode, "idle", 4))
		idle(!strcmp(mode, "idle-http"));
	else
		return 2;
	return 0;
}

int main(int argc, char **argv)
{
	struct rlimit files;

	signal(SIGPIPE, SIG_IGN);
	if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
		files.rlim_cur = files.rlim_max;
		setrlimit(RLIMIT_NOFILE, &files);
	}
	if (argc == 3 && !strcmp(argv[1], "serve"))
		serve(atoi(argv[2]));
	if (argc == 3 && !strcmp(argv[1], "web"))
		serve_web(atoi(argv[2]));
	if (argc != 5 && argc != 6) {
		fprintf(stderr, "usage: load serve|web PORT | load ping|bulk|rate|small|pipelined|replies|http|idle|idle-http HOST PORT AMOUNT [AT A TIME]\n");
		return 2;
	}
	target = resolve(argv[2], argv[3]);
	amount = (uint64_t)atoll(argv[4]);
	at_a_time = argc == 6 ? atoi(argv[5]) : 1;
	if (at_a_time < 1 || at_a_time > AT_A_TIME_MAX)
		return 2;
	return client(argv[1]);
}
