/* SPDX-License-Identifier: MPL-2.0
 * Members that make the next view while some of them die or cannot be reached: what was proposed for those who have gone
 * since gives way to a view of the living, unless it may have been chosen.                                 */
#include "tests/cluster/fixtures.h"
#include "cluster/member.h"
#include "cluster/membership.h"

#define N 5 /* members 1 to N; the first leads */
#define STEP_MS 10

typedef struct {
    rk_membership_t *m[N];
    bool cut[N];       /* nothing of it arrives, and nothing arrives there */
    bool apart[N][N];  /* nothing passes between these two */
    bool lose_votes;   /* nobody hears that anything is accepted */
    int64_t now_ms;
    uint32_t proposed; /* times */
} world_t;

static void s_open (world_t *w)
{
    *w = (world_t){.now_ms = 1000};
    rk_view_t *view = NULL;
    assert_int_equal (rk_view_new (&view, N, NULL, 0), RK_OK);
    view->number = 4;
    view->next_id = N + 1;
    for (uint32_t i = 0; i < N; i++)
        view->members[i] = (rk_view_member_t){.id = i + 1, .node = i, .pid = 100 + i, .host = i};
    for (uint32_t i = 0; i < N; i++) {
        const rk_membership_config_t config = {
            .view = view, .self = i + 1, .survey_ms = 1500, .retry_ms = 150, .seed = i};
        rk_error_t err = {RK_OK, ""};
        if (rk_membership_new (&w->m[i], &config, w->now_ms, &err))
            fail_msg ("%s", err.text);
    }
    rk_view_destroy (&view);
}

static void s_close (world_t *w)
{
    for (uint32_t i = 0; i < N; i++)
        rk_membership_destroy (&w->m[i]);
}

/* The next view is the list of those who go on. */
static void s_propose (world_t *w, uint32_t i)
{
    uint8_t ids[N];
    size_t n = 0;
    for (uint32_t k = 0; k < N; k++)
        if (rk_membership_goes_on (w->m[i], k + 1, w->now_ms))
            ids[n++] = (uint8_t) (k + 1);
    assert_int_equal (rk_membership_propose (w->m[i], ids, n, w->now_ms), RK_OK);
    w->proposed++;
}

static bool s_deliver (world_t *w, uint32_t i)
{
    uint32_t to;
    rk_agree_msg_t msg;
    if (!rk_membership_outgoing (w->m[i], &to, &msg))
        return false;
    const bool lost = w->cut[i] || w->cut[to - 1] || w->apart[i][to - 1] ||
                      (w->lose_votes && msg.kind == RK_AGREE_PAXOS && msg.paxos.kind == RK_PAXOS_ACCEPTED);
    rk_error_t err = {RK_OK, ""};
    if (!lost && rk_membership_receive (w->m[to - 1], i + 1, &msg, w->now_ms, &err))
        fail_msg ("%s", err.text);
    return true;
}

static void s_beat (world_t *w, uint32_t from, uint32_t to)
{
    uint64_t missed[N];
    const uint32_t n = rk_membership_missed (w->m[from], w->now_ms, missed, N);
    rk_membership_heard (w->m[to], from + 1, rk_membership_hears (w->m[from], to + 1, w->now_ms), w->now_ms);
    rk_membership_misses (w->m[to], from + 1, missed, n, w->now_ms);
}

static void s_step (world_t *w)
{
    w->now_ms += STEP_MS;
    for (uint32_t i = 0; i < N; i++) {
        for (uint32_t k = 0; w->now_ms % RK_HEARTBEAT_MS == 0 && k < N; k++)
            if (k != i && !w->cut[i] && !w->cut[k] && !w->apart[i][k])
                s_beat (w, i, k);
        rk_membership_tick (w->m[i], w->now_ms);
        if (rk_membership_must_stop (w->m[i]))
            assert_int_equal (rk_membership_standing (w->m[i], (const uint8_t *) "s", 1, w->now_ms), RK_OK);
        if (rk_membership_state (w->m[i]) == RK_MEMBERSHIP_PROPOSE)
            s_propose (w, i);
    }
    for (bool more = true; more;) {
        more = false;
        for (uint32_t i = 0; i < N; i++)
            more |= s_deliver (w, i);
    }
}

static void s_run (world_t *w, int64_t ms)
{
    for (const int64_t end = w->now_ms + ms; w->now_ms < end;)
        s_step (w);
}

static void s_until (world_t *w, uint32_t i, rk_membership_state_t state)
{
    for (const int64_t end = w->now_ms + 60000; rk_membership_state (w->m[i]) != state;) {
        if (w->now_ms >= end)
            fail_msg ("member %u is %s, not %s", i + 1, rk_membership_state_name (rk_membership_state (w->m[i])),
                      rk_membership_state_name (state));
        s_step (w);
    }
}

static void s_decided (const world_t *w, uint32_t i, const char *ids)
{
    size_t size;
    char text[N + 1] = "";
    const uint8_t *bytes = rk_membership_decided (w->m[i], &size);
    assert_true (bytes && size <= N);
    for (size_t k = 0; k < N && k < size; k++)
        text[k] = (char) ('0' + bytes[k]);
    assert_string_equal (text, ids);
}

/* Members 4 and 5 cannot be reached. 1 proposes a view of itself, 2 and 3, who have answered, and 3 dies: before it has
 * promised anything, or after it has accepted. Two of five cannot decide.                                  */
