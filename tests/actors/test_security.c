/* SPDX-License-Identifier: MPL-2.0
 * Who gets in and who does not, over real sockets: keys, certificates, tickets, strangers' bytes. A door is an actor
 * that counts the Heartbeats it is given.                                                                 */
#include "tests/actors/house.h"

/* ---- keys and folders */
static void keys_as_text (void **state)
{
    (void) state;
    rk_identity_t a, b;
    char text[RK_KEY_TEXT], address[64], endpoint[128];
    uint8_t key[RK_KEY_BYTES];
    bool has_key;
    assert_int_equal (rk_identity_generate (&a, NULL), RK_OK);
    assert_int_equal (rk_identity_of_secret (&b, a.secret_key, NULL), RK_OK);
    assert_memory_equal (a.public_key, b.public_key, RK_KEY_BYTES);
    rk_key_text (a.public_key, text);
    assert_true (rk_key_parse (text, key));
    assert_memory_equal (key, a.public_key, RK_KEY_BYTES);
    snprintf (endpoint, sizeof endpoint, "tcp://h:1/%s", text);
    assert_int_equal (rk_endpoint_split (endpoint, address, sizeof address, key, &has_key, NULL), RK_OK);
    assert_true (has_key);
    assert_string_equal (address, "tcp://h:1");
    endpoint[strlen (endpoint) - 1] = 'g';
    assert_int_equal (rk_endpoint_split (endpoint, address, sizeof address, key, &has_key, NULL), RK_EINVAL);
    assert_int_equal (rk_endpoint_split ("tcp://h:1/", address, sizeof address, key, &has_key, NULL), RK_EINVAL);
    assert_int_equal (rk_endpoint_split ("ipc:///a/b", address, sizeof address, key, &has_key, NULL), RK_OK);
    assert_false (has_key);
    assert_string_equal (address, "ipc:///a/b");
    text[10] = '\0';
    assert_false (rk_key_parse (text, key));
}

static void wrong_permissions_are_refused (void **state)
{
    (void) state;
    char folder[] = "keys-XXXXXX", path[96], allowed[RK_KEYRING_PATH];
    rk_identity_t first, again;
    rk_error_t err = {RK_OK, ""};
    bool made;
    assert_non_null (mkdtemp (folder));
    s_ok (rk_keyring_open (folder, &first, &made, &err), &err);
    s_ok (rk_keyring_open (folder, &again, &made, &err), &err);
    assert_false (made);
    assert_memory_equal (&first, &again, sizeof first);
    struct stat st;
    snprintf (path, sizeof path, "%s/node.key", folder);
    assert_int_equal (stat (path, &st), 0);
    assert_int_equal (st.st_mode & 07777, 0600);
    chmod (path, 0640);
    assert_int_equal (rk_keyring_open (folder, &again, &made, &err), RK_EINVAL);
    assert_non_null (strstr (err.text, "chmod 600"));
    assert_non_null (strstr (err.text, path));
    chmod (path, 0600);
    chmod (folder, 0770);
    assert_int_equal (rk_keyring_open (folder, &again, &made, &err), RK_EINVAL);
    assert_non_null (strstr (err.text, "chmod go-w"));
    chmod (folder, 0700);
    s_ok (rk_keyring_subfolder (folder, "allowed", allowed, &err), &err);
    chmod (allowed, 0777);
    rk_allowed_t *list;
    size_t n;
    assert_int_equal (rk_keyring_allowed (folder, &list, &n, &err), RK_EINVAL);
    FILE *file = fopen (path, "w");
    fputs ("curve\n    secret-key = \"too short\"\n", file);
    fclose (file);
    assert_int_equal (rk_keyring_open (folder, &again, &made, &err), RK_EFORMAT);
    remove_tree (folder);
}

