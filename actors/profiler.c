/* SPDX-License-Identifier: MPL-2.0 */
#include "actors/profiler.h"

#include "actors/host.h"
#include "actors/modelinfo.h"
#include "actors/profiler_links.h"

#define BUDGET_MS 1500
#define MOST_MESSAGE_BYTES (1u << 20)

typedef struct {
    rk_loop_t *loop;
    uint32_t process;
    rk_settings_t settings;
    const rk_model_t *model; /* borrowed, or NULL */
    rk_profiler_node_t *nodes;
    uint32_t n_nodes;
    rk_cache_mode_t cache;
    int64_t budget_ns;
    bool bound;              /* other processes can reach it */
    bool fails;              /* its test wants it */
    rk_profiler_links_t links;
} self_t;

/* What was measured, before declared speeds. */
typedef struct {
    rk_host_t host;
    rk_layer_figures_t layers;
} figures_t;

rk_profile_t rk_profile_of_message (const rk_node_profile_t *p, const char *name)
{
    rk_profile_t profile = {.id = p->node, .host = p->host, .cores = p->cores, .speed_ppm = p->speed_ppm, .ram_bytes = p->ram_bytes,
                            .gemm_mflops = p->gemm_mflops, .team_ppm = p->team_ppm, .crowd_ppm = p->crowd_ppm,
                            .settled_ppm = p->settled_ppm, .dispatch_ns = p->dispatch_ns, .feed_ns = p->feed_ns,
                            .copy_bytes_per_s = p->copy_bytes_per_s, .forward_ns = p->forward_ns, .backward_ns = p->backward_ns};
    snprintf (profile.name, sizeof profile.name, "%s", p->name[0] ? p->name : name);
    return profile;
}

static rk_err_t s_measure (const self_t *self, const rk_model_t *model, figures_t *out, rk_error_t *err)
{
    rk_host_look (&out->host);
    return rk_profile_model (&out->layers, model, &self->settings, self->budget_ns, self->cache, NULL, err);
}

/* ---- the answer */
static uint64_t s_ram_bytes (const self_t *self, const figures_t *figures, const rk_profiler_node_t *node)
{
    return node->ram_mb ? node->ram_mb << 20 : figures->host.ram_bytes / self->n_nodes;
}

static void s_declare (const self_t *self, const figures_t *figures, const rk_profiler_node_t *node, uint64_t *times,
                       rk_node_profile_t *out)
{
    uint64_t ppm = node->speed > 0 ? (uint64_t) (node->speed * 1e6 + 0.5) : 1000000;
    ppm = ppm < 1 ? 1 : ppm > 1000000 ? 1000000 : ppm;
    for (size_t i = 0; i < 2 * figures->layers.n_layers; i++)
        times[i] = figures->layers.times[i] * 1000000 / ppm;
    *out = (rk_node_profile_t){.node = node->node,
                               .name = node->name,
                               .host = figures->host.id,
                               .cores = figures->host.cores,
                               .speed_ppm = (uint32_t) ppm,
                               .ram_bytes = s_ram_bytes (self, figures, node),
                               .gemm_mflops = figures->layers.gemm_mflops * ppm / 1000000,
                               .team_ppm = figures->layers.team_ppm,
                               .crowd_ppm = figures->layers.crowd_ppm,
                               .dispatch_ns = figures->layers.dispatch_ns,
                               .feed_ns = figures->layers.feed_ns,
                               .copy_bytes_per_s = figures->layers.copy_bytes_per_s,
                               .n_layers = figures->layers.n_layers,
                               .forward_ns = times,
                               .backward_ns = times + figures->layers.n_layers,
                               .endpoint = self->bound ? rk_loop_endpoint (self->loop) : ""};
}

static rk_err_t s_answer (self_t *self, const figures_t *figures, rk_error_t *err)
{
    rk_node_profile_t *nodes = calloc (self->n_nodes, sizeof *nodes);
    uint64_t *times = calloc (self->n_nodes * 2 * figures->layers.n_layers, sizeof *times);
    rk_err_t rc = nodes && times
                      ? RK_OK
                      : rk_error_set (err, RK_ENOMEM, "no memory for the profiles of %u nodes", self->n_nodes);
    for (uint32_t i = 0; !rc && i < self->n_nodes; i++)
        s_declare (self, figures, &self->nodes[i], times + i * 2 * figures->layers.n_layers, &nodes[i]);
    rk_msg_t msg = {.kind = RK_MSG_PROFILE, .profile = {self->n_nodes, nodes}};
    if (!rc)
        rc = rk_loop_send (self->loop, RK_TO_COORDINATOR, &msg, NULL, 0, err);
    free (times);
    free (nodes);
    return rc;
}

static rk_err_t s_build (const self_t *self, const rk_profile_request_t *request, rk_model_t **built, rk_error_t *err)
{
    rk_shape_t shape;
    rk_err_t rc = rk_shape_of_dims (&shape, request->dims, request->n_dims, err);
    if (rc)
        return rc;
    return rk_model_by_name (built, self->settings.model_name, shape, request->n_classes, err);
}

