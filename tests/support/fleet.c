/* SPDX-License-Identifier: MPL-2.0
 * Time, faults, and the beginning and end of a simulated life.                                            */
#include "tests/support/fleet_parts.h"

#include <stdarg.h>

#define QUIET_MS 30000 /* no faults from here on */
#define STUCK_MS 60000 /* after that, without a commit for so long the run is stuck: two views may have to wait for the silent */
#define SAMPLES  1200

/* ---- words */
void fleet_broken (fleet_t *w, const char *fmt, ...)
{
    va_list args;
    if (w->result->broken[0])
        return;
    va_start (args, fmt);
    vsnprintf (w->result->broken, sizeof w->result->broken, fmt, args);
    va_end (args);
    fleet_say (w, "BROKEN: %s", w->result->broken);
}

void fleet_say (fleet_t *w, const char *fmt, ...)
{
    char text[512];
    va_list args;
    if (!w->config->verbose)
        return;
    va_start (args, fmt);
    vsnprintf (text, sizeof text, fmt, args);
    va_end (args);
    fprintf (stderr, "%6lld ms  %s\n", (long long) w->now_ms, text);
}

void fleet_mix (fleet_t *w, uint64_t x)
{
    w->result->digest = (w->result->digest ^ x) * UINT64_C (0x100000001b3) + (uint64_t) w->now_ms;
}

uint32_t fleet_proc_of (const rk_view_t *view, uint32_t id)
{
    return rk_view_find (view, id)->pid - 1;
}

/* ---- the model: every float is pulled towards a target of its own by every minibatch */
static float s_target (uint64_t f, uint64_t i)
{
    uint64_t x = f * UINT64_C (0x9e3779b97f4a7c15) + i * UINT64_C (0xbf58476d1ce4e5b9);
    x ^= x >> 31;
    return (float) (x * UINT64_C (0x94d049bb133111eb) >> 40) / 16777216.0f;
}

float fleet_start (uint64_t i)
{
    return (float) i / 128.0f;
}

void fleet_train (float *x, uint64_t lo, uint64_t hi, uint64_t f)
{
    for (uint64_t i = lo; i < hi; i++)
        x[i] -= 0.05f * (x[i] - s_target (f, i));
}

/* ---- faults */
static uint32_t s_any (fleet_t *w)
{
    for (int tries = 0; tries < 20; tries++) {
        const uint32_t p = (uint32_t) noise_between (&w->noise, 0, w->n_procs - 1);
        if (w->procs[p].used && !w->procs[p].dead)
            return p;
    }
    return NOBODY;
}

static const rk_view_t *s_newest (fleet_t *w)
{
    const rk_view_t *view = NULL;
    for (uint32_t p = 0; p < w->n_procs; p++)
        if (w->procs[p].view && (!view || w->procs[p].view->number > view->number))
            view = w->procs[p].view;
    return view;
}

/* A view that was proposed and is not installed yet may have been chosen already. */
static bool s_may_leave_proposals (const fleet_t *w, const proc_t *p, uint64_t installed)
{
    const uint64_t n = w->n_proposals < PROPOSALS ? w->n_proposals : PROPOSALS;
    for (uint64_t i = 0; i < n; i++) {
        const proposal_t *proposal = &w->proposals[i];
        uint32_t alive = 0;
        for (uint32_t k = 0; k < proposal->n; k++) {
            const proc_t *q = &w->procs[proposal->procs[k]];
            alive += q != p && !q->dead && !q->leaves;
        }
        if (proposal->number > installed && 2 * alive <= proposal->n)
            return false;
    }
    return true;
}

