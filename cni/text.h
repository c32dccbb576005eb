/* SPDX-License-Identifier: Apache-2.0 */
/* Ranges of bytes, and texts that grow up to a bound. */
#pragma once

typedef struct {
	const char *start;
	const char *end;
} range;

typedef struct {
	char *bytes;
	unsigned long length;
	unsigned long max;
	/* More was put into it than it holds: it is no whole text. */
	int is_short;
} text;

static range range_of(const char *words)
{
	const char *end = words;
	while (end != 0 && *end != 0)
		end++;
	return (range){words, end};
}

static int is_empty(range one)
{
	return one.start == one.end;
}

static int is_same(range one, range other)
{
	if (one.end - one.start != other.end - other.start)
		return 0;
	for (; one.start < one.end; one.start++, other.start++)
		if (*one.start != *other.start)
			return 0;
	return 1;
}

static void put(text *to, range what)
{
	for (const char *at = what.start; at < what.end; at++) {
		if (to->length == to->max) {
			to->is_short = 1;
			return;
		}
		to->bytes[to->length++] = *at;
	}
}

static void put_words(text *to, const char *words)
{
	put(to, range_of(words));
}

static void put_number(text *to, long number)
{
	char digits[20];
	int at = sizeof digits;
	do {
		digits[--at] = (char)('0' + number % 10);
		number /= 10;
	} while (number > 0 && at > 0);
	put(to, (range){digits + at, digits + sizeof digits});
}

/* As the inside of a JSON string. */
static void put_escaped(text *to, range what)
{
	static const char hex[] = "0123456789abcdef";
	for (const char *at = what.start; at < what.end; at++) {
		unsigned char byte = (unsigned char)*at;
		if (byte == '"' || byte == '\\') {
			char escape[] = {'\\', *at};
			put(to, (range){escape, escape + sizeof escape});
		} else if (byte < 0x20) {
			char escape[] = {'\\', 'u', '0', '0', hex[byte >> 4], hex[byte & 15]};
			put(to, (range){escape, escape + sizeof escape});
		} else {
			put(to, (range){at, at + 1});
		}
	}
}
