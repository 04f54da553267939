/* SPDX-License-Identifier: MPL-2.0
 * One decision under virtual time: messages are lost, doubled, late and out of order, members die, proofs of
 * death reach some. Whatever happens, the living never follow two decisions; and once messages arrive again,
 * those who may decide do.                                                                                */
#include "tests/cluster/fixtures.h"
#include "cluster/paxos.h"
#include "tests/support/noise.h"

#define MOST 7
#define WIRE 4096 /* messages under way */
#define VALUE 4

typedef struct {
    uint32_t from, to;
    int64_t due_ms;
    rk_paxos_msg_t msg;
    uint8_t value[VALUE];
    uint32_t dead[MOST];
} letter_t;

typedef struct {
    noise_t noise;
    uint32_t n, corrupt;
    rk_paxos_t *member[MOST];
    bool gone[MOST];
    letter_t wire[WIRE];
    uint32_t n_wire;
    unsigned loss; /* of 100 */
    int64_t now_ms;
} world_t;

static void s_open (world_t *w, uint64_t seed, uint32_t n, uint32_t corrupt)
{
    *w = (world_t){.noise = {seed}, .n = n, .corrupt = corrupt};
    uint32_t ids[MOST];
    for (uint32_t i = 0; i < n; i++)
        ids[i] = 10 * (i + 1);
    for (uint32_t i = 0; i < n; i++) {
        rk_paxos_config_t config = {.view = 3, .self = ids[i], .members = ids, .n_members = n, .retry_ms = 20, .seed = seed,
                                    .corrupt = corrupt};
        rk_error_t err = {0};
        if (rk_paxos_new (&w->member[i], &config, &err))
            fail_msg ("%s", err.text);
    }
}

static void s_close (world_t *w)
{
    for (uint32_t i = 0; i < w->n; i++)
        rk_paxos_destroy (&w->member[i]);
}

static void s_post (world_t *w, uint32_t from, uint32_t to, const rk_paxos_msg_t *msg)
{
    const size_t copies = noise_between (&w->noise, 0, 99) < w->loss ? 0 : 1 + (noise_between (&w->noise, 0, 9) == 0);
    for (size_t i = 0; i < copies && w->n_wire < WIRE; i++) {
        letter_t *l = &w->wire[w->n_wire++];
        *l = (letter_t){.from = from, .to = to, .due_ms = w->now_ms + (int64_t) noise_between (&w->noise, 0, 30), .msg = *msg};
        if (msg->value)
            memcpy (l->value, msg->value, VALUE);
        memcpy (l->dead, msg->dead ? msg->dead : l->dead, msg->n_dead * sizeof *l->dead);
    }
}

static void s_flush (world_t *w)
{
    for (uint32_t i = 0; i < w->n; i++) {
        uint32_t to;
        rk_paxos_msg_t msg;
        while (!w->gone[i] && rk_paxos_outgoing (w->member[i], &to, &msg))
            s_post (w, i, to / 10 - 1, &msg);
    }
}

static void s_deliver (world_t *w)
{
    for (uint32_t l = 0; l < w->n_wire;) {
        if (w->wire[l].due_ms > w->now_ms) {
            l++;
            continue;
        }
        letter_t letter = w->wire[l];
        w->wire[l] = w->wire[--w->n_wire];
        letter.msg.value = letter.msg.value ? letter.value : NULL;
        letter.msg.dead = letter.dead;
        rk_error_t err = {0};
        if (!w->gone[letter.to] &&
            rk_paxos_receive (w->member[letter.to], 10 * (letter.from + 1), &letter.msg, w->now_ms, &err) && !w->corrupt)
            fail_msg ("%s", err.text);
        s_flush (w);
    }
}

static void s_step (world_t *w)
{
    w->now_ms++;
    for (uint32_t i = 0; i < w->n; i++)
        if (!w->gone[i])
            rk_paxos_tick (w->member[i], w->now_ms);
    s_flush (w);
    s_deliver (w);
}

static void s_propose (world_t *w, uint32_t i)
{
    const uint8_t value[VALUE] = {(uint8_t) i, 1, 2, 3};
    assert_int_equal (rk_paxos_propose (w->member[i], value, VALUE, w->now_ms), RK_OK);
}