/* ---- tickets */
static void tickets_are_for_one_guest (void **state)
{
    (void) state;
    char folder[] = "tickets-XXXXXX", text[RK_TICKET_TEXT];
    rk_identity_t leader, guest, thief;
    rk_ticket_t ticket, back;
    rk_invitation_t kept, found;
    rk_error_t err = {RK_OK, ""};
    bool made;
    assert_non_null (mkdtemp (folder));
    s_ok (rk_keyring_open (folder, &leader, &made, &err), &err);
    assert_int_equal (rk_identity_generate (&guest, NULL), RK_OK);
    assert_int_equal (rk_identity_generate (&thief, NULL), RK_OK);
    s_ok (rk_tickets_issue (folder, &leader, "tcp://192.0.2.1:5600", "bob", 1000, 60, &ticket, &kept, &err), &err);
    rk_ticket_write (&ticket, text);
    s_ok (rk_ticket_read (&back, text, &err), &err);
    assert_memory_equal (&back, &ticket, sizeof ticket);
    /* Every single changed, lost or added character is noticed. */
    for (size_t i = 8; text[i]; i++) {
        char was = text[i];
        text[i] = was == 'A' ? 'B' : 'A';
        assert_int_equal (rk_ticket_read (&back, text, &err), RK_EINVAL);
        text[i] = '\0';
        assert_int_equal (rk_ticket_read (&back, text, &err), RK_EINVAL);
        text[i] = was;
    }
    s_ok (rk_tickets_find (folder, kept.key, 1059, &found, &err), &err);
    assert_string_equal (found.name, "bob");
    assert_int_equal (rk_tickets_find (folder, guest.public_key, 1059, &found, &err), RK_ENOTFOUND);
    assert_int_equal (rk_tickets_find (folder, kept.key, 1060, &found, &err), RK_ETIMEDOUT);
    assert_int_equal (rk_tickets_redeem (folder, kept.id, guest.public_key, 1060, &err), RK_ETIMEDOUT);
    s_ok (rk_tickets_redeem (folder, kept.id, guest.public_key, 1001, &err), &err);
    assert_int_equal (rk_tickets_redeem (folder, kept.id, thief.public_key, 1001, &err), RK_ENOTFOUND);
    rk_allowed_t *list;
    size_t n;
    s_ok (rk_keyring_allowed (folder, &list, &n, &err), &err);
    assert_int_equal (n, 1);
    assert_memory_equal (list[0].key, guest.public_key, RK_KEY_BYTES);
    free (list);
    /* A leader that fell between the certificate and the ticket's removal: nobody else can have it, the guest can. */
    s_ok (rk_tickets_issue (folder, &leader, "tcp://192.0.2.1:5600", "eve", 1000, 60, &ticket, &kept, &err), &err);
    char path[160];
    snprintf (path, sizeof path, "%s/allowed/eve-%s.cert", folder, kept.id);
    s_ok (rk_keyring_write_public (path, guest.public_key, "eve", &err), &err);
    assert_int_equal (rk_tickets_redeem (folder, kept.id, thief.public_key, 1001, &err), RK_ESTATE);
    s_ok (rk_tickets_redeem (folder, kept.id, guest.public_key, 1001, &err), &err);
    /* Taken back. */
    s_ok (rk_tickets_issue (folder, &leader, "tcp://192.0.2.1:5600", "dan", 1000, 60, &ticket, &kept, &err), &err);
    rk_invitation_t *open;
    s_ok (rk_tickets_list (folder, &open, &n, &err), &err);
    assert_int_equal (n, 1);
    free (open);
    s_ok (rk_tickets_revoke (folder, kept.id, &err), &err);
    assert_int_equal (rk_tickets_revoke (folder, kept.id, &err), RK_ENOTFOUND);
    assert_int_equal (rk_tickets_redeem (folder, kept.id, guest.public_key, 1001, &err), RK_ENOTFOUND);
    assert_int_equal (rk_tickets_redeem (folder, "../../etc/passwd", guest.public_key, 1001, &err), RK_EINVAL);
    assert_int_equal (rk_tickets_issue (folder, &leader, "tcp://192.0.2.1:5600", "../bob", 1000, 60, &ticket, &kept, &err), RK_EINVAL);
    remove_tree (folder);
}

/* ---- the gate */
static void only_allowed_keys_get_in (void **state)
{
    (void) state;
    house_t h;
    rk_identity_t guest;
    rk_error_t err = {RK_OK, ""};
    char allowed[RK_KEYRING_PATH], path[RK_KEYRING_PATH + 16], key[RK_KEY_TEXT];
    s_build (&h, &s_stage);
    assert_int_equal (rk_identity_generate (&guest, NULL), RK_OK);
    rk_key_text (guest.public_key, key);
    assert_true (s_gets_in (&h, &h.own));
    assert_false (s_gets_in (&h, &guest));
    assert_true (s_logged (&h, "STRANGER address=127.0.0.1", key));
    /* The folder is looked at again, while everything runs: added, then taken away. */
    s_ok (rk_keyring_subfolder (h.folder, "allowed", allowed, &err), &err);
    snprintf (path, sizeof path, "%s/bob.cert", allowed);
    s_ok (rk_keyring_write_public (path, guest.public_key, "bob", &err), &err);
    assert_true (s_gets_in (&h, &guest));
    assert_int_equal (unlink (path), 0);
    assert_false (s_gets_in (&h, &guest));
    /* A certificate that anybody could have written is none. */
    s_ok (rk_keyring_write_public (path, guest.public_key, "bob", &err), &err);
    assert_int_equal (chmod (path, 0666), 0);
    assert_false (s_gets_in (&h, &guest));
    assert_true (s_logged (&h, "CERTIFICATE", "chmod go-w"));
    /* A member of this run, by the leader's word. */
    s_ok (rk_gate_admit (h.own.gate, key, &err), &err);
    assert_true (s_gets_in (&h, &guest));
    assert_int_equal (rk_gate_admit (h.own.gate, "not a key", &err), RK_EINVAL);
    s_demolish (&h);
}

