/* SPDX-License-Identifier: MPL-2.0
 * A fleet as a picture: a row per node with bars of its speed and memory, and the matrix of links, dark where it is
 * slow. Plain SVG, no script, no other file.                                                              */
#include "actors/rookery/profile.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "actors/rookery/picture.h"

#define TOP 112
#define LEFT 24
#define NAME_WIDTH 150
#define BAR_WIDTH 120
#define GAP 18
#define MATRIX_X (LEFT + NAME_WIDTH + 2 * (BAR_WIDTH + GAP) + GAP)
#define FEW 12 /* nodes with figures in the cells */

typedef struct {
    FILE *out;
    const rk_fleet_t *fleet;
    uint32_t n_layers, cell;
} self_t;

static void s_text (const self_t *self, double x, double y, const char *attributes, const char *text)
{
    fprintf (self->out, "<text x=\"%.1f\" y=\"%.1f\"%s%s>", x, y, *attributes ? " " : "", attributes);
    rk_picture_words (self->out, text);
    fputs ("</text>\n", self->out);
}

static double s_speed (const self_t *self, uint32_t i)
{
    const rk_profile_t *p = &self->fleet->nodes[i];
    double ns = 0;
    for (uint32_t l = 0; l < self->n_layers; l++)
        ns += (double) (p->forward_ns[l] + p->backward_ns[l]);
    return ns > 0 ? 1e9 / ns : 0;
}

static double s_memory (const self_t *self, uint32_t i)
{
    return (double) self->fleet->nodes[i].ram_bytes / 1e9;
}

static void s_bars (const self_t *self, int column, const char *title, double (*value) (const self_t *, uint32_t), const char *unit,
                    const char *colour)
{
    const double x = LEFT + NAME_WIDTH + column * (BAR_WIDTH + GAP);
    double most = 0;
    for (uint32_t i = 0; i < self->fleet->n_nodes; i++)
        most = fmax (most, value (self, i));
    s_text (self, x, TOP - 14, "class=\"head\"", title);
    for (uint32_t i = 0; i < self->fleet->n_nodes; i++) {
        const double v = value (self, i), y = TOP + i * self->cell, h = fmin (self->cell - 4.0, 14);
        char text[48];
        snprintf (text, sizeof text, v < 10 ? "%.2g %s" : "%.0f %s", v, unit);
        fprintf (self->out, "<rect x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\" fill=\"%s\"/>\n", x,
                 y + (self->cell - h) / 2, most > 0 ? fmax (1, (BAR_WIDTH - 62) * v / most) : 1, h, colour);
        s_text (self, x + (most > 0 ? (BAR_WIDTH - 62) * v / most : 0) + 4, y + self->cell / 2.0 + 4, "class=\"small\"", text);
    }
}

/* Light is fast: the logarithm between the slowest and the fastest link that answers. */
static void s_colour (double part, char *text, size_t size)
{
    const double slow[3] = {74, 20, 66}, fast[3] = {253, 244, 203};
    int c[3];
    for (int i = 0; i < 3; i++)
        c[i] = (int) (slow[i] + (fast[i] - slow[i]) * part);
    snprintf (text, size, "#%02x%02x%02x", c[0], c[1], c[2]);
}

static void s_bounds (const self_t *self, double *low, double *high)
{
    const uint32_t n = self->fleet->n_nodes;
    *low = INFINITY, *high = 0;
    for (size_t at = 0; at < (size_t) n * n; at++) {
        const uint64_t rate = self->fleet->link_bytes_per_s[at];
        if (rate > RK_LINK_DEAD_BYTES_PER_S) {
            *low = fmin (*low, (double) rate);
            *high = fmax (*high, (double) rate);
        }
    }
}

static void s_cell (const self_t *self, uint32_t i, uint32_t j, double low, double high)
{
    const size_t at = (size_t) i * self->fleet->n_nodes + j;
    const uint64_t rate = self->fleet->link_bytes_per_s[at];
    const double x = MATRIX_X + j * self->cell, y = TOP + i * self->cell;
    const double part = rate <= RK_LINK_DEAD_BYTES_PER_S ? 0 : high > low ? log ((double) rate / low) / log (high / low) : 1;
    char colour[16] = "#eeeeee", text[32], trip[32], attributes[80];
    if (i != j)
        s_colour (part, colour, sizeof colour);
    if (i != j && rate == RK_LINK_DEAD_BYTES_PER_S)
        snprintf (colour, sizeof colour, "#000000");
    fprintf (self->out, "<rect x=\"%.1f\" y=\"%.1f\" width=\"%u\" height=\"%u\" fill=\"%s\">", x, y, self->cell - 1, self->cell - 1, colour);
    rk_profile_rate_text (rate, text, sizeof text);
    rk_profile_time_text (self->fleet->link_rtt_ns[at], trip, sizeof trip);
    if (i != j)
        fprintf (self->out, "<title>from %u to %u: %s, round trip %s</title>", self->fleet->nodes[i].id, self->fleet->nodes[j].id, text, trip);
    fputs ("</rect>\n", self->out);
    if (i == j || self->fleet->n_nodes > FEW)
        return;
    snprintf (attributes, sizeof attributes, "text-anchor=\"middle\" class=\"small\" fill=\"%s\"", part > 0.5 ? "#222" : "#fff");
    s_text (self, x + self->cell / 2.0, y + self->cell / 2.0 - 3, attributes, text);
    s_text (self, x + self->cell / 2.0, y + self->cell / 2.0 + 12, attributes, trip);
}