/* A process ends: nobody hears of it but those who see its pid go. */
static void s_kill (world_t *w, uint32_t i)
{
    w->gone[i] = true;
    for (uint32_t j = 0; j < w->n; j++)
        if (j != i && !w->gone[j] && noise_between (&w->noise, 0, 1))
            rk_paxos_dead (w->member[j], 10 * (i + 1), w->now_ms);
}

/* Who of the living follows whose proposal; -1: none; -2: two different ones. */
static int s_verdict (const world_t *w)
{
    int verdict = -1;
    for (uint32_t i = 0; i < w->n; i++) {
        size_t size;
        const uint8_t *value = rk_paxos_decided (w->member[i], &size);
        if (!value || w->gone[i])
            continue;
        assert_int_equal (size, VALUE);
        if (verdict >= 0 && verdict != value[0])
            return -2;
        verdict = value[0];
    }
    return verdict;
}

/* One wild life. Returns the verdict at its end; -2 as soon as the living disagree. */
static int s_live (uint64_t seed, uint32_t corrupt)
{
    world_t *w = calloc (1, sizeof *w);
    noise_t draw = {seed * 2654435761u + 1};
    for (int i = 0; i < 8; i++)
        noise_next (&draw);
    s_open (w, noise_next (&draw) | 1, 1 + (uint32_t) noise_between (&draw, 0, MOST - 1), corrupt);
    w->loss = (unsigned) noise_between (&draw, 0, 60);
    int verdict = -1;
    for (int t = 0; t < 600 && verdict != -2; t++) {
        if (t < 200 && noise_between (&draw, 0, 40) == 0) {
            const uint32_t i = (uint32_t) noise_between (&draw, 0, w->n - 1);
            if (!w->gone[i])
                s_propose (w, i);
        }
        if (noise_between (&draw, 0, 250) == 0)
            s_kill (w, (uint32_t) noise_between (&draw, 0, w->n - 1));
        s_step (w);
        verdict = s_verdict (w);
    }
    s_close (w);
    free (w);
    return verdict;
}

static void test_the_living_never_disagree (void **state)
{
    (void) state;
    int decided = 0;
    for (uint64_t seed = 1; seed <= 4000; seed++) {
        int verdict = s_live (seed, 0);
        if (verdict == -2)
            fail_msg ("seed %llu: two decisions", (unsigned long long) seed);
        decided += verdict >= 0;
    }
    print_message ("%d of 4000 lives decided\n", decided);
    assert_true (decided > 1000);
}

/* Each rule that is broken leads to two decisions in some life. */
static void test_every_rule_is_needed (void **state)
{
    (void) state;
    static const uint32_t faults[] = {RK_PAXOS_CORRUPT_FORGETS, RK_PAXOS_CORRUPT_HALF, RK_PAXOS_CORRUPT_PROMISE};
    for (size_t i = 0; i < sizeof faults / sizeof *faults; i++) {
        bool seen = false;
        for (uint64_t seed = 1; seed <= 20000 && !seen; seed++)
            seen = s_live (seed, faults[i]) == -2;
        if (!seen)
            fail_msg ("fault %u went unnoticed", faults[i]);
    }
}

/* Carries what `from` has to say to members of the mask; the last DECIDED to somebody else is kept in *late. */
static void s_carry (world_t *w, uint32_t from, unsigned mask, letter_t *late)
{
    uint32_t to;
    rk_paxos_msg_t msg;
    rk_error_t err = {0};
    while (rk_paxos_outgoing (w->member[from], &to, &msg)) {
        const uint32_t i = to / 10 - 1;
        if (mask >> i & 1)
            assert_int_equal (rk_paxos_receive (w->member[i], 10 * (from + 1), &msg, 0, &err), RK_OK);
        else if (late && msg.kind == RK_PAXOS_DECIDED) {
            *late = (letter_t){.from = from, .to = i, .msg = msg};
            memcpy (late->value, msg.value, VALUE);
        }
    }
}

