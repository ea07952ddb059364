// The bare loop that other servers are measured against: takes a batch of datagrams, sends each back.
//
// usage: echo PORT [trains]
//
// With "trains" it takes datagrams that the kernel joined (UDP_GRO) and sends them back joined (UDP_SEGMENT).
// It looks at nothing, bounds nothing and answers everybody: no server to be left running.
#include "loop.h"

// Single datagrams of the comparison are small, and small buffers suit them best.
enum { SINGLE = 2048 + 64 };

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
    int fd = open_on(argv[1], trains, size);
    if (fd < 0)
        return 1;
    for (;;) {
        int count = receive(fd, trains, size);
        if (count < 0)
            return 1;
        for (int i = 0; i < count; i++) {
            iovecs[i].iov_len = messages[i].msg_len;
            if (trains)
                answer_train(&messages[i].msg_hdr);
        }
        send_all(fd, messages, count);
    }
}