/* A run of which too few are left parks for ever, rightly; here it is to go on. */
static bool s_may_end (fleet_t *w, uint32_t p)
{
    const rk_view_t *view = s_newest (w);
    uint32_t alive = 0, nodes = 0;
    for (uint32_t k = 0; view && k < view->n_members; k++) {
        const proc_t *q = &w->procs[fleet_proc_of (view, view->members[k].id)];
        if (q == &w->procs[p] || q->dead || q->leaves || !q->view || q->view->number != view->number)
            continue;
        alive++;
        nodes += view->members[k].node != RK_NO_NODE;
    }
    return view && 2 * alive > view->n_members && nodes > 0 &&
           s_may_leave_proposals (w, &w->procs[p], view->number);
}

static void s_crash (fleet_t *w, uint32_t p)
{
    if (!s_may_end (w, p))
        return;
    fleet_say (w, "process %u (member %u) dies", p, w->procs[p].id);
    w->procs[p].dead = true;
    w->result->crashes++;
}

static void s_freeze (fleet_t *w, uint32_t p)
{
    w->procs[p].frozen_until_ms = w->now_ms + (int64_t) noise_between (&w->noise, 200, 6000);
    w->result->freezes++;
    fleet_say (w, "process %u (member %u) freezes until %lld", p, w->procs[p].id,
               (long long) w->procs[p].frozen_until_ms);
}

static void s_cut (fleet_t *w, uint32_t p)
{
    (void) p;
    if (w->cut_until_ms > w->now_ms)
        return;
    w->cut = noise_next (&w->noise);
    w->one_way = noise_between (&w->noise, 0, 2) == 0;
    w->cut_until_ms = w->now_ms + (int64_t) noise_between (&w->noise, 300, 6000);
    w->result->cuts++;
    fleet_say (w, "cut %llx%s until %lld", (unsigned long long) w->cut & ((1u << w->n_procs) - 1),
               w->one_way ? " one way" : "", (long long) w->cut_until_ms);
}

static uint32_t s_spawn (fleet_t *w, uint64_t host)
{
    if (w->n_procs == PROCS)
        return NOBODY;
    proc_t *p = &w->procs[w->n_procs];
    *p = (proc_t){.used = true, .id = NOBODY, .host = host, .slow_ms = (int64_t) noise_between (&w->noise, 10, 40)};
    return w->n_procs++;
}

static void s_join (fleet_t *w, uint32_t p)
{
    uint32_t living = 0;
    for (uint32_t q = 0; q < w->n_procs; q++)
        living += w->procs[q].used && !w->procs[q].dead;
    if (living < NODES && s_spawn (w, w->procs[p].host) != NOBODY) {
        w->procs[w->n_procs - 1].id = 0; /* none yet: members are numbered from 1 */
        w->result->joins++;
        fleet_say (w, "process %u comes", w->n_procs - 1);
    }
}

static void s_leave (fleet_t *w, uint32_t p)
{
    if (w->procs[p].joined && s_may_end (w, p)) {
        w->procs[p].leaves = true;
        fleet_say (w, "process %u (member %u) wants to leave", p, w->procs[p].id);
    }
}

static void s_faults (fleet_t *w)
{
    static void (*const all[]) (fleet_t * w, uint32_t p) = {s_crash, s_crash, s_freeze, s_cut,
                                                            s_join,  s_join,  s_leave};
    if (w->config->calm || w->now_ms < w->fault_ms || w->now_ms >= w->quiet_from_ms)
        return;
    w->fault_ms = w->now_ms + (int64_t) noise_between (&w->noise, 300, 3500);
    const uint32_t p = s_any (w);
    if (p != NOBODY)
        all[noise_between (&w->noise, 0, sizeof all / sizeof *all - 1)](w, p);
}

/* ---- beginning and end */
static void s_model (fleet_t *w)
{
    rk_settings_default (&w->settings);
    w->settings.average_mode = RK_AVERAGE_DRAINED;
    w->settings.average_every = 6;
    w->settings.train_batch = 1;
    w->settings.run_passes = 1;
    for (uint32_t l = 0; l < LAYERS; l++)
        w->layers[l] = (rk_layer_info_t){
            .flat_at = l * LAYER_FLOATS, .stash_bytes = 64, .grad_bytes = 64, .work_bytes = 64, .cut_bytes = 64};
    w->model = (rk_model_info_t){.n_layers = LAYERS,
                                 .layers = w->layers,
                                 .n_flat = FLOATS,
                                 .label_bytes = 4,
                                 .train_samples = SAMPLES,
                                 .test_samples = 1};
}

