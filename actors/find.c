/* SPDX-License-Identifier: MPL-2.0 */
#include "actors/find.h"

#include <signal.h>

#include "actors/actor.h"
#include "actors/beacon.h"
#include "actors/relay/splice.h"
#include "actors/security/tickets.h"

#define PATIENCE_MS 120000
#define FOREIGN_MS 3000   /* when there are runs, but none for this node */
#define OTHERS_MS 350     /* a beacon and more: for a second run to be heard */
#define LOOK_MS 100
#define LINE_EVERY_MS 5000
#define MOST_MEMBERS 16
#define DIAL_MS 2000
#define AGAIN_MS 500

static int64_t s_now_ms (void)
{
    return rk_now_ns () / 1000000;
}

static int64_t s_patience_ms (const rk_find_t *find)
{
    return find->patience_ms ? find->patience_ms : PATIENCE_MS;
}

static bool s_interrupted (const rk_find_t *find)
{
    return find->interrupted && *find->interrupted;
}

/* CZMQ's handlers of signals are not wanted: the caller has its own. */
static void s_begin_czmq (void)
{
    struct sigaction on_int, on_term;
    sigaction (SIGINT, NULL, &on_int);
    sigaction (SIGTERM, NULL, &on_term);
    zsys_init ();
    sigaction (SIGINT, &on_int, NULL);
    sigaction (SIGTERM, &on_term, NULL);
}

/* ---- a run on this network */
typedef struct {
    char name[RK_BEACON_NAME];  /* "": any */
    bool has_key, has_ticket;
    uint8_t key[RK_KEY_BYTES], own[RK_KEY_BYTES];
    rk_ticket_t ticket;
    rk_allowed_t *allowed;
    size_t n_allowed;
} s_wanted_t;

typedef struct {
    rk_beacon_facts_t facts;
    char host[INET_ADDRSTRLEN];
} s_heard_t;

static rk_err_t s_known_keys (const rk_find_t *find, s_wanted_t *w, const char *certificate, rk_error_t *err)
{
    char folder[RK_KEYRING_PATH], path[RK_KEYRING_PATH + 80];
    rk_identity_t own;
    bool made;
    rk_err_t rc = rk_keyring_folder (find->keys, folder, err);
    if (!rc && certificate) {
        snprintf (path, sizeof path, "%s/allowed/%.64s.cert", folder, certificate);
        rc = strchr (certificate, '/') || certificate[0] == '.' ? rk_error_set (err, RK_EINVAL, "\"%.60s\" is no key, ticket or name of a certificate", certificate)
                                                                : rk_keyring_read_public (path, w->key, err);
        w->has_key = true;
        return rc;
    }
    if (!rc)
        rc = rk_keyring_open (folder, &own, &made, err);
    if (rc)
        return rc;
    memcpy (w->own, own.public_key, RK_KEY_BYTES);
    rk_identity_forget (&own);
    return rk_keyring_allowed (folder, &w->allowed, &w->n_allowed, err);
}

static rk_err_t s_parse (const rk_find_t *find, s_wanted_t *w, rk_error_t *err)
{
    const char *at = find->join + 3, *slash = strchr (at, '/');
    const size_t n = slash ? (size_t) (slash - at) : strlen (at);
    if (n && (at[0] != ':' || n < 2 || n > RK_BEACON_NAME))
        return rk_error_set (err, RK_EINVAL, "\"%.80s\": lan, lan:NAME of a run, or either with /KEY or /TICKET behind", find->join);
    if (n)
        snprintf (w->name, sizeof w->name, "%.*s", (int) n - 1, at + 1);
    if (find->plain)
        return slash ? rk_error_set (err, RK_EINVAL, "a key or ticket is for encrypted runs; leave --insecure out") : RK_OK;
    w->has_ticket = slash && rk_ticket_is (slash + 1);
    if (w->has_ticket) {
        rk_err_t rc = rk_ticket_read (&w->ticket, slash + 1, err);
        memcpy (w->key, w->ticket.leader, RK_KEY_BYTES);
        w->has_key = true;
        return rc;
    }
    w->has_key = slash && rk_key_parse (slash + 1, w->key);
    return w->has_key ? RK_OK : s_known_keys (find, w, slash ? slash + 1 : NULL, err);
}

static bool s_knows (const s_wanted_t *w, const uint8_t key[RK_KEY_BYTES])
{
    if (w->has_key)
        return memcmp (key, w->key, RK_KEY_BYTES) == 0;
    bool known = memcmp (key, w->own, RK_KEY_BYTES) == 0;
    for (size_t i = 0; i < w->n_allowed && !known; i++)
        known = memcmp (key, w->allowed[i].key, RK_KEY_BYTES) == 0;
    return known;
}

