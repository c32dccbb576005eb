/* SPDX-License-Identifier: Apache-2.0
 * The servers of the load. */
#define _GNU_SOURCE
#include "load.h"
#include <pthread.h>
#include <string.h>
#include <sys/epoll.h>

#define EVENTS 256
#define FILES_MAX 65536
#define BODY_BYTES 1024

/* Connections that said they are idle; they need no thread. */
static int idle_set;

static int listen_on(int port)
{
	struct sockaddr_in6 address = { .sin6_family = AF_INET6, .sin6_port = htons((uint16_t)port) };
	int listener = socket(AF_INET6, SOCK_STREAM, 0), one = 1;

	setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (bind(listener, (struct sockaddr *)&address, sizeof(address)) || listen(listener, 4096))
		fail("listen");
	printf("{\"event\":\"listening\",\"pid\":%d}\n", getpid());
	fflush(stdout);
	return listener;
}

/* What came in one read goes back in one write, as a server answers requests that came together. */
static void echo_what_came(int fd, char *buffer)
{
	ssize_t got;
	while ((got = read(fd, buffer, BULK_CHUNK)) > 0 && write_all(fd, buffer, (size_t)got) == 0)
		;
}

/* The first byte says what the client wants: P echo of each message, E of what came, R 64 KiB for each message, B sink (answers the
 * count at the end), C one byte back, I the same, and stay. */
static void *serve_one(void *argument)
{
	int fd = (int)(intptr_t)argument;
	char *buffer = malloc(BULK_CHUNK), kind;

	no_delay(fd);
	if (read_all(fd, &kind, 1) == 0) {
		if (kind == 'P') {
			while (read_all(fd, buffer, PING_BYTES) == 0 && write_all(fd, buffer, PING_BYTES) == 0)
				;
		} else if (kind == 'E') {
			echo_what_came(fd, buffer);
		} else if (kind == 'R') {
			while (read_all(fd, buffer, PING_BYTES) == 0 && write_all(fd, buffer, REPLY_BYTES) == 0)
				;
		} else if (kind == 'B') {
			uint64_t total = 0;
			ssize_t got;
			while ((got = read(fd, buffer, BULK_CHUNK)) > 0)
				total += (uint64_t)got;
			write_all(fd, (char *)&total, sizeof(total));
		} else if (kind == 'C') {
			write_all(fd, &kind, 1);
		} else if (kind == 'I' && write_all(fd, &kind, 1) == 0) {
			struct epoll_event event = { .events = EPOLLIN, .data.fd = fd };
			epoll_ctl(idle_set, EPOLL_CTL_ADD, fd, &event);
			fd = -1;
		}
	}
	if (fd >= 0)
		close(fd);
	free(buffer);
	return NULL;
}

/* An idle connection says nothing more but that it ends. */
static void *watch_idle(void *unused)
{
	struct epoll_event events[EVENTS];

	for (;;) {
		int count = epoll_wait(idle_set, events, EVENTS, -1);
		for (int at = 0; at < count; at++)
			close(events[at].data.fd);
	}
	return unused;
}

void serve(int port)
{
	int listener = listen_on(port);
	pthread_t thread;

	idle_set = epoll_create1(0);
	if (pthread_create(&thread, NULL, watch_idle, NULL))
		fail("thread");
	for (;;) {
		int fd = accept(listener, NULL, NULL);
		if (fd < 0)
			continue;
		if (pthread_create(&thread, NULL, serve_one, (void *)(intptr_t)fd))
			fail("thread");
		pthread_detach(thread);
	}
}

/* How many bytes of the empty line that ends a head have come, for each connection. */
static uint8_t matched[FILES_MAX];

/* Answers every head that ends in these bytes; requests have no bodies. */
static void answer_heads(int fd, const char *bytes, ssize_t length, const char *answer, size_t answer_length)
{
	static const char end[] = "\r\n\r\n";

	for (ssize_t at = 0; at < length; at++) {
		if (bytes[at] != end[matched[fd]])
			matched[fd] = bytes[at] == '\r' ? 1 : 0;
		else if (++matched[fd] == 4) {
			matched[fd] = 0;
			write_all(fd, answer, answer_length);
		}
	}
}

/* HTTP/1.1, kept alive until the other side ends; the same KiB for every request. */
void serve_web(int port)
{
	static char answer[BODY_BYTES + 256], input[65536];
	int head = sprintf(answer, "HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: %d\r\n\r\n", BODY_BYTES);
	int listener = listen_on(port), set = epoll_create1(0);
	struct epoll_event events[EVENTS], event = { .events = EPOLLIN, .data.fd = listener };

	memset(answer + head, 'x', BODY_BYTES);
	epoll_ctl(set, EPOLL_CTL_ADD, listener, &event);
	for (;;) {
		int count = epoll_wait(set, events, EVENTS, -1);
		for (int at = 0; at < count; at++) {
			int fd = events[at].data.fd;
			if (fd == listener) {
				event.data.fd = accept(listener, NULL, NULL);
				if (event.data.fd < 0 || event.data.fd >= FILES_MAX)
					continue;
				no_delay(event.data.fd);
				matched[event.data.fd] = 0;
				epoll_ctl(set, EPOLL_CTL_ADD, event.data.fd, &event);
				continue;
			}
			ssize_t got = read(fd, input, sizeof(input));
			if (got <= 0)
				close(fd);
			else
				answer_heads(fd, input, got, answer, (size_t)head + BODY_BYTES);
		}
	}
}
