/* SPDX-License-Identifier: MPL-2.0
 * What is done to a run: one table, drawn from by the seed. At any time more than half of the installed view is alive,
 * heard and not stopped. The next fault comes when rounds are committed again, and after one that took somebody away not
 * before max (0.5 s, 3 medians of the recoveries so far).                                                 */
#include "tests/chaos/chaos.h"

#include <signal.h>
#include <string.h>
#include <unistd.h>

#define GAP_MS     500
#define RESPAWN_MS 500
#define SLOW_KBIT  10000
#define OPEN_MS    12000 /* a recovery that takes longer is not waited for */

/* ---- healing */
static void s_go_on (chaos_t *c, uint32_t m)
{
    chaos_proc_t *p = &c->procs[m];
    if (p->pid)
        kill (p->pid, SIGCONT);
    p->stopped_ms = 0;
}

static void s_join_again (chaos_t *c, uint32_t m)
{
    machine_cut (c, m, false);
    c->procs[m].cut = false;
}

static void s_speak_again (chaos_t *c, uint32_t m)
{
    machine_mute (c, m, false);
    c->procs[m].deaf = false;
}

static void s_fast_again (chaos_t *c, uint32_t m)
{
    machine_slow (c, m, 0);
    c->procs[m].slow = false;
}

static void s_empty_again (chaos_t *c, uint32_t m)
{
    machine_fill (c, m, false);
    c->procs[m].full = false;
}

static void s_clock_right (chaos_t *c, uint32_t m)
{
    machine_jump (c, m, 0);
    c->procs[m].jumped = false;
}

/* ---- faults */
static void s_kill (chaos_t *c, uint32_t m)
{
    kill (c->procs[m].pid, SIGKILL);
}

static void s_stop (chaos_t *c, uint32_t m)
{
    kill (c->procs[m].pid, SIGSTOP);
    c->procs[m].stopped_ms = chaos_now_ms ();
    for (uint32_t q = 0; q <= c->config.n_nodes; q++)
        c->procs[q].rss_kb = c->procs[q].pid ? procs_rss_kb (c->procs[q].pid) : 0;
    c->procs[m].heal = s_go_on;
}

static void s_cut (chaos_t *c, uint32_t m)
{
    machine_cut (c, m, true);
    c->procs[m].cut = true;
    c->procs[m].heal = s_join_again;
}

static void s_mute (chaos_t *c, uint32_t m)
{
    machine_mute (c, m, true);
    c->procs[m].deaf = true;
    c->procs[m].heal = s_speak_again;
}

static void s_slow (chaos_t *c, uint32_t m)
{
    const uint32_t rate = c->config.rate_kbit;
    machine_slow (c, m, rate && rate < 4 * SLOW_KBIT ? rate / 4 : SLOW_KBIT);
    c->procs[m].slow = true;
    c->procs[m].heal = s_fast_again;
}

static void s_full (chaos_t *c, uint32_t m)
{
    machine_fill (c, m, true);
    c->procs[m].full = true;
    c->procs[m].heal = s_empty_again;
}

static void s_jump (chaos_t *c, uint32_t m)
{
    machine_jump (c, m, noise_between (&c->noise, 0, 1) ? 7200 : -7200);
    c->procs[m].jumped = true;
    c->procs[m].heal = s_clock_right;
}

static const struct {
    const char *name;
    void (*inject) (chaos_t *c, uint32_t m);
    uint32_t weight, least_ms, most_ms; /* how long it lasts; 0: it does not need healing */
    bool takes; /* a member is lost, for a while or for ever: a majority must be left */
} s_faults[] = {
    {"killed", s_kill, 6, 0, 0, true},
    {"stopped", s_stop, 3, 200, 6000, true},
    {"link cut", s_cut, 2, 200, 5000, true},
    {"link half-open", s_mute, 2, 200, 5000, true},
    {"slow reader", s_slow, 1, 1000, 4000, false},
    {"disc full", s_full, 1, 1000, 3000, false},
    {"clock jump", s_jump, 1, 1500, 4000, false},
    {"ports scanned", strangers_scan, 1, 0, 0, false},
    {"noise on every port", strangers_noise, 1, 0, 0, false},
    {"wrong key", strangers_wrong_key, 1, 0, 0, false},
    {"replayed, truncated", strangers_replay, 1, 0, 0, false},
};
#define N_FAULTS ((uint32_t) (sizeof s_faults / sizeof *s_faults))

const char *faults_name (uint32_t kind)
{
    return s_faults[kind].name;
}

uint32_t faults_n (void)
{
    return N_FAULTS;
}

/* ---- whom and when */
static uint64_t s_newest (const chaos_t *c, uint32_t *n_members)
{
    uint64_t view = 0;
    *n_members = c->config.n_nodes + 1;
    for (uint32_t m = 0; m <= c->config.n_nodes; m++)
        if (procs_alive (c, m) && c->procs[m].view > view) {
            view = c->procs[m].view;
            *n_members = c->procs[m].n_members;
        }
    return view;
}

/* Without `lost` there is a majority of the installed view that is alive, runs and is heard. */
static bool s_majority_without (const chaos_t *c, uint32_t lost)
{
    uint32_t n_members, well = 0;
    const uint64_t view = s_newest (c, &n_members);
    for (uint32_t m = 0; m <= c->config.n_nodes; m++) {
        const chaos_proc_t *p = &c->procs[m];
        well += m != lost && p->pid && !p->stopped_ms && !p->cut && !p->deaf && !p->expelled && p->view == view;
    }
    return 2 * well > n_members && well > 1;
}

