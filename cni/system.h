/* SPDX-License-Identifier: Apache-2.0 */
/* What a program without a C library asks the kernel for. The hosts that it runs on have none that one could count on. */
#pragma once
#include <asm/unistd.h>
#include <linux/in.h>
#include <linux/poll.h>
#include <linux/time.h>
#include <linux/un.h>

typedef unsigned long usize;
typedef long isize;

#if defined(__x86_64__)
static isize system_call(long number, long a, long b, long c, long d, long e)
{
	register long r10 __asm__("r10") = d;
	register long r8 __asm__("r8") = e;
	long result;
	__asm__ volatile("syscall"
			 : "=a"(result)
			 : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8)
			 : "rcx", "r11", "memory");
	return result;
}
/* The kernel leaves the count and the words of the command line where the stack begins. */
__asm__(".globl _start\n_start:\n xor %ebp,%ebp\n mov %rsp,%rdi\n and $-16,%rsp\n call begin\n");
#elif defined(__aarch64__)
static isize system_call(long number, long a, long b, long c, long d, long e)
{
	register long x8 __asm__("x8") = number;
	register long x0 __asm__("x0") = a;
	register long x1 __asm__("x1") = b;
	register long x2 __asm__("x2") = c;
	register long x3 __asm__("x3") = d;
	register long x4 __asm__("x4") = e;
	__asm__ volatile("svc 0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4) : "memory");
	return x0;
}
__asm__(".globl _start\n_start:\n mov x29,#0\n mov x0,sp\n bl begin\n");
#else
#error weft-cni is built for x86-64 and arm64
#endif

/* The compiler calls these by itself. */
void *memcpy(void *to, const void *from, usize count)
{
	for (usize at = 0; at < count; at++)
		((char *)to)[at] = ((const char *)from)[at];
	return to;
}
void *memset(void *to, int byte, usize count)
{
	for (usize at = 0; at < count; at++)
		((char *)to)[at] = (char)byte;
	return to;
}

/* Results below zero are the kernel's error numbers. */
static isize read_some(int fd, char *into, usize count)
{
	return system_call(__NR_read, fd, (long)into, (long)count, 0, 0);
}
static isize write_some(int fd, const char *from, usize count)
{
	return system_call(__NR_write, fd, (long)from, (long)count, 0, 0);
}
static int open_file(const char *path)
{
	return (int)system_call(__NR_openat, -100 /* AT_FDCWD */, (long)path, 02000000 /* O_CLOEXEC */, 0, 0);
}
static void close_file(int fd)
{
	system_call(__NR_close, fd, 0, 0, 0, 0);
}
static long own_pid(void)
{
	return system_call(__NR_getpid, 0, 0, 0, 0, 0);
}
static _Noreturn void end_process(int code)
{
	for (;;)
		system_call(__NR_exit_group, code, 0, 0, 0, 0);
}

static long now_ms(void)
{
	struct __kernel_timespec now = {0};
	system_call(__NR_clock_gettime, 1 /* CLOCK_MONOTONIC */, (long)&now, 0, 0, 0);
	return (long)now.tv_sec * 1000 + (long)now.tv_nsec / 1000000;
}
static void sleep_ms(long ms)
{
	struct __kernel_timespec pause = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};
	system_call(__NR_nanosleep, (long)&pause, 0, 0, 0, 0);
}
/* Whether something can be read, or has ended, before that moment. */
static int readable_until(int fd, long until_ms)
{
	long left = until_ms - now_ms();
	struct __kernel_timespec wait = {.tv_sec = left / 1000, .tv_nsec = left % 1000 * 1000000};
	struct pollfd one = {.fd = fd, .events = POLLIN};
	return left > 0 && system_call(__NR_ppoll, (long)&one, 1, (long)&wait, 0, 0) > 0;
}

/* A connection to the socket of that path. */
static int connect_to(const char *path)
{
	struct sockaddr_un address = {.sun_family = 1 /* AF_UNIX */};
	usize length = 0;
	while (path[length] != 0 && length < sizeof address.sun_path - 1) {
		address.sun_path[length] = path[length];
		length++;
	}
	int fd = (int)system_call(__NR_socket, 1, 1 | 02000000 /* SOCK_STREAM | SOCK_CLOEXEC */, 0, 0, 0);
	if (fd < 0)
		return fd;
	isize failed = system_call(__NR_connect, fd, (long)&address, sizeof address, 0, 0);
	if (failed == 0)
		return fd;
	close_file(fd);
	return (int)failed;
}
/* The other end reads to the end of what was written. */
static void end_writing(int fd)
{
	system_call(__NR_shutdown, fd, 1, 0, 0, 0);
}
