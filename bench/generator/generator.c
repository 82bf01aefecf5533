/* Load generator: subscribers and publishers on one epoll loop, one core.
 *
 * Speaks HTTP/1.1, server-sent events (as a byte stream) and RFC 6455 client frames.
 * It knows no protocol above those: opening frames, publish templates and markers are
 * given to it, see dialects.py. Every Message carries a stamp
 * "~#PP:NNNNNNNNNN:TTTTTTTTTTTTTTTTTTT" (publisher, number, CLOCK_MONOTONIC in ns);
 * every subscriber checks the number and measures the latency.
 *
 * Configuration and commands come on standard input, answers leave on standard output,
 * both line by line; the list of both is in client.py.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#define STAMP 34
#define MAX_STEPS 8
#define MAX_STREAMS 1024
#define MAX_PUBLISHERS 64
#define MAX_AUTOS 8
#define RING 65536
#define BUCKETS 1024
#define SPIN_NS 100000
#define READ_SIZE (256 * 1024)

typedef struct { char *p; size_t n; } bytes;
typedef struct { bytes send, await; } step;
typedef struct { step steps[MAX_STEPS]; int count; } opening;

enum kind { SUBSCRIBER, PUBLISHER };
enum framing { WS, RAW };

typedef struct conn {
    int fd, stream, index, step;
    uint8_t kind, in_head, open, stalled, dead, want_write;
    uint32_t hint;                      /* where the last stamp was in its frame */
    uint32_t next[MAX_PUBLISHERS];      /* next number expected, by publisher */
    char *part; size_t part_n, part_cap; /* bytes of an unfinished frame */
    char *out; size_t out_n, out_cap;    /* bytes that the socket did not take */
    uint64_t *sent_at; uint32_t sent, replied; /* publishers: FIFO of moments */
} conn;

static struct sockaddr_in address;
static opening sub_opening[MAX_STREAMS], pub_opening;
static bytes template[MAX_STREAMS], reply_marker, error_marker;
static size_t stamp_at[MAX_STREAMS];
static struct { bytes trigger, reply; } autos[MAX_AUTOS];
static bytes ack_needle, ack_head, ack_tail;
static size_t ack_length;
static int auto_count, streams = 1, subscribers, publishers, stalled, concurrency = 64;
static int sub_framing = WS, pub_framing = WS;
static conn *subs, *pubs;
static uint32_t number[MAX_PUBLISHERS][MAX_STREAMS];
static uint32_t healthy[MAX_STREAMS];
static char buffer[READ_SIZE * 2 + 65536];
static int ep, timer;

static uint64_t published, replies, errors, expected, received, gaps, duplicates, resets;
static uint64_t spun; /* time spent polling without a result */
static uint64_t opened, failed, closed, forgiven, bytes_in, controls;
static uint64_t latency[BUCKETS], reply_latency[BUCKETS];
static enum { IDLE, RATE, WINDOW, REPLIES } mode;
static double rate, window;
static uint64_t next_due, last_progress, turn;
static int next_to_open, opening_now, quitting;

static uint64_t clock_ns(clockid_t clock) {
    struct timespec t;
    clock_gettime(clock, &t);
    return t.tv_sec * 1000000000ull + t.tv_nsec;
}

static uint64_t now_ns(void) { return clock_ns(CLOCK_MONOTONIC); }

static void die(const char *why) { fprintf(stderr, "generator: %s\n", why); exit(2); }

/* 32 buckets per power of two: 3 % resolution, from 1 us to hours. */
static void record(uint64_t *histogram, uint64_t ns) {
    uint64_t us = ns / 1000;
    unsigned at = us;
    if (us >= 64) {
        int e = 63 - __builtin_clzll(us);
        at = (e - 5) * 32 + 32 + ((us >> (e - 5)) & 31);
    }
    histogram[at < BUCKETS ? at : BUCKETS - 1]++;
}

