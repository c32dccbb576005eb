/* SPDX-License-Identifier: Apache-2.0
 * The streams of the C relay: a connection on each side, with a bound on what is on the way between them. */
#define _GNU_SOURCE
#include "relay.h"
#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

static struct stream *by_id[STREAMS_MAX];
static uint8_t scratch[65536 - HEAD_BYTES];
static size_t out_size;

void frame(enum frame_type type, uint32_t id, const uint8_t *payload, size_t length)
{
	size_t need = out_end + HEAD_BYTES + length;
	if (need > out_size) {
		out_size = need * 2;
		out = realloc(out, out_size);
		if (!out)
			die("memory");
	}
	uint8_t head[HEAD_BYTES] = { (uint8_t)(length >> 16), (uint8_t)(length >> 8), (uint8_t)length, (uint8_t)type,
				     (uint8_t)(id >> 24), (uint8_t)(id >> 16), (uint8_t)(id >> 8), (uint8_t)id };
	memcpy(out + out_end, head, HEAD_BYTES);
	if (length > 0)
		memcpy(out + out_end + HEAD_BYTES, payload, length);
	out_end = need;
}

/* The tag tells an event of a stream from one of a former stream with the same descriptor. */
static void watch(struct stream *s)
{
	uint32_t want = 0;
	if (s->connecting || s->queued > 0)
		want |= EPOLLOUT;
	if (s->open && !s->read_end && s->credit > 0)
		want |= EPOLLIN;
	if (want == s->events && (s->added || want == 0))
		return;
	struct epoll_event event = { .events = want, .data.u64 = s->id };
	epoll_ctl(set, s->added ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, s->fd, &event);
	s->added = 1;
	s->events = want;
}

static void drop(struct stream *s, int aborted)
{
	struct linger abort_close = { .l_onoff = 1, .l_linger = 0 };
	if (aborted)
		setsockopt(s->fd, SOL_SOCKET, SO_LINGER, &abort_close, sizeof(abort_close));
	by_id[s->id % STREAMS_MAX] = NULL;
	close(s->fd);
	free(s->queue);
	free(s);
}

static void fail_stream(struct stream *s)
{
	frame(RESET, s->id, NULL, 0);
	drop(s, 1);
}

static void delivered(struct stream *s, size_t bytes)
{
	s->owed += (uint32_t)bytes;
	if (s->owed < WINDOW / 2)
		return;
	uint32_t owed = htonl(s->owed);
	frame(CREDIT, s->id, (uint8_t *)&owed, sizeof(owed));
	s->owed = 0;
}

/* Returns whether the stream is still there. */
static int end_when_written(struct stream *s)
{
	if (s->write_end && s->queued == 0 && !s->connecting) {
		if (s->read_end) {
			drop(s, 0);
			return 0;
		}
		if (!s->shut)
			shutdown(s->fd, SHUT_WR);
		s->shut = 1;
	}
	watch(s);
	return 1;
}

static void to_app(struct stream *s, const uint8_t *bytes, size_t length)
{
	ssize_t put = s->connecting || s->queued > 0 ? 0 : send(s->fd, bytes, length, MSG_NOSIGNAL);
	if (put < 0 && errno != EAGAIN)
		return fail_stream(s);
	if (put < 0)
		put = 0;
	if (put > 0)
		delivered(s, (size_t)put);
	if ((size_t)put == length)
		return;
	/* The window bounds what waits here. */
	if (!s->queue)
		s->queue = malloc(WINDOW * 2);
	if (s->queue_at > 0)
		memmove(s->queue, s->queue + s->queue_at, s->queued);
	s->queue_at = 0;
	memcpy(s->queue + s->queued, bytes + put, length - (size_t)put);
	s->queued += length - (size_t)put;
	watch(s);
}

static void flush_queue(struct stream *s)
{
	ssize_t put = send(s->fd, s->queue + s->queue_at, s->queued, MSG_NOSIGNAL);
	if (put < 0)
		return errno == EAGAIN ? (void)0 : fail_stream(s);
	s->queue_at += (size_t)put;
	s->queued -= (size_t)put;
	if (s->queued == 0) {
		free(s->queue);
		s->queue = NULL;
		s->queue_at = 0;
	}
	delivered(s, (size_t)put);
	end_when_written(s);
}

static struct stream *new_stream(int fd, uint32_t id)
{
	struct stream *s = calloc(1, sizeof(*s));
	if (!s)
		die("memory");
	s->fd = fd;
	s->id = id;
	s->credit = WINDOW;
	by_id[id % STREAMS_MAX] = s;
	return s;
}

static void open_stream(uint32_t id)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return frame(RESET, id, NULL, 0);
	no_delay(fd);
	struct stream *s = new_stream(fd, id);
	if (connect(fd, (struct sockaddr *)&app, sizeof(app)) && errno != EINPROGRESS)
		return fail_stream(s);
	s->connecting = 1;
	watch(s);
}

void on_frame(enum frame_type type, uint32_t id, const uint8_t *payload, size_t length)
{
	struct stream *s = by_id[id % STREAMS_MAX];
	uint32_t credit;

	if (type == OPEN)
		return open_stream(id);
	if (!s || s->id != id)
		return;
	switch (type) {
	case DATA:
		to_app(s, payload, length);
		break;
	case ACK:
		s->open = 1;
		watch(s);
		break;
	case END:
		s->write_end = 1;
		end_when_written(s);
		break;
	case CREDIT:
		memcpy(&credit, payload, sizeof(credit));
		s->credit += ntohl(credit);
		watch(s);
		break;
	default:
		drop(s, 1);
	}
}

static void finish_connect(struct stream *s)
{
	int error = 0;
	socklen_t length = sizeof(error);

	getsockopt(s->fd, SOL_SOCKET, SO_ERROR, &error, &length);
	if (error)
		return fail_stream(s);
	s->connecting = 0;
	s->open = 1;
	frame(ACK, s->id, NULL, 0);
	if (s->queued > 0)
		flush_queue(s);
	else
		end_when_written(s);
}

static void from_app(struct stream *s)
{
	size_t most = s->credit < (int64_t)sizeof(scratch) ? (size_t)s->credit : sizeof(scratch);
	ssize_t got = recv(s->fd, scratch, most, 0);

	if (got < 0)
		return errno == EAGAIN ? (void)0 : fail_stream(s);
	if (got > 0) {
		frame(DATA, s->id, scratch, (size_t)got);
		s->credit -= got;
	} else {
		frame(END, s->id, NULL, 0);
		s->read_end = 1;
	}
	end_when_written(s);
}

/* A connection that the near side took. It is read when the far side has connected. */
void accept_stream(int fd, uint32_t id)
{
	no_delay(fd);
	new_stream(fd, id);
	frame(OPEN, id, NULL, 0);
}

void on_app(uint32_t id, uint32_t events)
{
	struct stream *s = by_id[id % STREAMS_MAX];

	if (!s || s->id != id)
		return;
	if (s->connecting)
		return finish_connect(s);
	if (events & (EPOLLERR | EPOLLHUP) && s->read_end)
		return fail_stream(s);
	/* Reading first: writing may end the stream. */
	if (events & (EPOLLIN | EPOLLHUP | EPOLLERR) && s->credit > 0 && !s->read_end) {
		from_app(s);
		s = by_id[id % STREAMS_MAX];
	}
	if (s && s->id == id && events & EPOLLOUT && s->queued > 0)
		flush_queue(s);
}