static void a_ticket_may_only_enrol (void **state)
{
    (void) state;
    house_t h;
    rk_error_t err = {RK_OK, ""};
    rk_ticket_t ticket;
    rk_invitation_t kept;
    rk_identity_t once, guest;
    char user[RK_KEY_TEXT + 8], key[RK_KEY_TEXT];
    s_build (&h, &s_coordinator);
    s_ok (rk_tickets_issue (h.folder, &h.own, h.address, "bob", (int64_t) time (NULL), 3600, &ticket, &kept, &err), &err);
    assert_int_equal (rk_identity_of_secret (&once, ticket.secret, NULL), RK_OK);
    assert_int_equal (rk_identity_generate (&guest, NULL), RK_OK);
    assert_false (s_gets_in (&h, &guest));
    zsock_t *dealer = s_call (&h, &once, h.key);
    s_say (dealer, (rk_msg_t){.kind = RK_MSG_HEARTBEAT});
    assert_true (s_logged (&h, "DROPPED", "one may only enrol"));
    rk_key_text (guest.public_key, key);
    s_say (dealer, (rk_msg_t){.kind = RK_MSG_ENROL, .enrol = {key}});
    assert_true (s_logged (&h, "ENROLLED", kept.id));
    assert_false (s_beaten (&h, user, 0));
    assert_true (s_gets_in (&h, &guest));
    zsock_destroy (&dealer);
    assert_false (s_gets_in (&h, &once)); /* it is used */
    s_demolish (&h);
    /* At any other door a ticket is nothing. */
    s_build (&h, &s_stage);
    s_ok (rk_tickets_issue (h.folder, &h.own, h.address, "bob", (int64_t) time (NULL), 3600, &ticket, &kept, &err), &err);
    assert_int_equal (rk_identity_of_secret (&once, ticket.secret, NULL), RK_OK);
    assert_false (s_gets_in (&h, &once));
    s_demolish (&h);
}

static void a_knock_says_what_is_wrong (void **state)
{
    (void) state;
    house_t h;
    rk_identity_t guest, other;
    rk_error_t err = {RK_OK, ""};
    s_build (&h, &s_stage);
    assert_int_equal (rk_identity_generate (&guest, NULL), RK_OK);
    assert_int_equal (rk_identity_generate (&other, NULL), RK_OK);
    rk_knock_t knock = {.identity = &guest, .address = h.address, .leader = h.key, .patience_ms = WAIT_MS};
    assert_int_equal (rk_knock (&knock, &err), RK_EPEER);
    assert_non_null (strstr (err.text, "does not allow this node"));
    knock.leader = other.public_key;
    assert_int_equal (rk_knock (&knock, &err), RK_EPEER);
    assert_non_null (strstr (err.text, "hangs up: its key is not"));
    assert_true (s_logged (&h, "STRANGER address=", "another key than this node's"));
    knock.identity = &rk_identity_plain;
    assert_int_equal (rk_knock (&knock, &err), RK_EPEER);
    assert_non_null (strstr (err.text, "is encrypted: leave --insecure out"));
    assert_true (s_logged (&h, "STRANGER address=", "it does not encrypt"));
    volatile bool interrupted = true;
    struct sockaddr_in at = {.sin_family = AF_INET};
    at.sin_addr.s_addr = htonl (INADDR_LOOPBACK);
    socklen_t size = sizeof at;
    int taken = socket (AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0); /* a port that is nobody else's, and that nobody listens on */
    assert_int_equal (bind (taken, (struct sockaddr *) &at, sizeof at), 0);
    assert_int_equal (getsockname (taken, (struct sockaddr *) &at, &size), 0);
    char nowhere[64];
    snprintf (nowhere, sizeof nowhere, "tcp://127.0.0.1:%u", ntohs (at.sin_port));
    knock = (rk_knock_t){.identity = &guest, .address = nowhere, .leader = h.key, .patience_ms = 300};
    assert_int_equal (rk_knock (&knock, &err), RK_ETIMEDOUT);
    assert_non_null (strstr (err.text, nowhere));
    knock.interrupted = &interrupted;
    assert_int_equal (rk_knock (&knock, &err), RK_ECANCELED);
    close (taken);
    s_demolish (&h);
}

