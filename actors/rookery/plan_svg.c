/* SPDX-License-Identifier: MPL-2.0
 * A plan as a picture: a row per node with the layers it holds, how long a minibatch takes it and how full its memory is;
 * clusters one below the other in ring order, rings as colours of the ranges they average. Plain SVG, no script.   */
#include "actors/rookery/plan.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "actors/rookery/picture.h"

#define LEFT 36
#define NAME_X LEFT
#define LAYERS_X 176
#define LAYERS_WIDTH 380
#define TIME_X 584
#define TIME_WIDTH 100
#define MEMORY_X 812
#define MEMORY_WIDTH 124
#define WIDTH 1080
#define ROW 34
#define HEAD 44    /* of a cluster */
#define BETWEEN 14 /* clusters */
#define TOP 126

typedef struct {
    FILE *out;
    const rk_plan_view_t *view;
    uint64_t slowest_ns; /* of all stages */
} self_t;

static void s_text (const self_t *self, double x, double y, const char *class, const char *text)
{
    fprintf (self->out, "<text x=\"%.1f\" y=\"%.1f\" class=\"%s\">", x, y, class);
    rk_picture_words (self->out, text);
    fputs ("</text>\n", self->out);
}

static void s_bar (const self_t *self, double x, double y, double width, double height, const char *fill)
{
    fprintf (self->out, "<rect x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\" rx=\"2\" fill=\"%s\"/>\n", x, y, fmax (width, 1), height, fill);
}

/* ---- a stage */
static void s_ring_colour (uint32_t ring, char *text, size_t size)
{
    snprintf (text, size, "hsl(%u, 55%%, 58%%)", (200 + ring * 137) % 360);
}

/* The part of the model, and below it the part of the flat vector by ring. */
static void s_layers (const self_t *self, const rk_plan_stage_t *stage, double y)
{
    const rk_plan_t *plan = self->view->plan;
    char layers[64], colour[32];
    const double x = LAYERS_X + LAYERS_WIDTH * (double) stage->first / plan->n_layers;
    const double width = LAYERS_WIDTH * (double) (stage->last - stage->first) / plan->n_layers;
    rk_plan_view_layers (self->view, stage, layers, sizeof layers);
    s_bar (self, LAYERS_X, y + 4, LAYERS_WIDTH, 16, "#eef1f5");
    s_bar (self, x, y + 4, width, 16, stage->recompute ? "#8a6fb0" : "#4a7fb5");
    const bool inside = width > 7.0 * (double) strlen (layers), right = x + width > LAYERS_X + LAYERS_WIDTH / 2.0;
    s_text (self, inside ? x + width / 2 : right ? x - 5 : x + width + 5, y + 16, inside ? "small in" : right ? "small end" : "small", layers);
    const double scale = plan->n_flat ? LAYERS_WIDTH / (double) plan->n_flat : 0;
    for (uint32_t r = 0; plan->n_clusters > 1 && r < plan->n_rings; r++) {
        const uint64_t lo = plan->rings[r].lo > stage->flat_lo ? plan->rings[r].lo : stage->flat_lo;
        const uint64_t hi = plan->rings[r].hi < stage->flat_hi ? plan->rings[r].hi : stage->flat_hi;
        if (lo >= hi)
            continue;
        s_ring_colour (r, colour, sizeof colour);
        s_bar (self, LAYERS_X + scale * (double) lo, y + 22, scale * (double) (hi - lo), 4, colour);
    }
}

static void s_time (const self_t *self, const rk_plan_stage_t *stage, uint32_t index, double y)
{
    const rk_simulated_t *simulated = self->view->simulated;
    const double width = TIME_WIDTH * (double) stage->busy_ns / (double) self->slowest_ns;
    char text[64];
    s_bar (self, TIME_X, y + 4, TIME_WIDTH, 16, "#eef1f5");
    s_bar (self, TIME_X, y + 4, width, 16, "#d8963c");
    int n = snprintf (text, sizeof text, stage->busy_ns < 10000000 ? "%.2f ms" : "%.0f ms", (double) stage->busy_ns / 1e6);
    if (simulated)
        snprintf (text + n, sizeof text - (size_t) n, ", idle %u %%", (simulated->idle_ppm[index] + 5000) / 10000);
    s_text (self, TIME_X + TIME_WIDTH + 6, y + 16, "small", text);
}