static void keep(char **to, size_t *n, size_t *cap, const char *from, size_t more) {
    if (*n + more > *cap) {
        *cap = (*n + more) * 2;
        if (!(*to = realloc(*to, *cap))) die("out of memory");
    }
    memcpy(*to + *n, from, more);
    *n += more;
}

static void watch(conn *c, int op) {
    struct epoll_event e = {.events = EPOLLIN | (c->want_write ? EPOLLOUT : 0), .data.ptr = c};
    epoll_ctl(ep, op, c->fd, &e);
}

static void lose(conn *c) {
    if (c->dead) return;
    c->dead = 1;
    if (c->open) closed++; else { failed++; opening_now--; }
    close(c->fd);
}

static void flush(conn *c) {
    size_t done = 0;
    while (done < c->out_n) {
        ssize_t n = send(c->fd, c->out + done, c->out_n - done, MSG_NOSIGNAL);
        if (n < 0) {
            if (errno != EAGAIN) { lose(c); return; }
            break;
        }
        done += n;
    }
    memmove(c->out, c->out + done, c->out_n - done);
    c->out_n -= done;
    if (c->want_write != (c->out_n > 0)) { c->want_write = c->out_n > 0; watch(c, EPOLL_CTL_MOD); }
}

static void put(conn *c, const char *p, size_t n) {
    keep(&c->out, &c->out_n, &c->out_cap, p, n);
    flush(c);
}

static int has(const char *p, size_t n, bytes what) {
    return what.n && memmem(p, n, what.p, what.n) != NULL;
}

/* ---- opening ---------------------------------------------------------------- */

static opening *opening_of(conn *c) {
    return c->kind == PUBLISHER ? &pub_opening : &sub_opening[c->stream];
}

static int framing_of(conn *c) { return c->kind == PUBLISHER ? pub_framing : sub_framing; }

static void next_step(conn *c);

static void opened_now(conn *c) {
    c->open = 1;
    opened++;
    opening_now--;
    if (c->stalled) epoll_ctl(ep, EPOLL_CTL_DEL, c->fd, NULL);
}

static void next_step(conn *c) {
    opening *o = opening_of(c);
    while (c->step < o->count) {
        step *s = &o->steps[c->step];
        if (s->send.n) put(c, s->send.p, s->send.n);
        if (c->dead || s->await.n) return;
        c->step++;
    }
    opened_now(c);
}

