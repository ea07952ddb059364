// What both loops begin with: a socket on loopback, and room for a batch of datagrams or of trains of them.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/udp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>

#ifndef UDP_SEGMENT
#define UDP_SEGMENT 103
#endif
#ifndef UDP_GRO
#define UDP_GRO 104
#endif

// A train has up to 64 KiB; the line more keeps the beginnings of the buffers apart in the cache.
enum { BATCH = 64, TRAIN = 65536 + 64 };

union control {
    char bytes[CMSG_SPACE(sizeof(int))];
    struct cmsghdr align;
};

static char buffers[BATCH * TRAIN];
static struct sockaddr_in names[BATCH];
static struct iovec iovecs[BATCH];
static struct mmsghdr messages[BATCH];
static union control controls[BATCH];

static int fail(const char *what)
{
    perror(what);
    return -1;
}

// A socket on `port` that takes datagrams joined where `trains` says so, with a batch's messages ready for it, each of up
// to `size` bytes; negative where that fails. The process ends with its parent.
static int open_on(const char *port, int trains, size_t size)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    int fd = socket(AF_INET, SOCK_DGRAM, 0);
    if (fd < 0)
        return fail("socket");
    int on = 1, room = 4 << 20;
    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &room, sizeof room);
    if (trains && setsockopt(fd, SOL_UDP, UDP_GRO, &on, sizeof on) < 0)
        return fail("UDP_GRO");
    struct sockaddr_in local = { .sin_family = AF_INET, .sin_port = htons(atoi(port)) };
    local.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (bind(fd, (struct sockaddr *)&local, sizeof local) < 0)
        return fail("bind");
    for (int i = 0; i < BATCH; i++) {
        iovecs[i].iov_base = buffers + i * size;
        messages[i].msg_hdr.msg_name = &names[i];
        messages[i].msg_hdr.msg_iov = &iovecs[i];
        messages[i].msg_hdr.msg_iovlen = 1;
        messages[i].msg_hdr.msg_control = trains ? &controls[i] : NULL;
    }
    return fd;
}

// Waits for a batch; returns how many datagrams or trains it has, or a negative number where that fails.
static int receive(int fd, int trains, size_t size)
{
    for (;;) {
        for (int i = 0; i < BATCH; i++) {
            iovecs[i].iov_len = size;
            messages[i].msg_hdr.msg_namelen = sizeof names[i];
            messages[i].msg_hdr.msg_controllen = trains ? sizeof controls[i] : 0;
        }
        int count = recvmmsg(fd, messages, BATCH, MSG_WAITFORONE, NULL);
        if (count >= 0)
            return count;
        if (errno != EINTR)
            return fail("recvmmsg");
    }
}

// Sends `count` messages. One that cannot be sent is left out; the others can.
static void send_all(int fd, struct mmsghdr *all, int count)
{
    for (int done = 0; done < count;) {
        int sent = sendmmsg(fd, all + done, count - done, 0);
        if (sent < 0 && errno != EINTR)
            sent = 1;
        if (sent > 0)
            done += sent;
    }
}
