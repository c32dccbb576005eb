/* SPDX-License-Identifier: Apache-2.0
 * The least that can do what two agents do: connections of one side travel as streams of one mutual TLS 1.3 connection that stays.
 *   relay near LISTEN_PORT HOST PORT DIR           takes connections on 127.0.0.1, carries them to the far side
 *   relay far  LISTEN_PORT APP_HOST APP_PORT DIR   takes the tunnel, and connects each stream to the app
 * DIR holds ca.pem, and a.both (near) or b.both (far): certificate and key. One thread, epoll, OpenSSL on the descriptor.
 * Frames: length u24, type u8, stream u32, payload. A sender has WINDOW bytes of each stream on the way at most. */
#define _GNU_SOURCE
#include "relay.h"
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#define OUT_HIGH (1 << 18)
#define RECORD_BYTES 16384
#define EVENTS 256
/* What events of the tunnel and the listener carry in place of a stream's id. */
#define TUNNEL (1ull << 32)
#define LISTENER (2ull << 32)

int set;
struct sockaddr_in app;
uint8_t *out;
size_t out_at, out_end;
static int listener, tunnel, near, tunnel_waits;
static uint32_t next_id = 1;
static SSL *ssl;
static uint8_t in[1 << 18];
static size_t in_end;

void die(const char *what)
{
	perror(what);
	ERR_print_errors_fp(stderr);
	exit(1);
}

void no_delay(int fd)
{
	int one = 1;
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
}

static struct sockaddr_in address_of(const char *host, const char *port)
{
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(port)) };
	if (inet_pton(AF_INET, host, &address.sin_addr) != 1)
		die(host);
	return address;
}

static void read_tunnel(void)
{
	do {
		ERR_clear_error();
		int got = SSL_read(ssl, in + in_end, (int)(sizeof(in) - in_end));
		if (got <= 0) {
			if (SSL_get_error(ssl, got) == SSL_ERROR_WANT_READ)
				return;
			exit(0);
		}
		in_end += (size_t)got;
		size_t at = 0;
		while (in_end - at >= HEAD_BYTES) {
			const uint8_t *f = in + at;
			size_t length = (size_t)f[0] << 16 | (size_t)f[1] << 8 | f[2];
			if (in_end - at < HEAD_BYTES + length)
				break;
			uint32_t id = (uint32_t)f[4] << 24 | (uint32_t)f[5] << 16 | (uint32_t)f[6] << 8 | f[7];
			on_frame((enum frame_type)f[3], id, f + HEAD_BYTES, length);
			at += HEAD_BYTES + length;
		}
		memmove(in, in + at, in_end - at);
		in_end -= at;
	} while (SSL_has_pending(ssl));
}

static void watch_tunnel(int waits)
{
	struct epoll_event event = { .events = EPOLLIN | (waits ? EPOLLOUT : 0), .data.u64 = TUNNEL };

	if (waits != tunnel_waits)
		epoll_ctl(set, EPOLL_CTL_MOD, tunnel, &event);
	tunnel_waits = waits;
}

static void write_tunnel(void)
{
	while (out_at < out_end) {
		size_t piece = out_end - out_at < RECORD_BYTES ? out_end - out_at : RECORD_BYTES;
		ERR_clear_error();
		int put = SSL_write(ssl, out + out_at, (int)piece);
		if (put <= 0)
			break;
		out_at += (size_t)put;
	}
	if (out_at == out_end)
		out_at = out_end = 0;
	if (out_at > OUT_HIGH) {
		memmove(out, out + out_at, out_end - out_at);
		out_end -= out_at;
		out_at = 0;
	}
	watch_tunnel(out_end > 0);
}

/* While the tunnel takes nothing, no app is read; what comes in is taken, so that both sides cannot wait for each other. */
static void drain_tunnel(void)
{
	write_tunnel();
	while (out_end - out_at > OUT_HIGH) {
		struct pollfd wait = { .fd = tunnel, .events = POLLIN | POLLOUT };
		poll(&wait, 1, -1);
		if (wait.revents & (POLLIN | POLLHUP | POLLERR))
			read_tunnel();
		write_tunnel();
	}
}