static bool s_is_wanted (const rk_find_t *find, const s_wanted_t *w, const rk_beacon_facts_t *facts)
{
    if (w->name[0] && strcmp (w->name, facts->name) != 0)
        return false;
    return find->plain ? facts->plain : !facts->plain && s_knows (w, facts->key);
}

static bool s_same (const rk_beacon_facts_t *a, const rk_beacon_facts_t *b)
{
    return a->port == b->port && a->plain == b->plain && memcmp (a->key, b->key, RK_KEY_BYTES) == 0 && strcmp (a->name, b->name) == 0;
}

/* "NAME at 192.0.2.7:5600 (key e629f1b3c4d5, not known here)" */
static void s_describe (const rk_find_t *find, const s_heard_t *h, char *text, size_t size)
{
    char key[RK_KEY_SHORT] = "";
    rk_key_short (h->facts.key, key);
    const char *why = find->plain ? "it is encrypted" : h->facts.plain ? "it does not encrypt" : "not the name or key that was asked for, or not known here";
    snprintf (text, size, "%s at %s:%u (key %s: %s)", h->facts.name, h->host, h->facts.port, h->facts.plain ? "none" : key, why);
}

static void s_write (const rk_find_t *find, s_wanted_t *w, const s_heard_t *h, char text[RK_FIND_TEXT])
{
    char key[RK_KEY_TEXT];
    rk_key_text (h->facts.key, key);
    if (w->has_ticket) {
        snprintf (w->ticket.address, sizeof w->ticket.address, "tcp://%s:%u", h->host, h->facts.port);
        rk_ticket_write (&w->ticket, text);
    } else
        snprintf (text, RK_FIND_TEXT, find->plain ? "tcp://%s:%u" : "tcp://%s:%u/%s", h->host, h->facts.port, key);
}

/* Until one is found and nothing else comes, or patience ends. */
static rk_err_t s_listen (const rk_find_t *find, const s_wanted_t *w, rk_beacon_t *beacon, s_heard_t *found, rk_error_t *err)
{
    const int64_t begin_ms = s_now_ms ();
    int64_t end_ms = begin_ms + s_patience_ms (find), line_ms = begin_ms + LINE_EVERY_MS;
    bool has = false;
    s_heard_t heard;
    char foreign[160] = "";
    while (s_now_ms () < end_ms) {
        if (s_interrupted (find))
            return rk_error_set (err, RK_ECANCELED, "interrupted");
        const int64_t left_ms = end_ms - s_now_ms ();
        const rk_err_t rc = rk_beacon_hear (beacon, left_ms < LOOK_MS ? left_ms : LOOK_MS, &heard.facts, heard.host);
        if (!rc && s_is_wanted (find, w, &heard.facts)) {
            if (has && !s_same (&found->facts, &heard.facts))
                return rk_error_set (err, RK_EPEER, "there are several runs on this network: %s at %s:%u and %s at %s:%u; say --join lan:NAME, or the "
                                     "address", found->facts.name, found->host, found->facts.port, heard.facts.name, heard.host, heard.facts.port);
            if (!has)
                end_ms = s_now_ms () + (w->name[0] || w->has_ticket ? 0 : OTHERS_MS);
            *found = has ? *found : heard;
            has = true;
        } else if (!rc && !foreign[0]) {
            s_describe (find, &heard, foreign, sizeof foreign);
            end_ms = !has && end_ms > s_now_ms () + FOREIGN_MS ? s_now_ms () + FOREIGN_MS : end_ms;
        }
        if (s_now_ms () >= line_ms) {
            rk_log (RK_LOG_WARNING, "WAITING", "for=beacon %s", foreign);
            line_ms += LINE_EVERY_MS;
        }
    }
    if (has)
        return RK_OK;
    return rk_error_set (err, RK_ETIMEDOUT, "%s on this network within %lld ms%s%s", w->name[0] ? "that run is not" : "no run for this node",
                         (long long) (s_now_ms () - begin_ms), foreign[0] ? "; heard: " : " (rookery train --beacon announces one)", foreign);
}

static rk_err_t s_find_lan (const rk_find_t *find, char text[RK_FIND_TEXT], rk_error_t *err)
{
    s_wanted_t wanted = {.has_key = false};
    s_heard_t found = {.host = ""};
    rk_beacon_t *beacon = NULL;
    rk_err_t rc = s_parse (find, &wanted, err);
    if (!rc)
        s_begin_czmq ();
    if (!rc)
        rc = rk_beacon_new (&beacon, NULL, "*", err);
    if (!rc)
        rc = s_listen (find, &wanted, beacon, &found, err);
    if (!rc)
        s_write (find, &wanted, &found, text);
    rk_beacon_stop (&beacon);
    free (wanted.allowed);
    explicit_bzero (&wanted.ticket, sizeof wanted.ticket);
    return rc;
}