/* A loop that finds no gate opens no door: without one libzmq would let everybody in. */
static void no_gate_no_door (void **state)
{
    (void) state;
    rk_identity_t own;
    rk_gate_t *gate = NULL, *second = NULL;
    rk_actor_t *door = NULL;
    rk_error_t err = {RK_OK, ""};
    assert_int_equal (rk_identity_generate (&own, NULL), RK_OK);
    rk_actor_plumbing_t plumbing = {.bind = "tcp://127.0.0.1:*", .identity = &own};
    assert_int_equal (rk_actor_start (&door, &s_stage, &plumbing, NULL, &err), RK_ETIMEDOUT); /* at once: there is no name to ask at */
    assert_null (door);
    plumbing.identity = NULL;
    assert_int_equal (rk_actor_start (&door, &s_stage, &plumbing, NULL, &err), RK_EINVAL);
    assert_non_null (strstr (err.text, "needs an identity"));
    s_ok (rk_gate_new (&gate, &own, NULL, &err), &err);
    rk_identity_t other = own;
    assert_int_equal (rk_gate_new (&second, &other, NULL, &err), RK_ESTATE);
    assert_null (second);
    plumbing.identity = &own;
    s_ok (rk_actor_start (&door, &s_stage, &plumbing, NULL, &err), &err);
    rk_actor_stop (&door);
    rk_gate_stop (&gate);
}

/* ---- strangers' bytes */

/* A connection's bytes, both ways, as somebody on the way sees them. */
typedef struct {
    int listener, left, right;
    char address[64];
    uint8_t seen[1 << 16]; /* left to right */
    size_t n_seen;
} tap_t;

