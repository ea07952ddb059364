// The bare fan-out that the hub is measured against: takes a batch of datagrams, sends each as `ack TEXT` to all who
// ever sent one.
//
// usage: fanout PORT
//
// It takes datagrams that the kernel joined (UDP_GRO), puts the messages of a batch into datagrams of at most 1024
// bytes, a line each, and sends each member these joined (UDP_SEGMENT), many members with one call. It knows no
// names, rooms, commands, limits or liveness, keeps nothing and forgets nobody: no server to be left running.
#include "loop.h"

// 63 whole datagrams are as many as a train of 64 KiB holds.
enum { DATAGRAM = 1024, SEGMENTS = 63, CALL = 256 };
enum { MEMBERS = 1 << 18, TABLE = 1 << 19 };

static struct sockaddr_in members[MEMBERS];
static uint32_t table[TABLE]; // The number of a member plus one, at its hash or behind it.
static unsigned members_count;

// The datagrams of a batch, one behind the other, and where each ends. A message grows by `ack ` and a line break; a
// datagram of one byte, by five.
static char body[BATCH * TRAIN * 6];
static size_t ends[BATCH * TRAIN];
static size_t body_length, datagrams;

static struct mmsghdr sent[CALL];
static struct iovec out[CALL];
static union control sent_controls[CALL];

// Makes whoever sent something a member.
static void join(const struct sockaddr_in *name)
{
    uint32_t hash = (name->sin_addr.s_addr * 2654435761u) ^ (name->sin_port * 2246822519u);
    for (uint32_t slot = (hash ^ hash >> 15) % TABLE;; slot = (slot + 1) % TABLE) {
        if (table[slot] == 0) {
            if (members_count == MEMBERS)
                return;
            members[members_count++] = *name;
            table[slot] = members_count;
            return;
        }
        const struct sockaddr_in *other = &members[table[slot] - 1];
        if (other->sin_addr.s_addr == name->sin_addr.s_addr && other->sin_port == name->sin_port)
            return;
    }
}

// Puts a message into the last datagram, or begins another.
static void add(const char *text, size_t length)
{
    size_t begin = datagrams > 1 ? ends[datagrams - 2] : 0;
    if (datagrams > 0 && ends[datagrams - 1] - begin + 1 + 4 + length <= DATAGRAM)
        body[body_length++] = '\n';
    else
        datagrams++;
    memcpy(body + body_length, "ack ", 4);
    memcpy(body + body_length + 4, text, length);
    body_length += 4 + length;
    ends[datagrams - 1] = body_length;
}

// How many datagrams from `first` on are one train: of one size, but for a shorter last one.
static size_t train(size_t first, size_t begin)
{
    size_t size = ends[first] - begin, count = 1;
    while (count < SEGMENTS && first + count < datagrams) {
        size_t next = ends[first + count] - ends[first + count - 1];
        if (next > size)
            break;
        count++;
        if (next < size)
            break;
    }
    return count;
}

static void send_to_all(int fd)
{
    int count = 0;
    for (unsigned member = 0; member < members_count; member++) {
        size_t begin = 0;
        for (size_t first = 0; first < datagrams;) {
            size_t segments = train(first, begin), end = ends[first + segments - 1];
            struct msghdr *message = &sent[count].msg_hdr;
            out[count] = (struct iovec){ body + begin, end - begin };
            message->msg_name = &members[member];
            message->msg_controllen = 0;
            if (segments > 1) {
                uint16_t size = ends[first] - begin;
                message->msg_controllen = CMSG_SPACE(sizeof size);
                memcpy(CMSG_DATA(&sent_controls[count].align), &size, sizeof size);
            }
            if (++count == CALL) {
                send_all(fd, sent, count);
                count = 0;
            }
            first += segments;
            begin = end;
        }
    }
    send_all(fd, sent, count);
}

int main(int argc, char **argv)
{
    if (argc != 2) {
        fprintf(stderr, "usage: fanout PORT\n");
        return 2;
    }
    int fd = open_on(argv[1], 1, TRAIN);
    if (fd < 0)
        return 1;
    for (int i = 0; i < CALL; i++) {
        struct msghdr *message = &sent[i].msg_hdr;
        message->msg_namelen = sizeof *members;
        message->msg_iov = &out[i];
        message->msg_iovlen = 1;
        message->msg_control = &sent_controls[i];
        sent_controls[i].align.cmsg_level = SOL_UDP;
        sent_controls[i].align.cmsg_type = UDP_SEGMENT;
        sent_controls[i].align.cmsg_len = CMSG_LEN(sizeof(uint16_t));
    }
    for (;;) {
        int count = receive(fd, 1, TRAIN);
        if (count < 0)
            return 1;
        body_length = datagrams = 0;
        for (int i = 0; i < count; i++) {
            join(&names[i]);
            size_t length = messages[i].msg_len, size = length;
            struct cmsghdr *control = CMSG_FIRSTHDR(&messages[i].msg_hdr);
            if (control && control->cmsg_level == SOL_UDP && control->cmsg_type == UDP_GRO) {
                int segment;
                memcpy(&segment, CMSG_DATA(control), sizeof segment);
                size = segment;
            }
            const char *text = iovecs[i].iov_base;
            for (size_t at = 0; at < length; at += size)
                add(text + at, length - at < size ? length - at : size);
        }
        if (datagrams > 0)
            send_to_all(fd);
    }
}