static void s_memory (const self_t *self, const rk_plan_stage_t *stage, double y)
{
    const rk_profile_t *node = rk_plan_view_profile (self->view, stage->node);
    const double mb = (double) stage->memory_bytes / 1048576, part = node && node->ram_bytes ? (double) stage->memory_bytes / (double) node->ram_bytes : 0;
    char text[64];
    s_bar (self, MEMORY_X, y + 4, MEMORY_WIDTH, 16, "#eef1f5");
    s_bar (self, MEMORY_X, y + 4, MEMORY_WIDTH * fmin (part, 1), 16, part > 0.9 ? "#c0504d" : "#5a9e6f");
    if (part > 0)
        snprintf (text, sizeof text, "%.0f of %.0f MB", mb, (double) node->ram_bytes / 1048576);
    else
        snprintf (text, sizeof text, "%.0f MB", mb);
    s_text (self, MEMORY_X + MEMORY_WIDTH + 6, y + 16, "small", text);
}

/* ---- clusters */
static double s_cluster (const self_t *self, uint32_t c, double y)
{
    const rk_plan_t *plan = self->view->plan;
    const rk_plan_cluster_t *cluster = &plan->clusters[c];
    const double height = HEAD + (double) cluster->n_stages * ROW;
    char text[96], name[48];
    fprintf (self->out, "<rect x=\"%d\" y=\"%.1f\" width=\"%d\" height=\"%.1f\" rx=\"8\" fill=\"#fff\" stroke=\"#ccd3dc\"/>\n", LEFT - 12, y,
             WIDTH - 2 * LEFT + 24, height);
    snprintf (text, sizeof text, "cluster %u", c);
    s_text (self, LEFT, y + 24, "head", text);
    snprintf (text, sizeof text, "%.1f samples/s, %u in flight", (double) cluster->rate * plan->settings.train_batch / 1e9, cluster->in_flight);
    s_text (self, LEFT + 76, y + 24, "small", text);
    for (uint32_t s = 0; s < cluster->n_stages; s++) {
        const rk_plan_stage_t *stage = rk_plan_stage (plan, c, s);
        const double row = y + 34 + (double) s * ROW;
        snprintf (text, sizeof text, "%.18s", rk_plan_view_node (self->view, stage->node, name, sizeof name));
        s_text (self, NAME_X, row + 16, "", text);
        s_layers (self, stage, row);
        s_time (self, stage, cluster->first_stage + s, row);
        s_memory (self, stage, row);
    }
    return height;
}

/* Down the left side from each cluster to the next, and from the last one back to the first. */
static void s_ring (const self_t *self, double from, double to)
{
    const double x = LEFT - 22;
    fprintf (self->out,
             "<path d=\"M%.1f %.1fH%.1fV%.1fH%.1f\" fill=\"none\" stroke=\"#7a8799\" stroke-width=\"1.5\"/>"
             "<path d=\"M%.1f %.1fl-6 -4v8z\" fill=\"#7a8799\"/>\n",
             x + 10, from, x, to, x + 8, x + 10, to);
}

static double s_rings (const self_t *self, double y)
{
    const rk_plan_t *plan = self->view->plan;
    double x = LEFT;
    if (plan->n_clusters < 2)
        return y;
    s_text (self, x, y + 14, "head", "rings");
    x += 52;
    for (uint32_t r = 0; r < plan->n_rings; r++) {
        char text[64], colour[32];
        s_ring_colour (r, colour, sizeof colour);
        snprintf (text, sizeof text, "%u: %.2f MB", r, (double) (plan->rings[r].hi - plan->rings[r].lo) * sizeof (float) / 1e6);
        if (x > WIDTH - LEFT - 100)
            x = LEFT + 52, y += 20;
        s_bar (self, x, y + 4, 12, 12, colour);
        s_text (self, x + 17, y + 14, "small", text);
        x += 104;
    }
    return y + 24;
}