/* The first view has no plan; its leader makes the second at once, as if everybody had just come. */
static void s_begin (fleet_t *w)
{
    const uint32_t n = 1 + w->config->n_nodes + w->config->witness;
    rk_view_t *view = NULL;
    if (rk_view_new (&view, n, NULL, 0))
        abort ();
    view->number = 1;
    view->next_id = n + 1;
    view->next_node = w->config->n_nodes;
    for (uint32_t k = 0; k < n; k++) {
        const uint32_t p = s_spawn (w, k % 3);
        view->members[k] = (rk_view_member_t){.id = k + 1,
                                              .node = k && k <= w->config->n_nodes ? k - 1 : RK_NO_NODE,
                                              .pid = p + 1,
                                              .host = w->procs[p].host,
                                              .witness = w->config->witness && k == n - 1};
        snprintf (view->members[k].name, sizeof view->members[k].name, "p%u", p);
    }
    const size_t size = rk_view_encode (view, NULL, 0);
    uint8_t *bytes = malloc (size);
    if (!bytes || rk_view_encode (view, bytes, size) != size)
        abort ();
    for (uint32_t p = 0; p < n; p++)
        fleet_member_open (w, p, view, bytes, size, NULL);
    rk_membership_want (w->procs[0].m, 0);
    free (bytes);
    rk_view_destroy (&view);
}

/* Whether so few are left that nobody may go on: everybody who is left has said so. */
static bool s_parked (fleet_t *w)
{
    bool parked = false;
    for (uint32_t p = 0; p < w->n_procs; p++) {
        proc_t *q = &w->procs[p];
        if (q->dead || !q->joined)
            continue;
        parked |= rk_membership_state (q->m) == RK_MEMBERSHIP_PARKED;
        if (rk_membership_state (q->m) == RK_MEMBERSHIP_STEADY)
            return false;
    }
    return parked;
}

static void s_end (fleet_t *w)
{
    w->result->ended_ms = w->now_ms;
    w->result->parked = !w->result->finished && s_parked (w);
    while (w->wire) {
        letter_t *letter = w->wire;
        w->wire = letter->next;
        fleet_drop (letter);
    }
    for (uint32_t p = 0; p < w->n_procs; p++)
        fleet_member_close (&w->procs[p]);
    fleet_truth_close (w);
}

static bool s_stuck (const fleet_t *w)
{
    return w->now_ms > w->quiet_from_ms + STUCK_MS && w->now_ms > w->last_commit_ms + STUCK_MS;
}

void fleet_run (const fleet_config_t *config, fleet_result_t *result)
{
    fleet_t *w = calloc (1, sizeof *w);
    if (!w)
        abort ();
    *result = (fleet_result_t){.digest = UINT64_C (0xcbf29ce484222325)};
    w->config = config;
    w->result = result;
    w->noise.state = config->seed * UINT64_C (0x9e3779b97f4a7c15) + 1;
    w->quiet_from_ms = QUIET_MS;
    w->fault_ms = 1000;
    s_model (w);
    s_begin (w);
    while (!result->finished && !result->broken[0] && !s_stuck (w)) {
        w->now_ms += STEP_MS;
        s_faults (w);
        fleet_deliver (w);
        for (uint32_t p = 0; p < w->n_procs; p++)
            if (w->procs[p].used && !w->procs[p].dead && w->procs[p].frozen_until_ms <= w->now_ms)
                fleet_member_tick (w, p);
    }
    s_end (w);
    free (w);
}
