/* SPDX-License-Identifier: MPL-2.0
 * The table of docs/models.md against the models themselves and against what was published.              */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "compute/model.h"

#define MAX_ROWS 64

typedef struct {
    char name[64];
    rk_shape_t input;
    size_t n_classes, n_params;
    char published[32];
} s_row_t;

static s_row_t s_rows[MAX_ROWS];
static size_t s_n_rows;

/* "25,557,032" */
static size_t s_number (const char *text)
{
    size_t value = 0;
    for (; *text; text++)
        if (*text >= '0' && *text <= '9')
            value = 10 * value + (size_t) (*text - '0');
    return value;
}

/* "3 x 32 x 32" */
static rk_shape_t s_shape (const char *text)
{
    rk_shape_t shape = {0};
    for (char *end; shape.n_dims < RK_MAX_DIMS; text = end + strspn (end, " x")) {
        const unsigned long value = strtoul (text, &end, 10);
        if (end == text)
            break;
        shape.dim[shape.n_dims++] = value;
    }
    return shape;
}

static void s_take_row (char *line)
{
    char *cell[8] = {0}, *rest = line + 1;
    int n = 0;
    for (char *at; n < 6 && (at = strsep (&rest, "|")); n++) {
        at += strspn (at, " `");
        for (char *end = at + strlen (at); end > at && strchr (" `", end[-1]);)
            *--end = 0;
        cell[n] = at;
    }
    assert_int_equal (n, 6);
    assert_true (s_n_rows < MAX_ROWS);
    s_row_t *row = &s_rows[s_n_rows++];
    snprintf (row->name, sizeof row->name, "%s", cell[0]);
    snprintf (row->published, sizeof row->published, "%s", cell[4]);
    row->input = s_shape (cell[1]);
    row->n_classes = s_number (cell[2]);
    row->n_params = s_number (cell[3]);
}

static int s_read_table (void **state)
{
    char path[1024], line[512];
    const char *root = getenv ("RK_SOURCE_DIR");
    snprintf (path, sizeof path, "%s/docs/models.md", root ? root : ".");
    FILE *file = fopen (path, "r");
    if (!file)
        return -1;
    while (fgets (line, sizeof line, file))
        if (strncmp (line, "| `", 3) == 0)
            s_take_row (line);
    fclose (file);
    return s_n_rows ? 0 : -1;
}

static void every_model_has_a_row (void **state)
{
    for (const char *const *name = rk_model_names (); *name; name++) {
        bool found = false;
        for (size_t i = 0; i < s_n_rows; i++)
            found = found || strcmp (s_rows[i].name, *name) == 0;
        if (!found)
            fail_msg ("docs/models.md has no row for %s", *name);
    }
}

static void the_counts_are_those_of_the_models (void **state)
{
    for (size_t i = 0; i < s_n_rows; i++) {
        rk_error_t err = {0};
        rk_model_t *model = NULL;
        if (rk_model_by_name (&model, s_rows[i].name, s_rows[i].input, s_rows[i].n_classes, &err))
            fail_msg ("%s", err.text);
        if (rk_model_n_params (model) != s_rows[i].n_params)
            fail_msg ("%s has %zu parameters, docs/models.md says %zu", s_rows[i].name, rk_model_n_params (model), s_rows[i].n_params);
        rk_model_destroy (&model);
    }
}

/* "0.27 M" is met within half a unit of its last digit, an exact count exactly. */
static bool s_agrees (size_t n_params, const char *published)
{
    if (strcmp (published, "-") == 0)
        return true;
    const char *point = strchr (published, '.'), *million = strstr (published, " M");
    if (!million)
        return s_number (published) == n_params;
    const int digits = point ? (int) (million - point) - 1 : 0;
    return fabs ((double) n_params / 1e6 - strtod (published, NULL)) <= 0.5 * pow (10, -digits);
}

static void the_counts_agree_with_the_published_ones (void **state)
{
    for (size_t i = 0; i < s_n_rows; i++)
        if (!s_agrees (s_rows[i].n_params, s_rows[i].published))
            fail_msg ("%s has %zu parameters, published are %s", s_rows[i].name, s_rows[i].n_params, s_rows[i].published);
    assert_true (s_agrees (269722, "0.27 M") && s_agrees (269722, "269,722"));
    assert_false (s_agrees (276000, "0.27 M") || s_agrees (269723, "269,722")); /* the check itself can fail */
}

static void layers_are_named_as_in_torchvision (void **state)
{
    static const char *const known[] = {"conv1.weight",  "bn1.running_var", "layer1.0.conv3.weight", "layer1.0.downsample.0.weight",
                                        "layer2.0.downsample.1.running_mean", "layer4.2.bn3.bias", "fc.weight"};
    rk_model_t *model = NULL;
    assert_int_equal (rk_model_by_name (&model, "resnet50", rk_shape_3 (3, 64, 64), 1000, NULL), RK_OK);
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        bool found = false;
        for (size_t p = 0; p < rk_model_n_tensors (model); p++)
            found = found || strcmp (rk_model_param (model, p)->name, known[i]) == 0;
        if (!found)
            fail_msg ("resnet50 has no %s", known[i]);
    }
    rk_model_destroy (&model);
}

int main (void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test (every_model_has_a_row),
        cmocka_unit_test (the_counts_are_those_of_the_models),
        cmocka_unit_test (the_counts_agree_with_the_published_ones),
        cmocka_unit_test (layers_are_named_as_in_torchvision),
    };
    return cmocka_run_group_tests (tests, s_read_table, NULL);
}