/* ---- the whole */
static void s_headline (const self_t *self)
{
    const rk_plan_t *plan = self->view->plan;
    rk_score_t score;
    char text[160];
    rk_plan_score (plan, &score);
    const double rate = (double) score.samples_per_1000s / 1000;
    snprintf (text, sizeof text, "%s on %s: %u node%s in %u cluster%s", plan->settings.model_name, plan->settings.data_name, plan->n_nodes,
              plan->n_nodes == 1 ? "" : "s", plan->n_clusters, plan->n_clusters == 1 ? "" : "s");
    s_text (self, LEFT - 12, 36, "title", text);
    int n = snprintf (text, sizeof text, "predicted %.0f samples/s, %.1f s a pass", rate, rate > 0 ? (double) plan->train_samples / rate : 0);
    if (plan->n_clusters > 1)
        n += snprintf (text + n, sizeof text - (size_t) n, "; averaging %.2f MB and %.1f ms a round of %.1f ms", (double) score.round_bytes / 1e6,
                       (double) score.averaging_ns / 1e6, (double) score.round_ns / 1e6);
    if (self->view->simulated)
        snprintf (text + n, sizeof text - (size_t) n, "; simulated %.0f samples/s", (double) self->view->simulated->samples_per_1000s / 1000);
    s_text (self, LEFT - 12, 60, "", text);
    s_text (self, NAME_X, TOP - 12, "head", "node");
    s_text (self, LAYERS_X, TOP - 12, "head", "layers");
    s_text (self, TIME_X, TOP - 12, "head", "a minibatch takes");
    s_text (self, MEMORY_X, TOP - 12, "head", "memory");
    s_bar (self, LAYERS_X + 60, TOP - 22, 12, 12, "#8a6fb0");
    s_text (self, LAYERS_X + 77, TOP - 12, "small", "recomputes activations");
}

static double s_height (const rk_plan_t *plan)
{
    const uint32_t rows = plan->n_clusters > 1 ? (plan->n_rings + 8) / 9 + 1 : 0;
    return TOP + (double) plan->n_clusters * (HEAD + BETWEEN) + (double) plan->n_stages * ROW + 20.0 * rows + 16;
}

static void s_draw (const self_t *self)
{
    const rk_plan_t *plan = self->view->plan;
    const double height = s_height (plan);
    double y = TOP, middle = 0, first = 0;
    fprintf (self->out,
             "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%.0f\" viewBox=\"0 0 %d %.0f\">\n"
             "<style>text { font: 13px sans-serif; fill: #1f2933 } .head { font-weight: bold } .small { font-size: 11px; fill: #52606d } "
             ".in { fill: #fff; text-anchor: middle } .end { text-anchor: end } .title { font-size: 20px; font-weight: bold }</style>\n"
             "<rect width=\"100%%\" height=\"100%%\" fill=\"#f7f9fb\"/>\n",
             WIDTH, height, WIDTH, height);
    s_headline (self);
    for (uint32_t c = 0; c < plan->n_clusters; c++) {
        const double tall = s_cluster (self, c, y);
        if (c == 0)
            first = y + 14;
        else
            s_ring (self, middle, y + 14);
        middle = y + tall - 14;
        y += tall + BETWEEN;
    }
    if (plan->n_clusters > 2)
        fprintf (self->out, "<path d=\"M%d %.1fH6V%.1fH%d\" fill=\"none\" stroke=\"#7a8799\" stroke-dasharray=\"3 3\"/>\n", LEFT - 12, middle, first, LEFT - 12);
    s_rings (self, y);
    fputs ("</svg>\n", self->out);
}

rk_err_t rk_plan_write_svg (const char *path, const rk_plan_view_t *view, rk_error_t *err)
{
    rk_picture_t picture;
    rk_err_t code = rk_picture_begin (&picture, err);
    if (code)
        return code;
    self_t self = {.out = picture.out, .view = view, .slowest_ns = 1};
    for (uint32_t i = 0; i < view->plan->n_stages; i++)
        self.slowest_ns = view->plan->stages[i].busy_ns > self.slowest_ns ? view->plan->stages[i].busy_ns : self.slowest_ns;
    s_draw (&self);
    return rk_picture_end (&picture, path, err);
}
