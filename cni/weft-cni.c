/* SPDX-License-Identifier: Apache-2.0 */
/*
 * weft-cni: a CNI plugin that comes last in the chain of a node. When a pod is given its network, before any process of it runs, it asks
 * the agent of the node to take the pod into the mesh, and waits for that. It decides nothing itself while the agent answers. While it
 * does not, pods that may be meant for the mesh wait, and fail with the reason; all others start.
 *
 * docs/rules/kubernetes.md has its rules. It is one static program without a C library and without files beside it.
 */
#include "system.h"
#include "json.h"

/* Fixed by src/model/cni/places.ts. */
#define SOCKET "/run/weft/cni.sock"
#define NAMESPACES "/var/lib/weft/cni/mesh-namespaces"

/* Fixed by src/protocol/cni/messages.ts. */
#define SPEAKS "weft-cni 1 "

/* Less than the runtime waits for a plugin, and longer than an agent takes to start. */
#define PATIENCE_MS 30000
#define PAUSE_MS 200
#define BYTES_MAX (1 << 20)

/* Fixed by the CNI specification: a configuration that cannot be read, one that is wrong, and "try again later". */
#define CODE_DECODE 6
#define CODE_CONFIG 7
#define CODE_LATER 11

static char input_bytes[BYTES_MAX], request_bytes[BYTES_MAX + 65536], reply_bytes[BYTES_MAX], listed_bytes[BYTES_MAX],
	output_bytes[65536];

static char **environment;

static range variable(const char *name)
{
	range wanted = range_of(name);
	for (char **one = environment; *one != 0; one++) {
		range whole = range_of(*one);
		const char *equals = whole.start;
		while (equals < whole.end && *equals != '=')
			equals++;
		if (equals < whole.end && is_same((range){whole.start, equals}, wanted))
			return (range){equals + 1, whole.end};
	}
	return (range){0, 0};
}

/* The value of a name in `A=1;B=2`. */
static range argument(range all, const char *name)
{
	range wanted = range_of(name);
	const char *at = all.start;
	while (at < all.end) {
		const char *start = at, *equals = at;
		while (at < all.end && *at != ';')
			at++;
		while (equals < at && *equals != '=')
			equals++;
		if (equals < at && is_same((range){start, equals}, wanted))
			return (range){equals + 1, at};
		at++;
	}
	return (range){0, 0};
}

/* All that is to be read until the end or that moment; 0: it did not come to an end, or is more than fits. */
static int read_all(int fd, text *into, long until_ms)
{
	while (into->length < into->max) {
		if (!readable_until(fd, until_ms))
			return 0;
		isize count = read_some(fd, into->bytes + into->length, into->max - into->length);
		if (count == -4 /* EINTR */)
			continue;
		if (count <= 0)
			return count == 0;
		into->length += (usize)count;
	}
	return 0;
}

static int write_all(int fd, range what)
{
	while (what.start < what.end) {
		isize count = write_some(fd, what.start, (usize)(what.end - what.start));
		if (count == -4 /* EINTR */)
			continue;
		if (count <= 0)
			return 0;
		what.start += count;
	}
	return 1;
}

static range whole(const text *one)
{
	return (range){one->bytes, one->bytes + one->length};
}

static _Noreturn void print(range what, int code)
{
	end_process(write_all(1, what) ? code : 1);
}

/* As the specification wants errors to be told; kubelet puts `msg` into an event of the pod. */
static _Noreturn void fail(range version, int code, const text *why, const char *remedy)
{
	text out = {output_bytes, 0, sizeof output_bytes, 0};
	put_words(&out, "{\"cniVersion\":");
	if (is_empty(version) || json_string(version.start, version.end) != version.end)
		put_words(&out, "\"1.0.0\"");
	else
		put(&out, version);
	put_words(&out, ",\"code\":");
	put_number(&out, code);
	put_words(&out, ",\"msg\":\"");
	put_escaped(&out, whole(why));
	put_words(&out, ": ");
	put_words(&out, remedy);
	put_words(&out, "\"}\n");
	print(whole(&out), 1);
}

static _Noreturn void fail_words(range version, int code, const char *why, const char *remedy)
{
	range words = range_of(why);
	text text_of = {(char *)words.start, (usize)(words.end - words.start), 0, 0};
	fail(version, code, &text_of, remedy);
}

/* What the mesh, or the cluster, starts by can wait for neither: as src/model/mesh/membership.ts has it. */
static int is_never_in_the_mesh(range namespace)
{
	return is_same(namespace, range_of("kube-system")) || is_same(namespace, range_of("istio-system"));
}

/*
 * Whether pods of a namespace may be meant for the mesh, by what the agent wrote when it last ran. What is not whole tells nothing, and
 * then every pod may be.
 */
static int may_be_in_the_mesh(range namespace)
{
	text all = {listed_bytes, 0, sizeof listed_bytes, 0};
	int fd = open_file(NAMESPACES);
	if (fd < 0 || !read_all(fd, &all, now_ms() + PATIENCE_MS))
		return 1;
	close_file(fd);
	range words = whole(&all);
	int count = 0, is_whole = 0, is_listed = 0;
	for (const char *at = words.start; at < words.end; count++) {
		const char *start = at;
		while (at < words.end && *at != '\n')
			at++;
		range line = {start, at};
		is_whole = at < words.end && is_same(line, range_of("end"));
		if (count == 0 && !is_same(line, range_of("weft-cni 1")))
			return 1;
		if (count > 0 && is_same(line, namespace))
			is_listed = 1;
		at++;
	}
	return is_listed || !is_whole;
}

enum answer { AWAY, PASS, ERROR, STRANGE };