/* Three of five decide and die before the others hear of it; those decide anew; then the old word arrives. */
static int s_word_of_the_dead (uint32_t corrupt)
{
    static world_t w;
    s_open (&w, 3, 5, corrupt);
    letter_t late = {0};
    s_propose (&w, 1);
    for (int i = 0; i < 4; i++) {
        s_carry (&w, 1, 0x0c, &late);
        s_carry (&w, 2, 0x02, NULL);
        s_carry (&w, 3, 0x02, NULL);
    }
    assert_int_equal (s_verdict (&w), 1);
    assert_int_equal (late.to, 4);
    for (uint32_t i = 1; i <= 3; i++) {
        w.gone[i] = true;
        rk_paxos_dead (w.member[0], 10 * (i + 1), 0);
    }
    s_propose (&w, 0);
    s_carry (&w, 0, 0x10, NULL); /* prepare */
    s_carry (&w, 4, 0x01, NULL);
    s_carry (&w, 0, 0x10, NULL); /* accept */
    s_carry (&w, 4, 0x01, NULL);
    late.msg.value = late.value;
    rk_error_t err = {0};
    assert_int_equal (rk_paxos_receive (w.member[4], 20, &late.msg, 0, &err), RK_OK);
    s_carry (&w, 0, 0x10, NULL); /* decided */
    const int verdict = s_verdict (&w);
    s_close (&w);
    return verdict;
}

static void test_the_dead_are_not_heard (void **state)
{
    (void) state;
    assert_int_equal (s_word_of_the_dead (0), 0);
    assert_int_equal (s_word_of_the_dead (RK_PAXOS_CORRUPT_GHOSTS), -2);
}

/* After the weather has cleared, whoever may decide does. */
static void test_those_who_may_decide_do (void **state)
{
    (void) state;
    for (uint32_t n = 1; n <= MOST; n++)
        for (uint32_t mask = 1; mask < 1u << n; mask++) {
            static world_t w;
            s_open (&w, 77 + mask, n, 0);
            rk_vote_t votes[MOST] = {0};
            uint32_t first = MOST;
            for (uint32_t i = 0; i < n; i++) {
                w.gone[i] = !(mask >> i & 1);
                votes[i] = w.gone[i] ? RK_VOTE_NONE : RK_VOTE_YES;
                first = !w.gone[i] && first == MOST ? i : first;
            }
            s_propose (&w, first);
            for (int t = 0; t < 3000 && s_verdict (&w) == -1; t++)
                s_step (&w);
            assert_int_equal (s_verdict (&w), rk_quorum (votes, n) ? (int) first : -1);
            uint32_t n_yes, n_lacking;
            rk_paxos_standing (w.member[first], &n_yes, &n_lacking);
            assert_int_equal (n_lacking, rk_quorum (votes, n) ? 0 : rk_quorum_lacks (votes, n));
            /* When the others' pids are gone, the rest may go on: a run of two survives either. */
            for (uint32_t i = 0; i < n; i++)
                for (uint32_t j = 0; w.gone[i] && j < n; j++)
                    rk_paxos_dead (w.member[j], 10 * (i + 1), w.now_ms);
            for (int t = 0; t < 6000 && s_verdict (&w) == -1; t++)
                s_step (&w);
            assert_int_equal (s_verdict (&w), (int) first);
            s_close (&w);
        }
}

static void test_two_proposers_settle (void **state)
{
    (void) state;
    for (uint64_t seed = 1; seed <= 50; seed++) {
        static world_t w;
        s_open (&w, seed, 5, 0);
        for (uint32_t i = 0; i < 5; i++)
            s_propose (&w, i);
        for (int t = 0; t < 5000 && s_verdict (&w) == -1; t++)
            s_step (&w);
        assert_true (s_verdict (&w) >= 0);
        s_close (&w);
    }
}