static bool s_touched (const chaos_proc_t *p)
{
    return p->heal != NULL;
}

static bool s_victim (chaos_t *c, uint32_t kind, uint32_t *m)
{
    for (int tries = 0; tries < 20; tries++) {
        *m = noise_between (&c->noise, 0, 2) == 0 ? c->leader
                                                  : (uint32_t) noise_between (&c->noise, 0, c->config.n_nodes);
        if (c->config.leaders || (kind == 0 && c->done[0] == 0))
            *m = c->leader;
        if (procs_alive (c, *m) && !s_touched (&c->procs[*m]) && (!s_faults[kind].takes || s_majority_without (c, *m)))
            return true;
    }
    return false;
}

/* The first faults are one of each kind, the harmless ones first, so that a short run has them all. */
static uint32_t s_kind (chaos_t *c)
{
    static const uint32_t first[] = {7, 8, 9, 10, 4, 5, 6, 3, 0, 1, 2};
    uint32_t sum = 0;
    if (c->config.leaders)
        return 0;
    for (uint32_t i = 0; c->config.only && i < N_FAULTS; i++)
        if (strcmp (s_faults[i].name, c->config.only) == 0)
            return i;
    if (c->n_events < sizeof first / sizeof *first)
        return first[c->n_events];
    for (uint32_t i = 0; i < N_FAULTS; i++)
        sum += s_faults[i].weight;
    uint32_t at = (uint32_t) noise_between (&c->noise, 0, sum - 1), kind = 0;
    while (at >= s_faults[kind].weight)
        at -= s_faults[kind++].weight;
    return kind;
}

static void s_inject (chaos_t *c, uint32_t kind, uint32_t m)
{
    const int64_t now = chaos_now_ms (), lasts = s_faults[kind].most_ms
        ? (int64_t) noise_between (&c->noise, s_faults[kind].least_ms, s_faults[kind].most_ms) : 0;
    if (c->n_events < CHAOS_EVENTS)
        c->events[c->n_events++] = (chaos_event_t){.at_ms = now, .recovered_ms = -1, .view = c->view, .kind = kind,
                                                   .machine = m, .lasts_ms = lasts, .leader = m == c->leader};
    c->done[kind]++;
    s_faults[kind].inject (c, m);
    c->procs[m].heal_ms = lasts ? now + lasts : 0;
    chaos_say (c, "%s%s: %s%s%.1f s", chaos_name (m), m == c->leader ? " (leads)" : "", s_faults[kind].name,
               lasts ? " for " : ", ", (double) lasts / 1000);
}

static void s_heal (chaos_t *c, uint32_t m)
{
    chaos_proc_t *p = &c->procs[m];
    if (!p->heal)
        return;
    p->heal (c, m);
    p->heal = NULL;
    chaos_say (c, "%s is healed", chaos_name (m));
}

void faults_heal_all (chaos_t *c)
{
    for (uint32_t m = 0; m <= c->config.n_nodes; m++)
        s_heal (c, m);
}

bool faults_in_hand (const chaos_t *c)
{
    for (uint32_t m = 0; m <= c->config.n_nodes; m++)
        if (c->procs[m].heal)
            return true;
    return false;
}

/* A machine whose process has ended begins again after a moment, as another member. */
static void s_respawn (chaos_t *c, int64_t now)
{
    for (uint32_t m = 0; c->config.respawn && m <= c->config.n_nodes; m++) {
        chaos_proc_t *p = &c->procs[m];
        if (!p->pid && !p->ended && !p->heal && p->heal_ms == 0)
            p->heal_ms = now + RESPAWN_MS;
        else if (!p->pid && !p->ended && !p->heal && now >= p->heal_ms)
            procs_start (c, m);
    }
}

/* Something that was taken away is not made good yet: what happened now would be blamed on both. */
static bool s_recovering (const chaos_t *c, int64_t now)
{
    for (uint32_t i = c->n_events; i-- > 0 && i + 16 > c->n_events;)
        if (s_faults[c->events[i].kind].takes && c->events[i].recovered_ms < 0 && now < c->events[i].at_ms + OPEN_MS)
            return true;
    return false;
}

void faults_tick (chaos_t *c)
{
    const int64_t now = chaos_now_ms ();
    uint32_t m;
    for (uint32_t q = 0; q <= c->config.n_nodes; q++)
        if (c->procs[q].heal && now >= c->procs[q].heal_ms)
            s_heal (c, q);
    if (c->ended)
        return;
    s_respawn (c, now);
    if (now < c->next_ms || now >= c->until_ms || s_recovering (c, now) || (c->config.leaders && c->done[0] >= c->config.leaders))
        return;
    const uint32_t kind = s_kind (c);
    const int64_t gap = s_faults[kind].takes ? 3 * ledger_recovery_ms (c) : 0;
    if (!s_victim (c, kind, &m)) {
        c->next_ms = now + 100;
        return;
    }
    s_inject (c, kind, m);
    c->next_ms = now + (gap > GAP_MS ? gap : GAP_MS);
}