static SSL_CTX *tls_context(const char *dir)
{
	char ca[4096], both[4096];
	SSL_CTX *context = SSL_CTX_new(near ? TLS_client_method() : TLS_server_method());

	snprintf(ca, sizeof(ca), "%s/ca.pem", dir);
	snprintf(both, sizeof(both), "%s/%s.both", dir, near ? "a" : "b");
	SSL_CTX_set_min_proto_version(context, TLS1_3_VERSION);
	SSL_CTX_set_read_ahead(context, 1);
	SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
	SSL_CTX_set_verify(context, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
	if (SSL_CTX_load_verify_locations(context, ca, NULL) != 1 || SSL_CTX_use_certificate_chain_file(context, both) != 1 ||
	    SSL_CTX_use_PrivateKey_file(context, both, SSL_FILETYPE_PEM) != 1)
		die("certificates");
	return context;
}

static int listen_on(const char *host, const char *port)
{
	struct sockaddr_in at = address_of(host, port);
	int fd = socket(AF_INET, SOCK_STREAM, 0), one = 1;

	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (bind(fd, (struct sockaddr *)&at, sizeof(at)) || listen(fd, 4096))
		die("listen");
	return fd;
}

static void tunnel_up(const char *dir, const struct sockaddr_in *peer)
{
	tunnel = near ? socket(AF_INET, SOCK_STREAM, 0) : accept(listener, NULL, NULL);
	if (tunnel < 0 || (near && connect(tunnel, (const struct sockaddr *)peer, sizeof(*peer))))
		die("tunnel");
	no_delay(tunnel);
	ssl = SSL_new(tls_context(dir));
	SSL_set_fd(ssl, tunnel);
	if (near)
		SSL_set1_host(ssl, "peer");
	if ((near ? SSL_connect(ssl) : SSL_accept(ssl)) != 1)
		die("handshake");
	fcntl(tunnel, F_SETFL, O_NONBLOCK);
}

static void accept_streams(void)
{
	int fd;
	while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0)
		accept_stream(fd, next_id++);
}

static void run(void)
{
	struct epoll_event events[EVENTS], event = { .events = EPOLLIN, .data.u64 = TUNNEL };

	set = epoll_create1(0);
	epoll_ctl(set, EPOLL_CTL_ADD, tunnel, &event);
	event.data.u64 = LISTENER;
	fcntl(listener, F_SETFL, O_NONBLOCK);
	if (near)
		epoll_ctl(set, EPOLL_CTL_ADD, listener, &event);
	for (;;) {
		int count = epoll_wait(set, events, EVENTS, -1);
		for (int at = 0; at < count; at++) {
			if (events[at].data.u64 == LISTENER)
				accept_streams();
			else if (events[at].data.u64 == TUNNEL)
				read_tunnel();
			else
				on_app((uint32_t)events[at].data.u64, events[at].events);
			if (out_end - out_at > OUT_HIGH)
				drain_tunnel();
		}
		if (out_end > 0)
			write_tunnel();
	}
}

int main(int argc, char **argv)
{
	struct rlimit files;

	if (argc != 6) {
		fprintf(stderr, "usage: relay near|far LISTEN_PORT HOST PORT DIR\n");
		return 2;
	}
	signal(SIGPIPE, SIG_IGN);
	if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
		files.rlim_cur = files.rlim_max;
		setrlimit(RLIMIT_NOFILE, &files);
	}
	near = !strcmp(argv[1], "near");
	app = address_of(argv[3], argv[4]);
	listener = listen_on(near ? "127.0.0.1" : "0.0.0.0", argv[2]);
	tunnel_up(argv[5], &app);
	printf("{\"event\":\"ready\"}\n");
	fflush(stdout);
	run();
}