static void s_until_proposed (world_t *w, bool accepted)
{
    s_run (w, 4000);
    w->cut[3] = w->cut[4] = true;
    w->lose_votes = accepted;
    for (const int64_t end = w->now_ms + 60000; !w->proposed && w->now_ms < end;) {
        s_step (w);
        w->cut[2] = !accepted && rk_membership_goes_on (w->m[0], 3, w->now_ms);
    }
    w->cut[2] = true;
    assert_int_equal (w->proposed, 1);
    assert_int_equal (rk_membership_state (w->m[0]), RK_MEMBERSHIP_AGREEING);
}

/* A proposal that names the dead is not held on to until enough are back to decide it. */
static void dead_before_decided (void **state)
{
    (void) state;
    world_t w;
    s_open (&w);
    s_until_proposed (&w, false);
    s_until (&w, 0, RK_MEMBERSHIP_PARKED); /* 3 is silent for too long: nothing is proposed any more */
    w.cut[3] = w.cut[4] = false;
    s_until (&w, 0, RK_MEMBERSHIP_DECIDED);
    s_decided (&w, 0, "1245");
    s_until (&w, 4, RK_MEMBERSHIP_DECIDED);
    s_decided (&w, 4, "1245");
    s_close (&w);
}

/* Two of those who were to go on have accepted, which 1 has not heard: 1 and 2 and 3 are more than half, so it was chosen. */
static void what_was_chosen_stays (void **state)
{
    (void) state;
    world_t w;
    s_open (&w);
    s_until_proposed (&w, true);
    s_until (&w, 0, RK_MEMBERSHIP_PARKED);
    w.cut[3] = w.cut[4] = w.lose_votes = false;
    s_until (&w, 0, RK_MEMBERSHIP_DECIDED);
    assert_true (w.proposed > 1);
    s_decided (&w, 0, "123");
    s_decided (&w, 1, "123");
    s_close (&w);
}

static void s_part (world_t *w, uint32_t i, uint32_t k)
{
    w->apart[i][k] = w->apart[k][i] = true;
}

/* Members 3 and 5 do not hear one another, all others hear both: it is told, and the next view is without the later one. */
static void a_pair_that_does_not_hear (void **state)
{
    (void) state;
    world_t w;
    char text[256];
    uint32_t from;
    s_open (&w);
    s_run (&w, 20000); /* deadlines are learned */
    rk_membership_rift (w.m[0], w.now_ms, text, sizeof text);
    assert_string_equal (text, "");
    s_part (&w, 2, 4);
    s_run (&w, RK_MEMBER_LEAST_MS + 2 * RK_HEARTBEAT_MS);
    rk_membership_rift (w.m[2], w.now_ms, text, sizeof text);
    assert_non_null (strstr (text, "node 4 (, pid 104), which this process does not hear for "));
    rk_membership_rift (w.m[0], w.now_ms, text, sizeof text);
    assert_non_null (strstr (text, "node 2 (, pid 102), which does not hear node 4 (, pid 104) for "));
    assert_int_equal (rk_membership_state (w.m[0]), RK_MEMBERSHIP_STEADY);
    s_until (&w, 0, RK_MEMBERSHIP_DECIDED);
    s_decided (&w, 0, "1234");
    assert_true (rk_membership_is_cut (w.m[0], 5, &from));
    assert_int_equal (from, 3);
    s_until (&w, 4, RK_MEMBERSHIP_DECIDED); /* it is told, too, and sees why */
    s_decided (&w, 4, "1234");
    uint64_t missed;
    assert_int_equal (rk_membership_missed (w.m[4], w.now_ms, &missed, 1), 1);
    assert_int_equal (missed, 3);
    s_close (&w);
}

/* Member 2 does not hear 3 and 4: it goes, though it is the earlier one. A wish of others meanwhile changes nothing. */
static void who_is_missed_most_goes (void **state)
{
    (void) state;
    world_t w;
    s_open (&w);
    s_run (&w, 20000);
    s_part (&w, 1, 2);
    s_part (&w, 1, 3);
    s_until (&w, 0, RK_MEMBERSHIP_DECIDED);
    s_decided (&w, 0, "1345");
    s_close (&w);
}

/* Heard again in time: nothing happens. And of one that is silent for everybody nobody says that a pair is apart. */
static void what_passes_soon_is_no_rift (void **state)
{
    (void) state;
    world_t w;
    uint32_t from;
    s_open (&w);
    s_run (&w, 20000);
    s_part (&w, 2, 4);
    s_run (&w, RK_MEMBER_LEAST_MS + 5 * RK_HEARTBEAT_MS);
    w.apart[2][4] = w.apart[4][2] = false;
    s_run (&w, 20000);
    assert_int_equal (rk_membership_state (w.m[0]), RK_MEMBERSHIP_STEADY);
    w.cut[3] = true;
    s_until (&w, 0, RK_MEMBERSHIP_DECIDED);
    s_decided (&w, 0, "1235");
    for (uint32_t id = 1; id <= N; id++)
        assert_false (rk_membership_is_cut (w.m[0], id, &from));
    s_close (&w);
}

int main (void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test (dead_before_decided), cmocka_unit_test (what_was_chosen_stays),
                                       cmocka_unit_test (a_pair_that_does_not_hear), cmocka_unit_test (who_is_missed_most_goes),
                                       cmocka_unit_test (what_passes_soon_is_no_rift)};
    return cmocka_run_group_tests_name ("membership", tests, NULL, NULL);
}
