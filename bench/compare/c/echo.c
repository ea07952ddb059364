// The bare loop that other servers are measured against: takes a batch of datagrams, sends each back.
//
// usage: echo PORT [trains]
//
// With "trains" it takes datagrams that the kernel joined (UDP_GRO) and sends them back joined (UDP_SEGMENT).
// It looks at nothing, bounds nothing and answers everybody: no server to be left running.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/udp.h>
#include <signal.h>
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

// A train has up to 64 KiB; the line more keeps the beginnings of the buffers apart in the cache. Single datagrams
// of the comparison are small, and small buffers suit them best.
enum { BATCH = 64, TRAIN = 65536 + 64, SINGLE = 2048 + 64 };

static char buffers[BATCH * TRAIN];
static struct sockaddr_in names[BATCH];
static struct iovec iovecs[BATCH];
static struct mmsghdr messages[BATCH];
static union {
    char bytes[CMSG_SPACE(sizeof(int))];
    struct cmsghdr align;
} controls[BATCH];

static int fail(const char *what)
{
    perror(what);
    return 1;
}

// Turns what the kernel said about a train into what it is told to send one.
static void answer_train(struct msghdr *message)
{
    struct cmsghdr *control = CMSG_FIRSTHDR(message);
    int size = 0;
    if (control && control->cmsg_level == SOL_UDP && control->cmsg_type == UDP_GRO)
        memcpy(&size, CMSG_DATA(control), sizeof size);
    if (size == 0 || (size_t)size >= message->msg_iov->iov_len) {
        message->msg_controllen = 0;
        return;
    }
    unsigned short segment = size;
    control->cmsg_type = UDP_SEGMENT;
    control->cmsg_len = CMSG_LEN(sizeof segment);
    memcpy(CMSG_DATA(control), &segment, sizeof segment);
    message->msg_controllen = CMSG_SPACE(sizeof segment);
}

int main(int argc, char **argv)
{
    if (argc < 2) {
        fprintf(stderr, "usage: echo PORT [trains]\n");
        return 2;
    }
    int trains = argc > 2 && strcmp(argv[2], "trains") == 0;
    size_t size = trains ? TRAIN : SINGLE;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    int fd = socket(AF_INET, SOCK_DGRAM, 0);
    if (fd < 0)
        return fail("socket");
    int on = 1, room = 4 << 20;
    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &room, sizeof room);
    if (trains && setsockopt(fd, SOL_UDP, UDP_GRO, &on, sizeof on) < 0)
        return fail("UDP_GRO");
    struct sockaddr_in local = { .sin_family = AF_INET, .sin_port = htons(atoi(argv[1])) };
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
    for (;;) {
        for (int i = 0; i < BATCH; i++) {
            iovecs[i].iov_len = size;
            messages[i].msg_hdr.msg_namelen = sizeof names[i];
            messages[i].msg_hdr.msg_controllen = trains ? sizeof controls[i] : 0;
        }
        int count = recvmmsg(fd, messages, BATCH, MSG_WAITFORONE, NULL);
        if (count < 0) {
            if (errno == EINTR)
                continue;
            return fail("recvmmsg");
        }
        for (int i = 0; i < count; i++) {
            iovecs[i].iov_len = messages[i].msg_len;
            if (trains)
                answer_train(&messages[i].msg_hdr);
        }
        for (int done = 0; done < count;) {
            int sent = sendmmsg(fd, messages + done, count - done, 0);
            if (sent < 0 && errno != EINTR)
                sent = 1; // This one cannot be answered; the others can.
            if (sent > 0)
                done += sent;
        }
    }
}