static void s_tap_open (tap_t *tap)
{
    *tap = (tap_t){.left = -1, .right = -1};
    struct sockaddr_in at = {.sin_family = AF_INET};
    at.sin_addr.s_addr = htonl (INADDR_LOOPBACK);
    socklen_t size = sizeof at;
    tap->listener = socket (AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal (bind (tap->listener, (struct sockaddr *) &at, sizeof at), 0);
    assert_int_equal (listen (tap->listener, 4), 0);
    assert_int_equal (getsockname (tap->listener, (struct sockaddr *) &at, &size), 0);
    snprintf (tap->address, sizeof tap->address, "tcp://127.0.0.1:%u", ntohs (at.sin_port));
}

/* Passes bytes on until the door says it was beaten. */
static bool s_tap_until_beaten (tap_t *tap, const house_t *h)
{
    char user[RK_KEY_TEXT + 8];
    tap->left = accept (tap->listener, NULL, NULL);
    tap->right = s_dial (h);
    for (int64_t end = rk_now_ns () + WAIT_MS * INT64_C (1000000); rk_now_ns () < end;) {
        struct pollfd fds[2] = {{.fd = tap->left, .events = POLLIN}, {.fd = tap->right, .events = POLLIN}};
        poll (fds, 2, 20);
        uint8_t bytes[4096];
        ssize_t n;
        if (fds[0].revents && (n = recv (tap->left, bytes, sizeof bytes, 0)) > 0) {
            if (tap->n_seen + (size_t) n <= sizeof tap->seen)
                memcpy (tap->seen + tap->n_seen, bytes, (size_t) n), tap->n_seen += (size_t) n;
            if (send (tap->right, bytes, (size_t) n, MSG_NOSIGNAL) != n)
                return false;
        }
        if (fds[1].revents && (n = recv (tap->right, bytes, sizeof bytes, 0)) > 0 && send (tap->left, bytes, (size_t) n, MSG_NOSIGNAL) != n)
            return false;
        if (s_beaten (h, user, 0))
            return true;
    }
    return false;
}

/* Where the last frame begins: ZMTP has a greeting of 64 bytes, then frames of flags, length (1 byte, or 8) and bytes. */
static size_t s_last_frame (const tap_t *tap)
{
    size_t at = 64, next = 64;
    while (next < tap->n_seen) {
        at = next;
        const uint8_t *frame = tap->seen + at;
        size_t n = frame[1], head = 2;
        if (frame[0] & 2) /* a long one: it fits 16 bits here */
            n = (size_t) frame[7] << 8 | frame[8], head = 9;
        next = at + head + n;
    }
    assert_int_equal (next, tap->n_seen);
    return at;
}

static void replayed_and_truncated_bytes_do_nothing (void **state)
{
    (void) state;
    house_t h;
    tap_t tap;
    char user[RK_KEY_TEXT + 8];
    s_build (&h, &s_stage);
    s_tap_open (&tap);
    zsock_t *dealer = zsock_new (ZMQ_DEALER);
    rk_error_t err = {RK_OK, ""};
    s_ok (rk_identity_call (&h.own, zsock_resolve (dealer), h.key, &err), &err);
    assert_int_equal (zmq_connect (zsock_resolve (dealer), tap.address), 0);
    s_say (dealer, (rk_msg_t){.kind = RK_MSG_HEARTBEAT});
    assert_true (s_tap_until_beaten (&tap, &h));
    assert_true (tap.n_seen > 300); /* greeting, HELLO, INITIATE, one message */
    /* The whole conversation once more, then every length of its beginning in some steps: no message comes of it. */
    for (size_t n = tap.n_seen; n > 0; n = n > 37 ? n - 37 : 0) {
        int fd = s_dial (&h);
        assert_int_equal (send (fd, tap.seen, n, MSG_NOSIGNAL), (ssize_t) n);
        shutdown (fd, SHUT_WR);
        assert_true (s_hung_up (fd));
        close (fd);
    }
    /* A message of the living connection said twice is heard once. */
    size_t last = s_last_frame (&tap);
    assert_int_equal (send (tap.right, tap.seen + last, tap.n_seen - last, MSG_NOSIGNAL), (ssize_t) (tap.n_seen - last));
    assert_true (s_gets_in (&h, &h.own)); /* a whole conversation later */
    assert_false (s_beaten (&h, user, 0));
    close (tap.left);
    close (tap.right);
    close (tap.listener);
    zsock_destroy (&dealer);
    assert_false (s_beaten (&h, user, 0));
    assert_true (s_logged (&h, "STRANGER address=", "at=tcp://127.0.0.1:"));
    assert_true (s_gets_in (&h, &h.own));
    s_demolish (&h);
}

static uint32_t s_random (uint32_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 17;
    return *state ^= *state << 5;
}

static void random_bytes_cost_their_own_connection (void **state)
{
    (void) state;
    static const uint8_t greeting[] = {0xff, 0, 0, 0, 0, 0, 0, 0, 1, 0x7f, 3, 0, 'C', 'U', 'R', 'V', 'E'};
    house_t h;
    char user[RK_KEY_TEXT + 8];
    uint32_t seed = 12345;
    s_build (&h, &s_stage);
    zsock_t *member = s_call (&h, &h.own, h.key); /* one who is in all the time */
    for (int i = 0; i < 60; i++) {
        uint8_t bytes[700] = {0};
        size_t n = 1 + s_random (&seed) % sizeof bytes, known = i % 3 == 0 ? 0 : 64; /* a third is noise from the first byte on */
        memcpy (bytes, greeting, sizeof greeting);
        for (size_t k = known; k < n; k++)
            bytes[k] = (uint8_t) s_random (&seed);
        int fd = s_dial (&h);
        if (i % 7) /* the others only look whether the port is open */
            assert_int_equal (send (fd, bytes, n, MSG_NOSIGNAL), (ssize_t) n);
        shutdown (fd, SHUT_WR);
        assert_true (s_hung_up (fd));
        close (fd);
        if (i % 10 == 0) {
            s_say (member, (rk_msg_t){.kind = RK_MSG_HEARTBEAT});
            assert_true (s_beaten (&h, user, WAIT_MS));
        }
    }
    zsock_destroy (&member);
    assert_true (s_gets_in (&h, &h.own));
    /* Said, with address and door, but not 60 times. */
    assert_true (s_logged (&h, "STRANGER address=", "at=tcp://127.0.0.1:"));
    assert_true (s_lines (&h, "STRANGER", "") <= 40);
    s_demolish (&h);
}

int main (void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test (keys_as_text),
        cmocka_unit_test (wrong_permissions_are_refused),
        cmocka_unit_test (tickets_are_for_one_guest),
        cmocka_unit_test (only_allowed_keys_get_in),
        cmocka_unit_test (a_ticket_may_only_enrol),
        cmocka_unit_test (a_knock_says_what_is_wrong),
        cmocka_unit_test (no_gate_no_door),
        cmocka_unit_test (replayed_and_truncated_bytes_do_nothing),
        cmocka_unit_test (random_bytes_cost_their_own_connection),
    };
    return cmocka_run_group_tests (tests, NULL, NULL);
}