static void test_what_makes_no_sense_is_refused (void **state)
{
    (void) state;
    static world_t w;
    s_open (&w, 5, 3, 0);
    const uint8_t value[VALUE] = {9, 1, 2, 3};
    const rk_ballot_t theirs = {1, 20}, ours = {1, 10}, none = {0};
    const rk_paxos_msg_t wrong[] = {
        {.kind = RK_PAXOS_PREPARE, .view = 4, .ballot = theirs},
        {.kind = RK_PAXOS_PREPARE, .view = 3, .ballot = none},
        {.kind = RK_PAXOS_PREPARE, .view = 3, .ballot = ours},
        {.kind = RK_PAXOS_PROMISE, .view = 3, .ballot = theirs},
        {.kind = RK_PAXOS_PROMISE, .view = 3, .ballot = ours, .accepted = {1, 5}},
        {.kind = RK_PAXOS_PROMISE, .view = 3, .ballot = ours, .value = value, .size = VALUE},
        {.kind = RK_PAXOS_PROMISE, .view = 3, .ballot = ours, .accepted = {2, 5}, .value = value, .size = VALUE},
        {.kind = RK_PAXOS_ACCEPT, .view = 3, .ballot = theirs},
        {.kind = RK_PAXOS_DECIDED, .view = 3},
        {.kind = RK_PAXOS_N_KINDS, .view = 3, .ballot = theirs},
    };
    rk_error_t err = {0};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        assert_int_equal (rk_paxos_receive (w.member[0], 20, &wrong[i], 0, &err), RK_EFORMAT);
    const rk_paxos_msg_t right = {.kind = RK_PAXOS_PREPARE, .view = 3, .ballot = theirs};
    assert_int_equal (rk_paxos_receive (w.member[0], 11, &right, 0, &err), RK_EFORMAT);
    assert_int_equal (rk_paxos_receive (w.member[0], 10, &right, 0, &err), RK_EFORMAT);
    uint32_t to;
    rk_paxos_msg_t out;
    assert_false (rk_paxos_outgoing (w.member[0], &to, &out));
    assert_int_equal (rk_paxos_receive (w.member[0], 20, &right, 0, &err), RK_OK);
    assert_true (rk_paxos_outgoing (w.member[0], &to, &out));
    assert_int_equal (to, 20);
    assert_int_equal (out.kind, RK_PAXOS_PROMISE);
    s_close (&w);

    const uint32_t twice[] = {1, 1}, others[] = {1, 2};
    rk_paxos_config_t config = {.view = 1, .self = 1, .members = twice, .n_members = 2};
    rk_paxos_t *p = NULL;
    assert_int_equal (rk_paxos_new (&p, &config, &err), RK_EINVAL);
    config.members = others;
    config.self = 3;
    assert_int_equal (rk_paxos_new (&p, &config, &err), RK_EINVAL);
    assert_null (p);
}

static void test_quorums_meet (void **state)
{
    (void) state;
    for (uint32_t n = 1; n <= 6; n++)
        for (uint32_t a = 0; a < 1u << n; a++)
            for (uint32_t b = 0; b < 1u << n; b++) {
                rk_vote_t x[6], y[6];
                for (uint32_t i = 0; i < n; i++) {
                    x[i] = a >> i & 1 ? RK_VOTE_YES : RK_VOTE_NONE;
                    y[i] = b >> i & 1 ? RK_VOTE_YES : RK_VOTE_NONE;
                }
                assert_true (!(rk_quorum (x, n) && rk_quorum (y, n)) || (a & b));
                assert_int_equal (rk_quorum_lacks (x, n) == 0, rk_quorum (x, n));
            }
    const rk_vote_t alone[] = {RK_VOTE_DEAD, RK_VOTE_YES}, cut_off[] = {RK_VOTE_NONE, RK_VOTE_YES};
    const rk_vote_t first[] = {RK_VOTE_YES, RK_VOTE_NONE}, nobody[] = {RK_VOTE_DEAD, RK_VOTE_DEAD};
    assert_true (rk_quorum (alone, 2));
    assert_false (rk_quorum (cut_off, 2));
    assert_true (rk_quorum (first, 2));
    assert_false (rk_quorum (nobody, 2));
    assert_int_equal (rk_quorum_lacks (cut_off, 2), 1);
}

int main (void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test (test_quorums_meet),
        cmocka_unit_test (test_the_living_never_disagree),
        cmocka_unit_test (test_every_rule_is_needed),
        cmocka_unit_test (test_the_dead_are_not_heard),
        cmocka_unit_test (test_those_who_may_decide_do),
        cmocka_unit_test (test_two_proposers_settle),
        cmocka_unit_test (test_what_makes_no_sense_is_refused),
    };
    return cmocka_run_group_tests_name ("cluster/paxos", tests, NULL, NULL);
}