static void s_matrix (const self_t *self)
{
    double low, high;
    const uint32_t n = self->fleet->n_nodes;
    s_bounds (self, &low, &high);
    s_text (self, MATRIX_X, TOP - 52, "class=\"head\"", n > FEW ? "links, from row to column: light is fast" : "links, from row to column: rate and round trip");
    for (uint32_t j = 0; j < n; j++) {
        char id[16];
        snprintf (id, sizeof id, "%u", self->fleet->nodes[j].id);
        s_text (self, MATRIX_X + j * self->cell + self->cell / 2.0, TOP - 14, "text-anchor=\"middle\" class=\"small\"", id);
    }
    for (uint32_t i = 0; i < n; i++)
        for (uint32_t j = 0; j < n; j++)
            s_cell (self, i, j, low, high);
    char text[32];
    for (int step = 0; step < 100; step++) { /* the scale */
        char colour[16];
        s_colour (step / 99.0, colour, sizeof colour);
        fprintf (self->out, "<rect x=\"%d\" y=\"%d\" width=\"2\" height=\"10\" fill=\"%s\"/>\n", MATRIX_X + 70 + 2 * step, TOP - 44, colour);
    }
    rk_profile_rate_text (high > 0 ? (uint64_t) low : 0, text, sizeof text);
    s_text (self, MATRIX_X, TOP - 35, "class=\"small\"", text);
    rk_profile_rate_text ((uint64_t) high, text, sizeof text);
    s_text (self, MATRIX_X + 276, TOP - 35, "class=\"small\"", text);
}

static void s_draw (const self_t *self)
{
    const uint32_t n = self->fleet->n_nodes;
    const uint32_t matrix = self->fleet->link_bytes_per_s ? n * self->cell : 0;
    const uint32_t width = MATRIX_X + (matrix && matrix < 350 ? 350 : matrix) + LEFT, height = TOP + n * self->cell + LEFT;
    fprintf (self->out,
             "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%u\" height=\"%u\" viewBox=\"0 0 %u %u\">\n"
             "<style>text { font: 13px sans-serif } .head { font-weight: bold } .small { font-size: 11px } .title { font-size: 18px }</style>\n"
             "<rect width=\"100%%\" height=\"100%%\" fill=\"#ffffff\"/>\n",
             width, height, width, height);
    char title[64];
    snprintf (title, sizeof title, "fleet of %u node%s", n, n == 1 ? "" : "s");
    s_text (self, LEFT, 34, "class=\"title\"", title);
    s_text (self, LEFT, TOP - 14, "class=\"head\"", "node");
    for (uint32_t i = 0; i < n; i++) {
        char name[48];
        snprintf (name, sizeof name, "%u  %s", self->fleet->nodes[i].id, self->fleet->nodes[i].name);
        s_text (self, LEFT, TOP + i * self->cell + self->cell / 2.0 + 4, self->cell < 20 ? "class=\"small\"" : "", name);
    }
    s_bars (self, 0, "minibatches/s", s_speed, "/s", "#4a7fb5");
    s_bars (self, 1, "memory", s_memory, "GB", "#5a9e6f");
    if (matrix)
        s_matrix (self);
    fputs ("</svg>\n", self->out);
}

rk_err_t rk_profile_write_svg (const char *path, const rk_fleet_t *fleet, uint32_t n_layers, rk_error_t *err)
{
    rk_picture_t picture;
    rk_err_t code = rk_picture_begin (&picture, err);
    if (code)
        return code;
    self_t self = {.out = picture.out, .fleet = fleet, .n_layers = n_layers, .cell = fleet->n_nodes > FEW ? 16 : 64};
    s_draw (&self);
    return rk_picture_end (&picture, path, err);
}