static void start(conn *c) {
    int one = 1, small = 4096;
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (c->fd < 0) die("no more descriptors: raise ulimit -n");
    opening_now++;
    if (c->stalled) setsockopt(c->fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (connect(c->fd, (void *)&address, sizeof address) < 0) { lose(c); return; }
    fcntl(c->fd, F_SETFL, O_NONBLOCK);
    watch(c, EPOLL_CTL_ADD);
    c->in_head = framing_of(c) == WS || opening_of(c)->count > 0;
    next_step(c);
}

static void start_some(void) {
    int all = publishers + subscribers;
    while (next_to_open < all && opening_now < concurrency) {
        int i = next_to_open++;
        /* Publishers last: a server may end an HTTP connection that says nothing. */
        start(i < subscribers ? &subs[i] : &pubs[i - subscribers]);
    }
}

/* ---- receiving -------------------------------------------------------------- */

static uint64_t digits(const char *p, int n) {
    uint64_t v = 0;
    while (n--) v = v * 10 + (*p++ - '0');
    return v;
}

static void got_stamp(conn *c, const char *p, uint64_t now) {
    unsigned who = digits(p + 2, 2) % MAX_PUBLISHERS;
    uint32_t n = digits(p + 5, 10);
    uint64_t sent = digits(p + 16, 18);
    if (c->kind != SUBSCRIBER) return;
    received++;
    if (n < c->next[who]) { duplicates++; return; }
    gaps += n - c->next[who];
    c->next[who] = n + 1;
    record(latency, now > sent ? now - sent : 0);
}

static void got_reply(conn *c, int good, uint64_t now) {
    if (!good) errors++;
    replies++;
    record(reply_latency, now - c->sent_at[c->replied++ % RING]);
}

/* Answer a frame that holds the needle with what stands behind it there: its id. */
static void acknowledge(conn *c, const char *p, size_t n) {
    char *at = ack_needle.n ? memmem(p, n, ack_needle.p, ack_needle.n) : NULL;
    if (!at || at + ack_needle.n + ack_length > p + n) return;
    keep(&c->out, &c->out_n, &c->out_cap, ack_head.p, ack_head.n);
    keep(&c->out, &c->out_n, &c->out_cap, at + ack_needle.n, ack_length);
    keep(&c->out, &c->out_n, &c->out_cap, ack_tail.p, ack_tail.n);
}

static void got_data(conn *c, const char *p, size_t n, uint64_t now) {
    const char *at = NULL;
    if (c->kind == SUBSCRIBER) acknowledge(c, p, n);
    if (c->open && c->kind == SUBSCRIBER) {
        if (c->hint + STAMP <= n && p[c->hint] == '~' && p[c->hint + 1] == '#') at = p + c->hint;
        else at = memmem(p, n, "~#", 2);
        if (at) c->hint = at - p; /* of the first: a frame may hold several */
    }
    while (at && at + STAMP <= p + n) {
        got_stamp(c, at, now);
        at = n > 2 * STAMP ? memmem(at + STAMP, n - (at - p) - STAMP, "~#", 2) : NULL;
        if (!at) return;
    }
    if (!c->open && c->step < opening_of(c)->count && has(p, n, opening_of(c)->steps[c->step].await)) {
        c->step++;
        next_step(c);
        return;
    }
    if (c->kind == PUBLISHER && c->sent != c->replied) {
        if (has(p, n, reply_marker)) { got_reply(c, 1, now); return; }
        if (has(p, n, error_marker)) { got_reply(c, 0, now); return; }
    }
    for (int i = 0; i < auto_count; i++)
        if (has(p, n, autos[i].trigger)) {
            controls++;
            put(c, autos[i].reply.p, autos[i].reply.n);
            return;
        }
}

static void pong(conn *c, const char *p, size_t n) {
    char frame[6 + 125] = {(char)0x8a, (char)(0x80 | n), 0, 0, 0, 0};
    controls++;
    memcpy(frame + 6, p, n);
    put(c, frame, 6 + n);
}

/* Returns the number of bytes used; the rest is the beginning of a frame. */
static size_t read_frames(conn *c, const char *p, size_t n, uint64_t now) {
    size_t at = 0;
    while (n - at >= 2 && !c->dead) {
        const uint8_t *f = (const uint8_t *)p + at;
        uint64_t length = f[1] & 127;
        size_t head = 2;
        if (length == 126) {
            if (n - at < 4) break;
            length = f[2] << 8 | f[3];
            head = 4;
        } else if (length == 127) {
            if (n - at < 10) break;
            length = 0;
            for (int i = 2; i < 10; i++) length = length << 8 | f[i];
            head = 10;
        }
        if (n - at < head + length) break;
        int opcode = f[0] & 15;
        if (opcode < 3) got_data(c, p + at + head, length, now);
        else if (opcode == 8) lose(c);
        else if (opcode == 9) pong(c, p + at + head, length);
        at += head + length;
    }
    return at;
}

static size_t read_stream(conn *c, const char *p, size_t n, uint64_t now) {
    const char *end = p + n, *at = p, *found;
    if (c->kind == PUBLISHER) {
        while (end - at >= 10 && (found = memmem(at, end - at - 1, "HTTP/1.1 ", 9))) {
            if (c->sent != c->replied) got_reply(c, found[9] == '2', now);
            at = found + 9;
        }
        return end - at > 9 ? n - 9 : (size_t)(at - p);
    }
    while ((found = memmem(at, end - at, "~#", 2))) {
        if (end - found < STAMP) return found - p;
        got_stamp(c, found, now);
        at = found + STAMP;
    }
    return end > at && end[-1] == '~' ? n - 1 : n;
}

/* The head of the HTTP answer: 101 for sockets, 200 for event streams. */
static size_t read_head(conn *c, const char *p, size_t n) {
    const char *end = memmem(p, n, "\r\n\r\n", 4);
    if (!end) return 0;
    if (n < 12 || (memcmp(p + 9, "101", 3) && memcmp(p + 9, "200", 3))) { lose(c); return n; }
    c->in_head = 0;
    c->step++;
    next_step(c);
    return end + 4 - p;
}

static void readable(conn *c) {
    size_t had = c->part_n, used = 0;
    if (had > READ_SIZE) die("frame too large");
    memcpy(buffer, c->part, had);
    ssize_t n = recv(c->fd, buffer + had, READ_SIZE, 0);
    if (n == 0 || (n < 0 && errno != EAGAIN)) { lose(c); return; }
    if (n < 0) return;
    uint64_t now = now_ns();
    size_t all = had + n;
    bytes_in += n;
    if (c->in_head) used = read_head(c, buffer, all);
    if (!c->in_head && !c->dead && used < all)
        used += framing_of(c) == WS ? read_frames(c, buffer + used, all - used, now)
                                    : read_stream(c, buffer + used, all - used, now);
    c->part_n = 0;
    if (used < all) keep(&c->part, &c->part_n, &c->part_cap, buffer + used, all - used);
    if (c->out_n && !c->dead) flush(c);
}

/* ---- publishing ------------------------------------------------------------- */

static void write_digits(char *to, int n, uint64_t v) {
    while (n--) { to[n] = '0' + v % 10; v /= 10; }
}

static int publish(conn *c, int stream, uint64_t now) {
    bytes t = template[stream];
    if (c->dead || !c->open || c->out_n || c->sent - c->replied >= RING) return 0;
    char *stamp = t.p + stamp_at[stream];
    write_digits(stamp + 2, 2, c->index);
    write_digits(stamp + 5, 10, number[c->index][stream]++);
    write_digits(stamp + 16, 18, now);
    c->sent_at[c->sent++ % RING] = now;
    published++;
    expected += healthy[stream];
    put(c, t.p, t.n);
    return 1;
}

static int publish_next(uint64_t now) {
    int done = publish(&pubs[turn % publishers], turn % streams, now);
    turn++;
    return done;
}

static void arm(uint64_t at) {
    struct itimerspec t = {.it_value = {at / 1000000000ull, at % 1000000000ull}};
    timerfd_settime(timer, TFD_TIMER_ABSTIME, &t, NULL);
}

static void publish_at_rate(uint64_t now) {
    while (now >= next_due) {
        publish_next(now);
        next_due += 1e9 / rate;
        if (now > next_due + 1000000000ull) next_due = now;
    }
    arm(next_due);
}

/* Closed loop over deliveries: `window` Messages per Stream are on their way. */
static void publish_in_window(uint64_t now) {
    static uint64_t seen;
    double limit = window * (subscribers - stalled);
    if (seen != received) { seen = received; last_progress = now; }
    if (now - last_progress > 1000000000ull) {
        forgiven += expected - received - forgiven;
        resets++;
        last_progress = now;
    }
    for (int i = 0; i < 64; i++) {
        int next = turn % streams;
        if ((double)(expected - received - forgiven) + healthy[next] > limit) break;
        if (pubs[turn % publishers].sent - pubs[turn % publishers].replied >= 1024) break;
        if (!publish_next(now)) break;
    }
    arm(now + 100000000ull);
}

/* Closed loop over replies: each publisher has `window` requests on their way. */
static void publish_by_reply(uint64_t now) {
    for (int i = 0; i < publishers; i++)
        while (pubs[i].sent - pubs[i].replied < window)
            if (!publish(&pubs[i], turn++ % streams, now)) break;
    arm(now + 100000000ull);
}

static void publish_some(void) {
    uint64_t now = now_ns();
    if (mode == RATE) publish_at_rate(now);
    else if (mode == WINDOW) publish_in_window(now);
    else if (mode == REPLIES) publish_by_reply(now);
}

/* ---- commands --------------------------------------------------------------- */

static bytes unhex(const char *hex) {
    size_t n = strcmp(hex, "-") ? strlen(hex) / 2 : 0;
    bytes b = {malloc(n + 1), n};
    for (size_t i = 0; i < n; i++) sscanf(hex + 2 * i, "%2hhx", (unsigned char *)&b.p[i]);
    return b;
}

static void add_step(opening *o, const char *send, const char *await) {
    if (o->count == MAX_STEPS) die("too many steps");
    o->steps[o->count].send = unhex(send);
    o->steps[o->count++].await = unhex(await);
}

static void configure(void) {
    static char line[1 << 20], key[32], a[1 << 19], b[1 << 19], d[1 << 16];
    address.sin_family = AF_INET;
    while (fgets(line, sizeof line, stdin)) {
        *a = *b = *d = 0;
        if (sscanf(line, "%31s %524287s %524287s %65535s", key, a, b, d) < 1) continue;
        if (!strcmp(key, "end")) return;
        else if (!strcmp(key, "host")) inet_pton(AF_INET, a, &address.sin_addr);
        else if (!strcmp(key, "port")) address.sin_port = htons(atoi(a));
        else if (!strcmp(key, "streams")) streams = atoi(a);
        else if (!strcmp(key, "subscribers")) subscribers = atoi(a);
        else if (!strcmp(key, "publishers")) publishers = atoi(a);
        else if (!strcmp(key, "stalled")) stalled = atoi(a);
        else if (!strcmp(key, "concurrency")) concurrency = atoi(a);
        else if (!strcmp(key, "sub_framing")) sub_framing = strcmp(a, "ws") ? RAW : WS;
        else if (!strcmp(key, "pub_framing")) pub_framing = strcmp(a, "ws") ? RAW : WS;
        else if (!strcmp(key, "sub_step")) add_step(&sub_opening[atoi(a)], b, d);
        else if (!strcmp(key, "pub_step")) add_step(&pub_opening, a, b);
        else if (!strcmp(key, "template")) { stamp_at[atoi(a)] = atoi(b); template[atoi(a)] = unhex(d); }
        else if (!strcmp(key, "reply")) reply_marker = unhex(a);
        else if (!strcmp(key, "error")) error_marker = unhex(a);
        else if (!strcmp(key, "auto") && auto_count < MAX_AUTOS) {
            autos[auto_count].trigger = unhex(a);
            autos[auto_count++].reply = unhex(b);
        } else if (!strcmp(key, "ack")) { ack_needle = unhex(a); ack_length = atoi(b); }
        else if (!strcmp(key, "ack_frame")) { ack_head = unhex(a); ack_tail = unhex(b); }
        else die(key);
    }
}

static void print_histogram(const char *name, uint64_t *h) {
    const char *comma = "";
    printf(",\"%s\":[", name);
    for (int i = 0; i < BUCKETS; i++)
        if (h[i]) { printf("%s[%d,%lu]", comma, i, h[i]); comma = ","; }
    printf("]");
}

static void snapshot(void) {
    struct rusage u;
    getrusage(RUSAGE_SELF, &u);
    double cpu = -(double)spun / 1e9 + u.ru_utime.tv_sec + u.ru_stime.tv_sec + (u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
    printf("{\"now\":%.6f,\"cpu\":%.6f,\"published\":%lu,\"replies\":%lu,\"errors\":%lu,"
           "\"expected\":%lu,\"received\":%lu,\"gaps\":%lu,\"duplicates\":%lu,\"resets\":%lu,"
           "\"opened\":%lu,\"failed\":%lu,\"closed\":%lu,\"bytes\":%lu,\"controls\":%lu",
           now_ns() / 1e9, cpu, published, replies, errors, expected, received, gaps, duplicates,
           resets, opened, failed, closed, bytes_in, controls);
    print_histogram("latency", latency);
    print_histogram("reply_latency", reply_latency);
    printf("}\n");
    fflush(stdout);
}

static void command(char *line) {
    double value = 0;
    char word[32] = "";
    sscanf(line, "%31s %lf", word, &value);
    if (!strcmp(word, "rate")) { mode = RATE; rate = value; next_due = now_ns(); }
    else if (!strcmp(word, "window")) { mode = WINDOW; window = value; last_progress = now_ns(); }
    else if (!strcmp(word, "replies")) { mode = REPLIES; window = value; }
    else if (!strcmp(word, "stop")) mode = IDLE;
    else if (!strcmp(word, "snap")) snapshot();
    else if (!strcmp(word, "quit")) quitting = 1;
}

static void commands(void) {
    static char line[256];
    static size_t n;
    char c;
    ssize_t got;
    while ((got = read(0, &c, 1)) == 1) {
        if (c != '\n') { if (n < sizeof line - 1) line[n++] = c; continue; }
        line[n] = 0;
        n = 0;
        command(line);
    }
    if (got == 0) quitting = 1;
}

/* ---- the loop --------------------------------------------------------------- */

static void prepare(void) {
    subs = calloc(subscribers + 1, sizeof *subs);
    pubs = calloc(publishers + 1, sizeof *pubs);
    for (int i = 0; i < subscribers; i++) {
        subs[i].kind = SUBSCRIBER;
        subs[i].stream = i % streams;
        subs[i].stalled = i < stalled;
        if (!subs[i].stalled) healthy[subs[i].stream]++;
    }
    for (int i = 0; i < publishers; i++) {
        pubs[i].kind = PUBLISHER;
        pubs[i].index = i;
        pubs[i].sent_at = calloc(RING, sizeof(uint64_t));
    }
}

/* Look for SPIN_NS before sleeping. Who wakes a sleeping core of a virtual machine pays
 * for it: without this the servers would be measured waking the generator up. */
static int wait_for_events(struct epoll_event *events, int most) {
    int n = epoll_wait(ep, events, most, 0);
    if (n) return n;
    uint64_t cpu = clock_ns(CLOCK_THREAD_CPUTIME_ID), until = now_ns() + SPIN_NS;
    while (!(n = epoll_wait(ep, events, most, 0)) && now_ns() < until) {}
    spun += clock_ns(CLOCK_THREAD_CPUTIME_ID) - cpu;
    return n ? n : epoll_wait(ep, events, most, -1);
}

static void loop(int until_open) {
    struct epoll_event events[256];
    while (!quitting) {
        if (until_open) {
            start_some();
            if (next_to_open == publishers + subscribers && !opening_now) return;
        }
        int n = wait_for_events(events, 256);
        for (int i = 0; i < n; i++) {
            conn *c = events[i].data.ptr;
            uint64_t ticks;
            if (c == (void *)&timer) { if (read(timer, &ticks, 8) < 0) continue; }
            else if (!c) commands();
            else if (!c->dead) {
                if (events[i].events & EPOLLOUT) flush(c);
                if (!c->dead && events[i].events & ~EPOLLOUT) readable(c);
            }
        }
        if (mode != IDLE) publish_some();
    }
}

int main(void) {
    struct epoll_event e = {.events = EPOLLIN, .data.ptr = NULL}, t = {.events = EPOLLIN, .data.ptr = &timer};
    setvbuf(stdin, NULL, _IONBF, 0);
    configure();
    prepare();
    ep = epoll_create1(EPOLL_CLOEXEC);
    timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    epoll_ctl(ep, EPOLL_CTL_ADD, timer, &t);
    fcntl(0, F_SETFL, O_NONBLOCK);
    epoll_ctl(ep, EPOLL_CTL_ADD, 0, &e);
    uint64_t began = now_ns();
    loop(1);
    printf("{\"ready\":%lu,\"failed\":%lu,\"seconds\":%.6f}\n", opened, failed, (now_ns() - began) / 1e9);
    fflush(stdout);
    loop(0);
    return 0;
}