/* Asks the agent once. With ERROR `told` is what is to be printed; with AWAY `why` says what happened. */
static enum answer ask(range request, long until_ms, range *told, const char **why)
{
	int fd = connect_to(SOCKET);
	if (fd < 0) {
		*why = fd == -2 /* ENOENT */ ? "no such socket" : "connection refused";
		return AWAY;
	}
	text reply = {reply_bytes, 0, sizeof reply_bytes, 0};
	*why = "no answer";
	if (!write_all(fd, request)) {
		close_file(fd);
		return AWAY;
	}
	end_writing(fd);
	int is_whole = read_all(fd, &reply, until_ms);
	close_file(fd);
	if (!is_whole || reply.length == 0)
		return AWAY;
	range words = whole(&reply);
	const char *line = json_word(words.start, words.end, SPEAKS);
	if (line == 0)
		return STRANGE;
	if (json_word(line, words.end, "pass\n") == words.end)
		return PASS;
	const char *body = json_word(line, words.end, "error\n");
	if (body == 0)
		return STRANGE;
	*told = (range){body, words.end};
	return json_is_object(*told) ? ERROR : AWAY;
}

static void put_field(text *to, const char *key, range value)
{
	put_words(to, ",\"");
	put_words(to, key);
	put_words(to, "\":\"");
	put_escaped(to, value);
	put_words(to, "\"");
}

static _Noreturn void add(range config)
{
	if (!json_is_object(config))
		fail_words((range){0, 0}, CODE_DECODE, "the network configuration is no JSON object", "see /etc/cni/net.d");
	range version = json_field(config, "cniVersion");
	range before = json_field(config, "prevResult");
	if (is_empty(before) || *before.start != '{')
		fail_words(version, CODE_CONFIG, "weft-cni stands first in the chain, and gives no pod an address",
			   "put it behind the plugin that does");
	range arguments = variable("CNI_ARGS");
	range namespace = argument(arguments, "K8S_POD_NAMESPACE"), name = argument(arguments, "K8S_POD_NAME");
	if (is_empty(namespace) || is_empty(name) || is_never_in_the_mesh(namespace))
		print(before, 0);

	text request = {request_bytes, 0, sizeof request_bytes, 0};
	put_words(&request, "{\"v\":1,\"pid\":");
	put_number(&request, own_pid());
	put_field(&request, "containerId", variable("CNI_CONTAINERID"));
	put_field(&request, "netns", variable("CNI_NETNS"));
	put_field(&request, "ifname", variable("CNI_IFNAME"));
	put_field(&request, "args", arguments);
	put_words(&request, ",\"config\":");
	put(&request, config);
	put_words(&request, "}");
	if (request.is_short)
		fail_words(version, CODE_CONFIG, "the environment of weft-cni is larger than it can be", "see the runtime's log");

	long until_ms = now_ms() + PATIENCE_MS;
	const char *why = "";
	for (;;) {
		range told = {0, 0};
		enum answer answer = ask(whole(&request), until_ms, &told, &why);
		if (answer == PASS)
			print(before, 0);
		if (answer == ERROR)
			print(told, 1);
		if (answer == STRANGE)
			fail_words(version, CODE_LATER, "the agent of Weft on this node is not of the version of weft-cni",
				   "the agent puts its own in place when it starts; kubectl get pods -n istio-system -o wide");
		if (!may_be_in_the_mesh(namespace))
			print(before, 0);
		if (now_ms() >= until_ms)
			break;
		sleep_ms(PAUSE_MS);
	}
	static char words[8192];
	text waits = {words, 0, sizeof words, 0};
	put_words(&waits, "the agent of Weft does not answer on this node (" SOCKET ": ");
	put_words(&waits, why);
	put_words(&waits, "), and pod ");
	put(&waits, namespace);
	put_words(&waits, "/");
	put(&waits, name);
	put_words(&waits, ", whose namespace is in the mesh, waits for it");
	fail(version, CODE_LATER, &waits, "see kubectl get pods -n istio-system -l app=weft-agent -o wide");
}

/* A probe of the agent's own pod: whether that agent serves, as it says itself on this socket. */
static _Noreturn void ready(const char *socket)
{
	text reply = {reply_bytes, 0, sizeof reply_bytes, 0};
	int fd = connect_to(socket);
	if (fd < 0)
		print(range_of("the agent does not answer yet\n"), 1);
	end_writing(fd);
	if (!read_all(fd, &reply, now_ms() + PATIENCE_MS))
		print(range_of("the agent does not answer\n"), 1);
	print(whole(&reply), json_word(reply.bytes, reply.bytes + reply.length, "ready\n") == 0);
}

__attribute__((used)) _Noreturn void begin(long *stack)
{
	char **words = (char **)(stack + 1);
	environment = words + stack[0] + 1;
	if (stack[0] == 3 && is_same(range_of(words[1]), range_of("--ready")))
		ready(words[2]);
	range command = variable("CNI_COMMAND");
	text input = {input_bytes, 0, sizeof input_bytes, 0};
	if (is_same(command, range_of("VERSION")))
		print(range_of("{\"cniVersion\":\"1.1.0\",\"supportedVersions\":[\"0.3.0\",\"0.3.1\",\"0.4.0\",\"1.0.0\",\"1.1.0\"]}\n"), 0);
	/* DEL, CHECK, STATUS and GC never fail: a dead agent must neither keep pods from ending nor make the node unready. */
	if (!is_same(command, range_of("ADD")))
		end_process(0);
	if (!read_all(0, &input, now_ms() + PATIENCE_MS))
		fail_words((range){0, 0}, CODE_DECODE, "the network configuration cannot be read, or is larger than 1 MiB",
			   "see /etc/cni/net.d");
	add(whole(&input));
}