/* ---- the first of several */
typedef struct {
    char text[RK_FIND_TEXT], host[RK_TCP_HOST];
    uint16_t port;
} s_place_t;

static rk_err_t s_place_of (const char *part, size_t n, s_place_t *place, rk_error_t *err)
{
    rk_ticket_t ticket;
    if (!n || n >= sizeof place->text)
        return rk_error_set (err, RK_EINVAL, "an empty or too long part in \"--join A,B,C\"");
    snprintf (place->text, sizeof place->text, "%.*s", (int) n, part);
    const bool is_ticket = rk_ticket_is (place->text);
    rk_err_t rc = is_ticket ? rk_ticket_read (&ticket, place->text, err) : RK_OK;
    if (!rc && !rk_tcp_parse (is_ticket ? ticket.address : place->text, place->host, &place->port))
        rc = rk_error_set (err, RK_EINVAL, "\"%.120s\" is no address: tcp://HOST:PORT", place->text);
    if (is_ticket)
        explicit_bzero (&ticket, sizeof ticket);
    return rc;
}

/* All are dialed at once; the first of the list that is there. -1: none. */
static int s_try (const rk_find_t *find, const s_place_t *places, int n)
{
    struct pollfd items[MOST_MEMBERS];
    int found = -1;
    for (int i = 0; i < n; i++)
        items[i] = (struct pollfd){.fd = rk_tcp_dial (places[i].host, places[i].port), .events = POLLOUT};
    for (int64_t end_ms = s_now_ms () + DIAL_MS; found < 0 && s_now_ms () < end_ms && !s_interrupted (find);) {
        int n_open = 0;
        for (int i = 0; i < n; i++)
            n_open += items[i].fd >= 0;
        if (!n_open || poll (items, (nfds_t) n, LOOK_MS) < 0)
            break;
        for (int i = 0; i < n && found < 0; i++) {
            if (items[i].fd < 0 || !items[i].revents)
                continue;
            found = rk_tcp_connected (items[i].fd) ? i : -1;
            close (items[i].fd);
            items[i].fd = -1;
        }
    }
    for (int i = 0; i < n; i++)
        if (items[i].fd >= 0)
            close (items[i].fd);
    return found;
}

static rk_err_t s_find_member (const rk_find_t *find, char text[RK_FIND_TEXT], rk_error_t *err)
{
    s_place_t *places = calloc (MOST_MEMBERS, sizeof *places);
    int n = 0, found = -1;
    rk_err_t rc = places ? RK_OK : rk_error_set (err, RK_ENOMEM, "no memory for addresses");
    for (const char *at = find->join; !rc && at; n++) {
        const char *comma = strchr (at, ',');
        rc = n == MOST_MEMBERS ? rk_error_set (err, RK_EINVAL, "more than %d addresses to join", MOST_MEMBERS)
                               : s_place_of (at, comma ? (size_t) (comma - at) : strlen (at), &places[n], err);
        at = comma ? comma + 1 : NULL;
    }
    const int64_t end_ms = s_now_ms () + s_patience_ms (find);
    while (!rc && found < 0) {
        found = s_try (find, places, n);
        if (s_interrupted (find))
            rc = rk_error_set (err, RK_ECANCELED, "interrupted");
        else if (found < 0 && s_now_ms () >= end_ms)
            rc = rk_error_set (err, RK_ETIMEDOUT, "none of the %d members is there: %.200s", n, find->join);
        else if (found < 0)
            poll (NULL, 0, AGAIN_MS);
    }
    if (!rc)
        snprintf (text, RK_FIND_TEXT, "%s", places[found].text);
    free (places);
    return rc;
}

rk_err_t rk_find_leader (const rk_find_t *find, char text[RK_FIND_TEXT], rk_error_t *err)
{
    const char *join = find->join;
    if (strncmp (join, "lan", 3) == 0 && (!join[3] || strchr (":/", join[3])))
        return s_find_lan (find, text, err);
    if (strchr (join, ','))
        return s_find_member (find, text, err);
    if (strlen (join) >= RK_FIND_TEXT)
        return rk_error_set (err, RK_EINVAL, "address too long: %.60s...", join);
    snprintf (text, RK_FIND_TEXT, "%s", join);
    return RK_OK;
}
