/* A server that accepts everything: it answers a head with 101 or 200, reads whatever comes, and discards it.
 *
 *   sink PORT
 *
 * It stands in for the server under attack, to measure what the attackers alone cost. An answer to a request with the
 * header `Connection: close` ends its connection. It exits at the end of stdin.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

static const char accepted[] = "HTTP/1.1 101 Switching Protocols\r\n\r\n";
static const char ok[] = "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";

static char room[256 * 1024];

static void fail(const char *what)
{
    perror(what);
    exit(1);
}

static int listen_on(int port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), one = 1;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(listener, (struct sockaddr *)&address, sizeof address) < 0 || listen(listener, 4096) < 0)
        fail("listen");
    return listener;
}

/* Read what there is; return whether the connection goes on. Only a whole head in one read is answered. */
static int take(int client)
{
    ssize_t got = recv(client, room, sizeof room - 1, 0);
    if (got <= 0)
        return got < 0 && (errno == EAGAIN || errno == EINTR);
    room[got] = 0;
    const char *end = strstr(room, "\r\n\r\n");
    if (end == NULL || memmem(room, (size_t)(end - room), "HTTP/1.1", 8) == NULL)
        return 1;
    if (strncmp(room, "GET /ws", 7) == 0)
        return send(client, accepted, sizeof accepted - 1, MSG_NOSIGNAL) > 0;
    return send(client, ok, sizeof ok - 1, MSG_NOSIGNAL) > 0 &&
           memmem(room, (size_t)(end - room), ": close", 7) == NULL;
}

static void accept_some(int poller, int listener)
{
    for (int client; (client = accept4(listener, NULL, NULL, SOCK_NONBLOCK)) >= 0;) {
        struct epoll_event event = {.events = EPOLLIN, .data.fd = client};
        epoll_ctl(poller, EPOLL_CTL_ADD, client, &event);
    }
}

int main(int arguments, char **argument)
{
    struct epoll_event found[1024], input = {.events = EPOLLIN, .data.fd = STDIN_FILENO};
    struct rlimit files;
    if (arguments != 2) {
        fprintf(stderr, "usage: sink PORT\n");
        return 2;
    }
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    int listener = listen_on(atoi(argument[1])), poller = epoll_create1(0);
    struct epoll_event incoming = {.events = EPOLLIN, .data.fd = listener};
    epoll_ctl(poller, EPOLL_CTL_ADD, STDIN_FILENO, &input);
    epoll_ctl(poller, EPOLL_CTL_ADD, listener, &incoming);
    printf("%s\n", argument[1]);
    fflush(stdout);
    for (;;) {
        int number = epoll_wait(poller, found, 1024, -1);
        for (int at = 0; at < number; at++) {
            if (found[at].data.fd == STDIN_FILENO)
                return 0;
            if (found[at].data.fd == listener)
                accept_some(poller, listener);
            else if (!take(found[at].data.fd))
                close(found[at].data.fd);
        }
    }
}
