/* SPDX-License-Identifier: Apache-2.0 */
/* Where values lie in a JSON text. Nothing is changed or built: what comes out is a range of what came in, byte for byte. */
#pragma once
#include "text.h"

/* Deeper than any configuration; each level is a call. */
#define JSON_DEPTH_MAX 200

static const char *json_value(const char *at, const char *end, int depth);

static const char *json_space(const char *at, const char *end)
{
	while (at < end && (*at == ' ' || *at == '\t' || *at == '\n' || *at == '\r'))
		at++;
	return at;
}

static int json_is_digit(const char *at, const char *end)
{
	return at < end && *at >= '0' && *at <= '9';
}

static int json_is_hex(char one)
{
	return (one >= '0' && one <= '9') || (one >= 'a' && one <= 'f') || (one >= 'A' && one <= 'F');
}

/* Each returns the place after what begins at `at`; 0: that is none. */
static const char *json_string(const char *at, const char *end)
{
	if (at >= end || *at++ != '"')
		return 0;
	while (at < end && *at != '"') {
		if ((unsigned char)*at < 0x20)
			return 0;
		if (*at++ != '\\')
			continue;
		if (at >= end)
			return 0;
		if (*at == 'u') {
			if (end - at < 5)
				return 0;
			for (int digit = 1; digit <= 4; digit++)
				if (!json_is_hex(at[digit]))
					return 0;
			at += 4;
		} else if (*at != '"' && *at != '\\' && *at != '/' && *at != 'b' && *at != 'f' && *at != 'n' && *at != 'r' &&
			   *at != 't') {
			return 0;
		}
		at++;
	}
	return at < end ? at + 1 : 0;
}

static const char *json_digits(const char *at, const char *end)
{
	if (!json_is_digit(at, end))
		return 0;
	while (json_is_digit(at, end))
		at++;
	return at;
}

static const char *json_number(const char *at, const char *end)
{
	if (at < end && *at == '-')
		at++;
	int is_zero = at < end && *at == '0';
	at = is_zero ? at + 1 : json_digits(at, end);
	if (at != 0 && at < end && *at == '.')
		at = json_digits(at + 1, end);
	if (at != 0 && at < end && (*at == 'e' || *at == 'E')) {
		at++;
		if (at < end && (*at == '+' || *at == '-'))
			at++;
		at = json_digits(at, end);
	}
	return at;
}

static const char *json_word(const char *at, const char *end, const char *word)
{
	for (; *word != 0; word++, at++)
		if (at >= end || *at != *word)
			return 0;
	return at;
}

/* An object or an array. `key` not empty: where the value of that key lies goes into `found`, the last one if it is there twice. */
static const char *json_members(const char *at, const char *end, int depth, range key, range *found)
{
	char closing = *at == '{' ? '}' : ']';
	at = json_space(at + 1, end);
	if (at < end && *at == closing)
		return at + 1;
	for (;;) {
		int is_sought = 0;
		if (closing == '}') {
			const char *name = at;
			at = json_string(at, end);
			if (at == 0)
				return 0;
			is_sought = !is_empty(key) && is_same((range){name + 1, at - 1}, key);
			at = json_space(at, end);
			if (at >= end || *at++ != ':')
				return 0;
			at = json_space(at, end);
		}
		const char *value = at;
		at = json_value(at, end, depth);
		if (at == 0)
			return 0;
		if (is_sought)
			*found = (range){value, at};
		at = json_space(at, end);
		if (at < end && *at == closing)
			return at + 1;
		if (at >= end || *at++ != ',')
			return 0;
		at = json_space(at, end);
	}
}

static const char *json_value(const char *at, const char *end, int depth)
{
	if (at >= end || depth > JSON_DEPTH_MAX)
		return 0;
	switch (*at) {
	case '{':
	case '[':
		return json_members(at, end, depth + 1, (range){0, 0}, 0);
	case '"':
		return json_string(at, end);
	case 't':
		return json_word(at, end, "true");
	case 'f':
		return json_word(at, end, "false");
	case 'n':
		return json_word(at, end, "null");
	default:
		return json_number(at, end);
	}
}

/* Whether this is one JSON object and nothing else. */
static int json_is_object(range whole)
{
	const char *at = json_space(whole.start, whole.end);
	if (at >= whole.end || *at != '{')
		return 0;
	at = json_members(at, whole.end, 1, (range){0, 0}, 0);
	return at != 0 && json_space(at, whole.end) == whole.end;
}

/* The value of a key of an object, as it is written there; empty: it has none. */
static range json_field(range object, const char *key)
{
	range found = {0, 0};
	const char *at = json_space(object.start, object.end);
	if (at < object.end && *at == '{')
		json_members(at, object.end, 1, range_of(key), &found);
	return found;
}