/* Others reach the inbox; the own coordinator answers on the DEALER to it, where nobody else can. */
static rk_err_t s_only_coordinator (const rk_packet_t *packet, rk_error_t *err)
{
    if (packet->n_routing || rk_address_kind (packet->msg.sender) != RK_ACTOR_COORDINATOR)
        return rk_error_set (err, RK_EFORMAT, "%s from %08x, not the own coordinator", rk_msg_kind_name (packet->msg.kind),
                             packet->msg.sender);
    return RK_OK;
}

/* A measurement that fails is tried again by whoever started this actor; without it there is no plan. */
static rk_err_t s_on_request (void *arg, rk_packet_t *packet, rk_error_t *err)
{
    self_t *self = arg;
    rk_model_t *built = NULL;
    figures_t figures = {0};
    rk_err_t stranger = s_only_coordinator (packet, err);
    if (stranger)
        return stranger;
    if (self->fails)
        return rk_error_set (err, RK_EIO, "a profiler fails, as its test wants");
    rk_err_t rc = self->model ? RK_OK : s_build (self, &packet->msg.profile_request, &built, err);
    if (!rc)
        rc = s_measure (self, self->model ? self->model : built, &figures, err);
    if (!rc)
        rc = s_answer (self, &figures, err);
    rk_layer_figures_clear (&figures.layers);
    rk_model_destroy (&built);
    return rc == RK_EFORMAT ? RK_EINVAL : rc;
}

/* ---- links */
static rk_err_t s_on_link_request (void *arg, rk_packet_t *packet, rk_error_t *err)
{
    self_t *self = arg;
    rk_err_t stranger = s_only_coordinator (packet, err);
    return stranger ? stranger : rk_profiler_links_request (&self->links, &packet->msg.link_request, err);
}

static rk_err_t s_on_link_probe (void *arg, rk_packet_t *packet, rk_error_t *err)
{
    self_t *self = arg;
    return rk_profiler_links_probe (&self->links, packet, err);
}

static rk_err_t s_on_link_echo (void *arg, rk_packet_t *packet, rk_error_t *err)
{
    self_t *self = arg;
    return rk_profiler_links_echo (&self->links, &packet->msg, err);
}

static int64_t s_work (void *arg, int64_t now_ns, rk_err_t *code, rk_error_t *err)
{
    self_t *self = arg;
    return rk_profiler_links_work (&self->links, now_ns, code, err);
}

/* ---- class */
static rk_err_t s_open (void *arg, rk_loop_t *loop, const void *arg_config, rk_error_t *err)
{
    self_t *self = arg;
    const rk_profiler_config_t *config = arg_config;
    self->loop = loop;
    self->process = config->process;
    self->settings = *config->settings;
    self->model = config->model;
    self->n_nodes = config->n_nodes;
    self->budget_ns = (config->budget_ms ? config->budget_ms : BUDGET_MS) * 1000000;
    self->nodes = calloc (config->n_nodes ? config->n_nodes : 1, sizeof *self->nodes);
    if (!self->nodes || !config->n_nodes)
        return rk_error_set (err, self->nodes ? RK_EINVAL : RK_ENOMEM, "a profiler for %u nodes", config->n_nodes);
    memcpy (self->nodes, config->nodes, config->n_nodes * sizeof *self->nodes);
    self->bound = config->bind != NULL;
    self->cache = config->cache;
    self->fails = config->fails;
    rk_err_t rc = rk_profiler_links_open (&self->links, loop, config->link_patience_ms, err);
    if (rc)
        return rc;
    rk_msg_t ready = {.kind = RK_MSG_READY};
    return rk_loop_send (loop, RK_TO_COORDINATOR, &ready, NULL, 0, err);
}

static void s_close (void *arg)
{
    self_t *self = arg;
    free (self->nodes);
    self->nodes = NULL;
    rk_profiler_links_close (&self->links);
}

static rk_handler_fn *const s_on[RK_N_MSG] = {
    [RK_MSG_PROFILE_REQUEST] = s_on_request,
    [RK_MSG_LINK_REQUEST] = s_on_link_request,
    [RK_MSG_LINK_PROBE] = s_on_link_probe,
    [RK_MSG_LINK_ECHO] = s_on_link_echo,
};

static const rk_actor_class_t s_class = {
    .kind = RK_ACTOR_PROFILER, .self_size = sizeof (self_t), .open = s_open, .close = s_close, .work = s_work, .on = s_on};

rk_err_t rk_profiler_new (rk_actor_t **actor_p, const rk_profiler_config_t *config, rk_error_t *err)
{
    rk_actor_plumbing_t plumbing = {.bind = config->bind, .identity = config->identity, .coordinator = config->coordinator, .node = config->process,
                                    .max_message_bytes = MOST_MESSAGE_BYTES};
    return rk_actor_start (actor_p, &s_class, &plumbing, config, err);
}
