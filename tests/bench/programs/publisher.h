/* The clock of a publisher, and its connection to a broker over MQTT 3.1.1; its client id has less than 100 bytes. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static int broker;

static void fail(const char *what)
{
    perror(what);
    exit(1);
}

static uint64_t clock_ns(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static void wait_until(uint64_t due)
{
    struct timespec until = {.tv_sec = (time_t)(due / 1000000000u), .tv_nsec = (long)(due % 1000000000u)};
    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL) == EINTR)
        ;
}

static void send_all(const void *data, size_t size)
{
    const char *next = data;
    while (size > 0) {
        ssize_t sent = send(broker, next, size, MSG_NOSIGNAL);
        if (sent < 0 && errno != EINTR)
            fail("send");
        if (sent > 0) {
            next += sent;
            size -= (size_t)sent;
        }
    }
}

static void connect_to(int port, const char *client_id)
{
    /* CONNECT with a clean session and keep alive 0 */
    char hello[128] = "\x10\0\0\4MQTT\4\2\0\0\0";
    size_t id_size = strlen(client_id);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    unsigned char answer[4];
    int one = 1;
    hello[1] = (char)(12 + id_size);
    hello[13] = (char)id_size;
    memcpy(hello + 14, client_id, id_size);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    broker = socket(AF_INET, SOCK_STREAM, 0);
    if (broker < 0 || connect(broker, (struct sockaddr *)&address, sizeof address) < 0)
        fail("connect");
    setsockopt(broker, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    send_all(hello, 14 + id_size);
    if (recv(broker, answer, sizeof answer, MSG_WAITALL) != sizeof answer || answer[0] != 0x20 || answer[3] != 0) {
        fprintf(stderr, "the broker refused the connection\n");
        exit(1);
    }
}
